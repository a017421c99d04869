//! The floor: proofs made at or before it may have been used, and are not known.
//!
//! What a start has lost was used before it. So it is the wall clock that tells where the floor lies, and that clock
//! may be wrong then and be set right later only. The floor is therefore the start as the clock tells it now, and
//! moves with a clock that steps.

use super::table::LINGER;
use crate::clock::Now;
use std::sync::atomic::{AtomicI64, Ordering};

const MICROS: i64 = 1_000_000;

/// Where the floor lies, by all that the clock has told.
#[derive(Debug)]
pub(super) struct Floor {
    /// What the files told at the start: it is never lower, whatever the clock does.
    least: i64,
    start: Option<Start>,
    /// What the files told without a clock that may have been wrong, where a clock has told more.
    sure: Option<i64>,
}

/// A start that tells where it lies. All times are microseconds but where it says otherwise.
#[derive(Debug)]
struct Start {
    /// When it was, on the clock that never steps.
    monotonic: i64,
    /// Seconds from there to the floor.
    ahead: i64,
    /// By how much the wall clock is ahead of the one that never steps: the most that it was, since it was last set
    /// far back.
    offset: AtomicI64,
}

impl Floor {
    /// At the second `least`, whatever the clock does; `sure` is as [`Self::sure`].
    pub(super) const fn fixed(least: i64, sure: Option<i64>) -> Self {
        Self {
            least,
            start: None,
            sure,
        }
    }

    /// So many seconds after this start, or before it, and never lower than `least`.
    pub(super) fn of_start(now: Now, ahead: i64, least: i64) -> Self {
        let start = Start {
            monotonic: now.monotonic().as_micros() as i64,
            ahead,
            offset: AtomicI64::new(offset(now)),
        };
        Self {
            least,
            start: Some(start),
            sure: Some(least),
        }
    }

    /// Where it lies at least, where a clock has told it that may have been wrong: for a start that finds it to be
    /// behind that.
    pub(super) const fn sure(&self) -> Option<i64> {
        self.sure
    }

    /// The second at which it lies.
    pub(super) fn second(&self) -> i64 {
        self.start.as_ref().map_or(self.least, |start| {
            self.second_by(start, start.offset.load(Ordering::Acquire))
        })
    }

    /// The same for whoever has read the clock: it is raised first, where that was set forward.
    pub(super) fn at(&self, now: Now) -> i64 {
        let Some(start) = &self.start else {
            return self.least;
        };
        let (told, known) = (offset(now), start.offset.load(Ordering::Acquire));
        let most = if told > known {
            start.raise(told)
        } else {
            known
        };
        self.second_by(start, most)
    }

    /// Follows the clock, which is read for this: forward at once, and back where it was set far back.
    ///
    /// Otherwise a clock that is a year ahead for a moment would have all new proofs refused for a year. Nothing used
    /// since the start passes by it, since the table knows that, and what was used before was made before the start
    /// as the clock tells it now. Of two that differ by less than what lingers, the later one may be the wrong
    /// one: there the floor stays, and what is new is refused for so long at most.
    pub(super) fn follow(&self, now: Now) {
        if let Some(start) = &self.start {
            let told = offset(now);
            if start.raise(told).saturating_sub(told) > LINGER * MICROS {
                start.offset.store(told, Ordering::Release);
            }
        }
    }

    fn second_by(&self, start: &Start, offset: i64) -> i64 {
        let on_the_wall = start.monotonic.saturating_add(offset).div_euclid(MICROS);
        on_the_wall.saturating_add(start.ahead).max(self.least)
    }
}

impl Start {
    /// The most that the offset was, with this.
    fn raise(&self, offset: i64) -> i64 {
        self.offset.fetch_max(offset, Ordering::AcqRel).max(offset)
    }
}

/// By how much the wall clock is ahead of the one that never steps.
fn offset(now: Now) -> i64 {
    let (wall, monotonic) = (now.unix().as_micros(), now.monotonic().as_micros());
    (wall as i64).saturating_sub(monotonic as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: i64 = 1_700_000_000;

    fn at(wall: i64, monotonic: u64) -> Now {
        let wall = Duration::from_secs(wall as u64);
        Now::new(wall, Duration::from_secs(monotonic))
    }

    #[test]
    fn as_long_as_the_clock_does_not_step_it_stays_where_it_was() {
        let floor = Floor::of_start(at(NOW, 7), 30, i64::MIN);
        for later in [0, 1, 100_000] {
            let now = at(NOW + later, 7 + later as u64);
            floor.follow(now);
            assert_eq!((floor.at(now), floor.second()), (NOW + 30, NOW + 30));
        }
    }

    #[test]
    fn it_is_raised_by_whoever_sees_first_that_the_clock_was_set_forward() {
        let floor = Floor::of_start(at(NOW, 0), 30, i64::MIN);
        assert_eq!(floor.at(at(NOW + 500, 20)), NOW + 480 + 30);
        // One that has read the clock before does not lower it.
        assert_eq!(floor.at(at(NOW + 20, 20)), NOW + 480 + 30);
        floor.follow(at(NOW + 600, 20));
        assert_eq!(floor.second(), NOW + 580 + 30);
    }

    #[test]
    fn a_clock_set_back_by_little_leaves_it_and_one_set_back_far_takes_it_along() {
        let floor = Floor::of_start(at(NOW, 0), 30, NOW - 10_000);
        floor.follow(at(NOW + 1 - LINGER, 1));
        assert_eq!(floor.second(), NOW + 30);
        floor.follow(at(NOW - LINGER, 1));
        assert_eq!(floor.second(), NOW - LINGER - 1 + 30);
        floor.follow(at(NOW - 1_000_000, 1));
        assert_eq!(floor.second(), NOW - 10_000, "what the files told");
    }

    #[test]
    fn what_only_files_tell_does_not_move() {
        let floor = Floor::fixed(NOW, None);
        floor.follow(at(NOW + 1_000, 0));
        assert_eq!((floor.at(at(NOW + 2_000, 0)), floor.second()), (NOW, NOW));
        assert_eq!(floor.sure(), None);
    }

    #[test]
    fn no_time_overflows() {
        let floor = Floor::of_start(at(i64::MAX, u64::MAX), i64::MIN, i64::MIN);
        floor.follow(at(0, 0));
        floor.follow(at(0, u64::MAX));
        floor.at(at(i64::MAX, 0));
        floor.second();
    }
}
