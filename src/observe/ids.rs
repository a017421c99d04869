//! Request ids: no two alike, and none costs a system call.

use crate::clock::Now;
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

    /// The next id: 32 hexadecimal digits, in the order of time.
    pub fn next(&self, now: Now) -> Box<str> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(32);
        push_hex(&mut id, now.unix().as_millis() as u64, 12);
        push_hex(&mut id, self.worker, 12);
        push_hex(&mut id, u64::from(count), 8);
        id.into_boxed_str()
    }
}

/// The lowest `digits` hexadecimal digits of `number`.
fn push_hex(out: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) as u32 & 0xf;
        out.push(char::from_digit(digit, 16).expect("four bits are one digit"));
    }
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
            assert_eq!(id.len(), 32);
            assert!(id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
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
