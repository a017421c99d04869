//! What is needed from a store.

use super::audit::{AuditEntry, Log};
use super::records::{
    AppRecord, EnrolmentRecord, InstanceRecord, KeyRecord, KeyUses, Record, Revision, Target,
};
use std::collections::BTreeSet;
use std::fmt;

/// Changes of one write.
pub const MAX_CHANGES: usize = 1_024;
/// Keys of one app, retired ones too: what a change of the app builds anew.
pub const MAX_KEYS: usize = 64;
/// Records of one page.
pub const MAX_PAGE: usize = 1_000;

/// What a change takes for granted; otherwise nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is no such record.
    Absent,
    /// There is one, whichever.
    Present,
    /// There is one that this commit has changed last.
    Revision(Revision),
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few of them, and none for long"
)]
pub enum Change {
    /// Puts a record where there was none, or another.
    Put(Record, Expect),
    /// Removes a record, an app with all that belongs to it.
    Remove(Target, Expect),
}

/// Changes that happen together or not at all, and the line that tells of them.
#[derive(Clone, Debug)]
pub struct Write {
    /// What to change: at most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// Who does it.
    pub audit: AuditEntry,
    /// Only looks whether it could be done.
    pub dry_run: bool,
}

/// Why a write is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Somebody else has changed it meanwhile.
    #[error("{target} was changed by somebody else: it is at revision {current}")]
    Conflict {
        /// What.
        target: Target,
        /// What it is now at.
        current: Revision,
    },
    /// It is there already.
    #[error("{0} is there already")]
    Exists(Target),
    /// It is not there.
    #[error("there is no {0}")]
    Missing(Target),
    /// A record is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// There are as many as there may be.
    #[error("there may be no more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// So many wait to be written that this one is not taken.
    #[error("too many changes wait to be written; try again")]
    Busy,
    /// The store cannot be written.
    #[error("the registry cannot be written: {0}; nothing was changed")]
    Unwritable(String),
    /// The system took a change, and did not say that it is on the disk.
    #[error(
        "the disk does not confirm a change of the registry: {0}; it is in force, and may be lost if this machine fails now"
    )]
    Unconfirmed(String),
    /// The system did not say that a change is on the disk, and the file cannot be looked into now.
    #[error(
        "the disk does not confirm a change of the registry: {0}; whether it was made is known when the file can be opened again, and it is in force from then on if it was"
    )]
    Unknown(String),
    /// The store was closed: the gateway ends.
    #[error("the registry was closed, this gateway is about to end; nothing was changed")]
    Closed,
}

/// The store cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Some records, in the order of their names or ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Those after this one; from the first where it is not said.
    pub after: Option<String>,
    /// How many at most; never more than [`MAX_PAGE`].
    pub limit: usize,
}

/// A page's records.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged<T> {
    /// The records.
    pub items: Vec<T>,
    /// What to ask for next, where there are more.
    pub next: Option<String>,
}

/// An app with all its keys.
pub type Whole = (AppRecord, Vec<KeyRecord>);

/// Keeps apps, keys, instances, codes and the audit.
///
/// Reads see what was written last. Calls block on the disk, but
/// [`Store::note`], [`Store::note_use`] and [`Store::note_seen`], which never
/// wait: no request's own task makes another.
pub trait Store: Send + Sync + fmt::Debug {
    /// Makes changes, and comes back when they will outlive the machine and are in force. Changes
    /// of several callers are made durable together.
    ///
    /// # Errors
    /// [`WriteError`]: nothing was changed, but with [`WriteError::Unconfirmed`] and, perhaps, [`WriteError::Unknown`].
    fn write(&self, write: Write) -> Result<Revision, WriteError>;

    /// Adds a line to [`Log::Events`], soon. Lines that differ in nothing but their time become one that tells how
    /// often; when too many kinds come at once those that are left over are counted together.
    fn note(&self, entry: AuditEntry);

    /// Remembers that a key was used, within a minute.
    fn note_use(&self, key: &str, scheme: &'static str, at: i64);

    /// Remembers that an instance was seen, within a minute, and the `build` that it has proven to be then.
    fn note_seen(&self, instance: &str, build: Option<&str>, at: i64);

    /// The app of that name.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn app(&self, name: &str) -> Result<Option<AppRecord>, Unreadable>;

    /// Apps by name.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn apps(&self, page: &Page) -> Result<Paged<AppRecord>, Unreadable>;

    /// The key of that id.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn key(&self, id: &str) -> Result<Option<KeyRecord>, Unreadable>;

    /// Every key of an app, by id.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn keys_of(&self, app: &str) -> Result<Vec<KeyRecord>, Unreadable>;

    /// Keys of all apps, by id.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn keys(&self, page: &Page) -> Result<Paged<KeyRecord>, Unreadable>;

    /// When a key was last used, whether that is written yet or only noted.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn uses_of(&self, key: &str) -> Result<KeyUses, Unreadable>;

    /// The instance of that id.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn instance(&self, id: &str) -> Result<Option<InstanceRecord>, Unreadable>;

    /// Instances of one app, by id.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn instances_of(&self, app: &str, page: &Page) -> Result<Paged<InstanceRecord>, Unreadable>;

    /// The code with that hash.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn enrolment(&self, hash: &str) -> Result<Option<EnrolmentRecord>, Unreadable>;

    /// Codes of one app, by hash.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn enrolments_of(&self, app: &str, page: &Page) -> Result<Paged<EnrolmentRecord>, Unreadable>;

    /// Each app with its keys, by name, some at a time, all as of one moment.
    ///
    /// # Errors
    /// [`Unreadable`]; some were seen then.
    fn each_app(&self, see: &mut dyn FnMut(&[Whole])) -> Result<(), Unreadable>;

    /// Each instance.
    ///
    /// # Errors
    /// [`Unreadable`]; some were seen then.
    fn each_instance(&self, see: &mut dyn FnMut(InstanceRecord)) -> Result<(), Unreadable>;

    /// Lines of the audit, the latest first. Their `next` goes on where a page ended.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn audit(&self, log: Log, page: &Page) -> Result<Paged<AuditEntry>, Unreadable>;

    /// The last commit.
    fn revision(&self) -> Revision;

    /// Whether the last write went well.
    fn is_writable(&self) -> bool;
}

/// What a commit has touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Apps that changed, or whose keys did, by name; also those that were removed.
    pub apps: BTreeSet<String>,
    /// Instances that changed, by id.
    pub instances: BTreeSet<String>,
    /// Apps that were removed, with all their instances.
    pub removed: BTreeSet<String>,
}

impl Touched {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty() && self.instances.is_empty()
    }

    /// Adds what a change of `record` touches.
    pub fn add(&mut self, record: &Record) {
        match record {
            Record::App(_) | Record::Key(_) => {
                self.apps.insert(record.app().to_owned());
            }
            Record::Instance(one) => {
                self.instances.insert(one.id.clone());
            }
            Record::Enrolment(_) => {}
        }
    }

    /// Adds that an app was removed.
    pub fn removed(&mut self, app: &str) {
        self.removed.insert(app.to_owned());
    }

    /// Adds what another one has touched.
    pub fn merge(&mut self, other: Self) {
        self.apps.extend(other.apps);
        self.instances.extend(other.instances);
        self.removed.extend(other.removed);
    }
}

/// Who must know what has changed before whoever changed it is told so.
pub trait Watcher: Send + Sync {
    /// This has changed, and can be read. It is told by the thread that writes, which waits.
    fn changed(&self, touched: &Touched);
}
