//! When so few servers of an upstream are well that all are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether that is so. It is told when it begins, and when it is over.
#[derive(Debug)]
pub(super) struct Scarce {
    upstream: Arc<str>,
    is_told: AtomicBool,
}

impl Scarce {
    /// As it was `before`, where the upstream was there.
    pub(super) fn of(upstream: Arc<str>, before: Option<&Self>) -> Self {
        Self {
            upstream,
            is_told: AtomicBool::new(before.is_some_and(Self::is_told)),
        }
    }

    /// Whether it was so when it was last looked at.
    pub(super) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// So many of its servers are well.
    pub(super) fn look(&self, is_scarce: bool, well: usize, servers: usize) {
        if is_scarce == self.is_told()
            || self.is_told.swap(is_scarce, Ordering::Relaxed) == is_scarce
        {
            return;
        }
        let upstream = &*self.upstream;
        if is_scarce {
            tracing::warn!(
                upstream,
                well,
                servers,
                "too few servers are well: all are used"
            );
        } else {
            tracing::info!(
                upstream,
                well,
                servers,
                "servers that are not well are left out again"
            );
        }
    }
}
