//! The keys of an issuer that are in force, and who asks for newer ones.
//!
//! Whoever fetches puts a new set in; whoever verifies reads the one that is
//! there and, where a token names a key that is not in it, or the set is too
//! old, leaves a note. It never waits for a fetch, and no number of notes is
//! more than one.

use super::key_set::KeySet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Poll, Waker};

/// Shared by whoever fetches and all who verify. Outlives a reload.
#[derive(Debug)]
pub struct Keys {
    current: RwLock<Arc<KeySet>>,
    /// The number of the set in force: read at every request that shows a token seen before.
    number: AtomicU64,
    /// First second at which keys that could not be fetched again are too old, Unix time.
    until: AtomicI64,
    /// When they were fetched, Unix time.
    since: AtomicI64,
    asked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Keys {
    /// Keys that never grow old: of a file, or a secret.
    pub fn fixed(set: KeySet) -> Self {
        Self::new(set, i64::MAX)
    }

    /// None yet.
    pub fn to_be_fetched() -> Self {
        Self::new(KeySet::empty(), i64::MIN)
    }

    /// Those of `set`, which are as old as these.
    #[must_use]
    pub fn as_old(&self, set: KeySet) -> Self {
        let keys = Self::new(set, self.until.load(Ordering::Acquire));
        let since = self.since.load(Ordering::Acquire);
        keys.since.store(since, Ordering::Release);
        keys
    }

    fn new(set: KeySet, until: i64) -> Self {
        Self {
            number: AtomicU64::new(set.number()),
            current: RwLock::new(Arc::new(set)),
            until: AtomicI64::new(until),
            since: AtomicI64::new(i64::MIN),
            asked: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    /// Puts what was fetched at `now` in force, until it is fetched again or `until`. Says
    /// whether it differs from what was there: tokens are then verified again.
    pub fn replace(&self, set: KeySet, now: i64, until: i64) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let differs = !current.is_as(&set);
        if differs {
            self.number.store(set.number(), Ordering::Release);
            *current = Arc::new(set);
        }
        self.since.store(now, Ordering::Release);
        self.until.store(until, Ordering::Release);
        differs
    }

    /// Has those that were fetched hold for `stale` seconds from then on. Where none were, nothing changes.
    pub fn hold(&self, stale: i64) {
        if let Some(since) = self.fetched_at() {
            let until = since.saturating_add(stale);
            self.until.store(until, Ordering::Release);
        }
    }

    /// Ends those that are in force: as if none had been fetched yet.
    pub fn withdraw(&self) {
        let none = KeySet::empty();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        self.number.store(none.number(), Ordering::Release);
        *current = Arc::new(none);
        self.since.store(i64::MIN, Ordering::Release);
        self.until.store(i64::MIN, Ordering::Release);
    }

    /// When they were fetched, Unix time; `None` when they were not.
    pub fn fetched_at(&self) -> Option<i64> {
        Some(self.since.load(Ordering::Acquire)).filter(|since| *since != i64::MIN)
    }

    /// The set in force, whatever its age.
    pub fn current(&self) -> Arc<KeySet> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Whether they are too old to be used at `now`, or there never were any.
    pub fn are_stale(&self, now: i64) -> bool {
        now >= self.until.load(Ordering::Acquire)
    }

    /// Whether the set of this number is in force at `now`.
    pub(super) fn are_still(&self, number: u64, now: i64) -> bool {
        self.number.load(Ordering::Acquire) == number && !self.are_stale(now)
    }

    /// Notes that newer ones are wanted: a token names a key that is not here, or those here are too old for it.
    pub fn ask(&self) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waker) = &*waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Waits until somebody has asked since this was last awaited.
    pub async fn asked(&self) {
        poll_fn(|context| {
            let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if self.asked.swap(false, Ordering::AcqRel) {
                *waker = None;
                return Poll::Ready(());
            }
            *waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Algorithm;
    use std::pin::pin;
    use std::task::Context;

    fn set(y: &str) -> KeySet {
        let text = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{y}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}}"#
        );
        KeySet::read(text.as_bytes(), &[Algorithm::Ed25519]).unwrap()
    }

    #[test]
    fn what_was_fetched_is_in_force_until_it_is_too_old() {
        let keys = Keys::to_be_fetched();
        assert!(keys.are_stale(0) && keys.fetched_at().is_none());
        assert!(keys.replace(set("a"), 100, 200));
        let number = keys.current().number();
        assert!(keys.are_still(number, 199) && !keys.are_still(number, 200));
        // The same again: only younger.
        assert!(!keys.replace(set("a"), 150, 250));
        assert!(keys.are_still(number, 249));
        assert_eq!(keys.fetched_at(), Some(150));
        assert!(keys.replace(set("b"), 150, 250));
        assert!(!keys.are_still(number, 199));
        assert!(!Keys::fixed(set("a")).are_stale(i64::MAX - 1));
    }

    #[test]
    fn what_is_withdrawn_is_over_at_once_and_what_is_read_anew_is_no_younger() {
        let keys = Keys::to_be_fetched();
        keys.replace(set("a"), 100, 200);
        let number = keys.current().number();
        let anew = keys.as_old(set("b"));
        assert_eq!(anew.fetched_at(), Some(100));
        assert!(anew.are_still(anew.current().number(), 199));
        assert!(anew.are_stale(200));
        keys.withdraw();
        assert!(!keys.are_still(number, 101) && keys.current().is_empty());
        assert!(keys.are_stale(101) && keys.fetched_at().is_none());
    }

    #[test]
    fn any_number_of_questions_is_one() {
        let keys = Keys::to_be_fetched();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(keys.asked()).poll(&mut context).is_pending());
        for _ in 0..1_000 {
            keys.ask();
        }
        assert!(pin!(keys.asked()).poll(&mut context).is_ready());
        assert!(pin!(keys.asked()).poll(&mut context).is_pending());
    }
}
