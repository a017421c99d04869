//! A request's body, whatever its connection speaks.

use super::http1::inlet::{Inlet, Next};
use super::patience::Patience;
use super::{BoxError, Deadlines};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// A request's body as it arrives.
pub struct RequestBody(Kind);

enum Kind {
    /// All of it came with its head.
    Whole(Bytes),
    /// Of an HTTP/1 connection, which keeps the time.
    Arriving {
        inlet: Arc<Inlet>,
        /// Bytes to come, where that is known.
        left: Option<u64>,
    },
    /// Of an HTTP/2 stream.
    Stream {
        incoming: Incoming,
        /// Where there is something to wait for.
        awaited: Option<Box<Awaited>>,
    },
}

/// What is still to come of a stream's body.
struct Awaited {
    patience: Patience,
    broke: Broke,
}

/// Whether a body broke off, for whoever has to know that it was the client.
pub(super) type Broke = Arc<AtomicBool>;

impl RequestBody {
    /// All of it is there, be it that it was read before.
    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }

    /// More has to come through `inlet`; `left` bytes, if that is known.
    pub(super) const fn arriving(inlet: Arc<Inlet>, left: Option<u64>) -> Self {
        Self(Kind::Arriving { inlet, left })
    }

    /// Of a stream. What is given beside it tells of one that is still to come.
    pub(super) fn of_stream(incoming: Incoming, deadlines: &Deadlines) -> (Self, Option<Broke>) {
        let awaited = (!incoming.is_end_stream()).then(|| {
            Box::new(Awaited {
                patience: Patience::new(deadlines.body, deadlines.pace),
                broke: Broke::default(),
            })
        });
        let broke = awaited.as_ref().map(|awaited| awaited.broke.clone());
        (Self(Kind::Stream { incoming, awaited }), broke)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                Poll::Ready(Some(Ok(frame)))
            }
            Kind::Arriving { inlet, left } => poll_inlet(inlet, left, cx),
            Kind::Stream { incoming, awaited } => {
                let polled = poll_stream(incoming, awaited, cx);
                if let (Poll::Ready(Some(Err(_))), Some(awaited)) = (&polled, awaited) {
                    awaited.broke.store(true, Ordering::Relaxed);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Arriving { left, .. } => *left == Some(0),
            Kind::Stream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Arriving { left, .. } => left.map_or_else(SizeHint::new, SizeHint::with_exact),
            Kind::Stream { incoming, .. } => incoming.size_hint(),
        }
    }
}

fn poll_inlet(inlet: &Inlet, left: &mut Option<u64>, cx: &Context<'_>) -> Polled {
    if *left == Some(0) {
        return Poll::Ready(None);
    }
    Poll::Ready(match ready!(inlet.poll_next(cx)) {
        Next::Piece { data, is_last } => {
            *left = match *left {
                _ if is_last => Some(0),
                Some(left) => Some(left.saturating_sub(data.len() as u64)),
                None => None,
            };
            Some(Ok(Frame::data(data)))
        }
        Next::End => {
            *left = Some(0);
            None
        }
        Next::Failed(error) => Some(Err(error.into())),
    })
}

fn poll_stream(
    incoming: &mut Incoming,
    awaited: &mut Option<Box<Awaited>>,
    cx: &mut Context<'_>,
) -> Polled {
    let polled = Pin::new(&mut *incoming).poll_frame(cx);
    if matches!(polled, Poll::Ready(None)) && !incoming.is_end_stream() {
        // The library takes a reset without an error for the end, which it is not.
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Poll::Ready(Some(Err(cut.into())));
    }
    if let Some(awaited) = awaited {
        let patience = &mut awaited.patience;
        match &polled {
            Poll::Pending if patience.wait(cx, 0) => {
                let late = io::Error::from(io::ErrorKind::TimedOut);
                return Poll::Ready(Some(Err(late.into())));
            }
            Poll::Ready(Some(Ok(frame))) => {
                patience.moved(frame.data_ref().map_or(0, Bytes::len));
            }
            _ => {}
        }
    }
    polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Self::Arriving { inlet, .. } = self {
            inlet.leave();
        }
    }
}
