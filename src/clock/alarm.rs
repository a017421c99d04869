//! Deadlines that cost nothing while nobody is late.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The longest a deadline may be; a longer one is as good as none.
pub(crate) const NEVER: Duration = Duration::from_hours(30 * 24);

/// When `wait` will be over.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(NEVER)
}

/// One timer for a deadline that moves with every request. It is set again
/// only when it has run down or the deadline moved forward, so a busy
/// connection leaves the runtime's timers alone.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// True when `until` has passed; else the task is woken then, or before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if until < sleep.deadline() {
            sleep.as_mut().reset(until);
        }
        loop {
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(()) if sleep.deadline() >= until => return true,
                Poll::Ready(()) => sleep.as_mut().reset(until),
            }
        }
    }
}

/// Rings again and again while it is wanted. What happens between two rings
/// costs no look at a clock.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    sleep: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Rounds {
    /// True when `every` has passed, with the same task, since it was wanted
    /// or since the last ring.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, every: Duration, wanted: bool) -> bool {
        let rings = self.is_set && self.sleep.as_ref().is_some_and(|sleep| sleep.is_elapsed());
        if rings {
            self.is_set = false;
        }
        if wanted && !self.is_set {
            let until = after(every);
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(until)));
            sleep.as_mut().reset(until);
            self.is_set = sleep.as_mut().poll(cx).is_pending();
        }
        rings && wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn poll(alarm: &mut Alarm, until: Instant) -> bool {
        poll_fn(|cx| Poll::Ready(alarm.poll(cx, until))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_is_kept_wherever_it_moves() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut alarm = Alarm::default();
        assert!(!poll(&mut alarm, start + second).await);
        assert!(!poll(&mut alarm, start + 3 * second).await);
        tokio::time::advance(2 * second).await;
        assert!(!poll(&mut alarm, start + 3 * second).await);
        assert!(!poll(&mut alarm, start + 5 * second).await);
        tokio::time::advance(second).await;
        assert!(!poll(&mut alarm, start + 5 * second).await);
        tokio::time::advance(2 * second).await;
        assert!(poll(&mut alarm, start + 5 * second).await);
        assert!(!poll(&mut alarm, start + 6 * second).await);
        poll_fn(|cx| {
            if alarm.poll(cx, start + 6 * second) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert_eq!(start.elapsed(), 6 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_ring_while_they_are_wanted() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut rounds = Rounds::default();
        let mut rings = 0;
        poll_fn(|cx| {
            rings += u32::from(rounds.poll(cx, second, true));
            match rings {
                3 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        assert_eq!(start.elapsed(), 3 * second);
        tokio::time::advance(second).await;
        let unwanted = poll_fn(|cx| Poll::Ready(rounds.poll(cx, second, false))).await;
        assert!(!unwanted && !rounds.is_set);
    }
}
