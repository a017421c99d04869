//! What waits to be written and is nobody's to wait for: events, and when
//! keys and instances were last used. Each has a bound; what does not fit is counted, or comes again.

use super::apply::{EVENTS_KEPT, add_events};
use super::tables::{ALARMS, EVENTS, Fault, INSTANCES, USES, encode, get};
use crate::apps::made::{AuditEntry, InstanceRecord, KeyUses, Outcome};
use redb::WriteTransaction;
use std::collections::HashMap;
use std::sync::Arc;

/// Kinds of refusals, and of alarms, that wait at a time; further ones are counted as one.
const MAX_EVENTS: usize = 64;
/// Characters of each text of an event.
const MAX_TEXT: usize = 512;
/// Keys and instances that wait at a time; one that finds no room comes again.
const MAX_USES: usize = 65_536;

/// What makes two events alike: who, what, to what, and what came of it.
type Alike = (String, String, String, Outcome);

/// An event that waits.
#[derive(Debug)]
struct Waiting {
    entry: AuditEntry,
    /// How many of its times the log has told.
    told: u64,
}

/// Events of one sort, each kind once.
#[derive(Debug, Default)]
struct Events {
    kinds: HashMap<Alike, Waiting>,
    left_over: Option<Waiting>,
}

/// When keys were last used, by scheme.
type Uses = HashMap<String, Vec<(&'static str, i64)>>;

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Strangers make as many of these as they like: they take no alarm's room.
    refusals: Events,
    alarms: Events,
    uses: Arc<Uses>,
    /// Those that were taken last: they are in the file only when their commit is done.
    taken: Arc<Uses>,
    seen: HashMap<String, Seen>,
}

/// An instance that was seen.
#[derive(Debug)]
struct Seen {
    at: i64,
    /// As which build.
    build: Option<String>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.refusals.is_empty()
            && self.alarms.is_empty()
            && self.uses.is_empty()
            && self.seen.is_empty()
    }

    pub(super) fn add(&mut self, mut entry: AuditEntry) {
        for text in [&mut entry.who, &mut entry.what, &mut entry.target] {
            shorten(text);
        }
        if let Outcome::Refused(why) | Outcome::Alarm(why) = &mut entry.outcome {
            shorten(why);
        }
        let events = match entry.outcome {
            Outcome::Alarm(_) => &mut self.alarms,
            Outcome::Done | Outcome::Refused(_) => &mut self.refusals,
        };
        events.add(Waiting { entry, told: 0 });
    }

    /// Takes all of it, to be written.
    pub(super) fn take(&mut self) -> Self {
        let all = Self {
            taken: Arc::default(),
            ..std::mem::take(self)
        };
        self.taken = all.uses.clone();
        all
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&mut self, failed: Self) {
        self.taken = Arc::default();
        self.refusals.put_back(failed.refusals);
        self.alarms.put_back(failed.alarms);
        for (key, uses) in Arc::unwrap_or_clone(failed.uses) {
            for (scheme, at) in uses {
                self.add_use(&key, scheme, at);
            }
        }
        for (instance, seen) in failed.seen {
            self.add_seen(&instance, seen.build.as_deref(), seen.at);
        }
    }

    /// Uses of a key that may not be in the file yet.
    pub(super) fn uses_of(&self, key: &str) -> Vec<(&'static str, i64)> {
        let both = [&self.taken, &self.uses].into_iter();
        both.filter_map(|uses| uses.get(key))
            .flatten()
            .copied()
            .collect()
    }

    pub(super) fn add_use(&mut self, key: &str, scheme: &'static str, at: i64) {
        // Those that wait are never shared: nothing is copied.
        let uses = Arc::make_mut(&mut self.uses);
        if let Some(known) = uses.get_mut(key) {
            match known.iter_mut().find(|(known, _)| *known == scheme) {
                Some((_, last)) => *last = at.max(*last),
                None => known.push((scheme, at)),
            }
        } else if uses.len() < MAX_USES {
            uses.insert(key.to_owned(), vec![(scheme, at)]);
        }
    }

    pub(super) fn add_seen(&mut self, instance: &str, build: Option<&str>, at: i64) {
        if let Some(last) = self.seen.get_mut(instance) {
            if at < last.at {
                return;
            }
            last.at = at;
            if last.build.as_deref() != build {
                last.build = build.map(str::to_owned);
            }
        } else if self.seen.len() < MAX_USES {
            let build = build.map(str::to_owned);
            self.seen.insert(instance.to_owned(), Seen { at, build });
        }
    }

    /// Tells of what somebody should look at, and was not told of. Bounded, as it was gathered.
    pub(super) fn tell_alarms(&mut self) {
        self.alarms.tell();
        self.refusals.tell();
    }

    /// Writes all of it.
    pub(super) fn write(&self, to: &WriteTransaction) -> Result<(), Fault> {
        add_events(to, EVENTS, EVENTS_KEPT, &self.refusals.sorted())?;
        add_events(to, ALARMS, EVENTS_KEPT, &self.alarms.sorted())?;
        if !self.uses.is_empty() {
            let mut table = to.open_table(USES)?;
            let keys = to.open_table(super::tables::KEYS)?;
            for (key, uses) in &*self.uses {
                // One that was removed meanwhile leaves nothing behind.
                if redb::ReadableTable::get(&keys, &**key)?.is_none() {
                    continue;
                }
                let mut known: KeyUses = get(&table, key)?.unwrap_or_default();
                for (scheme, at) in uses {
                    known.add(scheme, *at);
                }
                table.insert(&**key, &encode(&known)[..])?;
            }
        }
        if !self.seen.is_empty() {
            let mut table = to.open_table(INSTANCES)?;
            for (instance, seen) in &self.seen {
                let Some(mut known) = get::<InstanceRecord>(&table, instance)? else {
                    continue;
                };
                if known.last_seen <= Some(seen.at) {
                    known.last_seen = Some(seen.at);
                    known.build.clone_from(&seen.build);
                }
                table.insert(&**instance, &encode(&known)[..])?;
            }
        }
        Ok(())
    }
}

impl Events {
    fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.left_over.is_none()
    }

    fn add(&mut self, waiting: Waiting) {
        let Waiting { entry, told } = waiting;
        let alike = (
            entry.who.clone(),
            entry.what.clone(),
            entry.target.clone(),
            entry.outcome.clone(),
        );
        if let Some(known) = self.kinds.get_mut(&alike) {
            known.more(entry.times, told);
        } else if self.kinds.len() < MAX_EVENTS {
            self.kinds.insert(alike, Waiting { entry, told });
        } else {
            self.leave_over(&Waiting { entry, told });
        }
    }

    fn leave_over(&mut self, more: &Waiting) {
        let left_over = self.left_over.get_or_insert_with(|| Waiting {
            entry: left_over(more.entry.at),
            told: 0,
        });
        left_over.more(more.entry.times, more.told);
    }

    fn put_back(&mut self, failed: Self) {
        failed.kinds.into_values().for_each(|event| self.add(event));
        if let Some(more) = failed.left_over {
            self.leave_over(&more);
        }
    }

    fn tell(&mut self) {
        for Waiting { entry, told } in self.kinds.values_mut().chain(&mut self.left_over) {
            let times = entry.times.saturating_sub(*told);
            *told = entry.times;
            if let Outcome::Alarm(why) = &entry.outcome
                && times > 0
            {
                let (who, target) = (&entry.who, &entry.target);
                tracing::warn!(%target, %who, times, "alarm: {why}");
            }
        }
    }

    fn sorted(&self) -> Vec<AuditEntry> {
        let all = self.kinds.values().chain(&self.left_over);
        let mut all: Vec<_> = all.map(|event| event.entry.clone()).collect();
        all.sort_by_key(|entry| entry.at);
        all
    }
}

impl Waiting {
    fn more(&mut self, times: u64, told: u64) {
        self.entry.times = self.entry.times.saturating_add(times);
        self.told = self.told.saturating_add(told);
    }
}

/// What events that found no room become.
fn left_over(at: i64) -> AuditEntry {
    AuditEntry {
        at,
        who: "several".to_owned(),
        what: "events.left-over".to_owned(),
        target: "several".to_owned(),
        before: None,
        after: None,
        outcome: Outcome::Alarm("more kinds of events came than are told apart".to_owned()),
        times: 0,
    }
}

fn shorten(text: &mut String) {
    if let Some((place, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(place);
        text.push('…');
    }
}
