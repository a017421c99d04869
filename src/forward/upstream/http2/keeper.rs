//! Who looks after an HTTP/2 connection to a server: whether it is still there, and whether it is still used.

use super::Http2;
use crate::forward::upstream::kept::MAX_IDLE;
use h2::{Ping, PingPong};
use std::pin::Pin;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// After so long without an answer's byte, and without a request's that had to wait, while requests are under way, we ask
/// whether the server is there.
const PING_AFTER: Duration = Duration::from_secs(30);
/// How long it may take to say so, or to take more.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long we wait before we ask once more: servers close connections that are asked more often than every
/// five minutes without having sent anything.
const PING_AGAIN: Duration = Duration::from_secs(310);
/// How long a connection that is no longer used may take to close.
const CLOSING: Duration = Duration::from_secs(2);

/// Decides when to ask, and when to end.
pub(super) struct Keeper {
    pings: Option<PingPong>,
    shared: Weak<Http2>,
    alarm: Pin<Box<Sleep>>,
    /// What was heard, and was taken, when we last looked.
    heard: usize,
    asked: Asked,
    is_closing: bool,
}

enum Asked {
    Not,
    /// The answer is due then.
    Due(Instant),
    /// It came; not to be asked again before then, unless something is heard or taken.
    Quiet(Instant),
}

impl Keeper {
    pub(super) fn new(pings: Option<PingPong>, shared: Weak<Http2>) -> Self {
        Self {
            pings,
            shared,
            alarm: Box::pin(sleep_until(Instant::now() + PING_AFTER)),
            heard: 0,
            asked: Asked::Not,
            is_closing: false,
        }
    }

    /// Ready when the connection has to end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let (Asked::Due(_), Some(pings)) = (&self.asked, &mut self.pings) {
            match pings.poll_pong(cx) {
                Poll::Ready(Ok(_)) => self.asked = Asked::Quiet(Instant::now() + PING_AGAIN),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let Some(next) = self.look(now) else {
                return Poll::Ready(());
            };
            self.alarm.as_mut().reset(next);
            // The question is written, and its answer waited for, at the next turn.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// When to look again; `None` when it has to end now.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        let Some(shared) = self.shared.upgrade() else {
            return self.close(now);
        };
        let mut state = shared.state();
        if state.in_use == 0 {
            let until = state.idle_since + MAX_IDLE;
            if state.sender.is_some() && now < until {
                return Some(until);
            }
            state.sender = None;
            drop(state);
            return self.close(now);
        }
        let heard = shared.heard.load(Ordering::Relaxed);
        let heard = heard.wrapping_add(shared.taken.times());
        if let Asked::Due(due) = self.asked {
            if now < due {
                return Some(due);
            }
            if heard == self.heard {
                // Whoever waits for an answer is told so.
                state.is_dead = true;
                return None;
            }
            // The question may stand behind much that it still has to take.
            self.heard = heard;
            self.asked = Asked::Due(now + PING_TIMEOUT);
            return Some(now + PING_TIMEOUT);
        }
        if heard != self.heard {
            self.heard = heard;
            self.asked = Asked::Not;
        } else if matches!(self.asked, Asked::Not)
            || matches!(self.asked, Asked::Quiet(until) if now >= until)
        {
            let asked = self
                .pings
                .as_mut()
                .map(|pings| pings.send_ping(Ping::opaque()));
            if let Some(Ok(())) = asked {
                self.asked = Asked::Due(now + PING_TIMEOUT);
                return Some(now + PING_TIMEOUT);
            }
        }
        Some(now + PING_AFTER)
    }

    /// Nobody uses it any more: it closes by itself, and has a moment to.
    fn close(&mut self, now: Instant) -> Option<Instant> {
        let begins = !self.is_closing;
        self.is_closing = true;
        begins.then(|| now + CLOSING)
    }
}
