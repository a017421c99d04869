//! The limits of apps that are made at run time. What each has used stands in
//! a structure that grows without a lock on the way of a request, and
//! outlives settings; its limits are made of the plans in force when it first asks.

use super::app::{Entry, Plan};
use crate::clock::Now;
use arc_swap::{ArcSwapOption, Guard};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Places of the first chunk; each further one has twice as many.
const FIRST_CHUNK: usize = 1_024;
/// Chunks: together they have a place for each number that a registry can give.
const CHUNKS: usize = 32;

/// One place for each app, by its number.
struct Slots([OnceLock<Box<[Slot]>>; CHUNKS]);

type Slot = ArcSwapOption<Made>;

/// An app's limits, and what they were made of.
#[derive(Debug)]
struct Made {
    entry: Entry,
    plan: Arc<str>,
    /// Of which settings, and of which app of that name.
    stamp: (u64, u64),
}

/// Whose limits are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) plan: &'a Arc<str>,
    /// Which one of that name; a later one is larger.
    pub(super) number: u64,
}

/// Those under one configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct MadeLimits {
    slots: Arc<Slots>,
    plans: HashMap<Arc<str>, Arc<Plan>>,
    generation: u64,
    /// Whether the plans are others than those before.
    is_changed: bool,
}

impl MadeLimits {
    pub(super) fn new(plans: impl Iterator<Item = Arc<Plan>>, before: Option<&Self>) -> Self {
        let plans: HashMap<Arc<str>, Arc<Plan>> = plans
            .map(|plan| (plan.name.as_str().into(), plan))
            .collect();
        Self {
            slots: before.map_or_else(Arc::default, |before| before.slots.clone()),
            is_changed: before.is_some_and(|before| before.plans != plans),
            plans,
            generation: before.map_or(1, |before| before.generation + 1),
        }
    }

    /// Asks the limits that are in force for `whose`, where there are some.
    pub(super) fn ask<T>(
        &self,
        slot: usize,
        whose: Whose<'_>,
        ask: impl FnOnce(&Entry) -> T,
    ) -> Option<T> {
        // Else there is no such number.
        let slot = self.slots.get(slot)?;
        let mut known = slot.load();
        loop {
            match &*known {
                Some(made) if self.is_good(made, whose) => return Some(ask(&made.entry)),
                // A later app has the number of one that is gone: nothing is charged for this last request.
                Some(made) if made.is_another(whose) && made.stamp.1 > whose.number => {
                    return None;
                }
                _ => known = self.renew(slot, &known, whose),
            }
        }
    }

    /// Makes the limits of all who have asked of the plans in force, and takes over what was used under others.
    /// Where no plan has changed each is made at its app's next request: its rates are the same until then.
    pub(super) fn settle(&self, now: Now) {
        if !self.is_changed {
            return;
        }
        for slot in self.slots.all() {
            let mut known = slot.load();
            if let Some(made) = known.as_deref()
                && made.stamp.0 < self.generation
            {
                let whose = Whose {
                    name: &made.entry.name,
                    plan: &made.plan,
                    number: made.stamp.1,
                };
                known = self.renew(slot, &known, whose);
            }
            if let Some(made) = &*known {
                made.entry.settle(now);
            }
        }
    }

    fn is_good(&self, made: &Made, whose: Whose<'_>) -> bool {
        made.stamp.0 >= self.generation && made.stamp.1 >= whose.number && !made.is_another(whose)
    }

    fn renew(
        &self,
        slot: &Slot,
        known: &Guard<Option<Arc<Made>>>,
        whose: Whose<'_>,
    ) -> Guard<Option<Arc<Made>>> {
        let before = known.as_deref().filter(|made| !made.is_another(whose));
        let later = before.filter(|made| made.stamp.1 > whose.number);
        let plan = later.map_or(whose.plan, |made| &made.plan);
        let before_entry = before.map(|made| &made.entry);
        let in_force = self.plans.get(plan).map(|plan| &**plan);
        let made = Arc::new(Made {
            entry: Entry::new(whose.name, in_force, before_entry),
            plan: plan.clone(),
            stamp: (
                before.map_or(self.generation, |made| made.stamp.0.max(self.generation)),
                before.map_or(whose.number, |made| made.stamp.1.max(whose.number)),
            ),
        });
        // Whoever was first counts for all.
        slot.compare_and_swap(known, Some(made));
        slot.load()
    }
}

impl Made {
    fn is_another(&self, whose: Whose<'_>) -> bool {
        *self.entry.name != **whose.name
    }
}

impl Slots {
    fn get(&self, number: usize) -> Option<&Slot> {
        // The first chunk has numbers from 0, the next from 1,024, then from 3,072.
        let chunk = (number / FIRST_CHUNK + 1).ilog2() as usize;
        let start = ((1 << chunk) - 1) * FIRST_CHUNK;
        let slots = self.0.get(chunk)?.get_or_init(|| {
            let room = FIRST_CHUNK << chunk;
            (0..room).map(|_| Slot::empty()).collect()
        });
        slots.get(number - start)
    }

    /// All places of the chunks that are in use.
    fn all(&self) -> impl Iterator<Item = &Slot> {
        let chunks = self.0.iter().filter_map(OnceLock::get);
        chunks.flat_map(|chunk| chunk.iter())
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::app::Rate;
    use crate::schemes::Assurance;
    use std::time::Duration;

    fn plan(name: &str, burst: u32) -> Arc<Plan> {
        Arc::new(Plan {
            name: name.to_owned(),
            rate: Some(Rate {
                count: 1,
                period: Duration::from_hours(1),
                burst,
            }),
            concurrency: None,
            better: Vec::new(),
        })
    }

    fn now() -> Now {
        Now::new(Duration::from_secs(1_000), Duration::from_secs(1_000))
    }

    struct One(Arc<str>, Arc<str>, usize, u64);

    impl One {
        fn passes(&self, limits: &MadeLimits) -> usize {
            let whose = Whose {
                name: &self.0,
                plan: &self.1,
                number: self.3,
            };
            let charge = |entry: &Entry| entry.charge(Assurance::Key, now()).is_ok();
            (0..100)
                .filter(|_| limits.ask(self.2, whose, charge).unwrap_or(true))
                .count()
        }
    }

    #[test]
    fn each_number_has_a_place_of_its_own() {
        let slots = Slots::default();
        let numbers = [0, 1_023, 1_024, 3_071, 3_072, 7_167, 7_168, 999_999];
        for (place, number) in numbers.iter().enumerate() {
            for other in &numbers[..place] {
                let (one, other) = (slots.get(*number).unwrap(), slots.get(*other).unwrap());
                assert!(!std::ptr::eq(one, other));
            }
        }
    }

    #[test]
    fn what_was_used_stays_used_under_other_plans_and_when_the_app_changes() {
        let first = MadeLimits::new([plan("a", 5), plan("b", 8)].into_iter(), None);
        let app = One("app".into(), "a".into(), 2_000, 1);
        assert_eq!(app.passes(&first), 5);
        // The same app, changed to a larger plan: what is new of it is left.
        let changed = One("app".into(), "b".into(), 2_000, 2);
        assert_eq!(changed.passes(&first), 3);
        // A request of the app as it was counts on what it is now.
        assert_eq!(app.passes(&first), 0);
        let second = MadeLimits::new([plan("a", 5), plan("b", 10)].into_iter(), Some(&first));
        assert_eq!(changed.passes(&second), 2);
        // One that still runs under the settings before counts on the same account.
        assert_eq!(changed.passes(&first), 0);
    }

    #[test]
    fn what_was_used_comes_back_at_the_new_rate_from_the_moment_it_is_in_force() {
        let hourly = plan("a", 100);
        let mut quick = (*hourly).clone();
        quick.rate.as_mut().unwrap().period = Duration::from_millis(100);
        let before = MadeLimits::new([hourly].into_iter(), None);
        let app = One("app".into(), "a".into(), 2_000, 1);
        assert_eq!(app.passes(&before), 100);
        let after = MadeLimits::new([Arc::new(quick)].into_iter(), Some(&before));
        let earlier = now().monotonic().saturating_sub(Duration::from_secs(3));
        after.settle(Now::new(earlier, earlier));
        assert_eq!(app.passes(&after), 30);
    }

    #[test]
    fn settings_with_the_same_plans_make_no_limits_anew() {
        let mut last = MadeLimits::new([plan("a", 5)].into_iter(), None);
        let app = One("app".into(), "a".into(), 0, 1);
        assert_eq!(app.passes(&last), 5);
        for (burst, made_under) in [(5, 1), (6, 3), (6, 3)] {
            last = MadeLimits::new([plan("a", burst)].into_iter(), Some(&last));
            last.settle(now());
            let made = last.slots.get(0).unwrap().load();
            assert_eq!(made.as_deref().unwrap().stamp.0, made_under);
        }
        assert_eq!(app.passes(&last), 1);
    }

    #[test]
    fn an_app_that_takes_the_number_of_another_starts_anew() {
        let limits = MadeLimits::new([plan("a", 5)].into_iter(), None);
        let app = One("app".into(), "a".into(), 0, 1);
        let next = One("next".into(), "a".into(), 0, 2);
        assert_eq!((app.passes(&limits), next.passes(&limits)), (5, 5));
        // What was still on its way of the one before is let through, and charged to nobody.
        assert_eq!((app.passes(&limits), next.passes(&limits)), (100, 0));
    }
}
