//! The upstream's answer on its way to the client.

use super::Failed;
use super::arriving::Arriving;
use super::body::BoxError;
use super::headers;
use super::upstream::Counted;
use crate::limit::Place;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// An answer's body. It is asked for bytes only as fast as the client takes
/// them; dropped before its end, it takes the upstream's request along.
pub struct AnswerBody {
    source: Source,
    bytes: u64,
    /// The caller's place among the requests in flight, until the end.
    _place: Option<Place>,
    /// The request among those in flight at its server, until the end.
    counted: Option<Counted>,
}

enum Source {
    Made(Option<Bytes>),
    Upstream(Arriving),
}

impl AnswerBody {
    /// What a server answers.
    pub(super) const fn streaming(
        arriving: Arriving,
        place: Option<Place>,
        counted: Option<Counted>,
    ) -> Self {
        Self {
            source: Source::Upstream(arriving),
            bytes: 0,
            _place: place,
            counted,
        }
    }

    /// No body, of an answer that was made here.
    pub fn nothing() -> Self {
        Self::made(Bytes::new(), None)
    }

    /// What was made here.
    pub(super) fn made(bytes: Bytes, place: Option<Place>) -> Self {
        Self {
            source: Source::Made(Some(bytes).filter(|bytes| !bytes.is_empty())),
            bytes: 0,
            _place: place,
            counted: None,
        }
    }

    /// It broke off. Behind a server's failure nothing more comes of it.
    fn breaks(&mut self, why: &Failed) {
        if why.is_the_servers()
            && !why.is_end_of_time()
            && let Some(counted) = self.counted.take()
        {
            counted.broke();
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
            Source::Upstream(arriving) => ready!(arriving.poll_next(cx)),
        };
        Poll::Ready(frame.map(|frame| {
            if let Err(why) = &frame {
                self.breaks(why);
            }
            let mut frame = frame?;
            if let Some(data) = frame.data_ref() {
                self.bytes += data.len() as u64;
            } else if let Some(trailers) = frame.trailers_mut() {
                headers::trailers(trailers);
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Made(bytes) => bytes.is_none(),
            Source::Upstream(arriving) => arriving.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Made(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream(arriving) => arriving.size_hint(),
        }
    }
}
