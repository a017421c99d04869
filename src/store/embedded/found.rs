//! What earlier processes have left: the directory, taken for us alone, and its files, read back.

use super::OpenError;
use super::floor::Floor;
use super::format::{self, FIRST_SLOT, Front, Head, SLOT, Slot};
use super::journal::Boot;
use super::segment::{EXTENSION, Past, UNFINISHED, open};
use super::table::{LINGER, Table};
use crate::clock::Now;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes read at a time when files are loaded: a whole number of slots.
const CHUNK: usize = 1 << 20;
pub(super) const LOCK: &str = "lock";

/// The directory, taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) directory: PathBuf,
    /// Held as long as it is ours.
    pub(super) lock: File,
    /// Why nothing can be written there, where the file system is there to be read only.
    pub(super) only_read: Option<io::Error>,
}

/// Makes the directory if need be, and sees that nobody else uses it. Where the file system can only be read now, an
/// earlier start must have made it.
pub(super) fn take(directory: PathBuf) -> Result<Taken, OpenError> {
    let failed = |why| OpenError::Io {
        directory: directory.clone(),
        why,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(failed)?;
    let place = directory.join(LOCK);
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&place);
    let (lock, only_read) = match opened {
        Ok(lock) => (lock, None),
        Err(why) if why.kind() == io::ErrorKind::ReadOnlyFilesystem => match File::open(&place) {
            Ok(lock) => (lock, Some(why)),
            Err(_) => return Err(failed(why)),
        },
        Err(why) => return Err(failed(why)),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Taken {
            directory,
            lock,
            only_read,
        }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { directory }),
        Err(TryLockError::Error(why)) => Err(failed(why)),
    }
}

/// What was found in the directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    files: Vec<Earlier>,
    /// Whether they can only be read now.
    is_only_read: bool,
    /// Files that cannot be read.
    pub(super) damaged: Vec<PathBuf>,
    pub(super) highest: u64,
}

#[derive(Debug)]
struct Earlier {
    path: PathBuf,
    front: Front,
    slots: u64,
}

impl Found {
    pub(super) fn read(directory: &Path, is_only_read: bool) -> io::Result<Self> {
        let mut found = Self {
            is_only_read,
            ..Self::default()
        };
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            let extension = path.extension().and_then(|extension| extension.to_str());
            match (number, extension) {
                (Some(number), Some(EXTENSION)) => {
                    found.highest = found.highest.max(number);
                    match Earlier::open(&path, is_only_read)? {
                        Some(earlier) => found.files.push(earlier),
                        None => found.damaged.push(path),
                    }
                }
                // Nobody came to use it.
                (Some(_), Some(UNFINISHED)) if !is_only_read => fs::remove_file(path)?,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The head of the file that was written last.
    pub(super) fn last(&self) -> Option<Head> {
        let last = self.files.iter().max_by_key(|earlier| &earlier.path);
        last.map(|earlier| earlier.front.head)
    }

    /// Loads what is still of use. Gives back the files that stay, those that
    /// are of no use, and whether any holds what we did not write and no head covers.
    pub(super) fn load(
        &self,
        table: &Table,
        now: i64,
    ) -> io::Result<(Vec<Past>, Vec<PathBuf>, bool)> {
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
            let file = open(&earlier.path, self.is_only_read)?;
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
                is_only_read: self.is_only_read,
                note: to_note,
            });
        }
        Ok((past, expired, torn))
    }

    /// At or before which proofs may have been made that were used and are
    /// not known, and what to tell about it.
    pub(super) fn floor(
        &self,
        boot: Boot,
        now: Now,
        skew: i64,
        torn: bool,
    ) -> (Floor, Option<String>) {
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

impl Earlier {
    /// `None` when the head is damaged.
    fn open(path: &Path, is_only_read: bool) -> io::Result<Option<Self>> {
        let file = open(path, is_only_read)?;
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
