//! Changes and reloads take turns. What a change was judged by, such as its
//! plan, stays in force until it is written: else a reload that takes it away
//! would not see who has it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a reload waits for changes that are being written: a disk may hang, and who reloads has more to do.
const CHANGES_END: Duration = Duration::from_secs(2);
/// How long a change waits for a reload: far longer than any takes.
const RELOADS_END: Duration = Duration::from_secs(10);

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Turns {
    under_way: Mutex<UnderWay>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct UnderWay {
    changes: usize,
    /// Those that wait for changes, too: others come after them.
    reloads: usize,
}

/// A change is under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Changing<'t>(&'t Turns);

/// A reload is under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Reloading<'t>(&'t Turns);

impl Turns {
    /// Begins a change once no reload is under way; `None` where that takes too long. Blocks the thread.
    pub fn change(&self) -> Option<Changing<'_>> {
        self.change_within(RELOADS_END)
    }

    /// Begins a reload once the changes that are under way are written; `None` where that takes too long. Blocks
    /// the thread.
    pub fn reload(&self) -> Option<Reloading<'_>> {
        self.reload_within(CHANGES_END)
    }

    fn change_within(&self, most: Duration) -> Option<Changing<'_>> {
        let under_way = self.under_way();
        let waited = self
            .ended
            .wait_timeout_while(under_way, most, |under_way| under_way.reloads > 0);
        let (mut under_way, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        under_way.changes += 1;
        Some(Changing(self))
    }

    fn reload_within(&self, most: Duration) -> Option<Reloading<'_>> {
        let mut under_way = self.under_way();
        under_way.reloads += 1;
        let waited = self
            .ended
            .wait_timeout_while(under_way, most, |under_way| under_way.changes > 0);
        let (under_way, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(under_way);
        let turn = Reloading(self);
        (!waited.timed_out()).then_some(turn)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.under_way().changes -= 1;
        self.0.ended.notify_all();
    }
}

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        self.0.under_way().reloads -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn changes_go_side_by_side_and_a_reload_waits_for_all_of_them() {
        let turns = Turns::default();
        let (one, other) = (turns.change(), turns.change());
        assert!(one.is_some() && other.is_some());
        assert!(turns.reload_within(NOW).is_none());
        drop(one);
        assert!(turns.reload_within(NOW).is_none());
        thread::scope(|scope| {
            let reload = scope.spawn(|| turns.reload_within(LONG).is_some());
            drop(other);
            assert!(reload.join().unwrap());
        });
        // None that gave up holds anybody back.
        assert!(turns.change_within(NOW).is_some());
    }

    #[test]
    fn a_change_waits_for_a_reload() {
        let turns = Turns::default();
        let reload = turns.reload();
        assert!(reload.is_some() && turns.change_within(NOW).is_none());
        thread::scope(|scope| {
            let change = scope.spawn(|| turns.change_within(LONG).is_some());
            drop(reload);
            assert!(change.join().unwrap());
        });
    }
}
