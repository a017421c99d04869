//! The one thread that writes. What waits when it begins a commit goes into
//! that commit, so that however many write, each waits for about one.

use super::Shared;
use super::apply::{self, Not};
use super::open;
use super::pending::Pending;
use super::tables::{Fault, META, REVISION};
use crate::apps::made::{Revision, Touched, Write, WriteError};
use redb::Database;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Writes of one commit.
const MAX_GROUP: usize = 256;
/// How long events and uses are gathered before they are written.
const GATHERED: Duration = Duration::from_secs(1);
/// How long readers have to end before the file is opened again.
const READERS_END: Duration = Duration::from_millis(500);

pub(super) type Answer = SyncSender<Result<Revision, WriteError>>;

pub(super) enum Job {
    Write(Box<Write>, Answer),
    /// Something is pending.
    Gather,
    Stop,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<Job>,
}

/// What the next commit is made of.
#[derive(Default)]
struct Group {
    writes: Vec<(Box<Write>, Answer)>,
    /// Whether something else waits to be written.
    gathers: bool,
    stops: bool,
}

impl Group {
    fn add(&mut self, job: Job) {
        match job {
            Job::Write(write, answer) => self.writes.push((write, answer)),
            Job::Gather => self.gathers = true,
            Job::Stop => self.stops = true,
        }
    }
}

impl Writer {
    pub(super) fn run(self) {
        let mut gathering = false;
        loop {
            let mut group = Group::default();
            let first = if gathering {
                self.jobs.recv_timeout(GATHERED)
            } else {
                self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match first {
                Ok(job) => group.add(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => group.stops = true,
            }
            while group.writes.len() < MAX_GROUP && !group.stops {
                match self.jobs.try_recv() {
                    Ok(job) => group.add(job),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => group.stops = true,
                }
            }
            // A moment for more of the same to come, unless a commit is made anyway.
            gathering = group.gathers && group.writes.is_empty() && !gathering && !group.stops;
            if gathering {
                continue;
            }
            self.commit(group.writes);
            if group.stops {
                return self.end();
            }
        }
    }

    fn end(self) {
        self.shared.database.store(None);
        while let Ok(job) = self.jobs.try_recv() {
            if let Job::Write(_, answer) = job {
                let _ = answer.send(Err(WriteError::Closed));
            }
        }
    }

    fn commit(&self, writes: Vec<(Box<Write>, Answer)>) {
        let pending = {
            let mut pending = self.shared.pending();
            std::mem::take(&mut *pending)
        };
        if writes.is_empty() && pending.is_empty() {
            return;
        }
        let committed = self
            .database()
            .and_then(|database| self.try_commit(&database, &writes, &pending));
        match committed {
            Ok((results, touched)) => {
                self.tell(true, None);
                pending.tell_alarms();
                if !touched.is_empty()
                    && let Some(watcher) = self.shared.watcher.get()
                {
                    watcher.changed(&touched);
                }
                for ((_, answer), result) in writes.into_iter().zip(results) {
                    // Who does not wait any more does not learn of it.
                    let _ = answer.send(result);
                }
            }
            Err(fault) => {
                let why = fault.to_string();
                self.tell(false, Some(&why));
                if open::is_broken(&fault) {
                    self.reopen();
                }
                for (_, answer) in writes {
                    let _ = answer.send(Err(WriteError::Unwritable(why.clone())));
                }
            }
        }
    }

    /// What each write came to, and what all of them have touched.
    fn try_commit(
        &self,
        database: &Database,
        writes: &[(Box<Write>, Answer)],
        pending: &Pending,
    ) -> Result<(Vec<Result<Revision, WriteError>>, Touched), Fault> {
        let transaction = database.begin_write()?;
        let mut revision = self.shared.revision.load(Ordering::Acquire);
        let (mut results, mut touched) = (Vec::with_capacity(writes.len()), Touched::default());
        for (write, _) in writes {
            let next = Revision(revision + 1);
            results.push(match apply::apply(&transaction, write, next) {
                Ok(_) if write.dry_run => Ok(Revision(revision)),
                Ok(more) => {
                    touched.merge(more);
                    revision = next.0;
                    Ok(next)
                }
                Err(Not::Refused(why)) => Err(why),
                Err(Not::Failed(fault)) => return Err(fault),
            });
        }
        pending.write(&transaction)?;
        if revision == self.shared.revision.load(Ordering::Acquire) && pending.is_empty() {
            transaction.abort()?;
            return Ok((results, touched));
        }
        transaction
            .open_table(META)?
            .insert(REVISION, &revision.to_be_bytes()[..])?;
        transaction.commit()?;
        self.shared.revision.store(revision, Ordering::Release);
        Ok((results, touched))
    }

    fn database(&self) -> Result<Arc<Database>, Fault> {
        if let Some(database) = self.shared.database.load_full() {
            return Ok(database);
        }
        self.reopen();
        let database = self.shared.database.load_full();
        database.ok_or(Fault::Store(redb::Error::PreviousIo))
    }

    /// After a failure the store does nothing more until its file was opened again.
    fn reopen(&self) {
        if let Some(mut database) = self.shared.database.swap(None) {
            let mut waited = Duration::ZERO;
            while let Err(shared) = Arc::try_unwrap(database).map(drop) {
                database = shared;
                if waited >= READERS_END {
                    // It is tried again with the next write.
                    break;
                }
                let moment = Duration::from_millis(1);
                std::thread::sleep(moment);
                waited += moment;
            }
        }
        match open::again(&self.shared.path) {
            Ok(database) => self.shared.database.store(Some(Arc::new(database))),
            Err(why) => tracing::error!("the registry cannot be opened again: {why}"),
        }
    }

    fn tell(&self, works: bool, why: Option<&str>) {
        let before = self.shared.writable.swap(works, Ordering::AcqRel);
        let path = self.shared.path.display();
        match (before, works) {
            (true, false) => {
                let why = why.unwrap_or_default();
                tracing::error!(%path, why, "the registry cannot be written: changes are refused, requests are verified as before");
            }
            (false, true) => tracing::info!(%path, "the registry is written again"),
            _ => {}
        }
    }
}

impl Shared {
    pub(super) fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
