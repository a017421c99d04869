//! Writes that say nothing.
//!
//! Whoever fails at the key service gets a decoy, for which nothing has to be remembered. So that no stopwatch
//! tells it from a token, it costs a write as well, together with all that wait for one at that moment: to a file
//! without a name and of a bounded size, which nobody reads.

use super::format::{self, SLOT};
use super::journal::{LANES, MOST_WAITING, hold};
use crate::crypto::random;
use crate::lanes::{Lanes, number};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

/// Slots after which the file begins anew: 1 MiB.
const MOST_SLOTS: u64 = (1 << 20) / SLOT as u64;

#[derive(Debug)]
pub(super) struct Blanks {
    directory: PathBuf,
    lanes: Lanes<Mutex<Lane>>,
    /// Made when it is first written to, beside the journal, where nobody watches what changes; none where it
    /// cannot be made.
    place: OnceLock<Option<Mutex<Place>>>,
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
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            lanes: Lanes::new(LANES, Mutex::default),
            place: OnceLock::new(),
        }
    }

    /// Notes one. Gives back its number, for [`Self::write`].
    pub(super) fn append(&self) -> u64 {
        let own = number() % LANES;
        let mut lane = hold(self.lanes.of(own));
        let mut id = [0; 16];
        random(&mut id);
        // Of requests whose clients went away, no more than proofs may wait.
        if lane.waiting.len() < MOST_WAITING {
            lane.waiting.push(id);
        }
        lane.came += 1;
        lane.came * LANES as u64 + own as u64
    }

    /// Writes it, with all that wait beside it; what was written stays written.
    pub(super) fn write(&self, number: u64) {
        let mut lane = hold(self.lanes.of(number as usize));
        let written = lane.came - lane.waiting.len() as u64;
        if number / LANES as u64 <= written {
            return;
        }
        let place = self.place.get_or_init(|| {
            let file = tempfile::tempfile_in(&self.directory).ok()?;
            Some(Mutex::new(Place { file, next: 0 }))
        });
        let Lane { waiting, text, .. } = &mut *lane;
        if let Some(place) = place {
            hold(place).write(waiting, text);
        }
        waiting.clear();
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        let place = self.place.get().and_then(Option::as_ref);
        place.map_or(0, |place| hold(place).file.metadata().unwrap().len())
    }
}

impl Place {
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
        // Where a proof could not be written either, whoever fails is none the wiser.
        let _ = self.file.write_all_at(text, self.next * SLOT as u64);
        self.next = slot;
    }
}
