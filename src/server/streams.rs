//! One HTTP/2 stream: its client has to send, and to take, within deadlines
//! of the stream's own, whatever the connection's others do.
//!
//! The HTTP library waits for a client to open its window without asking us.
//! So we run its streams: after each step of one it is known whether the
//! response's next piece waits for the client, and that wait has an end.

use super::patience::Patience;
use super::{BoxError, Deadlines};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response goes to the library in pieces of at most so many bytes: the
/// next is asked for when the client has taken the one before.
const PIECE: usize = 16 * 1024;
/// To a client that makes us wait: so that it can be seen how slow it is.
const SMALL_PIECE: usize = 1024;

/// What a stream's response and the one who runs the stream tell each other.
#[derive(Clone, Copy, Debug, Default)]
struct Pulse {
    /// Bytes of the piece that the library holds until the client makes room.
    held: usize,
    /// Bytes of the piece before: they have to go first.
    before: usize,
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
        if this.pulse.held == 0 {
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
pub(super) struct Pieces<B: Body<Data = Bytes>, T: Whole> {
    body: B,
    rest: Bytes,
    is_over: bool,
    turn: T,
}

/// What is told when a response has gone whole.
pub(super) trait Whole: Unpin {
    /// It has.
    fn note_whole(&mut self);
}

impl<B: Body<Data = Bytes>, T: Whole> Pieces<B, T> {
    pub(super) const fn new(body: B, turn: T) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            is_over: false,
            turn,
        }
    }
}

impl<B, T> Body for Pieces<B, T>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    T: Whole,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // To be asked means that there was room for what was held.
        let most = beat(|pulse| {
            pulse.moved += pulse.held;
            pulse.before = std::mem::take(&mut pulse.held);
            if std::mem::take(&mut pulse.is_slow) {
                SMALL_PIECE
            } else {
                PIECE
            }
        });
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => {
                        self.is_over = true;
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                other => {
                    self.is_over = other.is_none();
                    return Poll::Ready(other);
                }
            }
        }
        let piece = self.rest.len().min(most);
        let piece = self.rest.split_to(piece);
        beat(|pulse| pulse.held = piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
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

impl<B: Body<Data = Bytes>, T: Whole> Drop for Pieces<B, T> {
    fn drop(&mut self) {
        // The library does not ask for an end that it was told of.
        if self.is_over || (self.rest.is_empty() && self.body.is_end_stream()) {
            self.turn.note_whole();
        }
    }
}
