//! How busy and how slow one server is: what a choice between two compares.
//!
//! Workers share it in atomics. A number that two of them write at once may
//! lose one of the two: an estimate, which the next answer mends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long it takes until what was seen of a server counts for a third: one
/// that was slow is tried again, with nobody to say that it no longer is.
const FORGETS: Duration = Duration::from_secs(10);
/// No estimate fades before this: between two answers of a busy server.
const FRESH: Duration = Duration::from_secs(1);
/// How much of an answer's latency enters the estimate.
const WEIGHT: f64 = 0.25;
/// What a latency counts for at most, as a multiple of the estimate: one slow
/// answer – a report among small requests – does not close a server.
const STEEPEST: f64 = 4.0;
/// No estimate is less, in nanoseconds: below, only noise differs.
const LEAST: f64 = 100_000.0;
/// Costs within this factor are the same, and chance decides.
const SAME: f64 = 1.25;

/// One request in the count of those that came.
const CAME: u64 = 1 << 32;

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Requests that came, ever, above; those in flight in the lower half:
    /// one addition counts both.
    requests: AtomicU64,
    /// Bits of an `f64`: nanoseconds to the head of an answer; 0 is not known.
    latency: AtomicU64,
    /// When that was last written, in nanoseconds.
    written: AtomicU64,
}

impl Load {
    /// A request goes to this server. [`Load::end`] ends it.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(CAME + 1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.requests.load(Ordering::Relaxed) as u32
    }

    /// Requests that came, ever; wraps.
    pub(super) fn came(&self) -> u32 {
        (self.requests.load(Ordering::Relaxed) >> 32) as u32
    }

    /// It answered after `took`.
    pub(super) fn answered(&self, took: Duration, now: u64) {
        let sample = (took.as_nanos() as f64).max(LEAST);
        let known = self.known();
        self.write(
            if known == 0.0 {
                sample
            } else {
                toward(known, sample)
            },
            now,
        );
    }

    /// It failed: a server that refuses at once must not look fast.
    pub(super) fn failed(&self, now: u64) {
        let known = self.known();
        self.write(
            if known == 0.0 {
                LEAST
            } else {
                toward(known, f64::INFINITY)
            },
            now,
        );
    }

    /// Nobody waited for its answer any more: it may be hanging.
    pub(super) fn left(&self) {
        let known = self.known();
        if known > 0.0 {
            let slower = toward(known, 2.0 * known);
            self.latency.store(slower.to_bits(), Ordering::Relaxed);
        }
    }

    /// It is as one of which nothing is known.
    pub(super) fn forget(&self) {
        self.latency.store(0, Ordering::Relaxed);
    }

    fn known(&self) -> f64 {
        f64::from_bits(self.latency.load(Ordering::Relaxed))
    }

    fn write(&self, latency: f64, now: u64) {
        self.latency.store(latency.to_bits(), Ordering::Relaxed);
        self.written.store(now, Ordering::Relaxed);
    }

    /// Nanoseconds that an answer takes, as far as that is still known; 0 is not.
    fn latency(&self, now: u64) -> f64 {
        let age = now.saturating_sub(self.written.load(Ordering::Relaxed));
        let known = self.known();
        if age < FRESH.as_nanos() as u64 {
            return known;
        }
        known * (-(age as f64) / FORGETS.as_nanos() as f64).exp()
    }

    /// Whether a request had better go here than to `other`; where both are
    /// about the same, it stays here.
    pub(super) fn is_lighter(&self, other: &Self, now: u64) -> bool {
        let ours = f64::from(self.in_flight()) + 1.0;
        let theirs = f64::from(other.in_flight()) + 1.0;
        let (fast, slow) = (self.latency(now), other.latency(now));
        if fast == 0.0 || slow == 0.0 {
            return ours <= SAME * theirs;
        }
        ours * fast <= SAME * theirs * slow
    }
}

fn toward(known: f64, sample: f64) -> f64 {
    known + (sample.min(STEEPEST * known) - known) * WEIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn answering_in(ms: u64) -> Load {
        let load = Load::default();
        load.answered(Duration::from_millis(ms), 0);
        load
    }

    #[test]
    fn requests_in_flight_and_requests_ever_are_counted_in_one() {
        let load = Load::default();
        load.begin();
        load.begin();
        load.end();
        assert_eq!((load.in_flight(), load.came()), (1, 2));
    }

    #[test]
    fn a_server_of_which_nothing_is_known_is_chosen_by_its_requests_in_flight() {
        let (known, new) = (answering_in(1), Load::default());
        assert!(new.is_lighter(&known, 0) && known.is_lighter(&new, 0));
        new.begin();
        assert!(!new.is_lighter(&known, 0) && known.is_lighter(&new, 0));
    }

    #[test]
    fn a_faster_server_is_lighter_until_it_has_more_in_flight() {
        let (fast, slow) = (answering_in(10), answering_in(20));
        assert!(fast.is_lighter(&slow, 0) && !slow.is_lighter(&fast, 0));
        fast.begin();
        fast.begin();
        assert!(!fast.is_lighter(&slow, 0) && slow.is_lighter(&fast, 0));
    }

    #[test]
    fn one_slow_answer_counts_for_four_times_the_estimate_at_most() {
        let load = answering_in(10);
        load.answered(Duration::from_mins(1), 0);
        assert!(load.known() < 20e6);
        for _ in 0..40 {
            load.answered(Duration::from_mins(1), 0);
        }
        assert!(load.known() > 50e9);
    }

    #[test]
    fn each_failure_makes_a_server_heavier_however_fast_it_fails() {
        let load = answering_in(10);
        let mut before = load.known();
        for _ in 0..5 {
            load.failed(0);
            assert!(load.known() > 1.5 * before);
            before = load.known();
        }
        let new = Load::default();
        (0..20).for_each(|_| new.failed(0));
        assert!(load.is_lighter(&new, 0) && !new.is_lighter(&load, 0));
    }

    #[test]
    fn what_was_seen_of_a_server_fades_while_it_gets_nothing() {
        let load = answering_in(100);
        assert!(load.latency(999 * MS) >= load.known());
        assert!(load.latency(30_000 * MS) < load.known() / 15.0);
    }
}
