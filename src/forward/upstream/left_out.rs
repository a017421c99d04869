//! Addresses of a server's name that are left out of the turn, by the rules that servers are left
//! out by.

use super::balance::Rules;
use super::ejection::{Circuit, Taken};
use super::health::{Health, Streak};
use super::resolve::Addresses;
use super::used_up::UsedUp;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is known of the addresses of a server's name. Every worker shares it, and every
/// configuration that has the server; no two are the same.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    table: Mutex<Table>,
    /// Of how many addresses something is noted: mostly of none, and nobody has to look.
    noted: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    /// What was last found for the name: a bounded number.
    known: Vec<SocketAddr>,
    /// Those of them that have failed.
    noted: Vec<Noted>,
}

/// What is known of one address.
#[derive(Debug)]
struct Noted {
    address: SocketAddr,
    circuit: Circuit,
    streak: Streak,
}

/// Whose address it is, what holds for it, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'u> {
    pub(super) upstream: &'u str,
    pub(super) server: &'u str,
    pub(super) rules: &'u Rules,
    /// In nanoseconds.
    pub(super) now: u64,
}

/// Which of a server's addresses one request may go to, and how it went there. Nothing where the server
/// has no name.
#[derive(Debug, Default)]
pub(in crate::forward) struct Way {
    /// Until it is told how it went.
    left_out: Option<Arc<LeftOut>>,
    /// Those that have no turn.
    but: Vec<SocketAddr>,
    /// The one of them that this request tries.
    trial: Option<SocketAddr>,
    /// Whether all are used since too many are bad.
    is_anyway: bool,
    /// The one that it went to.
    to: Option<SocketAddr>,
    /// Those that it could not be connected to, and why.
    missed: Vec<(SocketAddr, String)>,
}

impl PartialEq for LeftOut {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for LeftOut {}

impl Noted {
    fn is_down(&self, rules: &Rules) -> bool {
        rules.health.is_some() && self.streak.is_down()
    }

    fn is_bad(&self, rules: &Rules) -> bool {
        let is_ejected = rules.ejection.is_some() && self.circuit.is_out();
        is_ejected || self.is_down(rules)
    }
}

impl LeftOut {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, table: &Table) {
        self.noted.store(table.noted.len(), Ordering::Relaxed);
    }

    /// The name has these addresses now: what was noted of others is forgotten.
    pub(super) fn learn(&self, known: Vec<SocketAddr>) {
        let mut table = self.table();
        table.noted.retain(|one| known.contains(&one.address));
        table.known = known;
        self.count(&table);
    }

    /// What was last found for the name.
    pub(super) fn known(&self) -> Vec<SocketAddr> {
        self.table().known.clone()
    }

    /// Where a request may go.
    pub(super) fn way(self: &Arc<Self>, rules: &Rules, may_try: bool, now: u64) -> Way {
        let mut way = Way::through(self.clone());
        if self.noted.load(Ordering::Relaxed) == 0 {
            return way;
        }
        let table = self.table();
        let bad = table.noted.iter().filter(|one| one.is_bad(rules));
        way.but = bad.map(|one| one.address).collect();
        if way.but.is_empty() {
            return way;
        }
        let all = table.known.len();
        let well = all.saturating_sub(way.but.len());
        let least = rules.panic_threshold.unwrap_or(0) as usize * all;
        way.is_anyway = well == 0 || well * 100 < least;
        if let (Some(ejection), true) = (&rules.ejection, may_try) {
            let trial = table.noted.iter().find(|one| {
                (way.is_anyway || !one.is_down(rules)) && one.circuit.claim(ejection, now)
            });
            way.trial = trial.map(|one| one.address);
        }
        if way.is_anyway {
            way.but.clear();
        }
        way
    }

    /// A check of an address was good or not. Whether the address is up by it, if that is a change.
    pub(super) fn checked(&self, address: SocketAddr, good: bool, health: &Health) -> Option<bool> {
        let mut table = self.table();
        if good && table.find(address).is_none() {
            return None;
        }
        let one = table.note(address)?;
        let changed = one.streak.checked(good, health);
        if one.streak.is_as_new() && one.circuit.is_untouched() {
            table.noted.retain(|one| one.address != address);
        }
        self.count(&table);
        changed
    }
}

impl Table {
    fn find(&self, address: SocketAddr) -> Option<&Noted> {
        self.noted.iter().find(|one| one.address == address)
    }

    /// What is noted of an address, which may be nothing yet. Of one that another worker has found, and
    /// is not among the known, nothing is.
    fn note(&mut self, address: SocketAddr) -> Option<&Noted> {
        if !self.known.contains(&address) {
            return None;
        }
        if self.find(address).is_none() {
            self.noted.push(Noted {
                address,
                circuit: Circuit::default(),
                streak: Streak::default(),
            });
        }
        self.find(address)
    }

    fn answered(&mut self, address: SocketAddr, taken: Taken, of: Of<'_>) {
        let Some(one) = self.find(address) else {
            return;
        };
        if one.circuit.succeeded(taken, of.now) {
            let Of {
                upstream, server, ..
            } = of;
            tracing::info!(upstream, server, %address, "an address is back: it answered a request");
        }
        let ejection = of.rules.ejection.as_ref();
        let is_as_new = ejection.is_none_or(|rules| one.circuit.is_as_new(rules, of.now));
        if is_as_new && one.streak.is_as_new() {
            self.noted.retain(|one| one.address != address);
        }
    }

    fn failed(&mut self, address: SocketAddr, taken: Taken, why: &str, of: Of<'_>) {
        let Some(ejection) = &of.rules.ejection else {
            return;
        };
        let all = self.known.len();
        if all < 2 {
            // It is all of the server.
            return;
        }
        let out = self.noted.iter().filter(|one| one.circuit.is_out()).count();
        let Some(one) = self.note(address) else {
            return;
        };
        let has_room = || out < ejection.most(all);
        if let Some(time) = one.circuit.failed(taken, ejection, of.now, has_room) {
            let Of {
                upstream, server, ..
            } = of;
            let seconds = time.as_secs_f64();
            tracing::warn!(
                upstream,
                server,
                %address,
                seconds,
                why,
                "an address is ejected: its requests fail"
            );
        }
    }

    /// Whether another address than this is well, and is not about to be ejected.
    fn has_another(&self, address: SocketAddr, rules: &Rules) -> bool {
        let Some(ejection) = &rules.ejection else {
            return false;
        };
        let is_well = |one: &Noted| !one.is_down(rules) && !one.circuit.has_failed(ejection);
        let others = self.known.iter().filter(|one| **one != address);
        let mut others = others.map(|one| self.find(*one));
        self.known.contains(&address) && others.any(|one| one.is_none_or(is_well))
    }
}

impl Way {
    const fn through(left_out: Arc<LeftOut>) -> Self {
        Self {
            left_out: Some(left_out),
            but: Vec::new(),
            trial: None,
            is_anyway: false,
            to: None,
            missed: Vec::new(),
        }
    }

    /// The address that it is still to try.
    fn trial(&self) -> Option<SocketAddr> {
        self.trial.filter(|trial| !self.has_missed(*trial))
    }

    fn has_missed(&self, address: SocketAddr) -> bool {
        self.missed.iter().any(|(one, _)| *one == address)
    }

    /// Whether it may go there.
    pub(super) fn may(&self, address: Option<SocketAddr>) -> bool {
        match (self.trial(), address) {
            (Some(trial), Some(address)) => trial == address,
            (None, Some(address)) => !self.but.contains(&address) && !self.has_missed(address),
            (_, None) => true,
        }
    }

    /// Whether it is still to try an address.
    pub(super) fn is_trial(&self) -> bool {
        self.trial().is_some()
    }

    /// Whether it came to another address than to the one that it tries.
    pub(super) fn strayed(&mut self, to: Option<SocketAddr>) -> bool {
        self.trial != to && self.leave()
    }

    /// Fits it to what a worker has found: nobody tries what he does not know, and who knows none but
    /// those that are left out goes to them.
    pub(super) fn fit(&mut self, addresses: &Addresses) {
        if self.trial.is_none() && self.but.is_empty() {
            return;
        }
        let known = addresses.all();
        if self.trial().is_some_and(|trial| !known.contains(&trial)) {
            self.leave();
        }
        if !self.is_trial() && known.iter().all(|one| self.but.contains(one)) {
            self.but.clear();
            self.is_anyway = true;
        }
    }

    /// Goes elsewhere from now on: leaves the trial to another request, unless it has failed, which is
    /// still told. Whether there was one.
    pub(in crate::forward) fn leave(&mut self) -> bool {
        let was_trial = self.trial.is_some();
        if self.is_trial() {
            self.give_up();
        }
        was_trial
    }

    fn give_up(&mut self) {
        if let (Some(left_out), Some(trial)) = (&self.left_out, self.trial.take())
            && let Some(one) = left_out.table().find(trial)
        {
            one.circuit.give_up();
        }
    }

    /// Where a connection may go, the first one first.
    pub(super) fn of(&self, addresses: &Addresses) -> Vec<SocketAddr> {
        let list = addresses.in_turn();
        if self.trial.is_none() && self.but.is_empty() {
            return list;
        }
        let trial = self.trial();
        let has_turn = |one: &SocketAddr| Some(*one) != trial && !self.but.contains(one);
        let trial = list.iter().find(|one| Some(**one) == trial);
        let others = list.iter().filter(|one| has_turn(one));
        trial.into_iter().chain(others).copied().collect()
    }

    /// Notes where it goes.
    pub(super) fn goes(&mut self, to: Option<SocketAddr>) {
        if self.left_out.is_some() {
            self.to = to;
        }
    }

    /// Notes that there is no connection to an address, unless that is ours, or it would do for others.
    pub(super) fn misses(&mut self, address: SocketAddr, why: &io::Error) {
        let is_its = why.kind() != io::ErrorKind::Unsupported && UsedUp::of(why).is_none();
        if self.left_out.is_some() && is_its {
            self.missed.push((address, why.to_string()));
        }
    }

    /// How it went tells nothing of the address.
    pub(super) const fn excuse(&mut self) {
        self.to = None;
    }

    /// It is known how it went; `why` it failed, if it did. Whether that tells of the server as well: not
    /// where another address of it is well.
    pub(super) fn tell(&mut self, why: Option<&str>, of: Of<'_>) -> bool {
        let Some(left_out) = self.left_out.take() else {
            return true;
        };
        let missed = std::mem::take(&mut self.missed);
        let nothing_noted = left_out.noted.load(Ordering::Relaxed) == 0;
        if nothing_noted && missed.is_empty() && why.is_none() {
            return true;
        }
        let mut table = left_out.table();
        for (address, why) in missed {
            let taken = self.taken(address);
            table.failed(address, taken, &why, of);
        }
        let mut is_of_all = true;
        if let Some(address) = self.to {
            let taken = self.taken(address);
            if let Some(why) = why {
                table.failed(address, taken, why, of);
                is_of_all = !table.has_another(address, of.rules);
            } else {
                table.answered(address, taken, of);
            }
        }
        if let Some(one) = self.trial.take().and_then(|trial| table.find(trial)) {
            one.circuit.give_up();
        }
        left_out.count(&table);
        is_of_all
    }

    /// How an address was taken; the trial is told of once.
    fn taken(&mut self, address: SocketAddr) -> Taken {
        if self.trial == Some(address) {
            self.trial = None;
            return Taken::Trial;
        }
        if self.is_anyway {
            Taken::Anyway
        } else {
            Taken::In
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::upstream::tests::checked;

    #[test]
    fn nothing_is_noted_of_an_address_once_its_checks_are_good_again() {
        let address = SocketAddr::from(([192, 0, 2, 1], 80));
        let health = checked(Rules::default()).health.unwrap();
        let left_out = LeftOut::default();
        left_out.learn(vec![address]);
        for (good, noted) in [(false, 1), (true, 0)] {
            assert_eq!(left_out.checked(address, good, &health), Some(good));
            assert_eq!(left_out.noted.load(Ordering::Relaxed), noted);
        }
    }
}
