//! A request's body, whatever its connection speaks.

use super::http1::inlet::{Inlet, Next};
use super::patience::Patience;
use super::{BoxError, Deadlines};
use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Bytes that are taken in of a body over HTTP/2 that nobody reads any more…
const UNWANTED: usize = 1024 * 1024;
/// …and how long they may take.
const UNWANTED_IN: Duration = Duration::from_secs(1);

/// A request's body as it arrives.
pub struct RequestBody(Kind);

enum Kind {
    /// All of it is here.
    Whole(Bytes),
    /// Of an HTTP/1 connection, which keeps the time.
    Arriving {
        inlet: Arc<Inlet>,
        /// Bytes to come, where that is known.
        left: Option<u64>,
    },
    /// Of an HTTP/2 stream, its end still to come.
    Stream(Box<Stream>),
    /// What was waited for, and the rest.
    Begun(Box<Begun>),
}

/// A body whose first bytes were waited for.
struct Begun {
    first: Option<Result<Bytes, BoxError>>,
    rest: RequestBody,
}

/// What is still to come of a stream's body.
struct Stream {
    /// Until this is dropped.
    incoming: Option<Incoming>,
    patience: Patience,
    known: Arc<Known>,
}

/// A stream's body as the library gives it.
struct Incoming {
    stream: RecvStream,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    /// Whether only trailers can come.
    has_all_data: bool,
}

impl Incoming {
    /// The library has seen to it that no more comes than a length says, and no less.
    fn new(stream: RecvStream, fields: &HeaderMap) -> Self {
        let length = fields.get(CONTENT_LENGTH).map(HeaderValue::to_str);
        Self {
            stream,
            left: length.and_then(|length| length.ok()?.parse().ok()),
            has_all_data: false,
        }
    }

    fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let failed = |why: h2::Error| {
            if why.reason() == Some(Reason::NO_ERROR) {
                // A reset without an error is no end.
                return io::Error::from(io::ErrorKind::UnexpectedEof).into();
            }
            BoxError::from(why)
        };
        if !self.has_all_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It has come, so there is so much to be given back.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    let bytes = data.len() as u64;
                    self.left = self.left.map(|left| left.saturating_sub(bytes));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(why)) => return Poll::Ready(Some(Err(failed(why)))),
                None => self.has_all_data = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        Poll::Ready(
            trailers
                .map_err(failed)
                .map(|it| it.map(Frame::trailers))
                .transpose(),
        )
    }
}

/// What is known of a stream's body besides its bytes.
#[derive(Debug, Default)]
struct Known {
    /// Whether it broke off by its client.
    broke: AtomicBool,
    /// For how long its client may pause, in milliseconds, once that is no more for the connection to say.
    pause: AtomicU64,
}

/// A hold on the body of a stream for whoever does not read it.
#[derive(Debug)]
pub struct Reins(Arc<Known>);

impl Reins {
    /// From now on the body's client may pause for so long, however slow it is.
    pub fn slacken(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.0.pause.store(pause.max(1), Ordering::Relaxed);
    }

    /// Whether the body broke off, by its client.
    pub(super) fn have_broken(&self) -> bool {
        self.0.broke.load(Ordering::Relaxed)
    }
}

impl RequestBody {
    /// All of it is there, be it that it was read before.
    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }

    /// More has to come through `inlet`; `left` bytes, if that is known.
    pub(super) const fn arriving(inlet: Arc<Inlet>, left: Option<u64>) -> Self {
        Self(Kind::Arriving { inlet, left })
    }

    /// Of a stream, whose head has these fields.
    pub(super) fn of_stream(stream: RecvStream, fields: &HeaderMap, deadlines: &Deadlines) -> Self {
        if stream.is_end_stream() {
            return Self::whole(Bytes::new());
        }
        Self(Kind::Stream(Box::new(Stream {
            incoming: Some(Incoming::new(stream, fields)),
            patience: Patience::new(deadlines.body, deadlines.pace),
            known: Arc::default(),
        })))
    }

    /// Waits until its first bytes are here, or its end, or it fails: without a length these alone show
    /// whether it is one. Given up on, it is as it was.
    pub(crate) async fn begin(&mut self) {
        let first = loop {
            let Some(frame) = poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await else {
                *self = Self::whole(Bytes::new());
                return;
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(first)) if !first.is_empty() => break Ok(first),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let rest = std::mem::replace(self, Self::whole(Bytes::new()));
        let first = Some(first);
        *self = Self(Kind::Begun(Box::new(Begun { first, rest })));
    }

    /// All of it, where it came with its head.
    pub const fn here(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes),
            Kind::Arriving { .. } | Kind::Stream(_) | Kind::Begun(_) => None,
        }
    }

    /// A hold on it, where it is a stream's and still to come.
    pub fn reins(&self) -> Option<Reins> {
        match &self.0 {
            Kind::Begun(begun) => begun.rest.reins(),
            Kind::Stream(stream) => Some(Reins(stream.known.clone())),
            Kind::Whole(_) | Kind::Arriving { .. } => None,
        }
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
            Kind::Stream(stream) => {
                let polled = stream.poll(cx);
                if let Poll::Ready(Some(Err(_))) = &polled {
                    stream.known.broke.store(true, Ordering::Relaxed);
                }
                polled
            }
            Kind::Begun(begun) => match begun.first.take() {
                Some(first) => Poll::Ready(Some(first.map(Frame::data))),
                None => Pin::new(&mut begun.rest).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Arriving { left, .. } => *left == Some(0),
            Kind::Stream(stream) => stream.is_end(),
            Kind::Begun(begun) => begun.first.is_none() && begun.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Arriving { left, .. } => left.map_or_else(SizeHint::new, SizeHint::with_exact),
            Kind::Stream(stream) => {
                let left = stream.incoming.as_ref().and_then(|incoming| incoming.left);
                left.map_or_else(SizeHint::new, SizeHint::with_exact)
            }
            Kind::Begun(begun) => {
                let here = match &begun.first {
                    Some(Ok(first)) => first.len() as u64,
                    Some(Err(_)) | None => 0,
                };
                let rest = begun.rest.size_hint();
                let mut all = SizeHint::new();
                all.set_lower(rest.lower().saturating_add(here));
                if let Some(most) = rest.upper() {
                    all.set_upper(most.saturating_add(here));
                }
                all
            }
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

impl Stream {
    fn is_end(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let polled = incoming.poll(cx);
        match &polled {
            Poll::Pending => {
                let pause = self.known.pause.load(Ordering::Relaxed);
                if pause > 0 {
                    self.patience.relax(Duration::from_millis(pause));
                }
                if self.patience.wait(cx, 0) {
                    let late = io::Error::from(io::ErrorKind::TimedOut);
                    return Poll::Ready(Some(Err(late.into())));
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.patience.moved(frame.data_ref().map_or(0, Bytes::len));
            }
            Poll::Ready(_) => {}
        }
        polled
    }
}

/// With the last hold on it a stream is reset, and some clients throw an answer away whose stream is
/// reset under the body that they still send: what they send is read for a moment more.
impl Drop for Stream {
    fn drop(&mut self) {
        let Some(mut unwanted) = self.incoming.take() else {
            return;
        };
        let mut left = UNWANTED;
        // Often all of it is here, or only the end was to come: that takes no task.
        let mut now = Context::from_waker(Waker::noop());
        if take_in(&mut unwanted, &mut left, &mut now).is_ready() {
            return;
        }
        // Outside of a runtime nobody reads it.
        if let Ok(runtime) = Handle::try_current() {
            let rest = poll_fn(move |cx| take_in(&mut unwanted, &mut left, cx));
            runtime.spawn(timeout(UNWANTED_IN, rest));
        }
    }
}

/// Reads on until the end, or until no more of it is `left` to be taken.
fn take_in(unwanted: &mut Incoming, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    while *left > 0
        && let Some(Ok(frame)) = ready!(unwanted.poll(cx))
    {
        *left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
    Poll::Ready(())
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Self::Arriving { inlet, .. } = self {
            inlet.leave();
        }
    }
}
