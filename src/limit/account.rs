//! What one app has used, whatever configuration it used it under.
//!
//! `governor` decides and we keep its state, for three things it does not do
//! by itself: the time comes in as an argument, two configurations count on
//! one account while a reload is under way, and what was used under one rate
//! stays as much when the rate changes.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Configurations that may count on one account at a time; two do during a reload.
const UNITS: usize = 4;
const UNIT_BITS: u32 = UNITS.trailing_zeros();

/// Aligned so that two apps never share a cache line, and with it their traffic.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Account {
    /// When the whole burst is back, in nanoseconds of the process
    /// (`governor`'s theoretical arrival time), and in the lowest bits the
    /// place in `units` of who wrote it. 0: nothing was ever used.
    arrival: AtomicU64,
    /// What one request cost in nanoseconds, by who wrote: set by whoever writes, before `arrival` says that
    /// it did. Who is made and never comes into force changes nothing.
    units: [AtomicU64; UNITS],
    /// Requests in flight that began under a bound on them; of others nobody counts how many there are.
    pub(super) in_flight: AtomicU32,
}

impl Account {
    /// The unit of a configuration that follows one with `unit`. Configurations that never come into force
    /// use up none. What was used stays readable, however many came into force since: its unit is left alone.
    pub(super) fn next_unit(&self, unit: usize) -> usize {
        let next = (unit + 1) % UNITS;
        if is_of(self.arrival.load(Ordering::Acquire), next) {
            (next + 1) % UNITS
        } else {
            next
        }
    }

    /// Whether anything would be forgotten with it: what was used and has not come back, or who is in flight.
    pub(super) fn is_in_use(&self, now: u64) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
            || self.arrival.load(Ordering::Acquire) >> UNIT_BITS > now
    }
}

/// Whether a hand with `unit` wrote `word`.
const fn is_of(word: u64, unit: usize) -> bool {
    word != 0 && word % UNITS as u64 == unit as u64
}

/// One configuration's hand on an account: `governor`'s state.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    account: Arc<Account>,
    unit: usize,
    interval: u64,
    /// What a whole burst costs: nobody owes more.
    refill: u64,
}

pub(super) type Limiter = RateLimiter<NotKeyed, Hand, AtHand, NoOpMiddleware<Nanos>>;

impl Hand {
    /// A hand that writes as `unit`, which [`Account::next_unit`] gave for that of the last hand.
    pub(super) fn new(account: Arc<Account>, unit: usize, interval: u64, refill: u64) -> Self {
        Self {
            account,
            unit,
            interval,
            refill,
        }
    }

    /// The limiter that counts by this hand.
    pub(super) fn limiter(&self, quota: Quota) -> Limiter {
        // A limiter counts from the first reading of its clock. All of ours
        // count from the start of the process, so that one understands what another wrote.
        AT.set(0);
        RateLimiter::new(quota, self.clone(), AtHand)
    }

    /// Nanoseconds until the whole burst is back.
    pub(super) fn owed(&self, now: u64) -> u64 {
        let word = self.account.arrival.load(Ordering::Acquire);
        let arrival = if self.is_mine(word) {
            word >> UNIT_BITS
        } else {
            self.in_my_unit(word, now) >> UNIT_BITS
        };
        arrival.saturating_sub(now).min(self.refill)
    }

    /// Takes over what another wrote, now that this one is in force: from now on it comes back at the rate of this one.
    pub(super) fn settle(&self, now: u64) {
        let arrival = &self.account.arrival;
        let mut word = arrival.load(Ordering::Acquire);
        while !self.is_mine(word) {
            self.announce();
            let next = self.in_my_unit(word, now);
            match arrival.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// Says what a request costs here, before the first that is counted so.
    fn announce(&self) {
        self.account.units[self.unit].store(self.interval, Ordering::Release);
    }

    const fn is_mine(&self, word: u64) -> bool {
        word == 0 || is_of(word, self.unit)
    }

    const fn written(&self, arrival: u64) -> u64 {
        // A cut here would fall into the year 2116 of a clock that starts in 1970.
        (arrival << UNIT_BITS) | self.unit as u64
    }

    /// The same number of requests owed, at what one costs here.
    fn in_my_unit(&self, word: u64, now: u64) -> u64 {
        let theirs = self.account.units[word as usize % UNITS].load(Ordering::Acquire);
        let owed = (word >> UNIT_BITS).saturating_sub(now);
        self.written(now + as_many(owed, theirs, self.interval, self.refill))
    }
}

/// What as many requests as `owed` stands for, at `theirs` each, cost at `mine`: no more than `most`.
pub(super) fn as_many(owed: u64, theirs: u64, mine: u64, most: u64) -> u64 {
    let owed = (u128::from(owed) * u128::from(mine)).div_ceil(u128::from(theirs.max(1)));
    u64::try_from(owed).map_or(most, |owed| owed.min(most))
}

impl StateStore for Hand {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let arrival = &self.account.arrival;
        let mut word = arrival.load(Ordering::Acquire);
        loop {
            if !is_of(word, self.unit) {
                self.announce();
            }
            let (next, result) = if self.is_mine(word) {
                let known = (word != 0).then(|| Nanos::new(word >> UNIT_BITS));
                let (result, next) = decide(known)?;
                (self.written(next.as_u64()), Some(result))
            } else {
                (self.in_my_unit(word, AT.get()), None)
            };
            match arrival.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => match result {
                    Some(result) => {
                        AFTER.set(next >> UNIT_BITS);
                        return Ok(result);
                    }
                    None => word = next,
                },
                Err(other) => word = other,
            }
        }
    }
}

thread_local! {
    /// The time at which this thread asks; `governor` takes it from a clock only.
    static AT: Cell<u64> = const { Cell::new(0) };
    /// What this thread's last charge left behind; `governor` does not tell.
    static AFTER: Cell<u64> = const { Cell::new(0) };
}

/// A clock that stands where [`charge`] set it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtHand;

impl Clock for AtHand {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(AT.get())
    }
}

/// Charges one request at `now`. Gives back how long the whole burst then
/// takes to come back.
///
/// # Errors
/// How long until one more request is admitted.
pub(super) fn charge(limiter: &Limiter, now: u64) -> Result<u64, std::time::Duration> {
    AT.set(now);
    match limiter.check() {
        Ok(()) => Ok(AFTER.get().saturating_sub(now)),
        Err(refused) => Err(refused.wait_time_from(Nanos::new(now))),
    }
}
