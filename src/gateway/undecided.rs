//! Requests whose proof is not known yet, though they came long ago: their body is read before. A stop does
//! not take the memory of proofs away from under them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many there are.
#[derive(Debug, Default)]
pub struct Undecided {
    count: Mutex<usize>,
    is_none: Condvar,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct One(Arc<Undecided>);

impl Undecided {
    /// One more, of those that wait for their body: others are decided at once.
    pub(super) fn one(self: &Arc<Self>) -> One {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        One(self.clone())
    }

    /// Blocks the thread until there is none, and no longer than `at_most`.
    pub fn wait(&self, at_most: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .is_none
            .wait_timeout_while(count, at_most, |count| *count > 0);
        drop(waited);
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0 {
            self.0.is_none.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn who_waits_does_so_until_the_last_is_decided_and_no_longer_than_it_may() {
        let undecided = Arc::new(Undecided::default());
        undecided.wait(Duration::MAX);
        let (one, other) = (undecided.one(), undecided.one());
        undecided.wait(Duration::ZERO);
        let was_decided = Arc::new(AtomicBool::new(false));
        let waits = {
            let (undecided, was_decided) = (undecided.clone(), was_decided.clone());
            std::thread::spawn(move || {
                undecided.wait(Duration::from_hours(1));
                was_decided.load(Ordering::SeqCst)
            })
        };
        drop(one);
        was_decided.store(true, Ordering::SeqCst);
        drop(other);
        assert!(waits.join().unwrap(), "it did not wait for the last");
    }
}
