//! The proofs that were used, in files, for the next process.
//!
//! A proof is written before its request passes: one `write` for all that
//! wait for it at that moment, without waiting for the disk. What is written
//! survives the death of the process, since the kernel holds it. It does not all survive the death of the machine: whoever
//! opens the files then finds them unsealed by another boot, and refuses what
//! may have been used before.
//!
//! A file is written for half the time that proofs are kept, and removed when
//! the last of its proofs has expired.

use super::disk::Disk;
use super::floor::Floor;
use super::format::Head;
use super::found::{Found, LOCK, Taken};
use super::lane::{Batch, Lane};
use super::life::{Held, Life};
use super::segment::{Past, Segment};
use super::table::Table;
use super::{OpenError, Settings};
use crate::clock::{Now, whole_seconds};
use crate::lanes::{Lanes, number};
use crate::store::same::Identity;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Slots after which a file is followed by another whatever its age: 128 MiB.
const MOST_SLOTS: u64 = 4 << 20;
/// Proofs that may wait in one lane to be written, and as many again that could not be.
pub(super) const MOST_WAITING: usize = 1_024;
/// Workers that note their proofs side by side; more share.
pub(super) const LANES: usize = 8;

/// The files of one running gateway.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) directory: PathBuf,
    boot: Boot,
    /// Proofs made at or before it may have been used before the files begin.
    pub(super) floor: Floor,
    pub(super) life: Life,
    lanes: Lanes<Lane>,
    /// Locked after `past` and a lane's batch, and while it is written.
    current: Mutex<Segment>,
    past: Mutex<Vec<Past>>,
    /// Marked while `current` is written.
    disk: Arc<Disk>,
    /// Whether the last write failed.
    failing: AtomicBool,
    /// Whether the last file cannot be followed, or one before it sealed.
    stuck: AtomicBool,
    /// Whether the directory is no longer ours: what is written now, no later process reads.
    taken_away: AtomicBool,
    /// Held as long as this lives, so that no other process writes here.
    lock: File,
    /// Which file that is.
    own: Identity,
}

/// The boot of the machine; zeros when the system does not tell.
pub(super) type Boot = [u8; 16];

impl Journal {
    /// Loads what the directory that was taken holds into `table` and begins a new file.
    /// The text tells what of the memory is lost, if anything is.
    pub(super) fn open(
        taken: Taken,
        settings: &Settings,
        boot: Boot,
        now: Now,
        table: &Table,
        disk: Arc<Disk>,
    ) -> Result<(Self, Option<String>), OpenError> {
        let Taken {
            directory,
            lock,
            only_read,
        } = taken;
        let failed = |why| OpenError::Io {
            directory: directory.clone(),
            why,
        };
        let own = Identity::of(&lock.metadata().map_err(failed)?);
        let found = Found::read(&directory, only_read.is_some()).map_err(failed)?;
        let second = now.unix_seconds();
        let (past, expired, torn) = found.load(table, second).map_err(failed)?;

        let skew = whole_seconds(settings.skew);
        let mut life = Life::new(whole_seconds(settings.retention), skew, Held::NONE);
        if let Some(last) = found.last() {
            life = Life::new(last.life, last.skew, last.held);
            life.change(settings, second, table.forgotten());
        }
        let (floor, note) = found.floor(boot, now, skew, torn);
        let head = Head {
            boot,
            opened: second,
            floor: floor.second(),
            forgotten: table.forgotten(),
            salt: RandomState::new().hash_one(second),
            life: life.seconds(),
            held: life.held(),
            skew: life.skew(),
            least: floor.sure(),
        };
        let next = found.highest + 1;
        let created = only_read.map_or_else(|| Segment::create(&directory, next, head), Err);
        let (segment, waits) = match created {
            Ok(segment) => (segment, None),
            Err(why) if passes(&why) => {
                let to_come = Segment::to_come(&directory, found.highest, head, why.kind());
                (to_come, Some(why))
            }
            Err(why) => return Err(failed(why)),
        };
        if waits.is_none() {
            // What they held, and that they could not be read, stands in the new head.
            for path in expired.iter().chain(&found.damaged) {
                fs::remove_file(path).map_err(failed)?;
            }
        }
        let journal = Self {
            directory,
            boot,
            floor,
            life,
            lanes: Lanes::new(LANES, Lane::default),
            current: Mutex::new(segment),
            past: Mutex::new(past),
            disk,
            failing: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            taken_away: AtomicBool::new(false),
            lock,
            own,
        };
        journal.failing(waits.as_ref());
        Ok((journal, note))
    }

    /// Notes that a proof is used. Gives back its number, for [`Self::write`].
    pub(super) fn append(&self, id: [u8; 16], until: i64) -> io::Result<u64> {
        let own = number() % LANES;
        let lane = self.lanes.of(own);
        let mut waiting = hold(&lane.waiting);
        if waiting.proofs.len() >= MOST_WAITING {
            drop(waiting);
            self.write_all(lane, &mut *self.disk.take(&lane.batch)?)?;
            waiting = hold(&lane.waiting);
        }
        if waiting.is_given_up || waiting.proofs.len() >= MOST_WAITING {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        waiting.proofs.push((id, until));
        waiting.came += 1;
        Ok(waiting.came * LANES as u64 + own as u64)
    }

    /// Sees to it that the proof with this number is written, and all before
    /// it in its lane. Whoever comes first writes for all that wait there.
    pub(super) fn write(&self, number: u64) -> io::Result<()> {
        let lane = self.lanes.of(number as usize);
        let number = number / LANES as u64;
        let is_written = || lane.written.load(Ordering::Acquire) >= number;
        if is_written() {
            return Ok(());
        }
        let mut batch = self.disk.take(&lane.batch)?;
        if is_written() {
            return Ok(());
        }
        self.write_all(lane, &mut batch)
    }

    /// Writes what could not be written before, then all that waits in a lane.
    fn write_all(&self, lane: &Lane, batch: &mut Batch) -> io::Result<()> {
        if self.taken_away.load(Ordering::Relaxed) {
            return Err(taken_away());
        }
        self.disk.answers()?;
        loop {
            let mut waiting = hold(&lane.waiting);
            if waiting.is_given_up {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            batch.take(&mut waiting);
            if batch.proofs.is_empty() {
                return Ok(());
            }
            drop(waiting);
            let written = self.disk.take(&self.current)?.write(batch, &self.disk);
            self.failing(written.as_ref().err());
            written?;
            lane.written.store(batch.number, Ordering::Release);
        }
    }

    /// The same of every lane; the first error, after all were tried.
    fn write_lanes(&self) -> io::Result<()> {
        let write = |lane: &Lane| self.write_all(lane, &mut *self.disk.take(&lane.batch)?);
        self.lanes.iter().map(write).fold(Ok(()), io::Result::and)
    }

    /// Tells the log when writing begins to fail, and when it works again.
    fn failing(&self, error: Option<&io::Error>) {
        if self.failing.load(Ordering::Relaxed) == error.is_some() {
            return;
        }
        self.failing.store(error.is_some(), Ordering::Relaxed);
        match error {
            None => tracing::info!("proofs can be written down again"),
            Some(error) => tracing::error!(
                %error,
                "proofs cannot be written down: requests that pass once only are refused with 503 `store-unavailable`"
            ),
        }
    }

    /// Whether the last proof could be written.
    pub(super) fn is_writable(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// What is to be done now and then: seals files, begins a new one when the
    /// current one is `span` seconds old, removes those whose proofs have expired.
    /// Where this fails, nothing is lost but disk space and time: a file that cannot
    /// be followed is written on, and the next turn tries again.
    pub(super) fn tend(&self, now: i64, span: i64) {
        let is_ours = self.own.stands_at(&self.directory.join(LOCK));
        self.taken_away.store(!is_ours, Ordering::Relaxed);
        if is_ours {
            self.stuck(self.tend_files(now, span).err().as_ref());
        } else {
            self.failing(Some(&taken_away()));
        }
    }

    /// Tells the log when files begin to stay as they are, and when that is over. While proofs cannot be written down
    /// either, that says it all.
    fn stuck(&self, error: Option<&io::Error>) {
        if error.is_some() && !self.is_writable() {
            return;
        }
        match (self.stuck.swap(error.is_some(), Ordering::Relaxed), error) {
            (true, None) => tracing::info!("files of the memory of proofs are sealed again"),
            (false, Some(error)) => tracing::error!(
                %error,
                "files of the memory of proofs cannot be followed or sealed: the last one is written on, and none is removed"
            ),
            _ => {}
        }
    }

    fn tend_files(&self, now: i64, span: i64) -> io::Result<()> {
        let mut past = hold(&self.past);
        // Of requests whose clients went away before they passed.
        let _ = self.write_lanes();
        let rotated = if self.is_due(&past, now, span) {
            // Its head is written: so can proofs be.
            self.rotate(&mut past, now).inspect(|()| self.failing(None))
        } else {
            Ok(())
        };
        self.seal_past(&mut past).and(rotated)
    }

    /// Seals what is not written any more, and notes what is damaged in it, once a head of ours is on the disk. Until
    /// then the missing seal, or the damage, alone tells the next start what was lost.
    fn seal_past(&self, past: &mut [Past]) -> io::Result<()> {
        let head = hold(&self.current)
            .file
            .as_ref()
            .map_or_else(|why| Err(*why), |_| Ok(()));
        let mut open = past.iter_mut().filter(|file| file.open.is_some());
        open.try_for_each(|file| {
            head?;
            file.seal()
        })
    }

    fn is_due(&self, past: &[Past], now: i64, span: i64) -> bool {
        let segment = hold(&self.current);
        let is_old = now.saturating_sub(segment.head.opened) >= span;
        let has_use = segment.next > 0 || past.iter().any(|file| file.is_expired(now));
        let Head {
            life, held, skew, ..
        } = segment.head;
        // A floor that was moved outlives this process by a new head only.
        let is_changed = (life, held, skew)
            != (self.life.seconds(), self.life.held(), self.life.skew())
            || segment.head.floor != self.floor.second();
        !self.is_writable() || segment.next >= MOST_SLOTS || (is_old && has_use) || is_changed
    }

    fn rotate(&self, past: &mut Vec<Past>, now: i64) -> io::Result<()> {
        let (number, last_head) = {
            let segment = hold(&self.current);
            (segment.number, segment.head)
        };
        let expired = past.iter().filter(|file| file.is_expired(now));
        let forgotten = expired.map(|file| file.last.saturating_add(1)).max();
        // `forgotten` behind them: what it has to say of them is there then.
        let (life, longest, skew) = (self.life.seconds(), self.life.held(), self.life.skew());
        let head = Head {
            boot: self.boot,
            opened: now,
            floor: self.floor.second(),
            forgotten: last_head
                .forgotten
                .max(forgotten.unwrap_or(i64::MIN))
                .max(self.life.forgotten()),
            salt: RandomState::new().hash_one(now),
            life,
            held: longest,
            skew,
            least: self.floor.sure(),
        };
        let next = Segment::create(&self.directory, number + 1, head)?;
        let before = std::mem::replace(&mut *hold(&self.current), next);
        // What could not be written there has a chance here.
        let written = self.write_lanes();
        // The new head is on the disk and tells what goes here.
        past.retain(|file| !(file.is_expired(now) && fs::remove_file(&file.path).is_ok()));
        if let Ok(file) = before.file
            && !(before.next == 0 && fs::remove_file(&before.path).is_ok())
        {
            past.push(Past {
                path: before.path,
                head: before.head,
                slots: before.next,
                last: before.last,
                open: Some(file),
                is_only_read: false,
                note: None,
            });
        }
        written
    }

    /// Waits for whoever writes just now.
    pub(super) fn wait(&self) {
        drop(hold(&self.current));
    }

    /// Seals everything and gives it up: the next process, which may start
    /// now, misses nothing, in whatever boot. Nothing is written thereafter.
    pub(super) fn close(&self) -> io::Result<()> {
        let mut past = hold(&self.past);
        let mut written = Ok(());
        for lane in self.lanes.iter() {
            let mut batch = hold(&lane.batch);
            written = written.and(self.write_all(lane, &mut batch));
            // Nobody writes of this lane meanwhile, and whoever comes to it later is refused.
            hold(&lane.waiting).is_given_up = true;
        }
        let sealed = written.and(self.seal_past(&mut past));
        let sealed = sealed.and_then(|()| hold(&self.current).seal());
        sealed.and(self.lock.unlock())
    }
}

/// No panic leaves any of it half changed.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nothing can be written just now: that passes, and says nothing of the directory.
fn passes(why: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(
        why.kind(),
        StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem
    )
}

fn taken_away() -> io::Error {
    io::Error::other(
        "the directory, or `lock` in it, was taken away or replaced: put the directory back, or restart the gateway",
    )
}

#[cfg(test)]
mod tests {
    use super::super::disk::Writer;
    use super::super::segment::{self, UNFINISHED};
    use super::*;

    impl Journal {
        /// Lets the next writes go elsewhere: a disk that fails.
        pub(in super::super) fn write_to(&self, file: File) -> File {
            let mut current = hold(&self.current);
            let before = std::mem::replace(&mut current.file, Ok(file));
            before.expect("there was room for a file")
        }

        /// Holds what a worker holds whose write comes back when `answers` does: a disk that does not answer.
        pub(in super::super) fn write_until(&self, answers: impl FnOnce()) {
            let _batch = hold(&self.lanes.own().batch);
            let _current = hold(&self.current);
            self.disk.write(Writer::Journal, answers);
        }

        /// Goes on as after a start on a full disk: no file of ours is there. Gives back where the next one is begun.
        pub(in super::super) fn without_file(&self) -> PathBuf {
            let mut current = hold(&self.current);
            fs::remove_file(&current.path).expect("there was room for a file");
            let (before, head) = (current.number - 1, current.head);
            let why = io::ErrorKind::StorageFull;
            *current = Segment::to_come(&self.directory, before, head, why);
            self.failing(Some(&why.into()));
            segment::path(&self.directory, before + 1).with_extension(UNFINISHED)
        }
    }
}
