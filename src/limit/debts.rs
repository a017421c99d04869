//! Rates by names: of any kind, addresses and instances, in a table of fixed size; of apps, each for itself.

use super::account::as_many;
use super::app::Rate;
use super::peer::{Table, nanos, wait, whose};
use crate::clock::Now;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// Who owes how much of what it has asked for. Whoever is deepest in debt is the last to be forgotten.
#[derive(Debug)]
pub struct Debts {
    hasher: RandomState,
    table: Table,
}

impl Default for Debts {
    fn default() -> Self {
        Self::new()
    }
}

impl Debts {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            table: Table::new(),
        }
    }

    /// Counts one for `name`, unless it has to wait.
    ///
    /// # Errors
    /// How long it has to.
    pub fn admit(&self, name: impl Hash, rate: &Rate, now: Now) -> Result<(), Duration> {
        self.table.admit(self.tag(name), rate, nanos(now))
    }

    /// Whether `name` may, without a count and without a lock.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, name: impl Hash, rate: &Rate, now: Now) -> Result<(), Duration> {
        self.table.check(self.tag(name), rate, nanos(now))
    }

    /// Takes back what was counted for `name` under `rate`: it did not get it after all.
    pub fn take_back(&self, name: impl Hash, rate: &Rate) {
        self.table.take_back(self.tag(name), rate);
    }

    /// Counts one for whoever is at `peer` (IPv6 by /64), unless he has to wait.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn admit_peer(&self, peer: Option<IpAddr>, rate: &Rate, now: Now) -> Result<(), Duration> {
        self.admit(whose(peer), rate, now)
    }

    /// 64 bits that stand for a name.
    fn tag(&self, name: impl Hash) -> u64 {
        self.hasher.hash_one(name)
    }
}

/// The same of apps that are proven. Nobody makes names of them up, so none is forgotten while it owes
/// anything, however many others do. There are no more of them than apps; those that owe nothing make room.
#[derive(Debug, Default)]
pub struct AppDebts(RwLock<Known>);

type Known = HashMap<Arc<str>, Mutex<Owed>>;

/// What an app owes.
#[derive(Debug, Default)]
struct Owed {
    /// When it will have paid for all that it got.
    paid_at: u64,
    /// What one cost it, by the rate under which that was written.
    interval: u64,
}

impl AppDebts {
    /// Counts one for `app`, unless it has to wait.
    ///
    /// # Errors
    /// How long it has to.
    pub fn admit(&self, app: &Arc<str>, rate: &Rate, now: Now) -> Result<(), Duration> {
        let now = nanos(now);
        if let Some(owed) = self.known().get(&**app) {
            return lock(owed).count(rate, now);
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut known, now);
        lock(known.entry(app.clone()).or_default()).count(rate, now)
    }

    /// Takes back what was counted for `app`: it did not get it after all.
    pub fn take_back(&self, app: &str) {
        if let Some(owed) = self.known().get(app) {
            let mut owed = lock(owed);
            owed.paid_at = owed.paid_at.saturating_sub(owed.interval);
        }
    }

    /// A panic cannot leave it half changed.
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same holds for what one app owes.
fn lock(owed: &Mutex<Owed>) -> MutexGuard<'_, Owed> {
    owed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before it grows, those that owe nothing are forgotten. So much room is made then that this is seldom.
fn make_room(known: &mut Known, now: u64) {
    if known.len() == known.capacity() {
        known.retain(|_, owed| lock(owed).paid_at > now);
        known.reserve(known.len());
    }
}

/// A request's moment may be so much before another's, in nanoseconds, that was counted first.
const ANOTHERS_NOW: u64 = 1_000_000_000;

impl Owed {
    /// Counts one, unless it has to be waited for.
    fn count(&mut self, rate: &Rate, now: u64) -> Result<(), Duration> {
        let (interval, (refill, _)) = (rate.interval(), rate.refill());
        if self.interval != interval || self.paid_at > now + refill + ANOTHERS_NOW {
            // It was run up under another rate, before a reload, and would be
            // waited for as long as that one asked: it is as many, at what one costs now.
            let owed = self.paid_at.saturating_sub(now);
            self.paid_at = now + as_many(owed, self.interval, interval, refill);
            self.interval = interval;
        }
        wait(rate, self.paid_at, now)?;
        self.paid_at = self.paid_at.max(now) + interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn each_name_has_a_rate_of_its_own() {
        let (clock, hand) = Clock::by_hand(1_800_000_000);
        let rate = Rate {
            count: 1,
            period: Duration::from_secs(1),
            burst: 2,
        };
        let debts = Debts::new();
        for name in ["a", "b"] {
            assert!(debts.admit(name, &rate, clock.now()).is_ok());
            assert!(debts.admit(name, &rate, clock.now()).is_ok());
            let wait = debts.admit(name, &rate, clock.now()).unwrap_err();
            assert_eq!(wait, Duration::from_secs(1));
        }
        hand.advance(Duration::from_secs(1));
        assert!(debts.admit("a", &rate, clock.now()).is_ok());
        assert!(debts.admit("a", &rate, clock.now()).is_err());
    }

    #[test]
    fn an_address_of_version_6_stands_for_its_network() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let rate = Rate {
            count: 1,
            period: Duration::from_secs(1),
            burst: 1,
        };
        let debts = Debts::new();
        let ask = |text: &str| debts.admit_peer(Some(text.parse().unwrap()), &rate, clock.now());
        assert!(ask("2001:db8::1").is_ok());
        assert!(ask("2001:db8::2").is_err());
        assert!(ask("2001:db8:0:1::1").is_ok());
        assert!(ask("192.0.2.1").is_ok());
        assert!(ask("::ffff:192.0.2.1").is_err());
    }

    fn every(seconds: u64, burst: u32) -> Rate {
        Rate {
            count: 1,
            period: Duration::from_secs(seconds),
            burst,
        }
    }

    fn named(number: usize) -> Arc<str> {
        number.to_string().into()
    }

    #[test]
    fn a_look_counts_nothing() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let (debts, rate) = (Debts::new(), every(1, 1));
        for _ in 0..10 {
            assert!(debts.check("a", &rate, clock.now()).is_ok());
        }
        assert!(debts.admit("a", &rate, clock.now()).is_ok());
        assert!(debts.check("a", &rate, clock.now()).is_err());
    }

    #[test]
    fn no_app_is_forgotten_while_it_owes_something_however_many_owe_more() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let (debts, fast, slow) = (AppDebts::default(), every(1, 2), every(3_600, 10));
        let app: Arc<str> = "app".into();
        assert!(debts.admit(&app, &fast, clock.now()).is_ok());
        for number in 0..100_000 {
            debts.admit(&named(number), &slow, clock.now()).unwrap();
        }
        assert!(debts.admit(&app, &fast, clock.now()).is_ok());
        let wait = debts.admit(&app, &fast, clock.now()).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
    }

    #[test]
    fn apps_that_owe_nothing_take_no_more_room() {
        let (clock, hand) = Clock::by_hand(1_800_000_000);
        let (debts, rate) = (AppDebts::default(), every(1, 1));
        for number in 0..100_000 {
            debts.admit(&named(number), &rate, clock.now()).unwrap();
            hand.advance(Duration::from_millis(100));
        }
        assert!(debts.known().capacity() < 100);
    }

    #[test]
    fn what_is_taken_back_may_be_had_again() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let (debts, rate) = (AppDebts::default(), every(60, 2));
        let app: Arc<str> = "app".into();
        let ask = || debts.admit(&app, &rate, clock.now());
        assert!(ask().is_ok() && ask().is_ok() && ask().is_err());
        debts.take_back(&app);
        assert!(ask().is_ok() && ask().is_err());
        debts.take_back("nobody");
    }

    #[test]
    fn what_is_taken_back_of_any_name_may_be_had_again_and_no_more() {
        let (clock, hand) = Clock::by_hand(1_800_000_000);
        let (debts, rate) = (Debts::new(), every(60, 2));
        let ask = || debts.admit("a", &rate, clock.now());
        assert!(ask().is_ok() && ask().is_ok() && ask().is_err());
        debts.take_back("a", &rate);
        assert!(ask().is_ok() && ask().is_err());
        debts.take_back("nobody", &rate);
        // What was paid for long ago makes no burst larger.
        hand.advance(Duration::from_hours(1));
        debts.take_back("a", &rate);
        assert!(ask().is_ok() && ask().is_ok() && ask().is_err());
    }

    #[test]
    fn an_app_does_not_wait_as_long_as_a_rate_asked_that_is_gone() {
        let (clock, hand) = Clock::by_hand(1_800_000_000);
        let debts = AppDebts::default();
        let app: Arc<str> = "app".into();
        let ask = |rate| debts.admit(&app, &rate, clock.now());
        for slower in [60, 86_400] {
            assert!(ask(every(slower, 1)).is_ok());
            assert_eq!(ask(every(1, 1)), Err(Duration::from_secs(1)));
            hand.advance(Duration::from_secs(1));
            assert!(ask(every(1, 1)).is_ok());
            hand.advance(Duration::from_secs(1));
        }
    }

    #[test]
    fn what_was_got_under_another_rate_counts_as_so_many() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let (debts, names) = (AppDebts::default(), Debts::new());
        let app: Arc<str> = "app".into();
        let (rate, raised) = (every(3_600, 10), every(1_800, 10));
        for _ in 0..5 {
            assert!(debts.admit(&app, &rate, clock.now()).is_ok());
            assert!(names.admit("a", &rate, clock.now()).is_ok());
        }
        for _ in 0..5 {
            assert!(debts.admit(&app, &raised, clock.now()).is_ok());
            assert!(names.admit("a", &raised, clock.now()).is_ok());
        }
        assert!(debts.admit(&app, &raised, clock.now()).is_err());
        assert!(names.admit("a", &raised, clock.now()).is_err());
    }

    #[test]
    fn many_threads_get_the_burst_of_an_app_once() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let (debts, rate) = (AppDebts::default(), every(3_600, 200));
        let app: Arc<str> = "app".into();
        let (passed, now) = (AtomicU64::new(0), clock.now());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if debts.admit(&app, &rate, now).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 200);
    }
}
