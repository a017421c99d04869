//! An answer's body as it arrives, whatever its server speaks.

use super::Failed;
use super::exchange::Deadlines;
use super::http1::{self, Broken};
use super::streamed::Streaming;
use super::upstream::{Lease, Stream};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::task::{Context, Poll};
use tokio::time::Instant;

/// An answer's body on its way, and what is left of the request.
pub(super) enum Arriving {
    /// On a connection of its own.
    Http1(Alone),
    /// On one stream of a connection.
    Http2(Box<Streaming>),
}

impl Arriving {
    /// The next frame.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        match self {
            Self::Http1(alone) => alone.poll_next(cx),
            Self::Http2(streaming) => streaming.poll_next(cx),
        }
    }

    /// Whether nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Http1(alone) => alone.is_over(),
            Self::Http2(streaming) => streaming.is_over(),
        }
    }

    /// Bytes to come, where that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(alone) => alone
                .left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Http2(streaming) => streaming.size_hint(),
        }
    }
}

/// An answer over HTTP/1.1.
pub(super) struct Alone {
    state: Talk,
    deadlines: Deadlines,
    /// Since when the server has owed us a frame.
    waiting: Option<Instant>,
}

enum Talk {
    Going(http1::Exchange<Stream>, Lease),
    Over,
    /// It is about to break off.
    Breaking(Failed),
    /// It broke off: never a clean end.
    Broken,
}

impl Alone {
    pub(super) fn new(
        exchange: http1::Exchange<Stream>,
        lease: Lease,
        deadlines: Deadlines,
    ) -> Self {
        let mut alone = Self {
            state: Talk::Going(exchange, lease),
            deadlines,
            waiting: None,
        };
        alone.give_back_at_end();
        alone
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let exchange = match &mut self.state {
            Talk::Going(exchange, _) => exchange,
            Talk::Over => return Poll::Ready(None),
            Talk::Breaking(_) | Talk::Broken => return Poll::Ready(Some(Err(self.break_off()))),
        };
        let frame = match exchange.poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(broke_off)),
            Poll::Pending => {
                // While the request still goes out, that is a sign of life too.
                if exchange.has_moved() {
                    self.waiting = None;
                }
                // A frame that comes at once costs no look at the clock.
                let since = *self.waiting.get_or_insert_with(Instant::now);
                let (due, phase) = self.deadlines.next_frame(since);
                if !exchange.poll_alarm(cx, due) {
                    return Poll::Pending;
                }
                Some(Err(Failed::Timeout(phase)))
            }
        };
        self.waiting = None;
        if let Some(Err(failed)) = frame {
            // The client first gets what there is, so that it sees an answer
            // break off, and not a connection without any.
            self.state = Talk::Breaking(failed);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.give_back_at_end();
        Poll::Ready(frame)
    }

    fn break_off(&mut self) -> Failed {
        match std::mem::replace(&mut self.state, Talk::Broken) {
            Talk::Breaking(failed) => failed,
            _ => Failed::Invalid("it broke off".into()),
        }
    }

    fn is_over(&self) -> bool {
        match &self.state {
            Talk::Going(exchange, _) => exchange.is_over(),
            Talk::Over => true,
            Talk::Breaking(_) | Talk::Broken => false,
        }
    }

    fn left(&self) -> Option<u64> {
        match &self.state {
            Talk::Going(exchange, _) => exchange.left(),
            Talk::Over => Some(0),
            Talk::Breaking(_) | Talk::Broken => None,
        }
    }

    fn give_back_at_end(&mut self) {
        if let Talk::Going(exchange, _) = &self.state
            && exchange.is_over()
            && let Talk::Going(exchange, lease) = std::mem::replace(&mut self.state, Talk::Over)
        {
            lease.give_back(exchange.into_connection());
        }
    }
}

fn broke_off(broken: Broken) -> Failed {
    match broken {
        Broken::Request(error) => Failed::Body(error),
        broken => Failed::Invalid(format!("it broke off: {broken}")),
    }
}
