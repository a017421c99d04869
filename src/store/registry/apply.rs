//! One write: first it is judged whole, against what is there and what it has
//! itself changed so far; only then is anything changed. So one that is
//! refused leaves no trace among the others of its commit.

use super::tables::{
    ALARMS, APPS, CHANGES, ENROLMENTS, ENROLMENTS_OF, EVENTS, Fault, INSTANCES, INSTANCES_OF,
    Index, KEYS, KEYS_OF, Kept, Lines, USES, encode, get,
};
use crate::apps::made::{
    AuditEntry, Change, Expect, MAX_CHANGES, MAX_KEYS, MAX_RECORD, Record, Revision, Target,
    Touched, Write, WriteError,
};
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use std::collections::HashMap;

/// Lines of changes that are kept.
pub(super) const CHANGES_KEPT: u64 = 200_000;
/// Lines of refusals that are kept, and of alarms.
pub(super) const EVENTS_KEPT: u64 = 50_000;
/// Bytes of one line.
const MAX_LINE: usize = 2 * MAX_RECORD + 4_096;

/// Why a write does not go into the commit.
pub(super) enum Not {
    /// It is refused; the others go on.
    Refused(WriteError),
    /// The store fails; the whole commit does.
    Failed(Fault),
}

impl<E: Into<Fault>> From<E> for Not {
    fn from(fault: E) -> Self {
        Self::Failed(fault.into())
    }
}

fn refused<T>(why: WriteError) -> Result<T, Not> {
    Err(Not::Refused(why))
}

/// What a write has come to so far: `None` is removed.
struct Judged<'t> {
    of: &'t WriteTransaction,
    revision: Revision,
    changed: HashMap<Target, Option<Record>>,
    steps: Vec<Step>,
}

enum Step {
    Put(Record),
    Remove(Record),
}

/// Makes the changes of `write`, as this revision. Gives back what they have touched.
pub(super) fn apply(
    of: &WriteTransaction,
    write: &Write,
    revision: Revision,
) -> Result<Touched, Not> {
    if write.changes.len() > MAX_CHANGES {
        return refused(WriteError::TooMany {
            what: "changes at once",
            most: MAX_CHANGES,
        });
    }
    let mut judged = Judged {
        of,
        revision,
        changed: HashMap::new(),
        steps: Vec::new(),
    };
    for change in &write.changes {
        match change {
            Change::Put(record, expect) => judged.put(record, *expect)?,
            Change::Remove(target, expect) => judged.remove(target, *expect)?,
        }
    }
    let mut touched = Touched::default();
    if write.dry_run {
        return Ok(touched);
    }
    for step in judged.steps {
        match step {
            Step::Put(record) => {
                touched.add(&record);
                put(of, &record)?;
            }
            Step::Remove(record) => {
                touched.add(&record);
                remove(of, &record, &mut touched)?;
            }
        }
    }
    add_line(of, CHANGES, CHANGES_KEPT, &write.audit)?;
    Ok(touched)
}

impl Judged<'_> {
    fn current(&self, target: &Target) -> Result<Option<Record>, Fault> {
        if let Some(changed) = self.changed.get(target) {
            return Ok(changed.clone());
        }
        find(self.of, target)
    }

    fn put(&mut self, record: &Record, expect: Expect) -> Result<(), Not> {
        let mut record = record.clone();
        if let Some(why) = record.wrong() {
            return refused(WriteError::Invalid(why));
        }
        let target = record.target();
        let current = self.current(&target)?;
        check(&target, current.as_ref(), expect)?;
        if current
            .as_ref()
            .is_some_and(|current| current.app() != record.app())
        {
            let why = format!("{target} belongs to another app, and stays there");
            return refused(WriteError::Invalid(why));
        }
        if !matches!(record, Record::App(_)) {
            let owner = Target::App(record.app().to_owned());
            if self.current(&owner)?.is_none() {
                return refused(WriteError::Missing(owner));
            }
        }
        if let (Record::Key(_), None) = (&record, &current) {
            self.has_room_for_key(record.app())?;
        }
        record.set_revision(self.revision);
        if bytes(&record).len() > MAX_RECORD {
            let why = format!("{target} has more than {MAX_RECORD} bytes");
            return refused(WriteError::Invalid(why));
        }
        self.changed.insert(target, Some(record.clone()));
        self.steps.push(Step::Put(record));
        Ok(())
    }

    fn remove(&mut self, target: &Target, expect: Expect) -> Result<(), Not> {
        let current = self.current(target)?;
        let Some(record) = current else {
            return refused(WriteError::Missing(target.clone()));
        };
        check(target, Some(&record), expect)?;
        if let Record::App(app) = &record {
            for key in ids_of(self.of, KEYS_OF, &app.name)? {
                self.changed.insert(Target::Key(key), None);
            }
            for record in self.changed.values_mut() {
                if record.as_ref().is_some_and(|one| one.app() == app.name) {
                    *record = None;
                }
            }
        }
        self.changed.insert(target.clone(), None);
        self.steps.push(Step::Remove(record));
        Ok(())
    }

    fn has_room_for_key(&self, app: &str) -> Result<(), Not> {
        let kept = ids_of(self.of, KEYS_OF, app)?.into_iter().map(Target::Key);
        let kept = kept.filter(|key| !self.changed.contains_key(key)).count();
        let changed = self.changed.values().flatten();
        let new = changed.filter(|one| matches!(one, Record::Key(key) if key.app == app));
        if kept + new.count() >= MAX_KEYS {
            return refused(WriteError::TooMany {
                what: "keys of one app",
                most: MAX_KEYS,
            });
        }
        Ok(())
    }
}

fn check(target: &Target, current: Option<&Record>, expect: Expect) -> Result<(), Not> {
    match (expect, current) {
        (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => Ok(()),
        (Expect::Absent, Some(_)) => refused(WriteError::Exists(target.clone())),
        (Expect::Present | Expect::Revision(_), None) => {
            refused(WriteError::Missing(target.clone()))
        }
        (Expect::Revision(wanted), Some(record)) if record.revision() == wanted => Ok(()),
        (Expect::Revision(_), Some(record)) => refused(WriteError::Conflict {
            target: target.clone(),
            current: record.revision(),
        }),
    }
}

/// What stands under `target`.
fn find(of: &WriteTransaction, target: &Target) -> Result<Option<Record>, Fault> {
    let id = target.id();
    Ok(match target {
        Target::App(_) => get(&of.open_table(APPS)?, id)?.map(Record::App),
        Target::Key(_) => get(&of.open_table(KEYS)?, id)?.map(Record::Key),
        Target::Instance(_) => get(&of.open_table(INSTANCES)?, id)?.map(Record::Instance),
        Target::Enrolment(_) => get(&of.open_table(ENROLMENTS)?, id)?.map(Record::Enrolment),
    })
}

fn bytes(record: &Record) -> Vec<u8> {
    match record {
        Record::App(one) => encode(one),
        Record::Key(one) => encode(one),
        Record::Instance(one) => encode(one),
        Record::Enrolment(one) => encode(one),
    }
}

const fn places(record: &Record) -> (Kept, Option<Index>) {
    match record {
        Record::App(_) => (APPS, None),
        Record::Key(_) => (KEYS, Some(KEYS_OF)),
        Record::Instance(_) => (INSTANCES, Some(INSTANCES_OF)),
        Record::Enrolment(_) => (ENROLMENTS, Some(ENROLMENTS_OF)),
    }
}

fn put(of: &WriteTransaction, record: &Record) -> Result<(), Fault> {
    let (table, index) = places(record);
    let target = record.target();
    of.open_table(table)?
        .insert(target.id(), &bytes(record)[..])?;
    if let Some(index) = index {
        of.open_table(index)?
            .insert((record.app(), target.id()), ())?;
    }
    Ok(())
}

fn remove(of: &WriteTransaction, record: &Record, touched: &mut Touched) -> Result<(), Fault> {
    let (table, index) = places(record);
    let target = record.target();
    of.open_table(table)?.remove(target.id())?;
    if let Some(index) = index {
        of.open_table(index)?.remove((record.app(), target.id()))?;
    }
    match record {
        Record::Key(key) => {
            of.open_table(USES)?.remove(&*key.id)?;
        }
        Record::App(app) => {
            let mut uses = of.open_table(USES)?;
            for key in ids_of(of, KEYS_OF, &app.name)? {
                uses.remove(&*key)?;
            }
            for (index, table) in [
                (KEYS_OF, KEYS),
                (INSTANCES_OF, INSTANCES),
                (ENROLMENTS_OF, ENROLMENTS),
            ] {
                let ids = ids_of(of, index, &app.name)?;
                let (mut index, mut table) = (of.open_table(index)?, of.open_table(table)?);
                for id in &ids {
                    index.remove((&*app.name, &**id))?;
                    table.remove(&**id)?;
                }
            }
            touched.removed(&app.name);
        }
        Record::Instance(_) | Record::Enrolment(_) => {}
    }
    Ok(())
}

fn ids_of(of: &WriteTransaction, index: Index, app: &str) -> Result<Vec<String>, Fault> {
    let table = of.open_table(index)?;
    let mut ids = Vec::new();
    for entry in table.range((app, "")..)? {
        let (place, ()) = (entry?.0, ());
        let (owner, id) = place.value();
        if owner != app {
            break;
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

/// Adds a line, and takes away the oldest when there are too many.
pub(super) fn add_line(
    of: &WriteTransaction,
    lines: Lines,
    kept: u64,
    entry: &AuditEntry,
) -> Result<(), Fault> {
    let last = last(of, lines)?;
    put_line(of, lines, kept, (last + 1, entry))
}

fn put_line(
    of: &WriteTransaction,
    lines: Lines,
    kept: u64,
    (number, entry): (u64, &AuditEntry),
) -> Result<(), Fault> {
    let mut table = of.open_table(lines)?;
    let mut line = encode(entry);
    if line.len() > MAX_LINE {
        let shorter = AuditEntry {
            before: None,
            after: None,
            ..entry.clone()
        };
        line = encode(&shorter);
    }
    table.insert(number, &line[..])?;
    while table.len()? > kept {
        table.pop_first()?;
    }
    Ok(())
}

/// The number of the last line.
fn last(of: &WriteTransaction, lines: Lines) -> Result<u64, Fault> {
    let table = of.open_table(lines)?;
    let last = table.last()?.map(|(number, _)| number.value());
    Ok(last.unwrap_or_default())
}

/// Adds lines of events of one sort, numbered together with those of the other.
pub(super) fn add_events(
    of: &WriteTransaction,
    lines: Lines,
    kept: u64,
    entries: &[AuditEntry],
) -> Result<(), Fault> {
    let mut number = last(of, EVENTS)?.max(last(of, ALARMS)?);
    for entry in entries {
        number += 1;
        put_line(of, lines, kept, (number, entry))?;
    }
    Ok(())
}
