//! Per app: a rate with a burst, and requests in flight.
//!
//! One limiter an app, and one for each step of assurance that its plan has limits for, found by `App::index`:
//! no look-up, no lock. What an app has used outlives the configuration it used it under.

use super::Refused;
use super::account::{self, Account, Hand};
use super::made::{MadeLimits, Whose};
use super::standing::{policy, quoted};
use crate::apps::{App, FIRST_MADE};
use crate::clock::Now;
use crate::schemes::Assurance;
use governor::Quota;
use http::HeaderValue;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use super::standing::Standing;

/// The limits of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name in `[plans.NAME]`, and in `RateLimit-Policy`.
    pub name: String,
    /// Requests per period, and how many may come at once.
    pub rate: Option<Rate>,
    /// Requests in flight.
    pub concurrency: Option<u32>,
    /// The limits of callers that are proven at least so well, in place of these, the least first. Each
    /// is counted for itself.
    pub better: Vec<(Assurance, Self)>,
}

/// So many requests in so long a time; `burst` of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub period: Duration,
    /// How many at once.
    pub burst: u32,
}

/// The longest time in which a whole burst may come back. A sum of it and any
/// clock reading fits in the 62 bits that an account has for it.
const LONGEST_REFILL: Duration = Duration::from_hours(10 * 365 * 24);

impl Rate {
    /// Nanoseconds after which one more request is admitted. Rounded up, so
    /// that no rate is exceeded by rounding.
    pub(super) fn interval(&self) -> u64 {
        let longest = LONGEST_REFILL.as_nanos() as u64;
        let period = u64::try_from(self.period.as_nanos()).map_or(longest, |it| it.min(longest));
        period.div_ceil(u64::from(self.count.max(1))).max(1)
    }

    /// Nanoseconds in which a burst that is used up comes back, and how many it is.
    pub(super) fn refill(&self) -> (u64, u32) {
        let burst = self.burst.clamp(1, self.most_at_once());
        (self.interval() * u64::from(burst), burst)
    }

    /// The largest burst that comes back within ten years: more are never counted.
    pub fn most_at_once(&self) -> u32 {
        let most = LONGEST_REFILL.as_nanos() as u64 / self.interval();
        u32::try_from(most.max(1)).unwrap_or(u32::MAX)
    }
}

/// The limits of every app of one configuration, by `App::index`.
#[derive(Debug)]
pub struct AppLimits {
    apps: Vec<Entry>,
    /// Apps that are gone, without limits: what they have used, for when they come back.
    parted: Vec<Entry>,
    /// Of those that are made at run time.
    made: MadeLimits,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    account: Arc<Account>,
    /// As which the rate, if there is one, writes into the account.
    unit: usize,
    rate: Option<Limiter>,
    concurrency: Option<u32>,
    /// For callers that are proven at least so well, the least first.
    better: Vec<(Assurance, Self)>,
    /// Steps that are gone, without limits: what was used on them, for when they come back.
    parted: Vec<(Assurance, Self)>,
}

#[derive(Debug)]
struct Limiter {
    gate: account::Limiter,
    hand: Hand,
    interval: u64,
    refill: u64,
    policy: HeaderValue,
    label: Arc<str>,
}

/// One app's place among its requests in flight; dropping it frees the place.
#[derive(Debug)]
pub struct Place(Arc<Account>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl AppLimits {
    /// The limits of a new configuration. An app that `before` knew by the
    /// same name keeps what it has used and what it has in flight, also where
    /// it was gone for a while; requests that still run under `before` count on
    /// the same account.
    pub fn new(apps: &[(Arc<str>, Option<Arc<Plan>>)], before: Option<&Self>) -> Self {
        let mut known: HashMap<&str, &Entry> = before
            .iter()
            .flat_map(|limits| limits.apps.iter().chain(&limits.parted))
            .map(|entry| (&*entry.name, entry))
            .collect();
        let apps = apps
            .iter()
            .map(|(name, plan)| Entry::new(name, plan.as_deref(), known.remove(&**name)))
            .collect();
        Self {
            apps,
            parted: known.into_values().map(Entry::parted).collect(),
            made: before.map(|before| before.made.clone()).unwrap_or_default(),
        }
    }

    /// The same with plans for apps that are made at run time.
    #[must_use]
    pub fn with_plans(mut self, plans: impl Iterator<Item = Arc<Plan>>) -> Self {
        self.made = MadeLimits::new(plans, Some(&self.made));
        self
    }

    /// Puts them in force: what was used under a rate before comes back at the new one from now on, whether its
    /// app asks or not. Apps that are gone and neither owe nor hold anything are forgotten.
    pub fn come_into_force(&mut self, now: Now) {
        self.parted.retain(|entry| entry.is_in_use(nanos(now)));
        self.apps.iter().for_each(|entry| entry.settle(now));
        self.made.settle(now);
    }

    /// Charges one request of `app`.
    ///
    /// # Errors
    /// [`Refused`].
    ///
    /// # Panics
    /// As [`Self::charge`].
    pub fn charge_app(
        &self,
        app: &App,
        assurance: Assurance,
        now: Now,
    ) -> Result<(Option<Place>, Option<Standing>), Refused> {
        self.ask(app, |entry| entry.charge(assurance, now))
            .unwrap_or(Ok((None, None)))
    }

    /// Whether the rate of `app` is used up. Nothing is charged.
    ///
    /// # Errors
    /// [`Refused::Rate`], as a charge would say it.
    ///
    /// # Panics
    /// As [`Self::charge`].
    pub fn look(&self, app: &App, assurance: Assurance, now: Now) -> Result<(), Refused> {
        self.ask(app, |entry| entry.look(assurance, now))
            .unwrap_or(Ok(()))
    }

    /// Asks the limits of `app`, where there are some.
    fn ask<T>(&self, app: &App, ask: impl FnOnce(&Entry) -> T) -> Option<T> {
        let Some(made) = &app.made else {
            return Some(ask(self.of(app.index)));
        };
        let plan = made.plan.as_ref()?;
        let whose = Whose {
            name: &app.name,
            plan: &plan.name,
            number: made.number,
        };
        let slot = app.index.saturating_sub(FIRST_MADE);
        self.made.ask(slot, whose, ask)
    }

    /// Charges one request of a caller that is proven so well. A request that is refused for those in flight
    /// uses up nothing of the rate.
    ///
    /// # Errors
    /// [`Refused`].
    ///
    /// # Panics
    /// When `app` is not an index of the apps that these limits were made for.
    pub fn charge(
        &self,
        app: usize,
        assurance: Assurance,
        now: Now,
    ) -> Result<(Option<Place>, Option<Standing>), Refused> {
        self.of(app).charge(assurance, now)
    }

    fn of(&self, app: usize) -> &Entry {
        let entry = self.apps.get(app);
        entry.expect("limits and apps are of one configuration")
    }
}

impl Entry {
    pub(super) fn charge(
        &self,
        assurance: Assurance,
        now: Now,
    ) -> Result<(Option<Place>, Option<Standing>), Refused> {
        let entry = self.of(assurance);
        let place = match entry.concurrency {
            Some(limit) => Some(entry.take_place(limit, now)?),
            None => None,
        };
        let standing = match &entry.rate {
            Some(limiter) => Some(limiter.charge(now)?),
            None => None,
        };
        Ok((place, standing))
    }

    /// Whether the rate is used up.
    pub(super) fn look(&self, assurance: Assurance, now: Now) -> Result<(), Refused> {
        let limiter = self.of(assurance).rate.as_ref();
        limiter.map_or(Ok(()), |limiter| limiter.look(now))
    }

    pub(super) fn new(name: &Arc<str>, plan: Option<&Plan>, before: Option<&Self>) -> Self {
        let rate = plan.and_then(|plan| plan.rate);
        let unit = match before {
            Some(before) if before.keeps_unit(rate) => before.unit,
            Some(before) => before.account.next_unit(before.unit),
            None => 0,
        };
        let account = before.map_or_else(Arc::default, |before| before.account.clone());
        let steps = plan.map_or(&[][..], |plan| plan.better.as_slice());
        let known = || before.into_iter().flat_map(Self::all_steps);
        let better = steps.iter().map(|(assurance, plan)| {
            let before = known().find(|(step, _)| step == assurance);
            let before = before.map(|(_, entry)| entry);
            (*assurance, Self::new(name, Some(plan), before))
        });
        let is_gone = |step: &Assurance| steps.iter().all(|(other, _)| other != step);
        let parted = known().filter(|(step, _)| is_gone(step));
        let parted = parted.map(|(step, entry)| (*step, entry.parted()));
        Self {
            name: name.clone(),
            rate: plan.and_then(|plan| {
                let rate = plan.rate.as_ref()?;
                Some(Limiter::new(&plan.name, rate, account.clone(), unit))
            }),
            account,
            unit,
            concurrency: plan.and_then(|plan| plan.concurrency),
            better: better.collect(),
            parted: parted.collect(),
        }
    }

    /// The same without limits.
    fn parted(&self) -> Self {
        Self::new(&self.name, None, Some(self))
    }

    /// Takes over what was used under rates before.
    pub(super) fn settle(&self, now: Now) {
        if let Some(limiter) = &self.rate {
            limiter.hand.settle(nanos(now));
        }
        self.better.iter().for_each(|(_, step)| step.settle(now));
    }

    /// Whether anything would be forgotten with it.
    fn is_in_use(&self, now: u64) -> bool {
        self.account.is_in_use(now) || self.all_steps().any(|(_, step)| step.is_in_use(now))
    }

    /// Its steps, and those that are gone.
    fn all_steps(&self) -> impl Iterator<Item = &(Assurance, Self)> {
        self.better.iter().chain(&self.parted)
    }

    /// What a caller is charged on that is proven so well.
    fn of(&self, assurance: Assurance) -> &Self {
        let mut better = self.better.iter().rev();
        let found = better.find(|(least, _)| assurance >= *least);
        found.map_or(self, |(_, entry)| entry)
    }

    /// Whether what this entry wrote means the same under `rate`.
    fn keeps_unit(&self, rate: Option<Rate>) -> bool {
        match (rate, &self.rate) {
            (Some(rate), Some(limiter)) => {
                (rate.interval(), rate.refill().0) == (limiter.interval, limiter.refill)
            }
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn take_place(&self, limit: u32, now: Now) -> Result<Place, Refused> {
        let taken =
            self.account
                .in_flight
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, |taken| {
                    (taken < limit).then(|| taken + 1)
                });
        match taken {
            Ok(_) => Ok(Place(self.account.clone())),
            Err(_) => Err(Refused::Concurrency {
                limit,
                standing: self.rate.as_ref().map(|limiter| limiter.standing(now)),
            }),
        }
    }
}

impl Limiter {
    fn new(plan: &str, rate: &Rate, account: Arc<Account>, unit: usize) -> Self {
        let interval = rate.interval();
        let (refill, burst) = rate.refill();
        let quota = Quota::with_period(Duration::from_nanos(interval))
            .expect("an interval is at least a nanosecond")
            .allow_burst(NonZeroU32::new(burst).expect("a burst is at least one"));
        let hand = Hand::new(account, unit, interval, refill);
        Self {
            gate: hand.limiter(quota),
            hand,
            interval,
            refill,
            policy: policy(plan, rate),
            label: quoted(plan).into(),
        }
    }

    fn charge(&self, now: Now) -> Result<Standing, Refused> {
        match account::charge(&self.gate, nanos(now)) {
            Ok(owed) => Ok(self.standing_when(owed)),
            Err(retry_after) => Err(Refused::Rate {
                standing: self.standing(now),
                retry_after,
            }),
        }
    }

    /// What a charge would say, without one.
    fn look(&self, now: Now) -> Result<(), Refused> {
        let owed = self.hand.owed(nanos(now));
        match (owed + self.interval).saturating_sub(self.refill) {
            0 => Ok(()),
            lacks => Err(Refused::Rate {
                standing: self.standing_when(owed),
                retry_after: Duration::from_nanos(lacks),
            }),
        }
    }

    /// How the app stands, without a charge.
    fn standing(&self, now: Now) -> Standing {
        self.standing_when(self.hand.owed(nanos(now)))
    }

    fn standing_when(&self, owed: u64) -> Standing {
        Standing {
            policy: self.policy.clone(),
            label: self.label.clone(),
            remaining: (self.refill.saturating_sub(owed) / self.interval) as u32,
            reset: owed.div_ceil(1_000_000_000),
        }
    }
}

fn nanos(now: Now) -> u64 {
    now.monotonic().as_nanos() as u64
}

#[cfg(test)]
mod tests;
