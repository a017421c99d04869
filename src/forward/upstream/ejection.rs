//! Passive ejection: a server whose requests fail one after the other is left
//! out for a time, then gets one request to show that it is well.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How often the time doubles, when a server fails again and again: 32 times as long.
pub const MAX_DOUBLINGS: u32 = 5;

/// `ejection` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row that eject a server.
    pub failures: u32,
    /// For how long, at first.
    pub time: Duration,
    /// Percent of the servers that may be ejected at a time.
    pub at_most: u32,
}

impl Ejection {
    /// How many of so many servers that are: of several at least one, and of
    /// one server none unless it is all.
    pub(super) fn most(&self, servers: usize) -> usize {
        let share = servers * self.at_most as usize / 100;
        share.max(usize::from(servers > 1))
    }

    /// In nanoseconds.
    fn time(&self, doublings: u32) -> u64 {
        let time = u64::try_from(self.time.as_nanos()).unwrap_or(u64::MAX);
        time.saturating_mul(1 << doublings.min(MAX_DOUBLINGS))
    }
}

/// Set while a server is ejected.
const OUT: u32 = 1 << 31;
/// Where the doublings stand.
const DOUBLINGS: u32 = 24;
/// No more failures are counted: no setting asks for more.
pub const MAX_FAILURES: u32 = 1_000_000;

/// Whether one server is in. Times are in nanoseconds, and never go back.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// [`OUT`]; how often the time was doubled; failures in a row.
    word: AtomicU32,
    /// While it is out: until when; while a trial is under way, until when that may take.
    until: AtomicU64,
}

/// How a server was taken into use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is in.
    In,
    /// It is out, and this is the one request that tries it.
    Trial,
    /// It is out, as too many are.
    Anyway,
}

impl Circuit {
    pub(super) fn is_out(&self) -> bool {
        self.word.load(Ordering::Acquire) & OUT != 0
    }

    /// Whether a trial is due.
    #[cfg(test)]
    fn is_due(&self, now: u64) -> bool {
        self.is_out() && self.until.load(Ordering::Relaxed) <= now
    }

    /// Claims the trial: one caller gets it. It ends by [`Circuit::succeeded`],
    /// [`Circuit::failed`] or [`Circuit::give_up`]; if it takes longer than the
    /// ejection did, another is due. None is further away than an ejection that began now would have it: the time may
    /// have been longer before a reload.
    pub(super) fn claim(&self, rules: &Ejection, now: u64) -> bool {
        let due = self.until.load(Ordering::Relaxed);
        let until = now.saturating_add(rules.time(self.doublings()));
        let is_due = due <= now;
        let changes = (is_due || due > until) && self.is_out();
        let change = || {
            self.until
                .compare_exchange(due, until, Ordering::Relaxed, Ordering::Relaxed)
        };
        changes && change().is_ok() && is_due
    }

    /// The trial told nothing.
    pub(super) fn give_up(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    /// A request succeeded. Whether the server is back by it; one that was
    /// sent before the server was ejected does not bring it back.
    pub(super) fn succeeded(&self, taken: Taken, now: u64) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        if word & OUT == 0 {
            if word & MASK != 0 {
                self.word.fetch_and(!MASK, Ordering::Relaxed);
            }
            return false;
        }
        if taken == Taken::In {
            return false;
        }
        // Since when it has been back: another failure soon doubles the time.
        self.until.store(now, Ordering::Relaxed);
        self.word.fetch_and(!(OUT | MASK), Ordering::Release) & OUT != 0
    }

    /// A request failed. For how long the server is ejected by it; `may` tells
    /// whether there is room among the ejected.
    pub(super) fn failed(
        &self,
        taken: Taken,
        rules: &Ejection,
        now: u64,
        may: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        let word = self.word.load(Ordering::Relaxed);
        let doublings = (word & !OUT) >> DOUBLINGS;
        if word & OUT != 0 {
            let tried = taken == Taken::Trial;
            return tried
                .then(|| self.put_out(word, doublings + 1, rules, now))
                .flatten();
        }
        let failures = (word & MASK) + 1;
        if failures < rules.failures || !may() {
            let counted = word & !MASK | failures.min(MAX_FAILURES);
            // Another worker's at the same time may count as one with this.
            let _ = self.change(word, counted);
            return None;
        }
        let back = self.until.load(Ordering::Relaxed);
        let again = back > 0 && now < back.saturating_add(rules.time(doublings));
        let doublings = if again { doublings + 1 } else { 0 };
        self.put_out(word, doublings, rules, now)
    }

    /// `None` where another worker was first.
    fn put_out(&self, word: u32, doublings: u32, rules: &Ejection, now: u64) -> Option<Duration> {
        let doublings = doublings.min(MAX_DOUBLINGS);
        self.change(word, OUT | doublings << DOUBLINGS).ok()?;
        let time = rules.time(doublings);
        self.until
            .store(now.saturating_add(time), Ordering::Relaxed);
        Some(Duration::from_nanos(time))
    }

    /// Whether it is out, or would be if there were room.
    pub(super) fn has_failed(&self, rules: &Ejection) -> bool {
        self.is_out() || self.word.load(Ordering::Relaxed) & MASK >= rules.failures
    }

    /// Whether nothing is known of it.
    pub(super) fn is_untouched(&self) -> bool {
        self.word.load(Ordering::Relaxed) == 0 && self.until.load(Ordering::Relaxed) == 0
    }

    /// Whether nothing that is known of it matters any more.
    pub(super) fn is_as_new(&self, rules: &Ejection, now: u64) -> bool {
        let has_failed = self.word.load(Ordering::Relaxed) & (OUT | MASK) != 0;
        let back = self.until.load(Ordering::Relaxed);
        !has_failed && (back == 0 || now >= back.saturating_add(rules.time(self.doublings())))
    }

    fn change(&self, word: u32, to: u32) -> Result<u32, u32> {
        self.word
            .compare_exchange(word, to, Ordering::AcqRel, Ordering::Relaxed)
    }

    fn doublings(&self) -> u32 {
        (self.word.load(Ordering::Relaxed) & !OUT) >> DOUBLINGS
    }
}

/// The failures in a row.
const MASK: u32 = (1 << DOUBLINGS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const RULES: Ejection = Ejection {
        failures: 3,
        time: Duration::from_secs(10),
        at_most: 50,
    };

    fn fail(circuit: &Circuit, taken: Taken, now: u64) -> Option<u64> {
        let time = circuit.failed(taken, &RULES, now, || true);
        time.map(|time| time.as_secs())
    }

    fn ejected_at(now: u64) -> Circuit {
        let circuit = Circuit::default();
        for _ in 0..2 {
            assert_eq!(fail(&circuit, Taken::In, now), None);
        }
        assert_eq!(fail(&circuit, Taken::In, now), Some(10));
        circuit
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let circuit = Circuit::default();
        for _ in 0..10 {
            assert_eq!(fail(&circuit, Taken::In, S), None);
            assert_eq!(fail(&circuit, Taken::In, S), None);
            assert!(!circuit.succeeded(Taken::In, S));
        }
        assert!(!circuit.is_out());
        assert!(ejected_at(S).is_out());
    }

    #[test]
    fn after_its_time_one_request_tries_it_and_brings_it_back() {
        let circuit = ejected_at(S);
        assert!(!circuit.is_due(11 * S - 1));
        assert!(!circuit.claim(&RULES, 11 * S - 1));
        assert!(circuit.is_due(11 * S));
        assert!(circuit.claim(&RULES, 11 * S));
        assert!(!circuit.is_due(12 * S) && !circuit.claim(&RULES, 12 * S));
        assert!(circuit.succeeded(Taken::Trial, 12 * S));
        assert!(!circuit.is_out());
    }

    #[test]
    fn a_time_that_a_reload_shortens_is_shorter_for_a_server_that_is_out_already() {
        let rules = |seconds| Ejection {
            time: Duration::from_secs(seconds),
            ..RULES
        };
        let circuit = ejected_at(S);
        assert!(!circuit.claim(&rules(2), 3 * S));
        assert!(!circuit.claim(&rules(2), 5 * S - 1));
        assert!(circuit.claim(&rules(2), 5 * S));
        // A longer one is for the next time.
        assert!(ejected_at(S).claim(&rules(3_600), 11 * S));
    }

    #[test]
    fn of_many_workers_one_gets_the_trial() {
        let circuit = ejected_at(S);
        let claimed: usize = std::thread::scope(|scope| {
            let claim = || usize::from(circuit.claim(&RULES, 11 * S));
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(claimed, 1);
    }

    #[test]
    fn a_failed_trial_doubles_the_time_up_to_a_bound() {
        let circuit = ejected_at(0);
        let mut now = 0;
        let mut times = Vec::new();
        let mut time = 10;
        for _ in 0..7 {
            now += time * S;
            assert!(circuit.claim(&RULES, now));
            time = fail(&circuit, Taken::Trial, now).unwrap();
            times.push(time);
        }
        assert_eq!(times, [20, 40, 80, 160, 320, 320, 320]);
    }

    #[test]
    fn a_trial_that_tells_nothing_frees_the_next() {
        let circuit = ejected_at(S);
        assert!(circuit.claim(&RULES, 11 * S));
        circuit.give_up();
        assert!(circuit.claim(&RULES, 11 * S));
        // And one that hangs does so after a while.
        assert!(!circuit.claim(&RULES, 20 * S));
        assert!(circuit.claim(&RULES, 21 * S));
    }

    #[test]
    fn whoever_fails_soon_after_it_came_back_is_out_for_longer() {
        let circuit = ejected_at(S);
        assert!(circuit.claim(&RULES, 20 * S));
        assert!(circuit.succeeded(Taken::Trial, 20 * S));
        for _ in 0..2 {
            assert_eq!(fail(&circuit, Taken::In, 25 * S), None);
        }
        assert_eq!(fail(&circuit, Taken::In, 25 * S), Some(20));
        assert!(circuit.claim(&RULES, 45 * S));
        assert!(circuit.succeeded(Taken::Trial, 45 * S));
        for _ in 0..2 {
            assert_eq!(fail(&circuit, Taken::In, 65 * S), None);
        }
        assert_eq!(fail(&circuit, Taken::In, 65 * S), Some(10));
    }

    #[test]
    fn requests_sent_before_it_was_ejected_change_nothing() {
        let circuit = ejected_at(S);
        assert_eq!(fail(&circuit, Taken::In, 2 * S), None);
        assert!(!circuit.succeeded(Taken::In, 2 * S));
        assert!(circuit.is_out() && circuit.is_due(11 * S));
    }

    #[test]
    fn in_a_panic_a_success_brings_back_and_a_failure_does_not_double() {
        let circuit = ejected_at(S);
        assert_eq!(fail(&circuit, Taken::Anyway, 2 * S), None);
        assert!(circuit.is_due(11 * S));
        assert!(circuit.succeeded(Taken::Anyway, 3 * S));
    }

    #[test]
    fn without_room_among_the_ejected_a_server_stays_and_is_ejected_later() {
        let circuit = Circuit::default();
        for _ in 0..5 {
            assert_eq!(circuit.failed(Taken::In, &RULES, S, || false), None);
        }
        assert_eq!(fail(&circuit, Taken::In, S), Some(10));
        let most = |servers| RULES.most(servers);
        assert_eq!([most(1), most(2), most(3), most(10)], [0, 1, 1, 5]);
        let all = Ejection {
            at_most: 100,
            ..RULES
        };
        assert_eq!([all.most(1), all.most(3)], [1, 3]);
    }
}
