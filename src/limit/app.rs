//! Per app: a rate with a burst, and requests in flight.
//!
//! One limiter an app, and one for each step of assurance that its plan has limits for, found by `App::index`:
//! no look-up, no lock. What an app has used outlives the configuration it used it under.

use super::Refused;
use super::account::{self, Account, Hand};
use super::made::{MadeLimits, Whose};
use crate::apps::{App, FIRST_MADE};
use crate::clock::Now;
use crate::schemes::Assurance;
use bytes::Bytes;
use governor::Quota;
use http::HeaderValue;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
        let interval = self.interval();
        let most = LONGEST_REFILL.as_nanos() as u64 / interval;
        let burst = u64::from(self.burst.max(1)).min(most.max(1));
        (interval * burst, burst as u32)
    }
}

/// How an app stands with its rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The value of `RateLimit-Policy`, made once per configuration.
    pub policy: HeaderValue,
    /// The plan's name, as a structured field has it.
    pub label: Arc<str>,
    /// How many more may come at once.
    pub remaining: u32,
    /// How long until the burst is whole again, in seconds.
    pub reset: u64,
}

impl Standing {
    /// The value of `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, section 4).
    pub fn header(&self) -> HeaderValue {
        // On every answer, so without the ways of formatting, and at one allocation.
        let digits = [
            Digits::of(u64::from(self.remaining)),
            Digits::of(self.reset),
        ];
        let [remaining, reset] = digits.each_ref().map(Digits::text);
        let parts = [self.label.as_bytes(), b";r=", remaining, b";t=", reset];
        field(parts.concat())
    }
}

/// A number's decimal digits.
struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    fn of(mut number: u64) -> Self {
        let mut digits = Self {
            bytes: [b'0'; 20],
            start: 20,
        };
        loop {
            digits.start -= 1;
            digits.bytes[digits.start] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// A structured-field string. What such a string cannot hold becomes `?`.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for letter in name.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            ' '..='~' => text.push(letter),
            _ => text.push('?'),
        }
    }
    text.push('"');
    text
}

/// The value of `RateLimit-Policy` (the same draft, section 3). Its window is
/// in whole seconds; a period that is not is stretched to the next, and the
/// count with it.
fn policy(plan: &str, rate: &Rate) -> HeaderValue {
    let window = rate.period.as_nanos().div_ceil(1_000_000_000).max(1);
    let quota = u128::from(rate.count) * window * 1_000_000_000 / rate.period.as_nanos().max(1);
    let mut text = quoted(plan);
    let _ = write!(text, ";q={quota};w={window}");
    field(text.into_bytes())
}

fn field(text: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("`quoted` leaves only visible ASCII and spaces")
}

/// The limits of every app of one configuration, by `App::index`.
#[derive(Debug)]
pub struct AppLimits {
    apps: Vec<Entry>,
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
    /// same name keeps what it has used and what it has in flight; requests
    /// that still run under `before` count on the same account.
    pub fn new(apps: &[(Arc<str>, Option<Arc<Plan>>)], before: Option<&Self>) -> Self {
        let known: HashMap<&str, &Entry> = before
            .iter()
            .flat_map(|limits| &limits.apps)
            .map(|entry| (&*entry.name, entry))
            .collect();
        let apps = apps
            .iter()
            .map(|(name, plan)| Entry::new(name, plan.as_deref(), known.get(&**name).copied()))
            .collect();
        Self {
            apps,
            made: before.map(|before| before.made.clone()).unwrap_or_default(),
        }
    }

    /// The same with plans for apps that are made at run time.
    #[must_use]
    pub fn with_plans(mut self, plans: impl Iterator<Item = Arc<Plan>>) -> Self {
        self.made = MadeLimits::new(plans, Some(&self.made));
        self
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
        let Some(made) = &app.made else {
            return self.charge(app.index, assurance, now);
        };
        let Some(plan) = &made.plan else {
            return Ok((None, None));
        };
        let whose = Whose {
            slot: app.index.saturating_sub(FIRST_MADE),
            name: &app.name,
            plan: &plan.name,
            number: made.number,
        };
        self.made.charge(whose, assurance, now)
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
        let entry = self
            .apps
            .get(app)
            .expect("limits and apps are of one configuration");
        entry.charge(assurance, now)
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

    pub(super) fn new(name: &Arc<str>, plan: Option<&Plan>, before: Option<&Self>) -> Self {
        let rate = plan.and_then(|plan| plan.rate);
        let unit = match before {
            Some(before) if before.keeps_unit(rate) => before.unit,
            Some(before) => before.account.next_unit(before.unit),
            None => 0,
        };
        let account = before.map_or_else(Arc::default, |before| before.account.clone());
        let better = plan.iter().flat_map(|plan| &plan.better);
        let better = better.map(|(assurance, plan)| {
            let known =
                before.and_then(|one| one.better.iter().find(|(step, _)| step == assurance));
            let before = known.map(|(_, entry)| entry);
            (*assurance, Self::new(name, Some(plan), before))
        });
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
        }
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
