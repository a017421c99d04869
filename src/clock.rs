//! The only reader of the system's time, and a hand-set clock for tests.
//!
//! In: nothing. Out: [`Now`], read once a request and handed down as a value.
//! No other room reads a clock: `clippy.toml` forbids it.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that may read the system's time"
)]

#[cfg(feature = "gateway")]
pub(crate) mod alarm;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment: wall-clock time for what callers and logs see, and monotonic
/// time, which never steps, for limits and durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    unix: Duration,
    monotonic: Duration,
}

impl Now {
    /// A moment of one's own making: time since the Unix epoch, and time on
    /// a clock that never steps.
    pub const fn new(unix: Duration, monotonic: Duration) -> Self {
        Self { unix, monotonic }
    }

    /// Whole seconds since the Unix epoch, the unit of `created`, `exp` and their kin.
    pub const fn unix_seconds(self) -> i64 {
        self.unix.as_secs() as i64
    }

    /// Time since the Unix epoch.
    pub const fn unix(self) -> Duration {
        self.unix
    }

    /// Time since an arbitrary start that is the same for the whole process.
    pub const fn monotonic(self) -> Duration {
        self.monotonic
    }
}

/// Where [`Now`] comes from: the system, or a test's hand.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Hand(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `unix_seconds` until its hand is moved. It goes no further than the year 2554.
    pub fn by_hand(unix_seconds: u64) -> (Self, Hand) {
        let nanos = Arc::new(AtomicU64::new(nanos(unix_seconds)));
        (Self(Source::Hand(nanos.clone())), Hand(nanos))
    }

    /// A moment after `before`, by the time that never steps: one look at a
    /// clock, not two.
    pub fn later(&self, before: Now) -> Now {
        match &self.0 {
            Source::System => {
                let monotonic = process_start().elapsed();
                let passed = monotonic.saturating_sub(before.monotonic);
                Now {
                    unix: before.unix + passed,
                    monotonic,
                }
            }
            Source::Hand(_) => self.now(),
        }
    }

    /// Reads the clock.
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System => Now {
                unix: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
                monotonic: process_start().elapsed(),
            },
            Source::Hand(nanos) => {
                let at = Duration::from_nanos(nanos.load(Ordering::Acquire));
                Now {
                    unix: at,
                    monotonic: at,
                }
            }
        }
    }
}

/// Whole seconds of a time, the unit of `created`, `exp` and their kin.
pub fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Moves a clock made by [`Clock::by_hand`].
#[derive(Clone, Debug)]
pub struct Hand(Arc<AtomicU64>);

impl Hand {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, Ordering::AcqRel);
    }

    /// Sets the clock, backward too: wall clocks do step.
    pub fn set(&self, unix_seconds: u64) {
        self.0.store(nanos(unix_seconds), Ordering::Release);
    }
}

/// The same in nanoseconds: the last that there are, rather than an early moment, where they are too many.
const fn nanos(unix_seconds: u64) -> u64 {
    unix_seconds.saturating_mul(1_000_000_000)
}

fn process_start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_set_clock_stands_still_until_it_is_moved() {
        let (clock, hand) = Clock::by_hand(1_000);
        assert_eq!(clock.now(), clock.now());
        hand.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now().unix_seconds(), 1_001);
        hand.set(900);
        assert_eq!(clock.now().unix_seconds(), 900);
    }

    #[test]
    fn a_moment_that_is_too_far_for_a_hand_set_clock_is_its_last_and_no_early_one() {
        let (clock, hand) = Clock::by_hand(1_796_058_366_000);
        let last = clock.now();
        assert_eq!(last.unix_seconds(), 18_446_744_073);
        hand.set(u64::MAX);
        assert_eq!(clock.now(), last);
    }

    #[test]
    fn the_systems_monotonic_time_never_goes_back() {
        let clock = Clock::system();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.monotonic() >= first.monotonic());
    }
}
