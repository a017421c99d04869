//! How many requests may be sent to a second server: a share of the recent
//! ones, so that retries cannot multiply what a backend in trouble gets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is recent, in nanoseconds.
const WINDOW: u64 = 10_000_000_000;

/// `retries` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Percent of the recent requests.
    pub budget: u32,
    /// How many there may be in any case,
    pub at_least: u32,
    /// in how long.
    pub period: Duration,
}

impl Retries {
    /// How many there may be in any case in a window. Rounded up.
    fn floor(&self) -> f64 {
        let many = f64::from(self.at_least) * WINDOW as f64;
        (many / self.period.as_nanos().max(1) as f64).ceil()
    }
}

/// The retries of one upstream. Only a request that failed comes here.
#[derive(Debug, Default)]
pub(super) struct Budget {
    window: Mutex<Option<Window>>,
}

/// Retries since the start; they outlive configurations.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) allowed: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counts {
    pub(super) fn count(&self, allowed: bool) {
        let counter = if allowed {
            &self.allowed
        } else {
            &self.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What came since a time, and in the window before it.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: u64,
    came: u32,
    /// Retries that were asked for: a server was chosen for each, so `came` holds them.
    asked: u32,
    retries: u32,
    earlier_requests: f64,
    earlier_retries: f64,
}

impl Budget {
    /// Whether one more request may be sent again. `came` is how often a server
    /// was chosen, ever, for this too; it wraps.
    pub(super) fn allows(&self, rules: &Retries, came: u32, now: u64) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let window = window.get_or_insert(Window::starting(came, now));
        window.roll(came, now);
        window.asked += 1;
        let allowed = window.has_room(rules, came, now);
        window.retries += u32::from(allowed);
        allowed
    }
}

impl Window {
    /// The first retry of all: that it is asked for shows one request.
    const fn starting(came: u32, now: u64) -> Self {
        Self {
            since: now,
            came,
            asked: 0,
            retries: 0,
            earlier_requests: 1.0,
            earlier_retries: 0.0,
        }
    }

    fn requests(&self, came: u32) -> f64 {
        let came = came.wrapping_sub(self.came);
        f64::from(came.saturating_sub(self.asked))
    }

    /// Starts anew once the window is full. Nobody looks while nothing fails:
    /// of a longer time, the last window counts at the pace of the whole.
    fn roll(&mut self, came: u32, now: u64) {
        let length = now.saturating_sub(self.since);
        if length < WINDOW {
            return;
        }
        let retries = if length < 2 * WINDOW { self.retries } else { 0 };
        *self = Self {
            since: now,
            came,
            asked: 0,
            retries: 0,
            earlier_requests: self.requests(came) * WINDOW as f64 / length as f64,
            earlier_retries: f64::from(retries),
        };
    }

    fn has_room(&self, rules: &Retries, came: u32, now: u64) -> bool {
        let gone = now.saturating_sub(self.since) as f64 / WINDOW as f64;
        let in_sight = (1.0 - gone).max(0.0);
        let requests = self.requests(came) + self.earlier_requests * in_sight;
        let retries = f64::from(self.retries) + self.earlier_retries * in_sight;
        let share = requests * f64::from(rules.budget) / 100.0;
        retries + 1.0 <= share + rules.floor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const RULES: Retries = Retries {
        budget: 20,
        at_least: 3,
        period: Duration::from_secs(1),
    };

    /// Asks for a retry of every one of so many requests a second, for so long.
    fn retried(budget: &Budget, came: &mut u32, from: u64, seconds: u64, a_second: u64) -> u64 {
        let mut allowed = 0;
        for request in 0..seconds * a_second {
            let now = from * S + request * S / a_second;
            *came = came.wrapping_add(2);
            allowed += u64::from(budget.allows(&RULES, *came, now));
        }
        allowed
    }

    #[test]
    fn when_every_request_fails_a_fifth_of_them_is_sent_again() {
        let (budget, mut came) = (Budget::default(), u32::MAX - 500);
        let first = retried(&budget, &mut came, 0, 10, 1_000);
        assert!((2_000..=2_031).contains(&first), "{first}");
        let then = retried(&budget, &mut came, 10, 50, 1_000);
        assert!((9_000..=11_000).contains(&then), "{then}");
    }

    #[test]
    fn a_few_retries_are_allowed_however_few_requests_there_are() {
        let (budget, mut came) = (Budget::default(), 0);
        assert_eq!(retried(&budget, &mut came, 0, 10, 1), 10);
        let budget = Budget::default();
        // No request counts where there is one server: what is left is `at_least`.
        let allowed = (0..100).filter(|_| budget.allows(&RULES, 0, 1)).count();
        assert_eq!(allowed, 30);
        assert!(budget.allows(&RULES, 0, 60 * S));
    }

    #[test]
    fn requests_of_a_quiet_hour_ago_give_no_retries_now() {
        let (budget, mut came) = (Budget::default(), 0);
        assert!(budget.allows(&RULES, came, 0));
        came += 36_000;
        let at = 3_600 * S;
        let mut allows = |_: &u32| {
            came += 1;
            budget.allows(&RULES, came, at)
        };
        let allowed = (0..10_000).filter(|one| allows(one)).count();
        assert_eq!(allowed, 30 + 20, "a fifth of the 100 of an average window");
    }

    #[test]
    fn a_floor_of_any_unit_is_rounded_up_to_ten_seconds() {
        let floor = |at_least, period| {
            let rules = Retries {
                budget: 20,
                at_least,
                period,
            };
            rules.floor() as u32
        };
        assert_eq!(floor(3, Duration::from_secs(1)), 30);
        assert_eq!(floor(60, Duration::from_mins(1)), 10);
        assert_eq!(floor(1, Duration::from_hours(1)), 1);
    }
}
