//! Active health checks: what they ask, and when a server counts as down.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// `health` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked for: path and query.
    pub path: http::uri::PathAndQuery,
    /// The service of gRPC that is asked for, the whole server where it is empty; nothing where it is a `GET`.
    pub grpc: Option<Box<str>>,
    /// How often.
    pub every: Duration,
    /// How long connecting and answering may take together.
    pub timeout: Duration,
    /// Good checks in a row that bring a server back.
    pub healthy_after: u32,
    /// Bad ones in a row that take it out.
    pub unhealthy_after: u32,
    /// The status of a good one.
    pub status: RangeInclusive<u16>,
}

/// Set while a server is down.
const DOWN: u32 = 1 << 31;

/// How one server's checks go. It is up until they say otherwise. One task writes it.
#[derive(Debug, Default)]
pub(super) struct Streak(AtomicU32);

impl Streak {
    pub(super) fn is_down(&self) -> bool {
        self.0.load(Ordering::Acquire) & DOWN != 0
    }

    /// Whether the last check was good, and it is up.
    pub(super) fn is_as_new(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// A check was good or not. Whether the server is up by it, if that is a change.
    pub(super) fn checked(&self, good: bool, health: &Health) -> Option<bool> {
        let word = self.0.load(Ordering::Relaxed);
        let (down, streak) = (word & DOWN, word & !DOWN);
        let is_down = down != 0;
        if good != is_down {
            // As it was.
            self.0.store(down, Ordering::Relaxed);
            return None;
        }
        let needed = if good {
            health.healthy_after
        } else {
            health.unhealthy_after
        };
        if streak + 1 < needed {
            self.0.store(down | (streak + 1), Ordering::Relaxed);
            return None;
        }
        self.0.store(down ^ DOWN, Ordering::Release);
        Some(good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_goes_down_and_up_after_checks_in_a_row() {
        let health = Health {
            path: http::uri::PathAndQuery::from_static("/"),
            grpc: None,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
            status: 200..=399,
        };
        let streak = Streak::default();
        let told: Vec<_> = [
            true, false, false, true, false, false, false, // down
            false, true, false, true, true, // up
            true, false,
        ]
        .into_iter()
        .map(|good| streak.checked(good, &health))
        .collect();
        let mut expected = [None; 14];
        expected[6] = Some(false);
        expected[11] = Some(true);
        assert_eq!(told, expected);
        assert!(!streak.is_down());
    }
}
