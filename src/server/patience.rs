//! How long we wait for a client that sends, or takes, too slowly.
//!
//! Whoever moves `rate` bytes a second on average is waited for. A client
//! starts with a grace, earns time with each byte, and spends what it makes
//! us wait. It never saves up more than the grace and one longest pause, so
//! a fast start does not pay for hours of dripping.

use crate::clock::alarm::{Alarm, later};
use std::num::NonZeroU64;
use std::task::Context;
use std::time::Duration;
use tokio::time::Instant;

/// The slowest that a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes a second; `None` is as slow as it likes.
    pub rate: Option<NonZeroU64>,
    /// How long it may be slower than that.
    pub grace: Duration,
}

/// What a client has left, in one direction of one body.
#[derive(Debug)]
pub(super) struct Patience {
    /// The longest pause.
    limit: Duration,
    pace: Pace,
    left: Duration,
    /// Since when it makes us wait.
    since: Option<Instant>,
    alarm: Alarm,
}

impl Patience {
    /// For a client that may pause for `limit`.
    pub(super) fn new(limit: Duration, pace: Pace) -> Self {
        Self {
            limit,
            pace,
            left: pace.grace,
            since: None,
            alarm: Alarm::default(),
        }
    }

    /// Starts anew, for another body.
    pub(super) const fn renew(&mut self) {
        self.left = self.pace.grace;
        self.since = None;
    }

    /// From now on the client may pause for `limit`, however slow it is.
    pub(super) const fn relax(&mut self, limit: Duration) {
        self.limit = limit;
        self.pace.rate = None;
    }

    /// The client makes us wait; of what it moves we notice nothing before
    /// it has moved `owed` bytes. True when that takes too long; else the
    /// task is woken when it does.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, owed: usize) -> bool {
        let wait = match self.pace.rate {
            None => self.limit,
            Some(rate) => self
                .limit
                .min(self.left.saturating_add(time_for(owed, rate))),
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        self.alarm.poll(cx, later(since, wait))
    }

    /// The client has moved so many bytes.
    pub(super) fn moved(&mut self, bytes: usize) {
        let waited = self.since.take();
        let Some(rate) = self.pace.rate else {
            return;
        };
        let most = self.pace.grace.saturating_add(self.limit);
        if waited.is_none() && self.left >= most {
            return;
        }
        let earned = self.left.saturating_add(time_for(bytes, rate));
        let spent = waited.map_or(Duration::ZERO, |since| since.elapsed());
        self.left = earned.saturating_sub(spent).min(most);
    }
}

fn time_for(bytes: usize, rate: NonZeroU64) -> Duration {
    const NANOS: u64 = 1_000_000_000;
    Duration::from_nanos((bytes as u64).saturating_mul(NANOS) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    const SECOND: Duration = Duration::from_secs(1);
    const PACE: Pace = Pace {
        rate: NonZeroU64::new(1024),
        grace: Duration::from_secs(8),
    };

    async fn outlasted(patience: &mut Patience, owed: usize) -> Duration {
        let start = Instant::now();
        poll_fn(|cx| {
            if patience.wait(cx, owed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        start.elapsed()
    }

    async fn pause(patience: &mut Patience, wait: Duration) -> bool {
        let late = poll_fn(|cx| Poll::Ready(patience.wait(cx, 0))).await;
        tokio::time::advance(wait).await;
        late || poll_fn(|cx| Poll::Ready(patience.wait(cx, 0))).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_moves_nothing_has_the_grace_and_never_more_than_the_longest_pause() {
        let mut patience = Patience::new(30 * SECOND, PACE);
        assert_eq!(outlasted(&mut patience, 0).await, 8 * SECOND);
        let mut patience = Patience::new(3 * SECOND, PACE);
        assert_eq!(outlasted(&mut patience, 0).await, 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_just_fast_enough_is_waited_for_all_day() {
        let mut patience = Patience::new(30 * SECOND, PACE);
        for _ in 0..10_000 {
            assert!(!pause(&mut patience, 2 * SECOND).await);
            patience.moved(2048);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_drips_is_late_when_the_grace_is_used_up_however_fast_the_start_was() {
        let mut patience = Patience::new(30 * SECOND, PACE);
        patience.moved(1 << 30);
        let mut drips = 0;
        while !pause(&mut patience, SECOND).await {
            patience.moved(1);
            drips += 1;
        }
        // The grace and one longest pause.
        assert_eq!(drips, 38);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_after_a_fast_start_may_last_as_long_as_the_longest() {
        let mut patience = Patience::new(30 * SECOND, PACE);
        patience.moved(1 << 20);
        assert_eq!(outlasted(&mut patience, 0).await, 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_only_be_seen_in_large_pieces_is_waited_for_as_long_as_a_piece_takes() {
        let mut patience = Patience::new(60 * SECOND, PACE);
        assert_eq!(outlasted(&mut patience, 16 * 1024).await, 24 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_take_longer_from_now_on_may_so_in_the_pause_that_there_is() {
        let mut patience = Patience::new(30 * SECOND, PACE);
        assert!(!pause(&mut patience, 7 * SECOND).await);
        patience.relax(60 * SECOND);
        assert_eq!(outlasted(&mut patience, 0).await, 53 * SECOND);
        patience.moved(1);
        assert_eq!(outlasted(&mut patience, 0).await, 60 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_only_the_longest_pause_counts() {
        let pace = Pace { rate: None, ..PACE };
        let mut patience = Patience::new(3 * SECOND, pace);
        for _ in 0..100 {
            assert!(!pause(&mut patience, 2 * SECOND).await);
            patience.moved(1);
        }
        assert_eq!(outlasted(&mut patience, 0).await, 3 * SECOND);
    }
}
