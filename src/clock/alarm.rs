//! Deadlines that cost nothing while nobody is late.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The longest a deadline may be; a longer one is as good as none.
pub(crate) const NEVER: Duration = Duration::from_hours(30 * 24);

/// When `wait` will be over.
pub(crate) fn after(wait: Duration) -> Instant {
    later(Instant::now(), wait)
}

/// The same, of what has begun before.
pub(crate) fn later(since: Instant, wait: Duration) -> Instant {
    since + wait.min(NEVER)
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
            match poll_sleep(sleep, cx) {
                Poll::Pending => return false,
                Poll::Ready(()) if sleep.deadline() >= until => return true,
                Poll::Ready(()) => sleep.as_mut().reset(until),
            }
        }
    }
}

/// Also where the task has used up what the runtime lets it do at a time: else neither would a time
/// that has passed be seen, nor the task be woken when it does.
fn poll_sleep(sleep: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
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
            self.is_set = poll_sleep(sleep, cx).is_pending();
        } else if !wanted {
            // Else it would wake a task that has come to rest.
            *self = Self::default();
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

    /// Does all that the runtime lets a task do in one go.
    fn use_budget_up(cx: &mut Context<'_>) {
        while tokio::task::coop::has_budget_remaining() {
            if let Poll::Ready(progress) = tokio::task::coop::poll_proceed(cx) {
                progress.made_progress();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_done_all_it_may_is_woken_in_time_and_late_when_it_is() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (mut alarm, mut rounds, mut is_set) = (Alarm::default(), Rounds::default(), false);
        let mut polls = 0..100;
        poll_fn(|cx| {
            polls.next().expect("it is not asked without end");
            use_budget_up(cx);
            let is_late = alarm.poll(cx, start + 3 * second);
            if !std::mem::replace(&mut is_set, true) {
                rounds.poll(cx, second, true);
            }
            if is_late {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert_eq!(start.elapsed(), 3 * second);
        let mut rings = 0;
        poll_fn(|cx| {
            polls.next().expect("it is not asked without end");
            use_budget_up(cx);
            rings += u32::from(rounds.poll(cx, second, true));
            match rings {
                3 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        assert_eq!(start.elapsed(), 5 * second);
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
        assert!(!unwanted && !rounds.is_set && rounds.sleep.is_none());
    }
}
