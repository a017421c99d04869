//! The proofs of one worker, on their way to the file.

use super::journal::MOST_WAITING;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

/// A proof, and its last second.
pub(super) type Proof = ([u8; 16], i64);

/// The proofs of one worker.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Locked last, and only as long as it takes to look.
    pub(super) waiting: Mutex<Waiting>,
    /// The number of the last proof that is written, with all before it.
    pub(super) written: AtomicU64,
    /// Locked after `past`, and while it is written.
    pub(super) batch: Mutex<Batch>,
}

/// Proofs that nobody has begun to write.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) proofs: Vec<Proof>,
    /// Proofs that came to this lane, ever: the number of the last.
    pub(super) came: u64,
    /// Whether no more may come: the next process may have read the files by now.
    pub(super) is_given_up: bool,
}

/// Proofs that are being written, and were before if that failed.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) proofs: Vec<Proof>,
    /// The number of the last.
    pub(super) number: u64,
    /// The same as it lies in the file.
    pub(super) text: Vec<u8>,
}

impl Batch {
    /// Takes over what waits, unless as much is here that could not be written.
    pub(super) fn take(&mut self, waiting: &mut Waiting) {
        if self.proofs.len() < MOST_WAITING {
            self.proofs.append(&mut waiting.proofs);
            self.number = waiting.came;
        }
    }
}
