//! Which server of an upstream gets a request: of two drawn by chance the one
//! with less to do, among those that are well.

use super::budget::Retries;
use super::dice::Dice;
use super::ejection::{Circuit, Ejection, Taken};
use super::health::{Health, Streak};
use super::left_out::Way;
use super::load::Load;
use super::scarce::Scarce;
use crate::clock::Now;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How an upstream's requests are spread over its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether servers are left out whose requests fail.
    pub ejection: Option<Ejection>,
    /// Whether servers are asked how they are.
    pub health: Option<Health>,
    /// In how long a server that comes back, or is new, gets its full share.
    pub slow_start: Option<Duration>,
    /// When less than so many percent of the servers are well, all are used.
    pub panic_threshold: Option<u32>,
    /// How many requests may be sent to a second server.
    pub retries: Option<Retries>,
}

/// The least share of a server that starts slowly.
const LEAST_SHARE: f64 = 0.05;
/// When a server starts whose first look is still to come.
const AT_FIRST_LOOK: u64 = u64::MAX;

/// What is known of one server, on a cache line of its own. Every worker and
/// every configuration that has the server shares it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Standing {
    pub(super) load: Load,
    pub(super) circuit: Circuit,
    pub(super) streak: Streak,
    /// Since when it has been back, in nanoseconds; 0: it never went.
    back: AtomicU64,
}

const _: () = assert!(size_of::<Standing>() == 64, "one cache line a server");

impl Standing {
    /// Of a server that is added to others that run. Where none starts slowly it is as old as they
    /// are, should that change.
    pub(super) fn added(rules: &Rules) -> Self {
        let back = match rules.slow_start {
            Some(_) => AT_FIRST_LOOK,
            None => 0,
        };
        Self {
            back: AtomicU64::new(back),
            ..Self::default()
        }
    }

    /// It comes back: nothing that was known of it holds.
    pub(super) fn comes_back(&self, now: u64) {
        self.load.forget();
        self.back.store(now.max(1), Ordering::Relaxed);
    }

    /// Whether it may get requests like any other.
    fn is_well(&self, rules: &Rules) -> bool {
        let ejected = rules.ejection.is_some() && self.circuit.is_out();
        !ejected && !self.is_down(rules)
    }

    pub(super) fn is_down(&self, rules: &Rules) -> bool {
        rules.health.is_some() && self.streak.is_down()
    }

    /// Its share of what others get, up to 1.
    fn share(&self, rules: &Rules, now: u64) -> f64 {
        let Some(length) = rules.slow_start else {
            return 1.0;
        };
        let since = match self.back.load(Ordering::Relaxed) {
            0 => return 1.0,
            AT_FIRST_LOOK => {
                self.back.store(now, Ordering::Relaxed);
                now
            }
            since => since,
        };
        let gone = now.saturating_sub(since) as f64 / length.as_nanos() as f64;
        gone.clamp(LEAST_SHARE, 1.0)
    }
}

/// A server that was chosen for one request, which counts among those in
/// flight until this is dropped.
#[derive(Debug)]
pub(in crate::forward) struct Chosen {
    /// Its place among the upstream's servers.
    pub(super) index: usize,
    counted: Option<Counted>,
    /// Which of its addresses it goes to.
    pub(in crate::forward) way: Way,
}

/// One request in flight, as long as this lives.
#[derive(Debug)]
pub(in crate::forward) struct Counted {
    standing: Arc<Standing>,
    taken: Taken,
    /// When it was chosen, in nanoseconds.
    asked: u64,
    is_told: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.standing.load.end();
        if self.is_told {
            return;
        }
        self.standing.load.left(self.asked);
        if self.taken == Taken::Trial {
            self.standing.circuit.give_up();
        }
    }
}

impl Counted {
    fn new(standing: &Arc<Standing>, taken: Taken, asked: u64) -> Self {
        standing.load.begin();
        Self {
            standing: standing.clone(),
            taken,
            asked,
            is_told: false,
        }
    }

    /// The server broke its answer off behind the head: it is not to look fast for having begun at once.
    pub(in crate::forward) fn broke(&self) {
        self.standing.load.broke(self.asked);
    }

    /// How it went tells nothing of the server.
    pub(super) fn excuse(&mut self) {
        self.is_told = true;
        if self.taken == Taken::Trial {
            self.standing.circuit.give_up();
        }
    }

    /// How it went is known: gives back the server's state, and how it was taken.
    pub(super) const fn tell(&mut self) -> (&Arc<Standing>, Taken) {
        self.is_told = true;
        (&self.standing, self.taken)
    }
}

impl Chosen {
    /// A server of which nothing is kept.
    pub(super) fn only() -> Self {
        Self {
            index: 0,
            counted: None,
            way: Way::default(),
        }
    }

    pub(super) const fn counted(&mut self) -> Option<&mut Counted> {
        self.counted.as_mut()
    }

    /// How it went tells nothing of the server, whatever is told of it behind this.
    pub(in crate::forward) fn excuse(&mut self) {
        self.way.excuse();
        if let Some(mut counted) = self.counted.take() {
            counted.excuse();
        }
    }

    /// What counts the request, to be kept until its answer ends.
    pub(in crate::forward) fn into_counted(self) -> Option<Counted> {
        self.counted
    }
}

/// Servers that one request has been sent to.
#[derive(Debug, Default)]
pub(in crate::forward) struct Tried {
    servers: [Option<u32>; Tried::MAX],
    /// Whether one that was tried may have it next, where there is no other.
    pub(super) may_repeat: bool,
}

impl Tried {
    /// Servers that one request is sent to, at most.
    const MAX: usize = 4;

    /// No server yet.
    pub(in crate::forward) const fn is_none(&self) -> bool {
        self.servers[0].is_none()
    }

    /// One of them may have it next, where there is no other.
    pub(in crate::forward) const fn may_repeat(&mut self) {
        self.may_repeat = true;
    }

    pub(super) fn is_full(&self) -> bool {
        self.servers.iter().all(Option::is_some)
    }

    fn has(&self, server: usize) -> bool {
        self.servers.contains(&Some(server as u32))
    }

    /// One more that it is sent to.
    pub(in crate::forward) fn add(&mut self, chosen: &Chosen) {
        let server = chosen.index as u32;
        self.may_repeat = false;
        if let Some(free) = self.servers.iter_mut().find(|server| server.is_none()) {
            *free = Some(server);
        }
    }
}

/// Chooses among `servers` for a request that was sent to those in `tried`.
pub(super) fn choose<S: AsRef<Arc<Standing>>>(
    servers: &[S],
    rules: &Rules,
    tried: &Tried,
    now: u64,
    dice: &Dice,
    scarce: &Scarce,
) -> Option<Chosen> {
    let standing = |index: usize| servers[index].as_ref();
    if tried.is_none() && servers.len() > 1 && !scarce.is_told() {
        let (first, second) = dice.two_below(servers.len());
        if standing(first).is_well(rules) && standing(second).is_well(rules) {
            let index = better(standing, first, second, rules, now, dice);
            return Some(chosen(index, standing(index), Taken::In, now));
        }
    }
    if tried.is_full() {
        return None;
    }
    // Something is wrong with a server: now all are looked at.
    let all = 0..servers.len();
    let is_well = |one: &usize| standing(*one).is_well(rules);
    let well = all.clone().filter(is_well).count();
    let least = rules.panic_threshold.unwrap_or(0) as usize * servers.len();
    let panics = well * 100 < least;
    scarce.look(panics, well, servers.len());
    if let (Some(ejection), true) = (&rules.ejection, tried.is_none()) {
        let trial = all.clone().find(|one| {
            let one = standing(*one);
            (panics || !one.is_down(rules)) && one.circuit.claim(ejection, now)
        });
        if let Some(index) = trial {
            return Some(chosen(index, standing(index), Taken::Trial, now));
        }
    }
    let others = all.clone().filter(|one| !tried.has(*one));
    let well = others.clone().filter(is_well);
    let again = all.filter(|one| tried.may_repeat && (panics || is_well(one)));
    // Where all are used, what has failed once goes to one that is well all the same.
    let first = (!panics || !tried.is_none())
        .then(|| pick(&well, standing, rules, now, dice))
        .flatten();
    let index = first
        .or_else(|| lightest(others.filter(|_| panics), standing, rules, now, dice))
        .or_else(|| pick(&again, standing, rules, now, dice))?;
    let is_out = rules.ejection.is_some() && standing(index).circuit.is_out();
    let taken = if is_out { Taken::Anyway } else { Taken::In };
    Some(chosen(index, standing(index), taken, now))
}

fn chosen(index: usize, standing: &Arc<Standing>, taken: Taken, now: u64) -> Chosen {
    Chosen {
        index,
        counted: Some(Counted::new(standing, taken, now)),
        way: Way::default(),
    }
}

/// Two of `from` by chance, and the better of them.
fn pick<'s>(
    from: &(impl Iterator<Item = usize> + Clone),
    standing: impl Fn(usize) -> &'s Arc<Standing>,
    rules: &Rules,
    now: u64,
    dice: &Dice,
) -> Option<usize> {
    match from.clone().count() {
        0 | 1 => from.clone().next(),
        many => {
            let (first, second) = dice.two_below(many);
            let nth = |n| from.clone().nth(n);
            let (first, second) = (nth(first)?, nth(second)?);
            Some(better(standing, first, second, rules, now, dice))
        }
    }
}

/// The best of all of `from`: of two by chance both may be dead. Of those that are the same chance decides.
fn lightest<'s>(
    from: impl Iterator<Item = usize> + Clone,
    standing: impl Fn(usize) -> &'s Arc<Standing>,
    rules: &Rules,
    now: u64,
    dice: &Dice,
) -> Option<usize> {
    let first = dice.below(from.clone().count().max(1));
    let before = from.clone().take(first);
    let turn = from.skip(first).chain(before);
    turn.reduce(|best, one| better(&standing, best, one, rules, now, dice))
}

fn better<'s>(
    standing: impl Fn(usize) -> &'s Arc<Standing>,
    first: usize,
    second: usize,
    rules: &Rules,
    now: u64,
    dice: &Dice,
) -> usize {
    let (a, b) = (standing(first), standing(second));
    if rules.slow_start.is_some() {
        let (ours, theirs) = (a.share(rules, now), b.share(rules, now));
        // Against a server with its full share, one that starts slowly gets its part only.
        if ours < theirs && dice.part() * theirs > ours {
            return second;
        }
        if theirs < ours && dice.part() * ours > theirs {
            return first;
        }
    }
    if a.load.is_lighter(&b.load, now) {
        first
    } else {
        second
    }
}

/// The time in the unit that servers' states are kept in.
pub(super) const fn nanos(now: Now) -> u64 {
    now.monotonic().as_nanos() as u64
}
