//! Files of the journal: the one that is written, and those that were and are to be sealed.

use super::disk::{Disk, Writer};
use super::format::{self, FIRST_SLOT, Head, NOTE_AT, SEAL_AT, SLOT};
use super::lane::Batch;
use super::table::LINGER;
use crate::store::same::Identity;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) const EXTENSION: &str = "proofs";
pub(super) const UNFINISHED: &str = "new";

/// The file that is written.
#[derive(Debug)]
pub(super) struct Segment {
    /// Where none could be begun yet, why: what goes here has to wait.
    pub(super) file: Result<File, io::ErrorKind>,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) head: Head,
    /// The next free slot.
    pub(super) next: u64,
    /// The last second of all proofs in it.
    pub(super) last: i64,
}

/// A file that is not written any more.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) path: PathBuf,
    pub(super) head: Head,
    pub(super) slots: u64,
    pub(super) last: i64,
    /// Open until it is sealed, and what is damaged in it is noted.
    pub(super) open: Option<File>,
    /// Whether it is open to be read alone: nothing could be written when it was opened.
    pub(super) is_only_read: bool,
    /// What is to be noted of that.
    pub(super) note: Option<[u8; 8]>,
}

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{EXTENSION}"))
}

/// Opens a file that is there.
pub(super) fn open(path: &Path, is_only_read: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(!is_only_read).open(path)
}

impl Segment {
    /// Makes a file that is on the disk, head and name, before anything
    /// relies on it: a file that is missing looks like one that never was.
    pub(super) fn create(directory: &Path, number: u64, head: Head) -> io::Result<Self> {
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
        Ok(Self::of(Ok(file), path, number, head))
    }

    /// One that has no file yet, and why. What comes after it has a higher number.
    pub(super) fn to_come(directory: &Path, number: u64, head: Head, why: io::ErrorKind) -> Self {
        Self::of(Err(why), path(directory, number), number, head)
    }

    fn of(file: Result<File, io::ErrorKind>, path: PathBuf, number: u64, head: Head) -> Self {
        Self {
            file,
            path,
            number,
            head,
            next: 0,
            last: i64::MIN,
        }
    }

    /// Writes a batch behind what is there. Where this fails it, or another, is
    /// written at the same place, whatever is in the file there already.
    pub(super) fn write(&mut self, batch: &mut Batch, disk: &Disk) -> io::Result<()> {
        let file = self.file.as_ref().map_err(|why| *why)?;
        let Batch { proofs, text, .. } = batch;
        text.clear();
        let mut slot = self.next;
        for (id, until) in &*proofs {
            text.extend(format::encode_slot(*id, *until, self.head.salt, slot));
            self.last = self.last.max(*until);
            slot += 1;
        }
        let at = FIRST_SLOT + self.next * SLOT as u64;
        disk.write(Writer::Journal, || file.write_all_at(text, at))?;
        self.next = slot;
        proofs.clear();
        Ok(())
    }

    /// Says in it that nothing more comes, where it is there.
    pub(super) fn seal(&self) -> io::Result<()> {
        match &self.file {
            Ok(file) => seal(file, &self.head, self.next),
            Err(_) => Ok(()),
        }
    }
}

impl Past {
    pub(super) fn is_expired(&self, now: i64) -> bool {
        self.last < now.saturating_sub(LINGER)
    }

    /// Seals it, and notes what is damaged in it: the head on the disk covers that.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.open {
            if self.is_only_read {
                *file = to_write(file, &self.path)?;
                self.is_only_read = false;
            }
            if let Some(note) = &self.note {
                file.write_all_at(note, NOTE_AT)?;
            }
            seal(file, &self.head, self.slots)?;
            self.open = None;
        }
        Ok(())
    }
}

/// The same file, open to be written as well.
fn to_write(file: &File, path: &Path) -> io::Result<File> {
    let found = open(path, false)?;
    if Identity::of(&found.metadata()?) == Identity::of(&file.metadata()?) {
        Ok(found)
    } else {
        Err(io::ErrorKind::NotFound.into())
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
