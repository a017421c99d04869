//! Who takes up room while the memory of proofs is crowded.
//!
//! A proof does not know whose it is. So what an app adds is counted while more than half of the memory is in use, and
//! only then: one app that asks without end leaves room for others.

use crate::clock::Now;
use crate::replay::Refused;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An app may have added so many times what is left: alone it gets seven eighths of all, and of what it leaves the next
/// one gets seven eighths. Some is always left.
const TIMES: usize = 7;
/// Apps that are counted at a time. Where more of them ask, an app is taken to have added less than it has, by one part
/// in so many of all that was added meanwhile at most; and an eighth more than it has at most.
const COUNTED: usize = 32;
/// Fewest parts in which the proofs of one app that live equally long are counted, by when they end. There are twice as
/// many at most, and so for each doubling of how long they live.
const USUAL_PARTS: i64 = 8;
/// The longest that an app is told to wait, in seconds: there may be room for it earlier.
const LONGEST_WAIT: i64 = 3_600;
/// How often it is told at most who has added most.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// What apps have added to a memory that is crowded.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    apps: Vec<Added>,
    /// From when on it is told again, on the clock that never steps.
    quiet_until: Duration,
}

/// What one app has added.
#[derive(Debug)]
struct Added {
    app: Arc<str>,
    /// By when they end, those first that end first.
    parts: Vec<Part>,
}

/// Proofs that have all ended behind one second.
#[derive(Clone, Copy, Debug)]
struct Part {
    until: i64,
    proofs: usize,
}

/// Whether so many proofs crowd a memory for `capacity` of them.
pub(super) const fn is_crowded(proofs: usize, capacity: usize) -> bool {
    proofs > capacity / 2
}

impl Crowd {
    /// Counts a proof of `app`, which ends at the second `until`, in a crowded memory with room for so many more.
    ///
    /// # Errors
    /// [`Refused::Crowded`]: the app has its share.
    pub(super) fn enter(
        &self,
        app: &Arc<str>,
        room: usize,
        until: i64,
        now: i64,
    ) -> Result<(), Refused> {
        let mut counts = self.hold();
        if let Some(known) = counts.apps.iter_mut().find(|one| one.app == *app) {
            return known.add(room, until, now);
        }
        counts.begin(app, until, now);
        Ok(())
    }

    /// The app that has added most of what is still remembered, and how much; `None` while that was told a moment ago.
    pub(super) fn to_tell(&self, now: Now) -> Option<(Option<Arc<str>>, usize)> {
        let mut counts = self.hold();
        if now.monotonic() < counts.quiet_until {
            return None;
        }
        counts.quiet_until = now.monotonic() + TOLD_EVERY;
        let second = now.unix_seconds();
        let added = counts.apps.iter_mut().map(|one| {
            one.forget(second);
            (one.proofs(), &one.app)
        });
        let most = added.max_by_key(|(proofs, _)| *proofs);
        let most = most.filter(|(proofs, _)| *proofs > 0);
        Some(most.map_or((None, 0), |(proofs, app)| (Some(app.clone()), proofs)))
    }

    /// No panic leaves it half changed: what is done under the lock does not panic.
    fn hold(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Begins to count `app`, which adds its first proof.
    fn begin(&mut self, app: &Arc<str>, until: i64, now: i64) {
        if self.apps.len() >= COUNTED {
            self.apps.retain_mut(|one| {
                one.forget(now);
                !one.parts.is_empty()
            });
        }
        if self.apps.len() >= COUNTED {
            // One of each and this one cancel out: who adds much is not pushed out by many who add little.
            self.apps.retain_mut(Added::take_one);
            return;
        }
        let first = Part { until, proofs: 1 };
        self.apps.push(Added {
            app: app.clone(),
            parts: vec![first],
        });
    }
}

impl Added {
    fn add(&mut self, room: usize, until: i64, now: i64) -> Result<(), Refused> {
        self.forget(now);
        if self.proofs() >= room.saturating_mul(TIMES) {
            let first = self.parts.first().map_or(now, |part| part.until);
            let wait = first.saturating_sub(now).saturating_add(1);
            let seconds = wait.clamp(1, LONGEST_WAIT) as u32;
            return Err(Refused::Crowded { seconds });
        }
        // Counted up to a moment that those share which live about as long: so parts do not multiply.
        let width = until.saturating_sub(now) / USUAL_PARTS;
        let step = 1_i64 << width.max(1).ilog2();
        let until = until.saturating_add(step - 1) & -step;
        let place = self.parts.partition_point(|part| part.until < until);
        match self.parts.get_mut(place) {
            Some(part) if part.until == until => part.proofs += 1,
            _ => self.parts.insert(place, Part { until, proofs: 1 }),
        }
        Ok(())
    }

    /// Forgets those that have ended.
    fn forget(&mut self, now: i64) {
        self.parts.retain(|part| part.until >= now);
    }

    fn proofs(&self) -> usize {
        self.parts.iter().map(|part| part.proofs).sum()
    }

    /// Takes one out; whether any are left.
    fn take_one(&mut self) -> bool {
        if let Some(last) = self.parts.last_mut() {
            last.proofs -= 1;
            if last.proofs == 0 {
                self.parts.pop();
            }
        }
        !self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn app(name: &str) -> Arc<str> {
        name.into()
    }

    fn at(seconds: u64) -> Now {
        let since = Duration::from_secs(seconds);
        Now::new(Duration::from_secs(NOW as u64) + since, since)
    }

    /// How many of a thousand an app may add where there is room for so many.
    fn added(crowd: &Crowd, name: &str, room: usize, until: i64, now: i64) -> usize {
        let mut passed = 0;
        for _ in 0..1_000 {
            let room = room.saturating_sub(passed);
            passed += usize::from(crowd.enter(&app(name), room, until, now).is_ok());
        }
        passed
    }

    #[test]
    fn each_app_may_add_seven_eighths_of_what_is_left_and_is_told_when_more() {
        let crowd = Crowd::default();
        assert_eq!(added(&crowd, "one", 80, NOW + 60, NOW), 70);
        let refused = crowd.enter(&app("one"), 10, NOW + 70, NOW + 10);
        assert_eq!(refused, Err(Refused::Crowded { seconds: 51 }));
        assert_eq!(added(&crowd, "other", 10, NOW + 60, NOW), 9);
        // Its own have ended.
        assert_eq!(added(&crowd, "one", 1, NOW + 120, NOW + 60), 0);
        assert_eq!(added(&crowd, "one", 71, NOW + 121, NOW + 61), 63);
    }

    #[test]
    fn what_an_app_adds_steadily_ends_as_steadily() {
        let crowd = Crowd::default();
        // Ten a second, each for a minute and a half: nine hundred at a time, and a part more.
        for second in 0..1_000 {
            let now = NOW + second;
            for _ in 0..10 {
                assert_eq!(crowd.enter(&app("one"), 150, now + 90, now), Ok(()));
            }
        }
        let counts = crowd.hold();
        let [one] = &counts.apps[..] else {
            panic!("{counts:?}")
        };
        assert!((900..=1_030).contains(&one.proofs()), "{}", one.proofs());
        assert!(one.parts.len() <= 2 * USUAL_PARTS as usize + 1);
    }

    #[test]
    fn one_that_ends_late_does_not_hold_back_those_that_end_early() {
        let crowd = Crowd::default();
        let late = NOW + 8 * 86_400;
        crowd.enter(&app("one"), 1_000, late, NOW).unwrap();
        for second in 0..2_000 {
            let now = NOW + second;
            for _ in 0..10 {
                assert_eq!(crowd.enter(&app("one"), 1_000, now + 360, now), Ok(()));
            }
        }
    }

    #[test]
    fn lifetimes_of_many_kinds_end_each_in_its_time() {
        let crowd = Crowd::default();
        for second in 0..20_000 {
            let now = NOW + second;
            let until = now + 60 + second * 7_919 % 840;
            let entered = crowd.enter(&app("one"), 200, until, now);
            assert_eq!(entered, Ok(()), "{second}");
        }
    }

    #[test]
    fn ends_in_any_order_take_up_no_more_than_their_parts() {
        let crowd = Crowd::default();
        for number in 0..10_000 {
            let until = NOW + number * 7_919 % 100_000;
            crowd.enter(&app("one"), 10_000, until, NOW).unwrap();
        }
        let counts = crowd.hold();
        assert_eq!(counts.apps[0].proofs(), 10_000);
        assert!(counts.apps[0].parts.len() <= 128);
    }

    #[test]
    fn the_longest_wait_has_an_end() {
        let crowd = Crowd::default();
        crowd.enter(&app("one"), 1, i64::MAX, NOW).unwrap();
        let refused = crowd.enter(&app("one"), 0, NOW, NOW);
        assert_eq!(refused, Err(Refused::Crowded { seconds: 3_600 }));
    }

    #[test]
    fn many_who_add_little_hide_none_who_adds_much() {
        let crowd = Crowd::default();
        let add = |name: &str, room| crowd.enter(&app(name), room, NOW + 60, NOW);
        let mut passed = 0;
        for number in 0..40_000 {
            passed += usize::from(add("one", 1_000).is_ok());
            add(&format!("little-{number}"), 1_000).expect("each has added one");
            assert!(crowd.hold().apps.len() <= COUNTED);
        }
        // Seven thousand are its share, and one part in 32 of all that was added it may have more.
        assert!((7_000..9_000).contains(&passed), "{passed}");
    }

    #[test]
    fn who_has_added_most_is_told_once_a_minute() {
        let crowd = Crowd::default();
        assert_eq!(crowd.to_tell(at(0)), Some((None, 0)));
        assert_eq!(added(&crowd, "one", 8, NOW + 100, NOW), 7);
        crowd.enter(&app("little"), 8, NOW + 500, NOW).unwrap();
        assert_eq!(crowd.to_tell(at(59)), None);
        assert_eq!(crowd.to_tell(at(60)), Some((Some(app("one")), 7)));
        // What is not remembered any more is nobody's.
        assert_eq!(crowd.to_tell(at(120)), Some((Some(app("little")), 1)));
    }
}
