//! Writes that say nothing.
//!
//! Whoever fails at the key service gets a decoy, for which nothing has to be remembered. So that no stopwatch
//! tells it from a token, it costs a write as well, together with all that wait for one at that moment: to a file
//! without a name and of a bounded size, which nobody reads.

use super::disk::{Disk, Writer};
use super::format::{self, SLOT};
use super::journal::{LANES, MOST_WAITING, hold};
use crate::crypto::random;
use crate::lanes::{Lanes, number};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Slots after which the file begins anew: 1 MiB.
const MOST_SLOTS: u64 = (1 << 20) / SLOT as u64;

#[derive(Debug)]
pub(super) struct Blanks {
    directory: PathBuf,
    lanes: Lanes<Mutex<Lane>>,
    /// Made when it is first written to, beside the journal, where nobody watches what changes; none as long as it
    /// cannot be made.
    place: Mutex<Option<Place>>,
    /// Marked while that is made or written.
    disk: Arc<Disk>,
}

/// The blanks of one worker.
#[derive(Debug, Default)]
struct Lane {
    waiting: Vec<[u8; 16]>,
    came: u64,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Place {
    file: File,
    next: u64,
}

impl Blanks {
    pub(super) fn new(directory: PathBuf, disk: Arc<Disk>) -> Self {
        Self {
            directory,
            lanes: Lanes::new(LANES, Mutex::default),
            place: Mutex::default(),
            disk,
        }
    }

    /// Notes one. Gives back its number, for [`Self::write`].
    pub(super) fn append(&self) -> u64 {
        let own = number() % LANES;
        let Ok(mut lane) = self.disk.take(self.lanes.of(own)) else {
            // As it is with a proof: nothing is written.
            return own as u64;
        };
        let mut id = [0; 16];
        random(&mut id);
        // Of requests whose clients went away, no more than proofs may wait.
        if lane.waiting.len() < MOST_WAITING {
            lane.waiting.push(id);
        }
        lane.came += 1;
        lane.came * LANES as u64 + own as u64
    }

    /// Waits for whoever writes just now.
    pub(super) fn wait(&self) {
        drop(hold(&self.place));
    }

    /// Writes it, with all that wait beside it; what was written stays written.
    pub(super) fn write(&self, number: u64) {
        let Ok(mut lane) = self.disk.take(self.lanes.of(number as usize)) else {
            return;
        };
        let written = lane.came - lane.waiting.len() as u64;
        if number / LANES as u64 <= written {
            return;
        }
        let Lane { waiting, text, .. } = &mut *lane;
        // Where no proof can be written either, whoever fails is none the wiser.
        if self.disk.answers().is_ok()
            && let Ok(mut place) = self.disk.take(&self.place)
        {
            self.disk.write(Writer::Blanks, || {
                if place.is_none() {
                    *place = Place::make(&self.directory).ok();
                }
                if let Some(place) = &mut *place {
                    place.write(waiting, text);
                }
            });
        }
        waiting.clear();
    }
}

impl Place {
    fn make(directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { file, next: 0 })
    }

    /// As a file of the journal grows, so does this: what was written lately is no cheaper to write over.
    fn write(&mut self, blanks: &[[u8; 16]], text: &mut Vec<u8>) {
        if self.next + blanks.len() as u64 > MOST_SLOTS {
            let _ = self.file.set_len(0);
            self.next = 0;
        }
        text.clear();
        let mut slot = self.next;
        for id in blanks {
            text.extend(format::encode_slot(*id, 0, 0, slot));
            slot += 1;
        }
        let _ = self.file.write_all_at(text, self.next * SLOT as u64);
        self.next = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Blanks {
        /// What was written lately.
        pub(in super::super) fn bytes(&self) -> u64 {
            let place = hold(&self.place);
            let place = place.as_ref();
            place.map_or(0, |place| place.file.metadata().unwrap().len())
        }

        /// Holds what a worker holds whose write comes back when `answers` does: a disk that does not answer.
        pub(in super::super) fn write_until(&self, answers: impl FnOnce()) {
            let _lane = hold(self.lanes.own());
            let _place = hold(&self.place);
            self.disk.write(Writer::Blanks, answers);
        }
    }
}
