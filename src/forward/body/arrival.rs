//! A body as it arrives: data only, counted, bounded, its errors in our words.

use super::{BodyError, BoxError, Meter};
use crate::schemes::aws_sigv4::chunked::{BadChunks, Chunks, Decoder};
use crate::schemes::digest::Mismatch;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What arrives, whatever library it comes from.
pub(super) struct Arrival {
    body: Pin<Box<dyn Untyped + Send>>,
    /// What the route takes.
    limit: u64,
    /// The same with the heads of pieces, which count as they come.
    most: u64,
    taken: u64,
    meter: Meter,
    /// Of a body in pieces, whose heads end here.
    pieces: Option<Box<Pieces>>,
}

/// What of a body in pieces has arrived and is not taken apart yet.
struct Pieces {
    decoder: Decoder,
    rest: Bytes,
    given: u64,
}

/// The heads of pieces may take an eighth of the body besides, and so much:
/// those of AWS's clients take a hundredth.
const HEADS: u64 = 64 * 1024;
/// Pieces of fewer bytes that arrive together leave together: each that leaves
/// by itself is a write to the upstream.
const SMALL: usize = 4 * 1024;

impl Arrival {
    pub(super) fn new<B>(body: B, limit: u64, meter: Meter) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self {
            body: Box::pin(body),
            limit,
            most: limit,
            taken: 0,
            meter,
            pieces: None,
        }
    }

    /// The same, a body in pieces.
    pub(super) fn unframed(mut self, chunks: Arc<Chunks>) -> Self {
        self.most = self.limit.saturating_add(self.limit / 8 + HEADS);
        self.pieces = Some(Box::new(Pieces {
            decoder: Decoder::new(chunks).observing(self.meter.observes()),
            rest: Bytes::new(),
            given: 0,
        }));
        self
    }

    /// The next bytes, never none of them. Trailers are dropped.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.pieces.is_none() {
            return self.poll_raw(cx);
        }
        loop {
            if let Some(pieces) = &mut self.pieces {
                let next = pieces.next();
                if pieces.decoder.is_another() {
                    self.meter.note_another();
                }
                match next {
                    Ok(Some(data)) => return Poll::Ready(Some(Ok(data))),
                    Ok(None) => {}
                    Err(bad) => return Poll::Ready(Some(Err(bad.into()))),
                }
            }
            let raw = ready!(self.poll_raw(cx));
            let Some(pieces) = &mut self.pieces else {
                return Poll::Ready(raw);
            };
            match raw {
                Some(Ok(data)) => pieces.rest = data,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let end = pieces.decoder.finish().err();
                    return Poll::Ready(end.map(|bad| Err(bad.into())));
                }
            }
        }
    }

    /// The next bytes as they came.
    fn poll_raw(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let data = match ready!(self.body.as_mut().poll_untyped(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(cause(&*error)))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => data,
                    _ => continue,
                },
            };
            self.taken += data.len() as u64;
            self.meter.add(data.len());
            if self.taken > self.most {
                return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit })));
            }
            return Poll::Ready(Some(Ok(data)));
        }
    }

    /// The next bytes.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        std::future::poll_fn(|cx| self.poll_next(cx))
            .await
            .transpose()
    }

    /// Whether it is known that nothing more comes.
    pub(super) fn is_end(&self) -> bool {
        self.body.is_end()
            && (self.pieces.as_ref())
                .is_none_or(|pieces| pieces.rest.is_empty() && pieces.decoder.is_done())
    }

    /// Notes that it is not the body that was proven, where that is only observed.
    pub(super) fn note(&self, another: Mismatch) -> Result<(), BodyError> {
        self.meter.note(another)
    }

    /// Whether it is checked as it arrives, so that its end shows whether it holds.
    pub(super) const fn is_checked(&self) -> bool {
        self.pieces.is_some()
    }

    /// Bytes that were given so far.
    pub(super) fn taken(&self) -> u64 {
        self.pieces
            .as_ref()
            .map_or(self.taken, |pieces| pieces.given)
    }
}

impl Pieces {
    /// The next bytes of the body among those that have arrived: what a large
    /// piece has there, or small ones in one.
    fn next(&mut self) -> Result<Option<Bytes>, BadChunks> {
        let Some(first) = self.decoder.next(&mut self.rest)? else {
            return Ok(None);
        };
        let data = self.with_small_ones(first)?;
        self.given += data.len() as u64;
        Ok(Some(data))
    }

    fn with_small_ones(&mut self, first: Bytes) -> Result<Bytes, BadChunks> {
        if first.len() >= SMALL {
            return Ok(first);
        }
        let Some(second) = self.decoder.next(&mut self.rest)? else {
            return Ok(first);
        };
        let mut all = BytesMut::from(&*first);
        all.extend_from_slice(&second);
        while all.len() < SMALL {
            let Some(more) = self.decoder.next(&mut self.rest)? else {
                break;
            };
            all.extend_from_slice(&more);
        }
        Ok(all.freeze())
    }
}

/// [`Body`] whose error has no type of its own.
trait Untyped {
    fn poll_untyped(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;

    fn is_end(&self) -> bool;
}

impl<B> Untyped for B
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    fn poll_untyped(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll_frame(cx).map_err(Into::into)
    }

    fn is_end(&self) -> bool {
        self.is_end_stream()
    }
}

/// A time-out of the connection keeps its name; all else is a client that went away.
fn cause(error: &(dyn Error + Send + Sync + 'static)) -> BodyError {
    let mut at: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(one) = at {
        if one
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        {
            return BodyError::Timeout;
        }
        at = one.source();
    }
    BodyError::BrokeOff(error.to_string())
}
