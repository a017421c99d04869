//! The registry in one file, a `redb` database.
//!
//! In: writes. Out: what was written, when it will outlive the machine.
//! This room never: decides what a record means, or opens a secret.

mod apply;
mod each;
mod open;
mod overlay;
mod pending;
mod probe;
mod reads;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

pub use open::{FORMAT, OpenError};
pub use probe::{Teller, probe_of, sealed_under_another};

use crate::apps::made::{MasterKey, Revision, Touched, Watcher, Write, WriteError};
use arc_swap::ArcSwapOption;
use open::{Format, Opened};
use pending::Pending;
use redb::{Database, ReadableDatabase};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use writer::{FAILED, Job, Writer};

/// Writes that may wait; further ones are refused.
const QUEUE: usize = 1_024;

/// How often it is looked whether another process has given the file up.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// `[state] registry` and `master_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// What seals the secrets in it.
    pub master: MasterKey,
}

/// The registry, open. Dropping it, or [`Registry::close`], writes what is left to write and gives the file up.
pub struct Registry {
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
    writing: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    path: PathBuf,
    /// `None` while it is opened again, and once it was closed.
    database: ArcSwapOption<Database>,
    revision: AtomicU64,
    writable: AtomicBool,
    /// Whether it is given up, or about to be.
    closed: AtomicBool,
    pending: Mutex<Pending>,
    watcher: OnceLock<Arc<dyn Watcher>>,
}

impl Registry {
    /// Opens the file, or makes it. One that is there and cannot be written is opened to be read:
    /// changes are refused until it can be.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::of_format(settings, Format::OURS)
    }

    /// The same, with a wait of at most `wait` for another process that has the file, such as a command that is about
    /// to end. Blocks the thread.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn open_in_turn(settings: &Settings, wait: Duration) -> Result<Self, OpenError> {
        let mut waited = Duration::ZERO;
        loop {
            match Self::open(settings) {
                Err(OpenError::InUse { path }) if waited < wait => {
                    if waited.is_zero() {
                        let path = path.display();
                        tracing::info!(%path, "waiting for another process to give the registry up");
                    }
                    thread::sleep(LOOK_AGAIN);
                    waited += LOOK_AGAIN;
                }
                opened => return opened,
            }
        }
    }

    fn of_format(settings: &Settings, format: Format) -> Result<Self, OpenError> {
        let path = &settings.path;
        open::caught(path, || {
            let opened = open::database(path, &settings.master, format)?;
            probe::keep(path, &opened);
            Self::with(path, opened)
        })
    }

    fn with(path: &Path, opened: Opened) -> Result<Self, OpenError> {
        let database = opened.database;
        let revision = open::revision(path, &database)?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            database: ArcSwapOption::from_pointee(database),
            revision: AtomicU64::new(revision),
            writable: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            pending: Mutex::default(),
            watcher: OnceLock::new(),
        });
        let only_read = opened.unwritable.map(|why| why.to_string());
        if let Some(why) = &only_read {
            shared.tell(false, Some(why));
        }
        let (jobs, received) = sync_channel(QUEUE);
        let writer = Writer::new(shared.clone(), received, only_read);
        let writing = thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || writer.run())
            .map_err(|why| OpenError::Io {
                path: path.to_owned(),
                why,
            })?;
        Ok(Self {
            shared,
            jobs,
            writing: Mutex::new(Some(writing)),
        })
    }

    /// Who must know of each change before whoever made it. The first one stays.
    pub fn watch(&self, watcher: Arc<dyn Watcher>) {
        let _ = self.shared.watcher.set(watcher);
    }

    /// Writes what is left to write and gives the file up. Who writes thereafter is refused.
    pub fn close(&self) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writing) = writing.take() {
            self.shared.closed.store(true, Ordering::Release);
            let _ = self.jobs.send(Job::Stop);
            // It ended by a panic or not: either way it writes no more.
            let _ = writing.join();
            self.shared.database.store(None);
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    fn submit(&self, write: Write) -> Result<Revision, WriteError> {
        let (answer, answered) = sync_channel(1);
        match self.jobs.try_send(Job::Write(Box::new(write), answer)) {
            Ok(()) => answered
                .recv()
                .unwrap_or_else(|_| Err(self.shared.unanswered())),
            Err(TrySendError::Full(_)) => Err(WriteError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(WriteError::Closed),
        }
    }

    fn gather(&self, add: impl FnOnce(&mut Pending)) {
        let was_empty = {
            let mut pending = self.shared.pending();
            let was_empty = pending.is_empty();
            add(&mut pending);
            was_empty
        };
        if was_empty {
            // A full queue is looked through anyway, and what is pending with it.
            let _ = self.jobs.try_send(Job::Gather);
        }
    }

    fn is_open(&self) -> bool {
        self.shared.database.load().is_some()
    }

    fn works(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire) && self.is_open()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, tables::Fault>,
    ) -> Result<T, tables::Fault> {
        let Some(database) = self.database.load_full() else {
            return Err(if self.is_closed() {
                tables::Fault::Closed
            } else {
                redb::Error::DatabaseClosed.into()
            });
        };
        tables::caught(move || read(&database.begin_read()?))
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What a write is told that was dropped: it was too late, or what writes has panicked over it.
    fn unanswered(&self) -> WriteError {
        if self.is_closed() {
            WriteError::Closed
        } else {
            self.tell(false, Some(FAILED));
            WriteError::Unknown(FAILED.to_owned())
        }
    }

    fn put_into_force(&self, touched: &Touched) {
        if !touched.is_empty()
            && let Some(watcher) = self.watcher.get()
        {
            watcher.changed(touched);
        }
    }

    /// Whether the last write went well.
    fn writes(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    fn tell(&self, works: bool, why: Option<&str>) {
        let before = self.writable.swap(works, Ordering::AcqRel);
        let path = self.path.display();
        match (before, works) {
            (true, false) => {
                let why = why.unwrap_or_default();
                tracing::error!(%path, why, "the registry cannot be written: changes are refused, requests are verified as before");
            }
            (false, true) => tracing::info!(%path, "the registry is written again"),
            _ => {}
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
