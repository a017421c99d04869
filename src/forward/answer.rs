//! The upstream's answer on its way to the client.

use super::Failed;
use super::body::{BoxError, Sending, Sent};
use super::exchange::Deadlines;
use super::headers;
use super::streamed::Streamed;
use super::upstream::Lease;
use crate::limit::app::Place;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a client may go on to send a body to an HTTP/2 server that has
/// given its whole answer already, and has not said that it wants no more.
const AFTER_ANSWER: Duration = Duration::from_secs(10);

/// An answer's body. It is asked for bytes only as fast as the client takes
/// them; dropped before its end, it takes the upstream's request along.
pub struct AnswerBody {
    source: Source,
    bytes: u64,
    /// The caller's place among its app's requests in flight, until the end.
    _place: Option<Place>,
}

enum Source {
    Made(Option<Bytes>),
    Upstream(Streaming),
}

/// What a server sends, by what it speaks.
pub(super) struct Arriving {
    body: Kind,
    /// The request's body, where it still goes out while the answer comes in.
    sending: Option<Arc<Sending>>,
}

enum Kind {
    Http1(Incoming),
    Http2(Box<Streamed>),
}

impl Arriving {
    pub(super) const fn http1(body: Incoming, sending: Option<Arc<Sending>>) -> Self {
        Self {
            body: Kind::Http1(body),
            sending,
        }
    }

    pub(super) fn http2(body: Streamed, sending: Option<Arc<Sending>>) -> Self {
        Self {
            body: Kind::Http2(Box::new(body)),
            sending,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        match &mut self.body {
            Kind::Http1(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| Failed::Invalid(format!("it broke off: {error}"))),
            Kind::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body) => body.size_hint(),
        }
    }

    /// When some of the request's body was last taken.
    fn sent_at(&self) -> Option<Instant> {
        match self.sending.as_ref()?.get() {
            Sent::Taken(at) | Sent::Ended(at) => Some(at),
            Sent::AllThereIs => None,
        }
    }
}

struct Streaming {
    body: Arriving,
    lease: Option<Lease>,
    deadlines: Deadlines,
    /// Since when the upstream has owed us a frame.
    waiting: Option<Instant>,
    /// Made when the upstream is first waited for.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    /// What a server answers on the connection of `lease`.
    pub(super) fn streaming(
        body: Arriving,
        lease: Lease,
        deadlines: Deadlines,
        place: Option<Place>,
    ) -> Self {
        let mut streaming = Streaming {
            body,
            lease: Some(lease),
            deadlines,
            waiting: None,
            alarm: None,
        };
        streaming.give_back_at_end();
        Self {
            source: Source::Upstream(streaming),
            bytes: 0,
            _place: place,
        }
    }

    /// What was made here.
    pub(super) const fn made(bytes: Bytes, place: Option<Place>) -> Self {
        Self {
            source: Source::Made(Some(bytes)),
            bytes: 0,
            _place: place,
        }
    }

    /// Bytes that were handed out so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it holds belongs into no log.
        f.debug_struct("AnswerBody")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.source {
            Source::Made(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Upstream(streaming) => ready!(streaming.poll_next(cx)),
        };
        if let Some(Ok(frame)) = &frame {
            self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Made(bytes) => bytes.is_none(),
            Source::Upstream(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Made(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream(streaming) => streaming.body.size_hint(),
        }
    }
}

impl Streaming {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let Poll::Ready(frame) = self.body.poll_frame(cx) else {
            return self.poll_late(cx).map(|failed| {
                if let Some(lease) = self.lease.take() {
                    lease.late();
                }
                Some(Err(failed))
            });
        };
        self.waiting = None;
        if let Some(lease) = &mut self.lease {
            lease.heard();
        }
        Poll::Ready(match frame {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::answer(trailers);
                }
                self.give_back_at_end();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.lease = None;
                Some(Err(error))
            }
            None => {
                self.give_back();
                None
            }
        })
    }

    /// Ready when the upstream is late with its next frame. The alarm is only
    /// ever set to what is due at the time, and set on when it rings too
    /// early: a frame in between costs nothing.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Failed> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let since = self.body.sent_at().map_or(since, |sent| sent.max(since));
        let end = self.deadlines.end;
        let due = end.min(since + self.deadlines.idle);
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(due)))
            .as_mut();
        poll_until(alarm, due, cx)
            .map(|()| Failed::Timeout(if due == end { "finish" } else { "go on" }))
    }

    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        if let Kind::Http2(body) = &mut self.body.body
            && let Some(upload) = body.take_upload()
        {
            let by = Instant::now() + AFTER_ANSWER;
            tokio::spawn(async move {
                if upload.ends(by).await {
                    lease.give_back();
                }
            });
            return;
        }
        lease.give_back();
    }
}

fn poll_until(mut alarm: Pin<&mut Sleep>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    ready!(alarm.as_mut().poll(cx));
    while alarm.deadline() < due {
        alarm.as_mut().reset(due);
        ready!(alarm.as_mut().poll(cx));
    }
    Poll::Ready(())
}
