//! A request's body on its way: bounded, checked, its end held back until it is proven.
//!
//! In: the body as it arrives, and what its caller proved of it. Out:
//! [`ProvenBody`], the only kind that is forwarded. Trailers of a request are
//! dropped: no proof covers them.

mod arrival;
mod frames;
mod held;
mod looked;
mod passing;
mod sending;
pub mod set_aside;
#[cfg(test)]
pub(super) mod tests;
mod whole;

use super::form::BadForm;
use crate::route::{BodyPolicy, BodyVerify};
use crate::schemes::digest::{BodyCheck, BodyProof, Mismatch};
use arrival::Arrival;
use bytes::Bytes;
pub use held::{Held, hold};
use http_body::{Body, Frame, SizeHint};
pub use looked::{Looked, look};
use passing::Passing;
pub(super) use sending::{Sending, Sent};
use set_aside::SetAside;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::time::Instant;
pub use whole::take_in;

/// An error of any kind on a body's way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is wrong with a request's body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// How many it takes.
        limit: u64,
    },
    /// It is not the body whose digest was given.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Its pieces are not those that were signed, or are not framed right.
    #[error(transparent)]
    Chunks(#[from] crate::schemes::aws_sigv4::chunked::BadChunks),
    /// More bytes than are read before the proof is known.
    #[error("the body has more than the {limit} bytes that are read before its proof is known")]
    NotHeld {
        /// How many are.
        limit: u64,
    },
    /// Too much was sent already whose proof is not known yet.
    #[error("there is no room for a body whose proof is not known yet")]
    NoRoom,
    /// The client stopped sending in the middle.
    #[error("the body broke off: {0}")]
    BrokeOff(String),
    /// The client sent nothing for too long.
    #[error("the body did not arrive in time")]
    Timeout,
    /// Nothing can be added to it, which is a form.
    #[error("the form cannot be added to: {0}")]
    Form(#[from] BadForm),
    /// It could not be set aside on disk.
    #[error("the body could not be set aside: {0}")]
    Spill(std::io::Error),
}

/// How a body goes: how many bytes have arrived, and whether it was found to be
/// another than was proven where that is only observed. Clones count together.
/// Holds nothing where there is no body.
#[derive(Clone, Debug, Default)]
pub struct Meter(Option<Arc<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    observes: bool,
    is_another: AtomicBool,
}

impl Meter {
    /// A meter for `body`.
    pub fn of(body: &impl Body) -> Self {
        Self((!body.is_end_stream()).then(Arc::default))
    }

    /// The same, where a body that is not the one that was proven passes and is noted.
    #[must_use]
    pub fn observing(self) -> Self {
        let counts = |_| Counts {
            observes: true,
            ..Counts::default()
        };
        Self(self.0.map(counts).map(Arc::new))
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |counts| counts.bytes.load(Ordering::Relaxed))
    }

    /// Whether it was noted that the body is not the one that was proven.
    pub fn is_another(&self) -> bool {
        let noted = |counts: &Arc<Counts>| counts.is_another.load(Ordering::Relaxed);
        self.0.as_ref().is_some_and(noted)
    }

    fn add(&self, more: usize) {
        if let Some(counts) = &self.0 {
            counts.bytes.fetch_add(more as u64, Ordering::Relaxed);
        }
    }

    /// Notes that the body is another, where that is only observed.
    fn note(&self, another: Mismatch) -> Result<(), BodyError> {
        if self.observes() {
            self.note_another();
            return Ok(());
        }
        Err(another.into())
    }

    fn note_another(&self) {
        if let Some(counts) = &self.0 {
            counts.is_another.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a body that is another passes.
    fn observes(&self) -> bool {
        self.0.as_ref().is_some_and(|counts| counts.observes)
    }
}

/// A body that may be forwarded: checked, or under check with its end held
/// back, or one of which nothing needs to be proven. Made only by [`prepare`], and
/// by [`Looked::prepared`].
pub struct ProvenBody {
    source: Source,
    /// Bytes still to be handed out, when that is known.
    left: Option<u64>,
    /// A piece that was handed out, and given back unsent.
    unsent: Option<Bytes>,
    sending: Option<Arc<Sending>>,
}

enum Source {
    Empty,
    // Apart: most requests have none of them, and every request is moved.
    Passing(Box<Passing>),
    SetAside(Box<SetAside>),
    /// After an error: never a clean end.
    Broken,
}

/// Makes a body ready to be forwarded. Where its digest is checked before
/// forwarding this takes all of it in, else not a byte.
///
/// # Errors
/// [`BodyError`]; of a body that passes while it is checked, what is wrong
/// with it shows only when it is read.
pub async fn prepare<B>(
    body: B,
    proof: &BodyProof,
    policy: BodyPolicy,
    meter: Meter,
) -> Result<ProvenBody, BodyError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let chunks = match proof {
        BodyProof::Chunked(chunks) => Some(chunks),
        _ => None,
    };
    if body.is_end_stream() && chunks.is_none() {
        // Nothing is what was proven, unless digests say otherwise.
        if matches!(proof, BodyProof::Digests(_)) {
            let found = BodyCheck::new(proof).finish();
            found.or_else(|another| meter.note(another))?;
        }
        return Ok(ProvenBody::empty());
    }
    let check = BodyCheck::new(proof);
    let length = match chunks {
        Some(chunks) => SizeHint::with_exact(chunks.length()),
        None => body.size_hint(),
    };
    if length.lower() > policy.limit {
        return Err(BodyError::TooLarge {
            limit: policy.limit,
        });
    }
    let mut arrival = Arrival::new(body, policy.limit, meter);
    if let Some(chunks) = chunks {
        arrival = arrival.unframed(chunks.clone());
    }
    if *proof == BodyProof::Empty || length.exact() == Some(0) {
        // Proven, or said, to be nothing, and its end is still to come: until then nothing of the
        // request may leave, since its head would be all of it.
        let Some(data) = arrival.next().await? else {
            check.finish().or_else(|another| arrival.note(another))?;
            return Ok(ProvenBody::empty());
        };
        arrival.note(Mismatch)?;
        let passing = Passing::new(arrival, check);
        let mut body = ProvenBody::new(Source::Passing(Box::new(passing)), None);
        body.unsent = Some(data);
        return Ok(body);
    }
    let is_checked = !check.is_idle() || arrival.is_checked();
    if is_checked && policy.verify == BodyVerify::BeforeForwarding {
        let (kept, bytes) = set_aside::take_in(arrival, check).await?;
        return Ok(ProvenBody::new(
            Source::SetAside(Box::new(kept)),
            Some(bytes),
        ));
    }
    let passing = Passing::new(arrival, check);
    Ok(ProvenBody::new(
        Source::Passing(Box::new(passing)),
        length.exact(),
    ))
}

impl ProvenBody {
    const fn new(source: Source, left: Option<u64>) -> Self {
        Self {
            source,
            left,
            unsent: None,
            sending: None,
        }
    }

    /// One that is here, in place of another that was proven.
    pub(super) fn whole(bytes: Bytes) -> Self {
        let mut body = Self::new(Source::Empty, Some(bytes.len() as u64));
        body.unsent = (!bytes.is_empty()).then_some(bytes);
        body
    }

    /// No body.
    pub(super) const fn empty() -> Self {
        Self::new(Source::Empty, Some(0))
    }

    /// Whether all of it is here, so that only the upstream takes time.
    pub(super) const fn is_here(&self) -> bool {
        !matches!(self.source, Source::Passing(_))
    }

    /// Has it tell from now on how its sending goes; nothing where there is nothing to send.
    pub(super) fn watch(&mut self) -> Option<Arc<Sending>> {
        if self.is_end_stream() {
            return None;
        }
        self.sending = Some(Arc::new(Sending::begin(Instant::now())));
        self.sending.clone()
    }

    /// Tells that the server has to take what was held back till now.
    pub(super) fn note_taken(&self) {
        if let Some(sending) = &self.sending {
            sending.set(Sent::Taken(Instant::now()));
        }
    }

    /// Pieces of the answer that came since this was asked before.
    pub(super) fn take_answers(&self) -> u32 {
        self.sending.as_deref().map_or(0, Sending::take_answers)
    }

    /// Takes the last piece back that was handed out: it could not be sent.
    pub(super) fn put_back(&mut self, piece: Bytes) {
        self.left = self.left.map(|left| left + piece.len() as u64);
        self.unsent = Some(piece);
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(piece) = self.unsent.take() {
            return Poll::Ready(Some(Ok(piece)));
        }
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Passing(passing) => passing.poll_next(cx),
            Source::SetAside(kept) => kept.poll_next(cx),
            Source::Broken => Poll::Ready(Some(Err(BodyError::BrokeOff(
                "it was read on after its end".into(),
            )))),
        }
    }
}

impl fmt::Debug for ProvenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its bytes belong into no log.
        f.debug_struct("ProvenBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Body for ProvenBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.poll_source(cx);
        match &polled {
            Poll::Ready(Some(Ok(data))) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            }
            Poll::Ready(Some(Err(_))) => self.source = Source::Broken,
            Poll::Ready(None) => self.source = Source::Empty,
            Poll::Pending => {}
        }
        if let Some(sending) = &self.sending {
            sending.set(match &polled {
                Poll::Pending => Sent::AllThereIs,
                // A sender that knows the length does not ask again for the end.
                _ if self.is_end_stream() || self.left == Some(0) => Sent::Ended(Instant::now()),
                Poll::Ready(_) => Sent::Taken(Instant::now()),
            });
        }
        polled.map(|polled| polled.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        if self.unsent.is_some() {
            return false;
        }
        match &self.source {
            Source::Empty => true,
            Source::Passing(passing) => passing.is_end(),
            Source::SetAside(kept) => kept.is_end(),
            Source::Broken => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
