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

use super::floor::Floor;
use super::format::{self, FIRST_SLOT, Front, Head, NOTE_AT, SEAL_AT, SLOT, Slot};
use super::life::{Held, Life, whole};
use super::table::{LINGER, Table};
use super::{OpenError, Settings};
use crate::clock::Now;
use crate::lanes::{Lanes, number};
use crate::store::same::Identity;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Slots after which a file is followed by another whatever its age: 128 MiB.
const MOST_SLOTS: u64 = 4 << 20;
/// Bytes read at a time when files are loaded: a whole number of slots.
const CHUNK: usize = 1 << 20;
/// Proofs that may wait in one lane to be written, and as many again that could not be.
pub(super) const MOST_WAITING: usize = 1_024;
/// Workers that note their proofs side by side; more share.
pub(super) const LANES: usize = 8;
const EXTENSION: &str = "proofs";
const UNFINISHED: &str = "new";
const LOCK: &str = "lock";

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

/// A proof, and its last second.
type Proof = ([u8; 16], i64);

/// The proofs of one worker.
#[derive(Debug, Default)]
struct Lane {
    /// Locked last, and only as long as it takes to look.
    waiting: Mutex<Waiting>,
    /// The number of the last proof that is written, with all before it.
    written: AtomicU64,
    /// Locked after `past`, and while it is written.
    batch: Mutex<Batch>,
}

/// Proofs that nobody has begun to write.
#[derive(Debug, Default)]
struct Waiting {
    proofs: Vec<Proof>,
    /// Proofs that came to this lane, ever: the number of the last.
    came: u64,
    /// Whether no more may come: the next process may have read the files by now.
    is_given_up: bool,
}

/// The file that is written.
#[derive(Debug)]
struct Segment {
    /// `None` where there was no room for one yet: what goes here has to wait.
    file: Option<File>,
    path: PathBuf,
    number: u64,
    head: Head,
    /// The next free slot.
    next: u64,
    /// The last second of all proofs in it.
    last: i64,
}

/// Proofs that are being written, and were before if that failed.
#[derive(Debug, Default)]
struct Batch {
    proofs: Vec<Proof>,
    /// The number of the last.
    number: u64,
    /// The same as it lies in the file.
    text: Vec<u8>,
}

/// A file that is not written any more.
#[derive(Debug)]
struct Past {
    path: PathBuf,
    head: Head,
    slots: u64,
    last: i64,
    /// Open until it is sealed, and what is damaged in it is noted.
    open: Option<File>,
    /// What is to be noted of that.
    note: Option<[u8; 8]>,
}

/// What was found in the directory.
#[derive(Debug, Default)]
struct Found {
    files: Vec<Earlier>,
    /// Files that cannot be read.
    damaged: Vec<PathBuf>,
    highest: u64,
}

#[derive(Debug)]
struct Earlier {
    path: PathBuf,
    front: Front,
    slots: u64,
}

impl Journal {
    /// Takes the directory, loads what it holds into `table` and begins a new file.
    /// The text tells what of the memory is lost, if anything is.
    pub(super) fn open(
        settings: &Settings,
        boot: Boot,
        now: Now,
        table: &Table,
    ) -> Result<(Self, Option<String>), OpenError> {
        let directory = settings.directory.join("replay");
        let lock = take(&directory)?;
        let failed = |why| OpenError::Io {
            directory: directory.clone(),
            why,
        };
        let own = Identity::of(&lock.metadata().map_err(failed)?);
        let found = Found::read(&directory).map_err(failed)?;
        let second = now.unix_seconds();
        let (past, expired, torn) = found.load(table, second).map_err(failed)?;

        let skew = whole(settings.skew);
        let mut life = Life::new(whole(settings.retention), skew, Held::NONE);
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
        let created = Segment::create(&directory, found.highest + 1, head);
        let (segment, full) = match created {
            Ok(segment) => (segment, None),
            Err(why) if is_full(&why) => {
                (Segment::to_come(&directory, found.highest, head), Some(why))
            }
            Err(why) => return Err(failed(why)),
        };
        if full.is_none() {
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
            failing: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            taken_away: AtomicBool::new(false),
            lock,
            own,
        };
        journal.failing(full.as_ref());
        Ok((journal, note))
    }

    /// Notes that a proof is used. Gives back its number, for [`Self::write`].
    pub(super) fn append(&self, id: [u8; 16], until: i64) -> io::Result<u64> {
        let own = number() % LANES;
        let lane = self.lanes.of(own);
        let mut waiting = hold(&lane.waiting);
        if waiting.proofs.len() >= MOST_WAITING {
            drop(waiting);
            self.write_all(lane, &mut hold(&lane.batch))?;
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
        let mut batch = hold(&lane.batch);
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
            let written = hold(&self.current).write(batch);
            self.failing(written.as_ref().err());
            written?;
            lane.written.store(batch.number, Ordering::Release);
        }
    }

    /// The same of every lane; the first error, after all were tried.
    fn write_lanes(&self) -> io::Result<()> {
        let write = |lane: &Lane| self.write_all(lane, &mut hold(&lane.batch));
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
        let has_head = hold(&self.current).file.is_some();
        let mut open = past.iter_mut().filter(|file| file.open.is_some());
        open.try_for_each(|file| {
            if has_head {
                file.seal()
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
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
        if let Some(file) = before.file
            && !(before.next == 0 && fs::remove_file(&before.path).is_ok())
        {
            past.push(Past {
                path: before.path,
                head: before.head,
                slots: before.next,
                last: before.last,
                open: Some(file),
                note: None,
            });
        }
        written
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
        let segment = hold(&self.current);
        let sealed = sealed.and_then(|()| match &segment.file {
            Some(file) => seal(file, &segment.head, segment.next),
            None => Ok(()),
        });
        sealed.and(self.lock.unlock())
    }

    /// Lets the next writes go elsewhere, for tests of a disk that fails.
    #[cfg(test)]
    pub(super) fn write_to(&self, file: File) -> File {
        let mut current = hold(&self.current);
        let before = current.file.replace(file);
        before.expect("there was room for a file")
    }

    /// Goes on as after a start on a full disk, for tests: no file of ours is there.
    /// Gives back where the next one is begun.
    #[cfg(test)]
    pub(super) fn without_file(&self) -> PathBuf {
        let mut current = hold(&self.current);
        fs::remove_file(&current.path).expect("there was room for a file");
        let (before, head) = (current.number - 1, current.head);
        *current = Segment::to_come(&self.directory, before, head);
        self.failing(Some(&io::Error::from(io::ErrorKind::StorageFull)));
        path(&self.directory, before + 1).with_extension(UNFINISHED)
    }
}

/// No panic leaves any of it half changed.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the directory if need be, and sees that nobody else uses it.
fn take(directory: &Path) -> Result<File, OpenError> {
    let failed = |why| OpenError::Io {
        directory: directory.to_owned(),
        why,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(LOCK))
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(why)) => Err(failed(why)),
    }
}

fn taken_away() -> io::Error {
    io::Error::other(
        "the directory, or `lock` in it, was taken away or replaced: put the directory back, or restart the gateway",
    )
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{EXTENSION}"))
}

/// Whether there is no room just now: that passes, and says nothing of the directory.
fn is_full(why: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(why.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl Segment {
    /// Makes a file that is on the disk, head and name, before anything
    /// relies on it: a file that is missing looks like one that never was.
    fn create(directory: &Path, number: u64, head: Head) -> io::Result<Self> {
        let path = path(directory, number);
        let unfinished = path.with_extension(UNFINISHED);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all_at(&head.encode(), 0)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(directory)?.sync_all()?;
        Ok(Self {
            file: Some(file),
            ..Self::to_come(directory, number, head)
        })
    }

    /// One that has no file yet. What comes after it has a higher number.
    fn to_come(directory: &Path, number: u64, head: Head) -> Self {
        Self {
            file: None,
            path: path(directory, number),
            number,
            head,
            next: 0,
            last: i64::MIN,
        }
    }

    /// Writes a batch behind what is there. Where this fails it, or another, is
    /// written at the same place, whatever is in the file there already.
    fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::StorageFull)?;
        let Batch { proofs, text, .. } = batch;
        text.clear();
        let mut slot = self.next;
        for (id, until) in &*proofs {
            text.extend(format::encode_slot(*id, *until, self.head.salt, slot));
            self.last = self.last.max(*until);
            slot += 1;
        }
        file.write_all_at(text, FIRST_SLOT + self.next * SLOT as u64)?;
        self.next = slot;
        proofs.clear();
        Ok(())
    }
}

impl Batch {
    /// Takes over what waits, unless as much is here that could not be written.
    fn take(&mut self, waiting: &mut Waiting) {
        if self.proofs.len() < MOST_WAITING {
            self.proofs.append(&mut waiting.proofs);
            self.number = waiting.came;
        }
    }
}

impl Past {
    fn is_expired(&self, now: i64) -> bool {
        self.last < now.saturating_sub(LINGER)
    }

    /// Seals it, and notes what is damaged in it: the head on the disk covers that.
    fn seal(&mut self) -> io::Result<()> {
        if let Some(file) = &self.open {
            if let Some(note) = &self.note {
                file.write_all_at(note, NOTE_AT)?;
            }
            seal(file, &self.head, self.slots)?;
            self.open = None;
        }
        Ok(())
    }
}

/// Says in the file that it is whole with so many slots, once it is.
fn seal(file: &File, head: &Head, slots: u64) -> io::Result<()> {
    // Behind them lies at most what could not be written whole, and was written elsewhere.
    file.set_len(FIRST_SLOT + slots * SLOT as u64)?;
    file.sync_data()?;
    file.write_all_at(&head.seal(slots), SEAL_AT)?;
    file.sync_data()
}

impl Found {
    fn read(directory: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            let extension = path.extension().and_then(|extension| extension.to_str());
            match (number, extension) {
                (Some(number), Some(EXTENSION)) => {
                    found.highest = found.highest.max(number);
                    match Earlier::open(&path)? {
                        Some(earlier) => found.files.push(earlier),
                        None => found.damaged.push(path),
                    }
                }
                // Nobody came to use it.
                (Some(_), Some(UNFINISHED)) => fs::remove_file(path)?,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The head of the file that was written last.
    fn last(&self) -> Option<Head> {
        let last = self.files.iter().max_by_key(|earlier| &earlier.path);
        last.map(|earlier| earlier.front.head)
    }

    /// Loads what is still of use. Gives back the files that stay, those that
    /// are of no use, and whether any holds what we did not write and no head covers.
    fn load(&self, table: &Table, now: i64) -> io::Result<(Vec<Past>, Vec<PathBuf>, bool)> {
        let slots: u64 = self.files.iter().map(|earlier| earlier.slots).sum();
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        // What only lingers may take half the room.
        let crowded = slots > table.capacity() / 2;
        let from = if crowded { now } else { now - LINGER };
        table.reserve(slots.min(table.capacity()));

        let (mut past, mut expired, mut torn) = (Vec::new(), Vec::new(), false);
        for earlier in &self.files {
            let Front { head, note, .. } = earlier.front;
            let is_cut = earlier.front.is_cut(earlier.slots);
            table.forget_before(head.forgotten);
            let file = open(&earlier.path)?;
            let mut last = i64::MIN;
            let (slots, damaged) = earlier.read(&file, |id, until| {
                last = last.max(until);
                if until >= from {
                    table.load(id, until);
                } else {
                    table.forget_before(until + 1);
                }
            })?;
            let to_note =
                Some(head.note(damaged)).filter(|to_note| damaged > 0 && *to_note != note);
            torn |= to_note.is_some() || is_cut;
            if last < from {
                expired.push(earlier.path.clone());
                continue;
            }
            past.push(Past {
                path: earlier.path.clone(),
                head,
                slots,
                last,
                open: (!earlier.front.is_sealed() || is_cut || to_note.is_some()).then_some(file),
                note: to_note,
            });
        }
        Ok((past, expired, torn))
    }

    /// At or before which proofs may have been made that were used and are
    /// not known, and what to tell about it.
    fn floor(&self, boot: Boot, now: Now, skew: i64, torn: bool) -> (Floor, Option<String>) {
        let heads = || self.files.iter().map(|earlier| earlier.front.head);
        // Whatever was used was used before now, and made at most `skew` later: as it is, or as it was then.
        let skew = heads().map(|head| head.skew).fold(skew, i64::max);
        let lost = || {
            // The clock may be behind what it was.
            let opened = heads().map(|head| head.opened.saturating_add(skew));
            let known = self.last().map(|head| head.least.unwrap_or(head.floor));
            Floor::of_start(now, skew, opened.chain(known).fold(i64::MIN, i64::max))
        };
        let is_ours = |head: &Head| head.boot == boot && boot != [0; 16];
        let mut unsealed = self.files.iter().filter(|it| !it.front.is_sealed());
        // Zeros among their proofs are what that leaves on some file systems; heads are on the disk before.
        if self.damaged.is_empty() && unsealed.any(|it| !is_ours(&it.front.head)) {
            let note = "the machine stopped before the memory of proofs was on the disk: requests that pass once only are refused if they were signed before this start, or up to `skew` after it";
            return (lost(), Some(note.to_owned()));
        }
        if torn || !self.damaged.is_empty() {
            let note = "the memory of proofs is damaged: requests that pass once only are refused if they were signed before this start, or up to `skew` after it";
            return (lost(), Some(note.to_owned()));
        }
        let floor = match self.last() {
            // The clock by which it was told may be as wrong still, or was: it is behind what it was then. Whatever
            // was lost was made before this start, and at most `skew` later.
            Some(head) if is_ours(&head) || now.unix_seconds() < head.opened => match head.least {
                Some(least) => {
                    let ahead = head.floor.saturating_sub(now.unix_seconds());
                    Floor::of_start(now, ahead.min(skew), least)
                }
                None => Floor::fixed(head.floor, None),
            },
            Some(head) => Floor::fixed(head.floor, head.least),
            // The first start, or one after the files were wiped: nothing tells which. To
            // refuse up to `skew` after it would make every first start wait for so long.
            None => Floor::of_start(now, -1, i64::MIN),
        };
        (floor, None)
    }
}

/// Opens a file that is there.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

impl Earlier {
    /// `None` when the head is damaged.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        let mut front = [0; FIRST_SLOT as usize];
        match file.read_exact_at(&mut front, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(front) = Head::decode(&front) else {
            return Ok(None);
        };
        // A part of a slot at the end was cut off as it was written: it let nobody pass. In one that is sealed there is none.
        let slots = (file.metadata()?.len() - FIRST_SLOT) / SLOT as u64;
        Ok(Some(Self {
            path: path.to_owned(),
            front,
            slots,
        }))
    }

    /// Hands out every proof in the file. How many slots there are, and how many of them hold what we did
    /// not write, or nothing. Where the seal does not count them, the last one may be what was being written: then it is none.
    fn read(&self, file: &File, mut each: impl FnMut([u8; 16], i64)) -> io::Result<(u64, u64)> {
        let mut chunk = vec![0; CHUNK.min(self.slots as usize * SLOT)];
        let (mut index, mut damaged) = (0, 0);
        let mut whole = self.slots;
        let may_end_in_none = !self.front.is_counted();
        while index < self.slots {
            let wanted = (self.slots - index).min((CHUNK / SLOT) as u64) as usize * SLOT;
            let chunk = &mut chunk[..wanted];
            file.read_exact_at(chunk, FIRST_SLOT + index * SLOT as u64)?;
            let (slots, _) = chunk.as_chunks::<SLOT>();
            for slot in slots {
                match format::decode_slot(slot, self.front.head.salt, index) {
                    Slot::Used(id, until) => each(id, until),
                    Slot::Free | Slot::Damaged if may_end_in_none && index + 1 == self.slots => {
                        whole = index;
                    }
                    Slot::Free | Slot::Damaged => damaged += 1,
                }
                index += 1;
            }
        }
        Ok((whole, damaged))
    }
}
