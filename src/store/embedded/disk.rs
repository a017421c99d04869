//! Whether the disk answers.
//!
//! A write that fails says so. One that does not come back says nothing, and holds what others need to write. So each
//! leaves a mark as it begins and as it ends, which costs two plain stores, and a thread of its own looks at the marks
//! now and then: a worker cannot, since it may be the one that waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;
use std::{hint, io, thread};

/// How often the marks are looked at.
pub(super) const LOOKING: Duration = Duration::from_millis(50);
/// How often in a row a write is met again before the disk counts as one that does not answer: after 200 ms.
const LOOKS: u32 = 4;
/// Turns in which a worker tries to get what another holds that writes: in the first ones it does nothing between,
/// in the next it lets other threads go on, then it rests. All are over in half a second or so.
const SPINS: u32 = 100;
const YIELDS: u32 = 300;
const TURNS: u32 = 2_800;
const REST: Duration = Duration::from_micros(200);

/// Who writes: one at a time each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer {
    /// What writes proofs down.
    Journal,
    /// What writes as much and says nothing.
    Blanks,
}

/// The disk that proofs are written to.
#[derive(Debug, Default)]
pub(super) struct Disk {
    marks: [Mark; 2],
}

#[derive(Debug, Default)]
struct Mark {
    /// Odd while a write is under way, and never the same for two.
    serial: AtomicU64,
    /// The write that was found not to come back, as it was marked: that is over when it has. Zero is none.
    stuck: AtomicU64,
}

/// What was seen of the marks.
#[derive(Debug, Default)]
pub(super) struct Seen {
    serials: [u64; 2],
    /// How often that write was met again.
    times: [u32; 2],
    /// Whether it was told that the disk does not answer.
    told: bool,
}

impl Disk {
    /// Does what writes, under its mark. Whoever calls holds what keeps other calls of the same writer out.
    pub(super) fn write<T>(&self, writer: Writer, write: impl FnOnce() -> T) -> T {
        let mark = &self.marks[writer as usize];
        let serial = mark.serial.load(Ordering::Relaxed);
        mark.serial.store(serial + 1, Ordering::Relaxed);
        let written = write();
        mark.serial.store(serial + 2, Ordering::Relaxed);
        written
    }

    /// Whether a write has not come back for a while, and still has not.
    pub(super) fn is_stuck(&self) -> bool {
        self.marks.iter().any(Mark::is_stuck)
    }

    /// Why nothing is written then.
    ///
    /// # Errors
    /// That the disk does not answer.
    pub(super) fn answers(&self) -> io::Result<()> {
        if self.is_stuck() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }

    /// What is locked as long as something is written. Waits for that, but neither for a disk that does not answer nor
    /// longer than [`TURNS`]: who waits is a worker, with all that it has to do for others.
    ///
    /// # Errors
    /// That it took too long.
    pub(super) fn take<'l, T>(&self, lock: &'l Mutex<T>) -> io::Result<MutexGuard<'l, T>> {
        for turn in 0..TURNS {
            match lock.try_lock() {
                Ok(held) => return Ok(held),
                // No panic leaves any of it half changed.
                Err(TryLockError::Poisoned(held)) => return Ok(held.into_inner()),
                Err(TryLockError::WouldBlock) => self.answers()?,
            }
            match turn {
                0..SPINS => hint::spin_loop(),
                SPINS..YIELDS => thread::yield_now(),
                _ => thread::sleep(REST),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Looks at the marks, and tells the log when the disk does not answer, and when it does again.
    pub(super) fn look(&self, seen: &mut Seen) {
        for (index, mark) in self.marks.iter().enumerate() {
            let serial = mark.serial.load(Ordering::Relaxed);
            let is_met_again = serial % 2 == 1 && serial == seen.serials[index];
            seen.times[index] = if is_met_again {
                seen.times[index].saturating_add(1)
            } else {
                0
            };
            seen.serials[index] = serial;
            if seen.times[index] >= LOOKS {
                mark.stuck.store(serial, Ordering::Relaxed);
            }
        }
        let is_stuck = self.is_stuck();
        if std::mem::replace(&mut seen.told, is_stuck) == is_stuck {
            return;
        }
        if is_stuck {
            tracing::error!(
                "the disk of proofs does not answer: the worker that writes there waits for it, with all its connections, and requests that pass once only are refused with 503 `store-unavailable`"
            );
        } else {
            tracing::info!("the disk of proofs answers again");
        }
    }
}

impl Mark {
    fn is_stuck(&self) -> bool {
        let stuck = self.stuck.load(Ordering::Relaxed);
        stuck != 0 && stuck == self.serial.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(disk: &Disk, seen: &mut Seen, times: u32) {
        for _ in 0..times {
            disk.look(seen);
        }
    }

    #[test]
    fn a_write_that_is_met_again_and_again_does_not_come_back_and_one_that_ends_does() {
        let (disk, mut seen) = (Disk::default(), Seen::default());
        for writer in [Writer::Journal, Writer::Blanks] {
            disk.write(writer, || {
                look(&disk, &mut seen, LOOKS);
                assert!(!disk.is_stuck());
                disk.look(&mut seen);
                assert!(disk.is_stuck() && disk.answers().is_err());
            });
            // At once, before anybody looks.
            assert!(!disk.is_stuck());
        }
    }

    #[test]
    fn writes_that_come_back_are_none_that_does_not_however_many_are_met() {
        let (disk, mut seen) = (Disk::default(), Seen::default());
        for _ in 0..100 {
            disk.write(Writer::Journal, || look(&disk, &mut seen, LOOKS));
        }
        look(&disk, &mut seen, 100);
        assert!(!disk.is_stuck());
    }

    #[test]
    fn nobody_waits_for_what_is_held_by_a_write_that_does_not_come_back() {
        let (disk, mut seen) = (Disk::default(), Seen::default());
        let lock = Mutex::new(());
        let held = disk.take(&lock).unwrap();
        disk.write(Writer::Journal, || {
            look(&disk, &mut seen, LOOKS + 1);
            disk.take(&lock).unwrap_err();
        });
        // Nor without an end for anything else.
        disk.take(&lock).unwrap_err();
        drop(held);
        drop(disk.take(&lock).unwrap());
    }
}
