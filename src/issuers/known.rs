//! What is known of an issuer whose keys are fetched.

use crate::clock::alarm;
use crate::crypto::Algorithm;
use crate::schemes::token::{KeySet, Keys};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Its keys, and what came of fetching them. Shared by all configurations that
/// fetch the same ones. A set does not print: whoever serves one may have put private keys into it.
pub struct Known {
    keys: Arc<Keys>,
    /// The last set that came, for whoever reads it in another way.
    came: Mutex<Option<Vec<u8>>>,
    tries: Mutex<Tries>,
    ended: Condvar,
    successes: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Tries {
    /// When the last one began.
    last: Option<Instant>,
    /// Whether one has ended.
    any_ended: bool,
    /// How many have failed since one succeeded.
    failed: u32,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("keys", &self.keys)
            .field("tries", &self.tries)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            keys: Arc::new(Keys::to_be_fetched()),
            came: Mutex::default(),
            tries: Mutex::default(),
            ended: Condvar::new(),
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }
}

impl Known {
    /// Its keys.
    pub const fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The same of keys for these algorithms, which nobody has tried to fetch yet.
    pub(super) fn read_anew(&self, algorithms: &[Algorithm]) -> Self {
        let came = self.came().clone();
        let set = came.as_deref().map(|set| KeySet::read(set, algorithms));
        let keys = match set {
            Some(Ok(set)) => self.keys.as_old(set),
            Some(Err(_)) | None => Keys::to_be_fetched(),
        };
        let (successes, failures) = self.counts();
        Self {
            keys: Arc::new(keys),
            came: Mutex::new(came),
            successes: AtomicU64::new(successes),
            failures: AtomicU64::new(failures),
            ..Self::default()
        }
    }

    /// How often they were fetched, and how often they could not be.
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.successes), read(&self.failures))
    }

    /// Waits until they were tried once, but no longer than `wait`.
    pub(super) fn wait_for_first(&self, wait: Duration) {
        let not_yet = |tries: &mut Tries| !tries.any_ended;
        let waited = self.ended.wait_timeout_while(self.tries(), wait, not_yet);
        drop(waited);
    }

    /// When the last try began, and how many have failed on end.
    pub(super) fn last_try(&self) -> Option<(Instant, u32)> {
        let tries = self.tries();
        Some((tries.last?, tries.failed))
    }

    pub(super) fn begin(&self) {
        self.tries().last = Some(alarm::after(Duration::ZERO));
    }

    /// Keeps a set as it came.
    pub(super) fn keep(&self, set: Vec<u8>) {
        *self.came() = Some(set);
    }

    /// Says whether the try before it failed.
    pub(super) fn succeeded(&self) -> bool {
        self.successes.fetch_add(1, Ordering::Relaxed);
        let mut tries = self.tries();
        tries.any_ended = true;
        self.ended.notify_all();
        std::mem::take(&mut tries.failed) > 0
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut tries = self.tries();
        tries.any_ended = true;
        tries.failed = tries.failed.saturating_add(1);
        self.ended.notify_all();
    }

    fn came(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
