//! The upstream's answer on its way to the client.

use super::Failed;
use super::arriving::Arriving;
use super::body::BoxError;
use super::headers;
use super::upstream::Counted;
use crate::limit::Place;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What a frame read ahead counts for at least, since it costs memory however little is in it.
const LEAST: usize = 1024;

/// An answer's body. It is asked for bytes only as fast as the client takes
/// them; dropped before its end, it takes the upstream's request along.
pub struct AnswerBody {
    source: Source,
    /// What was read before it was asked for.
    ahead: VecDeque<Result<Frame<Bytes>, Failed>>,
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
            ahead: VecDeque::new(),
            bytes: 0,
            _place: place,
            counted,
        }
    }

    /// What was made here.
    pub(super) fn made(bytes: Bytes, place: Option<Place>) -> Self {
        Self {
            source: Source::Made(Some(bytes).filter(|bytes| !bytes.is_empty())),
            ahead: VecDeque::new(),
            bytes: 0,
            _place: place,
            counted: None,
        }
    }

    /// Reads on to the end, or until `most` bytes are here: while an answer waits, its server's connection is free
    /// for others. Nothing is lost where this is given up.
    pub(crate) async fn read_ahead(&mut self, most: usize) {
        let mut read = 0;
        while read < most && self.is_to_come() {
            let Some(frame) = poll_fn(|cx| self.poll_source(cx)).await else {
                break;
            };
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            read += data.map_or(0, Bytes::len).max(LEAST);
            let broke = frame.is_err();
            self.ahead.push_back(frame);
            if broke {
                return;
            }
        }
        if !self.is_to_come() {
            self.counted = None;
        }
    }

    /// Whether its server owes us more of it.
    fn is_to_come(&self) -> bool {
        matches!(&self.source, Source::Upstream(arriving) if !arriving.is_over())
    }

    /// What comes next of where it comes from.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let frame = match &mut self.source {
            Source::Made(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Upstream(arriving) => ready!(arriving.poll_next(cx)),
        };
        if let Some(Err(why)) = &frame {
            self.breaks(why);
        }
        Poll::Ready(frame)
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
        let frame = if self.ahead.is_empty() {
            ready!(self.poll_source(cx))
        } else {
            self.ahead.pop_front()
        };
        Poll::Ready(frame.map(|frame| {
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
        let is_over = match &self.source {
            Source::Made(bytes) => bytes.is_none(),
            Source::Upstream(arriving) => arriving.is_over(),
        };
        is_over && self.ahead.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = match &self.source {
            Source::Made(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream(arriving) => arriving.size_hint(),
        };
        for frame in &self.ahead {
            let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) else {
                // Behind a length no trailers would go out.
                return SizeHint::default();
            };
            let length = data.len() as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + length);
            }
            hint.set_lower(hint.lower() + length);
        }
        hint
    }
}
