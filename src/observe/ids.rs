//! Request ids: no two alike, and none costs a system call.

use crate::clock::Now;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes the request ids of one worker: its time in milliseconds, a number
/// drawn at random for the worker, and a count.
#[derive(Debug)]
pub struct RequestIds {
    worker: u64,
    count: AtomicU32,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestIds {
    /// Draws the worker's number from the system's randomness, by way of a
    /// hash that is seeded with it: ids need to differ, not to be secret.
    pub fn new() -> Self {
        Self {
            worker: RandomState::new().hash_one("worker"),
            count: AtomicU32::new(0),
        }
    }

    /// The next id, in the order of time.
    pub fn next(&self, now: Now) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let time = now.unix().as_millis() as u64;
        let worker = self.worker & 0xffff_ffff_ffff;
        let mut id = [0; RequestId::DIGITS];
        let (high, low) = id.split_at_mut(16);
        high.copy_from_slice(&hex(time << 16 | worker >> 32));
        low.copy_from_slice(&hex(worker << 32 | u64::from(count)));
        RequestId(id)
    }
}

/// `Portcullis-Request-Id`: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; RequestId::DIGITS]);

impl RequestId {
    /// How many digits it has.
    pub const DIGITS: usize = 32;

    /// Its digits.
    pub const fn digits(&self) -> &[u8; Self::DIGITS] {
        &self.0
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
impl From<&[u8; RequestId::DIGITS]> for RequestId {
    fn from(digits: &[u8; Self::DIGITS]) -> Self {
        Self(*digits)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number in 16 hexadecimal digits. Each of its nibbles gets a byte of one number, and all are made digits at once.
fn hex(number: u64) -> [u8; 16] {
    let spread = |half: u32| {
        let mut wide = u64::from(half);
        wide = (wide << 16 | wide) & 0x0000_ffff_0000_ffff;
        wide = (wide << 8 | wide) & 0x00ff_00ff_00ff_00ff;
        wide = (wide << 4 | wide) & 0x0f0f_0f0f_0f0f_0f0f;
        // Above 9 is what reaches 16 with 6 more.
        let letters = (wide + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        (wide + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
    };
    let mut digits = [0; 16];
    let (high, low) = digits.split_at_mut(8);
    high.copy_from_slice(&spread((number >> 32) as u32));
    low.copy_from_slice(&spread(number as u32));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    #[test]
    fn ids_differ_within_a_worker_and_between_workers() {
        let now = Now::new(Duration::from_secs(1_800_000_007), Duration::ZERO);
        let workers = [RequestIds::new(), RequestIds::new()];
        let ids: HashSet<_> = (0..2_000).map(|n| workers[n % 2].next(now)).collect();
        assert_eq!(ids.len(), 2_000);
        for id in ids {
            assert!(
                id.digits()
                    .iter()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            );
        }
    }

    #[test]
    fn a_number_is_written_as_it_is_elsewhere() {
        for number in [
            0,
            9,
            10,
            0x0123_4567_89ab_cdef,
            0xfedc_ba98_7654_3210,
            u64::MAX,
        ] {
            assert_eq!(hex(number), format!("{number:016x}").as_bytes());
        }
    }

    #[test]
    fn a_later_id_sorts_behind_an_earlier_one() {
        let ids = RequestIds::new();
        let at = |millis| Now::new(Duration::from_millis(millis), Duration::ZERO);
        assert!(ids.next(at(1_000)) < ids.next(at(1_001)));
        assert!(ids.next(at(1_001)) < ids.next(at(1_001)));
    }
}
