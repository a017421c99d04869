//! Deadlines that cost nothing while nobody is late.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The longest a deadline may be; a longer one is as good as none.
const NEVER: Duration = Duration::from_hours(30 * 24);

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
}
