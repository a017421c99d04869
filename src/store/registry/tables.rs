//! What stands in which table, and how records are read and written. Records
//! are JSON: an operator can read them with any tool, and a field that nobody
//! knows is refused.

use crate::apps::made::Unreadable;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) type Kept = TableDefinition<'static, &'static str, &'static [u8]>;
pub(super) type Index = TableDefinition<'static, (&'static str, &'static str), ()>;
pub(super) type Lines = TableDefinition<'static, u64, &'static [u8]>;

/// The version, the last revision, what knows the master key again.
pub(super) const META: Kept = TableDefinition::new("meta");
pub(super) const APPS: Kept = TableDefinition::new("apps");
pub(super) const KEYS: Kept = TableDefinition::new("keys");
pub(super) const INSTANCES: Kept = TableDefinition::new("instances");
pub(super) const ENROLMENTS: Kept = TableDefinition::new("enrolments");
/// When keys were last used.
pub(super) const USES: Kept = TableDefinition::new("uses");
/// App and id of each key, instance, enrolment.
pub(super) const KEYS_OF: Index = TableDefinition::new("keys-of");
pub(super) const INSTANCES_OF: Index = TableDefinition::new("instances-of");
pub(super) const ENROLMENTS_OF: Index = TableDefinition::new("enrolments-of");
/// The audit, by number.
pub(super) const CHANGES: Lines = TableDefinition::new("changes");
pub(super) const EVENTS: Lines = TableDefinition::new("events");
/// Numbered together with the events. A file that had none has no such table.
pub(super) const ALARMS: Lines = TableDefinition::new("alarms");

pub(super) const VERSION: &str = "version";
pub(super) const REVISION: &str = "revision";
pub(super) const PROBE: &str = "probe";

/// Makes every table that is not there.
pub(super) fn make_all(to: &WriteTransaction) -> Result<(), redb::Error> {
    for table in [META, APPS, KEYS, INSTANCES, ENROLMENTS, USES] {
        to.open_table(table)?;
    }
    for table in [KEYS_OF, INSTANCES_OF, ENROLMENTS_OF] {
        to.open_table(table)?;
    }
    for table in [CHANGES, EVENTS, ALARMS] {
        to.open_table(table)?;
    }
    Ok(())
}

/// What a record is as bytes.
pub(super) fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

/// The record that `bytes` are of, which stand under `id`.
pub(super) fn decode<T: DeserializeOwned>(id: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|why| Fault::Record(id.to_owned(), why.to_string()))
}

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The store says so.
    #[error("{0}")]
    Store(#[from] redb::Error),
    /// The file is there only to be read.
    #[error("{0}")]
    Unwritable(String),
    /// The file does not stand under its name any more.
    #[error(
        "its file was taken away or replaced while it is open: put that back, or restart the gateway"
    )]
    TakenAway,
    /// The store panics over it.
    #[error("what stands in its file contradicts itself, so that a copy is needed")]
    Damaged,
    /// The file was given up.
    #[error("it was closed, this gateway is about to end")]
    Closed,
    /// A record is none of ours.
    #[error("what is kept of `{0}` cannot be understood: {1}")]
    Record(String, String),
}

impl Fault {
    /// Whether what stands in the file cannot be, which nothing that is written there makes good.
    pub(super) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged | Self::Store(redb::Error::Corrupted(_)))
    }
}

macro_rules! of_store {
    ($($kind:ident)*) => {
        $(impl From<redb::$kind> for Fault {
            fn from(why: redb::$kind) -> Self {
                Self::Store(why.into())
            }
        })*
    };
}

of_store!(StorageError TableError TransactionError CommitError DatabaseError);

/// What `does` comes to. The store panics where a damaged file leads it to what cannot be.
pub(super) fn caught<T>(does: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(does)).unwrap_or(Err(Fault::Damaged))
}

impl From<Fault> for Unreadable {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

/// The record under `id`.
pub(super) fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    id: &str,
) -> Result<Option<T>, Fault> {
    let found = table.get(id)?;
    found.map(|bytes| decode(id, bytes.value())).transpose()
}

/// The same of a transaction that only reads.
pub(super) fn read<T: DeserializeOwned>(
    from: &ReadTransaction,
    table: Kept,
    id: &str,
) -> Result<Option<T>, Fault> {
    get(&from.open_table(table)?, id)
}

/// A number of [`META`].
pub(super) fn number(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<u64>, Fault> {
    let Some(bytes) = table.get(name)? else {
        return Ok(None);
    };
    let bytes = bytes.value().try_into();
    let bytes = bytes.map_err(|_| Fault::Record(name.to_owned(), "it is no number".to_owned()))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}
