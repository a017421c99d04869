//! What is asked of the registry.

use super::Registry;
use super::each;
use super::tables::{
    ALARMS, APPS, CHANGES, ENROLMENTS, ENROLMENTS_OF, EVENTS, Fault, INSTANCES, INSTANCES_OF,
    Index, KEYS, KEYS_OF, Kept, Lines, META, REVISION, USES, decode, get, number, read,
};
use crate::apps::made::{
    AppRecord, AuditEntry, EnrolmentRecord, InstanceRecord, KeyRecord, KeyUses, Log, MAX_PAGE,
    Page, Paged, Revision, Store, Unreadable, Whole, Write, WriteError,
};
use redb::{Database, ReadTransaction, ReadableDatabase, TableError};
use serde::de::DeserializeOwned;
use std::ops::Bound;
use std::sync::atomic::Ordering;

impl Store for Registry {
    fn write(&self, write: Write) -> Result<Revision, WriteError> {
        self.submit(write)
    }

    fn note(&self, entry: AuditEntry) {
        self.gather(|pending| pending.add(entry));
    }

    fn note_use(&self, key: &str, scheme: &'static str, at: i64) {
        self.gather(|pending| pending.add_use(key, scheme, at));
    }

    fn note_seen(&self, instance: &str, build: Option<&str>, at: i64) {
        self.gather(|pending| pending.add_seen(instance, build, at));
    }

    fn app(&self, name: &str) -> Result<Option<AppRecord>, Unreadable> {
        self.one(APPS, name)
    }

    fn apps(&self, page: &Page) -> Result<Paged<AppRecord>, Unreadable> {
        self.all(APPS, page)
    }

    fn key(&self, id: &str) -> Result<Option<KeyRecord>, Unreadable> {
        self.one(KEYS, id)
    }

    fn keys_of(&self, app: &str) -> Result<Vec<KeyRecord>, Unreadable> {
        let page = Page {
            after: None,
            limit: MAX_PAGE,
        };
        Ok(self.of_app(KEYS_OF, KEYS, app, &page)?.items)
    }

    fn keys(&self, page: &Page) -> Result<Paged<KeyRecord>, Unreadable> {
        self.all(KEYS, page)
    }

    fn uses_of(&self, key: &str) -> Result<KeyUses, Unreadable> {
        // First what waits, which may be written meanwhile: the other way round a use could be missed.
        let waiting = self.shared.pending().uses_of(key);
        let mut uses: KeyUses = self.one(USES, key)?.unwrap_or_default();
        // One that is gone leaves nothing behind.
        if !waiting.is_empty() && self.one::<KeyRecord>(KEYS, key)?.is_some() {
            for (scheme, at) in waiting {
                uses.add(scheme, at);
            }
        }
        Ok(uses)
    }

    fn instance(&self, id: &str) -> Result<Option<InstanceRecord>, Unreadable> {
        self.one(INSTANCES, id)
    }

    fn instances_of(&self, app: &str, page: &Page) -> Result<Paged<InstanceRecord>, Unreadable> {
        self.of_app(INSTANCES_OF, INSTANCES, app, page)
    }

    fn enrolment(&self, hash: &str) -> Result<Option<EnrolmentRecord>, Unreadable> {
        self.one(ENROLMENTS, hash)
    }

    fn enrolments_of(&self, app: &str, page: &Page) -> Result<Paged<EnrolmentRecord>, Unreadable> {
        self.of_app(ENROLMENTS_OF, ENROLMENTS, app, page)
    }

    fn each_app(&self, see: &mut dyn FnMut(&[Whole])) -> Result<(), Unreadable> {
        Ok(self.shared.read(|from| each::app(from, see))?)
    }

    fn each_instance(&self, see: &mut dyn FnMut(InstanceRecord)) -> Result<(), Unreadable> {
        self.shared.read(|from| {
            for one in from.open_table(INSTANCES)?.range::<&str>(..)? {
                let (id, record) = one?;
                see(decode(id.value(), record.value())?);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn audit(&self, log: Log, page: &Page) -> Result<Paged<AuditEntry>, Unreadable> {
        let tables: &[Lines] = match log {
            Log::Changes => &[CHANGES],
            Log::Events => &[EVENTS, ALARMS],
        };
        let before = page.after.as_deref().map(str::parse::<u64>);
        let before = match before.transpose() {
            Ok(before) => before.unwrap_or(u64::MAX),
            Err(_) => return Err(Unreadable("the page asked for is none of ours".to_owned())),
        };
        let lines = self.shared.read(|from| {
            let mut lines = Vec::new();
            for table in tables {
                let table = match from.open_table(*table) {
                    Err(TableError::TableDoesNotExist(_)) => continue,
                    table => table?,
                };
                for line in table.range(..before)?.rev().take(limit(page) + 1) {
                    let (number, bytes) = line?;
                    let entry = decode(&number.value().to_string(), bytes.value())?;
                    lines.push((number.value(), entry));
                }
            }
            // The latest of both first, and no more than are asked for.
            lines.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
            lines.truncate(limit(page) + 1);
            let named = lines.into_iter();
            Ok(named
                .map(|(number, entry)| (number.to_string(), entry))
                .collect())
        })?;
        Ok(paged(lines, page))
    }

    fn revision(&self) -> Revision {
        Revision(self.shared.revision.load(Ordering::Acquire))
    }

    fn is_writable(&self) -> bool {
        self.works()
    }
}

impl Registry {
    fn one<T: DeserializeOwned>(&self, table: Kept, id: &str) -> Result<Option<T>, Unreadable> {
        Ok(self.shared.read(|from| read(from, table, id))?)
    }

    fn all<T: DeserializeOwned>(&self, table: Kept, page: &Page) -> Result<Paged<T>, Unreadable> {
        let found = self.shared.read(|from| {
            let table = from.open_table(table)?;
            let after = page.after.as_deref();
            let after = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut found = Vec::new();
            let range = table.range::<&str>((after, Bound::Unbounded))?;
            for entry in range.take(limit(page) + 1) {
                let (id, bytes) = entry?;
                let record = decode(id.value(), bytes.value())?;
                found.push((id.value().to_owned(), record));
            }
            Ok(found)
        })?;
        Ok(paged(found, page))
    }

    fn of_app<T: DeserializeOwned>(
        &self,
        index: Index,
        table: Kept,
        app: &str,
        page: &Page,
    ) -> Result<Paged<T>, Unreadable> {
        let found = self.shared.read(|from| {
            let table = from.open_table(table)?;
            let mut found = Vec::new();
            for id in ids(from, index, app, page)? {
                // The index and what it leads to are of one transaction.
                if let Some(record) = get(&table, &id)? {
                    found.push((id, record));
                }
            }
            Ok(found)
        })?;
        Ok(paged(found, page))
    }
}

fn ids(from: &ReadTransaction, index: Index, app: &str, page: &Page) -> Result<Vec<String>, Fault> {
    let table = from.open_table(index)?;
    let first = match page.after.as_deref() {
        Some(after) => Bound::Excluded((app, after)),
        None => Bound::Included((app, "")),
    };
    let mut ids = Vec::new();
    let range = table.range::<(&str, &str)>((first, Bound::Unbounded))?;
    for entry in range.take(limit(page) + 1) {
        let (place, _) = entry?;
        let (owner, id) = place.value();
        if owner != app {
            break;
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

/// The last revision that was written.
pub(super) fn revision(database: &Database) -> Result<u64, Fault> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    Ok(number(&meta, REVISION)?.unwrap_or_default())
}

fn limit(page: &Page) -> usize {
    page.limit.clamp(1, MAX_PAGE)
}

/// One more was read than is asked for: then there are more.
fn paged<T>(mut found: Vec<(String, T)>, page: &Page) -> Paged<T> {
    let limit = limit(page);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|(id, _)| id.clone());
    Paged {
        next: last.filter(|_| has_more),
        items: found.into_iter().map(|(_, record)| record).collect(),
    }
}
