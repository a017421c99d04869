//! Whoever keeps the gateway is told what nobody else is.

use super::Reason;
use super::reason::Instead;
use crate::apps::made::{AuditEntry, Outcome, Store};
use crate::clock::Now;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Tells whoever keeps the gateway, at most once a second: each request has a line in the access log anyway.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// When the next may be told, in milliseconds of the process.
    next: AtomicU64,
    untold: AtomicU64,
}

impl Told {
    const EVERY: Duration = Duration::from_secs(1);

    /// Tells of a failure; in the audit, which counts those that are alike and never waits, of each.
    pub(super) fn tell(
        &self,
        store: Option<&dyn Store>,
        app: &str,
        why: Reason,
        instead: Instead,
        now: Now,
    ) {
        if let Some(store) = store {
            store.note(AuditEntry {
                at: now.unix_seconds(),
                who: "key-service".to_owned(),
                what: instead.event().to_owned(),
                target: format!("app/{app}"),
                before: None,
                after: None,
                outcome: Outcome::Refused(why.name().to_owned()),
                times: 1,
            });
        }
        let at = u64::try_from(now.monotonic().as_millis()).unwrap_or(u64::MAX);
        let next = self.next.load(Ordering::Relaxed);
        let then = at.saturating_add(Self::EVERY.as_millis() as u64);
        let is_time = at >= next
            && self
                .next
                .compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_time {
            let more = self.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(app, reason = why.name(), more, "no token was made");
        } else {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }
}
