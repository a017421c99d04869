//! An answer's body as it arrives, whatever its server speaks.

use super::exchange::Deadlines;
use super::http1::{self, Broken};
use super::streaming::Streaming;
use super::upstream::{Lease, Stream};
use super::{Failed, Late};
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

/// An answer over HTTP/1.1: small, since it is moved with the response.
pub(super) enum Alone {
    Going(http1::Exchange<Stream, Beside>),
    Over,
    /// It is about to break off.
    Breaking(Box<Failed>),
    /// It broke off: never a clean end.
    Broken,
}

/// What an exchange over HTTP/1.1 keeps at its connection.
#[derive(Debug)]
pub(super) struct Beside {
    lease: Lease,
    deadlines: Deadlines,
    /// Since when the server has owed us a frame.
    waiting: Option<Instant>,
    /// Whether a frame has come.
    has_begun: bool,
}

impl Beside {
    pub(super) const fn new(lease: Lease, deadlines: Deadlines) -> Self {
        Self {
            lease,
            deadlines,
            waiting: None,
            has_begun: false,
        }
    }

    pub(super) fn into_lease(self) -> Lease {
        self.lease
    }
}

impl Alone {
    pub(super) fn new(exchange: http1::Exchange<Stream, Beside>) -> Self {
        let mut alone = Self::Going(exchange);
        alone.give_back_at_end();
        alone
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let exchange = match self {
            Self::Going(exchange) => exchange,
            Self::Over => return Poll::Ready(None),
            Self::Breaking(_) | Self::Broken => return Poll::Ready(Some(Err(self.break_off()))),
        };
        let frame = match exchange.poll_frame(cx) {
            Poll::Ready(Some(Ok(_))) if is_too_late(exchange) => {
                Some(Err(Failed::late(Late::Finish)))
            }
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(broke_off)),
            Poll::Pending => {
                let (due, late) = next_frame(exchange);
                if !exchange.poll_alarm(cx, due) {
                    return Poll::Pending;
                }
                Some(Err(Failed::late(late)))
            }
        };
        if let Some(Err(failed)) = frame {
            // The client first gets what there is, so that it sees an answer
            // break off, and not a connection without any.
            *self = Self::Breaking(Box::new(failed));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(beside) = exchange.beside() {
            beside.waiting = None;
        }
        self.give_back_at_end();
        Poll::Ready(frame)
    }

    fn break_off(&mut self) -> Failed {
        match std::mem::replace(self, Self::Broken) {
            Self::Breaking(failed) => *failed,
            _ => Failed::Invalid("it broke off".into()),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Going(exchange) => exchange.is_over(),
            Self::Over => true,
            Self::Breaking(_) | Self::Broken => false,
        }
    }

    fn left(&self) -> Option<u64> {
        match self {
            Self::Going(exchange) => exchange.left(),
            Self::Over => Some(0),
            Self::Breaking(_) | Self::Broken => None,
        }
    }

    fn give_back_at_end(&mut self) {
        if let Self::Going(exchange) = self
            && exchange.is_over()
            && let Some(beside) = exchange.beside().take()
            && let Self::Going(exchange) = std::mem::replace(self, Self::Over)
        {
            beside.lease.give_back(exchange.into_connection());
        }
    }
}

/// When the server is late with the next frame, and with what.
fn next_frame(exchange: &mut http1::Exchange<Stream, Beside>) -> (Instant, Late) {
    // While the request still goes out, that is a sign of life too.
    let has_moved = exchange.has_moved();
    let Some(beside) = exchange.beside() else {
        return (Instant::now(), Late::GoOn);
    };
    if has_moved {
        beside.waiting = None;
    }
    // A frame that comes at once costs no look at the clock.
    let since = *beside.waiting.get_or_insert_with(Instant::now);
    beside.deadlines.next_frame(since)
}

fn is_too_late(exchange: &mut http1::Exchange<Stream, Beside>) -> bool {
    let beside = exchange.beside().as_mut();
    beside.is_some_and(|beside| beside.deadlines.are_over(&mut beside.has_begun))
}

fn broke_off(broken: Broken) -> Failed {
    match broken {
        Broken::Request(error) => Failed::Body(error),
        broken => Failed::Invalid(format!("it broke off: {broken}")),
    }
}
