//! One HTTP/2 stream: its client has to send, and to take, within deadlines
//! of the stream's own, whatever the connection's others do.
//!
//! The HTTP library waits for a client to open its window without asking us.
//! So we run its streams: after each step of one it is known whether the
//! response's next piece waits for the client, and that wait has an end.

use super::patience::Patience;
use super::{BoxError, Deadlines};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// A response goes to the library in pieces of at most so many bytes: the
/// next is asked for when the client has taken the one before.
const PIECE: usize = 16 * 1024;
/// To a client that makes us wait: so that it can be seen how slow it is.
const SMALL_PIECE: usize = 1024;

/// What a stream's response and the one who runs the stream tell each other.
#[derive(Clone, Copy, Debug, Default)]
struct Pulse {
    /// Bytes of the piece that waits until the client makes room.
    held: usize,
    /// Bytes of the piece before, which the library has: they have to go first.
    before: usize,
    /// Whether that was the last: only the end waits.
    is_last: bool,
    /// Bytes that the client has made room for since we looked.
    moved: usize,
    /// Whether the client makes us wait.
    is_slow: bool,
}

thread_local! {
    /// Of the stream that is being polled on this thread.
    static PULSE: Cell<Pulse> = const { Cell::new(Pulse {
        held: 0,
        before: 0,
        is_last: false,
        moved: 0,
        is_slow: false,
    }) };
}

fn beat<T>(change: impl FnOnce(&mut Pulse) -> T) -> T {
    PULSE.with(|cell| {
        let mut pulse = cell.get();
        let told = change(&mut pulse);
        cell.set(pulse);
        told
    })
}

/// Runs the streams of HTTP/2 connections, a task each.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    deadlines: Deadlines,
}

impl Streams {
    pub(super) const fn new(deadlines: Deadlines) -> Self {
        Self { deadlines }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Deadlines { write, pace, .. } = self.deadlines;
        tokio::spawn(Watched {
            stream: Box::pin(stream),
            pulse: Pulse::default(),
            patience: Patience::new(write, pace),
        });
    }
}

/// A stream that ends, and so is reset, when its client is late.
struct Watched<F> {
    stream: Pin<Box<F>>,
    pulse: Pulse,
    patience: Patience,
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let outer = PULSE.replace(this.pulse);
        let polled = this.stream.as_mut().poll(cx);
        this.pulse = PULSE.replace(outer);
        if polled.is_ready() {
            return Poll::Ready(());
        }
        let moved = std::mem::take(&mut this.pulse.moved);
        if moved > 0 {
            this.patience.moved(moved);
        }
        if this.pulse.held == 0 && !this.pulse.is_last {
            return Poll::Pending;
        }
        this.pulse.is_slow = true;
        if this.patience.wait(cx, this.pulse.before) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// A response's body in pieces. `turn` ends with it, and is told when all of it went.
pub(super) struct Pieces<B: Body<Data = Bytes>, T: Gives> {
    body: B,
    rest: Bytes,
    /// Bytes that went to the library.
    handed: u64,
    /// Ends when the client has taken the piece before, where that is waited for.
    taken: Option<oneshot::Receiver<Infallible>>,
    end: End,
    turn: T,
}

/// How a response's body ends.
enum End {
    /// It goes on.
    Open,
    /// With these trailers, or without.
    Known(Option<Box<HeaderMap>>),
    /// The library has it.
    Given,
}

/// What a response's pieces ask and tell the connection.
pub(super) trait Gives: Unpin {
    /// Whether the client surely has room for so many bytes, behind `before` of the same response.
    fn fits(&self, bytes: usize, before: u64) -> bool;

    /// A piece of so many bytes goes to the library.
    fn note_handed(&mut self, bytes: usize);

    /// All of the response went.
    fn note_whole(&mut self);

    /// It broke off where it comes from.
    fn note_broken(&mut self);

    /// It is dropped before all of it went.
    fn note_cut(&mut self);
}

/// A piece that tells when nobody holds it any more: its client has taken it, or is gone.
struct Lent {
    piece: Bytes,
    _until_dropped: oneshot::Sender<Infallible>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl<B: Body<Data = Bytes>, T: Gives> Pieces<B, T> {
    pub(super) const fn new(body: B, turn: T) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            handed: 0,
            taken: None,
            end: End::Open,
            turn,
        }
    }

    /// The next piece, of at most so many bytes.
    fn piece(&mut self, most: usize) -> Bytes {
        let bytes = self.rest.len().min(most);
        let piece = self.rest.split_to(bytes);
        // The end may stand behind it.
        let is_to_be_seen = self.rest.is_empty() && !self.turn.fits(bytes, self.handed);
        self.turn.note_handed(bytes);
        self.handed += bytes as u64;
        if !is_to_be_seen {
            self.taken = None;
            return piece;
        }
        let (told, taken) = oneshot::channel();
        self.taken = Some(taken);
        Bytes::from_owner(Lent {
            piece,
            _until_dropped: told,
        })
    }

    fn is_known_to_end(&self) -> bool {
        self.rest.is_empty() && self.taken.is_none() && self.body.is_end_stream()
    }
}

impl<B, T> Body for Pieces<B, T>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    T: Gives,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // To be asked means that what was held went to the library.
        let most = beat(|pulse| {
            if pulse.is_last {
                return PIECE;
            }
            pulse.moved += pulse.held;
            pulse.before = std::mem::take(&mut pulse.held);
            if std::mem::take(&mut pulse.is_slow) {
                SMALL_PIECE
            } else {
                PIECE
            }
        });
        if self.rest.is_empty() && matches!(self.end, End::Open) {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.end = End::Known(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.end = End::Known(Some(Box::new(trailers)));
                    }
                },
                Some(Err(why)) => {
                    self.turn.note_broken();
                    return Poll::Ready(Some(Err(why)));
                }
            }
        }
        if matches!(self.end, End::Open) {
            let piece = self.piece(most);
            beat(|pulse| pulse.held = piece.len());
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(taken) = &mut self.taken {
            beat(|pulse| pulse.is_last = true);
            let Err(_) = ready!(Pin::new(taken).poll(cx));
            self.taken = None;
        }
        let End::Known(trailers) = std::mem::replace(&mut self.end, End::Given) else {
            return Poll::Ready(None);
        };
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(*trailers))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::Open) && self.is_known_to_end()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        hint.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl<B: Body<Data = Bytes>, T: Gives> Drop for Pieces<B, T> {
    fn drop(&mut self) {
        // The library does not ask for an end that it was told of.
        if matches!(self.end, End::Given) || self.is_known_to_end() {
            self.turn.note_whole();
        } else {
            self.turn.note_cut();
        }
    }
}
