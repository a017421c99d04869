//! Which refusals of the admin listener stand in the audit: of whoever is
//! refused a line at once, and then one a minute, of a few at a time, until
//! all are told. So guesses without end push out nothing that somebody should see.

use crate::apps::made::{AuditEntry, Outcome};
use crate::clock::Now;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often there is a line of the same one.
const EVERY: Duration = Duration::from_mins(1);
/// Those that have lines of their own at a time; others have one together for each reason.
const MAX_KNOWN: usize = 8;
/// What those are.
const OTHERS: &str = "several";

/// Who was refused lately.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    known: Vec<Known>,
    /// Of each reason one; there are two.
    others: Vec<Known>,
}

#[derive(Debug, Default)]
struct Known {
    who: String,
    why: &'static str,
    /// When its next line is due.
    next: Duration,
    untold: u64,
}

impl Refused {
    /// The line that a refusal makes, if one is due; it counts those before it that made none.
    pub(super) fn line(&self, who: &str, why: &'static str, now: Now) -> Option<AuditEntry> {
        let at = now.monotonic();
        let mut lately = self.lately();
        let one = lately.of(who, why, at);
        one.untold = one.untold.saturating_add(1);
        (at >= one.next).then(|| one.tell(now))
    }

    /// The lines that are due of refusals that made none, where no further one does.
    pub(super) fn due(&self, now: Now) -> Vec<AuditEntry> {
        self.lately().tell(now, |one| now.monotonic() >= one.next)
    }

    /// The lines of all refusals that made none, due or not: nothing comes after them.
    pub(super) fn rest(&self, now: Now) -> Vec<AuditEntry> {
        self.lately().tell(now, |_| true)
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lately {
    fn of(&mut self, who: &str, why: &'static str, at: Duration) -> &mut Known {
        let is = |one: &Known| one.who == who && one.why == why;
        let place = match self.known.iter().position(is) {
            Some(place) => place,
            None if self.known.len() < MAX_KNOWN => {
                self.known.push(Known::new(who, why));
                self.known.len() - 1
            }
            None => {
                let Some(free) = self.known.iter().position(|one| at >= one.next) else {
                    return self.leave_over(why, 0);
                };
                let gone = std::mem::replace(&mut self.known[free], Known::new(who, why));
                if gone.untold > 0 {
                    self.leave_over(gone.why, gone.untold);
                }
                free
            }
        };
        &mut self.known[place]
    }

    fn leave_over(&mut self, why: &'static str, times: u64) -> &mut Known {
        let place = self.others.iter().position(|others| others.why == why);
        let place = place.unwrap_or_else(|| {
            self.others.push(Known::new(OTHERS, why));
            self.others.len() - 1
        });
        let others = &mut self.others[place];
        others.untold = others.untold.saturating_add(times);
        others
    }

    fn tell(&mut self, now: Now, is_due: impl Fn(&Known) -> bool) -> Vec<AuditEntry> {
        let all = self.known.iter_mut().chain(&mut self.others);
        all.filter(|one| one.untold > 0 && is_due(one))
            .map(|one| one.tell(now))
            .collect()
    }
}

impl Known {
    fn new(who: &str, why: &'static str) -> Self {
        Self {
            who: who.to_owned(),
            why,
            ..Self::default()
        }
    }

    /// The line of what was not told.
    fn tell(&mut self, now: Now) -> AuditEntry {
        self.next = now.monotonic().saturating_add(EVERY);
        AuditEntry {
            at: now.unix_seconds(),
            who: self.who.clone(),
            what: "admin.refuse".to_owned(),
            target: "admin".to_owned(),
            before: None,
            after: None,
            outcome: Outcome::Refused(self.why.to_owned()),
            times: std::mem::take(&mut self.untold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::new(Duration::from_secs(seconds), Duration::from_secs(seconds))
    }

    #[test]
    fn of_whoever_is_refused_there_is_a_line_at_once_and_then_one_a_minute() {
        let refused = Refused::default();
        let line = |who: &str, seconds| refused.line(who, "x", at(seconds)).map(|line| line.times);
        assert_eq!(line("a", 5), Some(1));
        for second in 5..65 {
            assert_eq!(line("a", second), None);
        }
        assert_eq!(line("b", 64), Some(1));
        assert_eq!(line("a", 65), Some(61));
        assert_eq!(
            refused.line("a", "y", at(65)).map(|line| line.times),
            Some(1)
        );
    }

    #[test]
    fn a_flood_of_many_makes_few_lines_and_each_refusal_is_counted_in_one() {
        let refused = Refused::default();
        let mut told = Vec::new();
        for second in 0..600 {
            for number in 0..100 {
                let who = format!("peer-{}", second * 100 + number);
                told.extend(refused.line(&who, "x", at(second)));
            }
        }
        assert!(told.len() <= 10 * (MAX_KNOWN + 1), "{}", told.len());
        let last = (0..=MAX_KNOWN).filter_map(|n| refused.line(&format!("z-{n}"), "x", at(700)));
        told.extend(last);
        let others = refused.line("z-y", "x", at(800));
        assert!(others.is_some());
        let lately = refused.0.lock().unwrap();
        assert!(lately.known.len() <= MAX_KNOWN);
        let all = lately.known.iter().chain(&lately.others);
        let untold: u64 = all.map(|one| one.untold).sum();
        let times: u64 = told.iter().chain(&others).map(|line| line.times).sum();
        let asked = 60_000 + MAX_KNOWN as u64 + 2;
        assert_eq!(times + untold, asked);
    }

    #[test]
    fn what_a_flood_left_untold_has_its_line_a_minute_later_though_nobody_is_refused_any_more() {
        let refused = Refused::default();
        for number in 0..=MAX_KNOWN {
            let who = format!("peer-{number}");
            let told = (0..1_000).filter_map(|_| refused.line(&who, "x", at(5)));
            assert_eq!(told.map(|line| line.times).collect::<Vec<_>>(), [1]);
        }
        assert!(refused.due(at(64)).is_empty());
        let told = refused.due(at(65));
        assert_eq!(told.len(), MAX_KNOWN + 1);
        let is_told = |line: &AuditEntry| {
            line.times == 999 && line.at == 65 && line.outcome == Outcome::Refused("x".to_owned())
        };
        assert!(told.iter().all(is_told), "{told:?}");
        assert_eq!(told[MAX_KNOWN].who, OTHERS);
        assert!(refused.due(at(200)).is_empty());
    }

    #[test]
    fn those_without_a_line_of_their_own_are_told_by_the_reason_they_were_refused_for() {
        let refused = Refused::default();
        for number in 0..MAX_KNOWN {
            refused.line(&format!("peer-{number}"), "x", at(5));
        }
        for (number, why) in ["x", "y", "x", "y", "x"].into_iter().enumerate() {
            refused.line(&format!("other-{number}"), why, at(6));
        }
        let told = refused.rest(at(7));
        let told = told
            .iter()
            .map(|line| (&*line.who, &line.outcome, line.times));
        let of = |why: &str| Outcome::Refused(why.to_owned());
        // The first of each reason had its line at once.
        let (x, y) = (of("x"), of("y"));
        assert_eq!(told.collect::<Vec<_>>(), [(OTHERS, &x, 2), (OTHERS, &y, 1)]);
    }

    #[test]
    fn the_rest_is_told_at_the_end_before_it_is_due() {
        let refused = Refused::default();
        for _ in 0..3 {
            refused.line("a", "x", at(5));
        }
        let told = refused.rest(at(6));
        assert_eq!(told.iter().map(|line| line.times).collect::<Vec<_>>(), [2]);
        assert!(refused.rest(at(6)).is_empty());
    }
}
