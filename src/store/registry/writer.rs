//! The one thread that writes. What waits when it begins a commit goes into
//! that commit, so that however many write, each waits for about one.

use super::Shared;
use super::apply::{self, Not};
use super::open;
use super::pending::Pending;
use super::tables::{self, Fault, META, REVISION};
use crate::apps::made::{Revision, Touched, Write, WriteError};
use crate::store::same::Identity;
use redb::Database;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

/// Writes of one commit.
const MAX_GROUP: usize = 256;
/// How long events and uses are gathered before they are written.
const GATHERED: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again, where nobody wants to write; twice as long each time.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest of these times.
const AGAIN_AT_MOST: Duration = Duration::from_mins(5);
/// How long readers have to end before the file is opened again.
const READERS_END: Duration = Duration::from_millis(500);

/// Why nothing is written where that was no fault of the store.
pub(super) const FAILED: &str = "what writes it has panicked; restart the gateway";

pub(super) type Answer = SyncSender<Result<Revision, WriteError>>;

pub(super) enum Job {
    Write(Box<Write>, Answer),
    /// Something is pending.
    Gather,
    Stop,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    /// Which file it is; nothing where none stood there as it was opened.
    file: Option<Identity>,
    /// Why the file is open only to be read.
    only_read: Option<String>,
    /// Never beside a file that is open: it is settled before anybody can write there.
    unsettled: Option<Unsettled>,
    /// Whether what stands in the file contradicts itself: nothing more is written there.
    is_damaged: bool,
    again: Duration,
}

/// A commit that failed, of which nobody knows whether it is in the file: that was not opened again since.
struct Unsettled {
    touched: Touched,
    pending: Pending,
}

/// What a commit came to, as far as it got.
#[derive(Default)]
struct Came {
    /// What each write came to.
    results: Vec<Result<Revision, WriteError>>,
    /// What all of them have touched.
    touched: Touched,
    /// Whether it was given to the store: it may be in the file then, whatever that answers.
    is_given: bool,
}

/// What became of a commit that failed.
#[derive(Clone, Copy)]
enum Fate {
    /// It is in the file, and in force.
    InForce,
    /// It is not in the file.
    NotThere,
    /// Nobody knows yet.
    Unknown,
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
    pub(super) fn new(shared: Arc<Shared>, jobs: Receiver<Job>, only_read: Option<String>) -> Self {
        let file = Identity::at(&shared.path);
        Self {
            shared,
            jobs,
            file,
            only_read,
            unsettled: None,
            is_damaged: false,
            again: AGAIN,
        }
    }

    pub(super) fn run(mut self) {
        let written = catch_unwind(AssertUnwindSafe(|| self.write_until_stopped()));
        if written.is_err() {
            self.refuse_until_stopped();
        }
        self.end();
    }

    fn write_until_stopped(&mut self) {
        let mut gathering = false;
        loop {
            let mut group = Group::default();
            let first = if gathering {
                self.jobs.recv_timeout(GATHERED)
            } else if self.shared.writes() {
                self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.jobs.recv_timeout(self.again)
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
                return;
            }
        }
    }

    /// After a panic nobody knows what holds here.
    fn refuse_until_stopped(&self) {
        self.shared.tell(false, Some(FAILED));
        // It may have been over the last word.
        while !self.shared.is_closed() {
            match self.jobs.recv() {
                Ok(Job::Write(_, answer)) => {
                    let _ = answer.send(Err(WriteError::Unwritable(FAILED.to_owned())));
                }
                Ok(Job::Gather) => {}
                Ok(Job::Stop) | Err(_) => return,
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

    pub(super) fn commit(&mut self, writes: Vec<(Box<Write>, Answer)>) {
        // After a failure an empty one shows whether it can be written again.
        if writes.is_empty() && self.shared.writes() && self.shared.pending().is_empty() {
            return;
        }
        let database = self.database();
        // Now that what was unsettled has come back, if it was to.
        let mut pending = self.shared.pending().take();
        let mut came = Came::default();
        let committed = database.and_then(|database| {
            tables::caught(|| self.try_commit(&database, &writes, &pending, &mut came))
        });
        pending.tell_alarms();
        match committed {
            Ok(()) => {
                self.shared.tell(true, None);
                self.again = AGAIN;
                self.shared.put_into_force(&came.touched);
                for ((_, answer), result) in writes.into_iter().zip(came.results) {
                    // Who does not wait any more does not learn of it.
                    let _ = answer.send(result);
                }
            }
            Err(fault) => {
                let why = fault.to_string();
                self.again = if self.shared.writes() {
                    AGAIN
                } else {
                    (self.again * 2).min(AGAIN_AT_MOST)
                };
                self.shared.tell(false, Some(&why));
                let fate = self.fate(&fault, came.is_given, came.touched, pending);
                self.is_damaged |= fault.is_damage();
                let mut results = came.results.into_iter();
                for (write, answer) in writes {
                    let told = fate.told(results.next(), write.dry_run, &why);
                    let _ = answer.send(told);
                }
            }
        }
    }

    /// What became of a commit that failed: where it was given to the store, only the file can tell, opened again.
    fn fate(&mut self, fault: &Fault, is_given: bool, touched: Touched, pending: Pending) -> Fate {
        let before = self.shared.revision.load(Ordering::Acquire);
        if is_given {
            self.unsettled = Some(Unsettled { touched, pending });
        } else {
            self.shared.pending().put_back(pending);
        }
        if is_given || (open::is_broken(fault) && !self.is_damaged) {
            self.reopen();
        }
        if !is_given {
            Fate::NotThere
        } else if self.unsettled.is_some() {
            Fate::Unknown
        } else if self.shared.revision.load(Ordering::Acquire) > before {
            Fate::InForce
        } else {
            Fate::NotThere
        }
    }

    /// Makes the changes, and says in `came` what each write came to and what all of them have touched.
    fn try_commit(
        &self,
        database: &Database,
        writes: &[(Box<Write>, Answer)],
        pending: &Pending,
        came: &mut Came,
    ) -> Result<(), Fault> {
        let transaction = database.begin_write()?;
        let mut revision = self.shared.revision.load(Ordering::Acquire);
        for (write, _) in writes {
            let next = Revision(revision + 1);
            came.results
                .push(match apply::apply(&transaction, write, next) {
                    Ok(_) if write.dry_run => Ok(Revision(revision)),
                    Ok(more) => {
                        came.touched.merge(more);
                        revision = next.0;
                        Ok(next)
                    }
                    Err(Not::Refused(why)) => Err(why),
                    Err(Not::Failed(fault)) => return Err(fault),
                });
        }
        pending.write(&transaction)?;
        let is_same = revision == self.shared.revision.load(Ordering::Acquire);
        if is_same && pending.is_empty() && self.shared.writes() {
            transaction.abort()?;
            return Ok(());
        }
        transaction
            .open_table(META)?
            .insert(REVISION, &revision.to_be_bytes()[..])?;
        came.is_given = true;
        transaction.commit()?;
        self.shared.revision.store(revision, Ordering::Release);
        Ok(())
    }

    fn database(&mut self) -> Result<Arc<Database>, Fault> {
        // What is written to a file without a name is gone with the process.
        let path = &self.shared.path;
        if self.file.is_some_and(|file| !file.stands_at(path)) {
            return Err(Fault::TakenAway);
        }
        if self.is_damaged {
            if self.shared.database.load().is_none() {
                self.reopen();
            }
            return Err(Fault::Damaged);
        }
        if self.only_read.is_none()
            && let Some(database) = self.shared.database.load_full()
        {
            return Ok(database);
        }
        self.reopen();
        if let Some(why) = &self.only_read {
            return Err(Fault::Unwritable(why.clone()));
        }
        let database = self.shared.database.load_full();
        database.ok_or(Fault::Store(redb::Error::PreviousIo))
    }

    /// After a failure the store does nothing more until its file was opened again. What is open only to be read
    /// stays so for as long as the system says no.
    fn reopen(&mut self) {
        if self.only_read.is_some()
            && let Err(why) = open::may_write(&self.shared.path)
        {
            self.only_read = Some(why.to_string());
            return;
        }
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
        let path = &self.shared.path;
        let opened = open::caught(path, || {
            let opened = open::again(path)?;
            let there = open::revision(path, &opened.database)?;
            Ok((opened, there))
        });
        match opened {
            Ok((opened, there)) => {
                self.only_read = opened.unwritable.map(|why| why.to_string());
                self.shared.database.store(Some(Arc::new(opened.database)));
                self.settle(there);
            }
            Err(why) => {
                self.only_read = None;
                tracing::error!("the registry cannot be opened again: {why}");
            }
        }
    }

    /// Whether what the disk did not confirm is in the file, which says that `there` was written last: it is in
    /// force then, and its number taken, before anything else is written.
    fn settle(&mut self, there: u64) {
        let before = self.shared.revision.fetch_max(there, Ordering::AcqRel);
        let Some(Unsettled { touched, pending }) = self.unsettled.take() else {
            return;
        };
        if there > before {
            self.shared.put_into_force(&touched);
        } else {
            self.shared.pending().put_back(pending);
        }
    }
}

impl Fate {
    /// What a write of that commit is told which came to `own` in it.
    fn told(
        self,
        own: Option<Result<Revision, WriteError>>,
        dry_run: bool,
        why: &str,
    ) -> Result<Revision, WriteError> {
        let changes = matches!(own, Some(Ok(_))) && !dry_run;
        match (self, own) {
            (Self::InForce, _) if changes => Err(WriteError::Unconfirmed(why.to_owned())),
            // It was judged by what is there now.
            (Self::InForce, Some(own)) => own,
            (Self::Unknown, _) if changes => Err(WriteError::Unknown(why.to_owned())),
            _ => Err(WriteError::Unwritable(why.to_owned())),
        }
    }
}
