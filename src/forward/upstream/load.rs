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
/// After so long without news nothing is known any more, whatever it was.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How much of an answer's latency enters the estimate.
const WEIGHT: f64 = 0.25;
/// What a latency counts for at most, as a multiple of the estimate: one slow
/// answer – a report among small requests – does not close a server.
const STEEPEST: f64 = 4.0;
/// By what a failure multiplies the estimate: as much as the slowest answer can.
const FAILED: f64 = 1.0 + (STEEPEST - 1.0) * WEIGHT;
/// By what a request multiplies it that nobody waited for any more.
const LEFT: f64 = 1.0 + WEIGHT;
/// No failure makes an estimate worse than this, in nanoseconds: more than all that a server which answers can have in
/// flight makes of it, so that one which fails at once gets nothing for having nothing to do.
const WORST: f64 = 10e12;
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
        let (known, kept) = (self.known(), self.kept(now));
        let latency = if known == 0.0 || kept == 0.0 {
            sample
        } else {
            // What has faded counts for less beside what was just seen.
            let sample = sample.min(STEEPEST * known);
            sample + (known - sample) * (1.0 - WEIGHT) * kept
        };
        self.write(latency, now);
    }

    /// It failed: a server that refuses at once must not look fast.
    pub(super) fn failed(&self, now: u64) {
        let known = self.known();
        self.write(
            if known == 0.0 {
                LEAST
            } else {
                worse(known, FAILED)
            },
            now,
        );
    }

    /// Nobody waited any more for the answer to what it was asked at `asked`: it may be hanging.
    pub(super) fn left(&self, asked: u64) {
        let known = self.known();
        if known > 0.0 {
            self.write(worse(known, LEFT), asked);
        }
    }

    /// What it was asked at `asked` broke off behind the head of its answer. What is much older than the last news
    /// tells nothing: a restart cuts all of it.
    pub(super) fn broke(&self, asked: u64) {
        let written = self.written.load(Ordering::Relaxed);
        if written.saturating_sub(asked) < FRESH.as_nanos() as u64 {
            self.failed(asked);
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
        // What began before the last news is no older than that.
        let written = self.written.load(Ordering::Relaxed);
        self.written.store(now.max(written), Ordering::Relaxed);
    }

    /// How much of what is known still counts, from 1 to 0.
    fn kept(&self, now: u64) -> f64 {
        let age = now.saturating_sub(self.written.load(Ordering::Relaxed));
        if age < FRESH.as_nanos() as u64 {
            return 1.0;
        }
        if age >= FORGOTTEN.as_nanos() as u64 {
            return 0.0;
        }
        (-(age as f64) / FORGETS.as_nanos() as f64).exp()
    }

    /// Nanoseconds that an answer takes, as far as that is still known; 0 is not.
    fn latency(&self, now: u64) -> f64 {
        self.known() * self.kept(now)
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

/// What is known of a server once more went wrong. One that is slower anyhow stays as slow.
fn worse(known: f64, times: f64) -> f64 {
    (known * times).min(WORST).max(known)
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
        assert!(load.latency(29_000 * MS) < load.known() / 15.0);
        // Then it is as one of which nothing was ever known.
        assert!(load.latency(30_000 * MS) == 0.0);
    }

    #[test]
    fn however_many_fail_or_are_left_a_server_that_is_well_again_is_known_by_its_next_answers() {
        let fails: fn(&Load) = |load| load.failed(0);
        let is_left: fn(&Load) = |load| load.left(0);
        for goes_wrong in [fails, is_left] {
            let (load, slower) = (answering_in(10), answering_in(100));
            (0..5_000).for_each(|_| goes_wrong(&load));
            assert!(load.latency(0) <= WORST, "{}", load.latency(0));
            // Nothing of it is known any more: it is tried.
            let later = 60_000 * MS;
            assert!(load.is_lighter(&answering_in(10), later));
            load.answered(Duration::from_millis(10), later);
            slower.answered(Duration::from_millis(100), later);
            assert!(load.is_lighter(&slower, later) && !slower.is_lighter(&load, later));
        }
    }

    #[test]
    fn one_answer_behind_a_while_without_any_counts_for_more_than_what_was_known_before() {
        let load = answering_in(400);
        let later = 20_000 * MS;
        load.answered(Duration::from_millis(10), later);
        assert!(load.latency(later) < 50e6, "{}", load.latency(later));
    }

    #[test]
    fn what_is_left_or_breaks_off_late_makes_no_news_old() {
        let load = answering_in(10);
        load.answered(Duration::from_millis(10), 60_000 * MS);
        load.left(1);
        load.failed(1);
        assert!(load.latency(60_000 * MS) > 20e6);
    }
}
