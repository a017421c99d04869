//! A request on its way out: its head, and its body as it comes.

use crate::forward::body::{BodyError, ProvenBody};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body as _;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// Bytes of room for a request's head that a connection keeps for the next.
const KEPT_ROOM: usize = 8 * 1024;
/// Pieces of a body that leave together where they are there together, and bytes from which on
/// they do not wait for more.
const MAX_PIECES: usize = 8;
const ENOUGH: usize = 64 * 1024;

/// What is still to be sent.
#[derive(Debug)]
pub(super) struct Out {
    /// The head, and what stands between two pieces of the body.
    text: BytesMut,
    piece: Bytes,
    /// Pieces that were there with it, of a body of known length: fewer, larger writes.
    behind: VecDeque<Bytes>,
    /// What stands behind the piece.
    end: &'static [u8],
    body: ProvenBody,
    framed: Framed,
    /// Whether the body has given all that it has.
    is_last: bool,
    has_begun: bool,
    has_moved: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framed {
    Nothing,
    /// So many bytes are still to come.
    Length(u64),
    Chunks,
}

/// How the sending stands, for whoever waits for the answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::forward) enum State {
    /// Something was taken just now, or nothing was tried yet.
    Going,
    /// The server has taken nothing since then.
    Stuck(Instant),
    /// All that the client has given so far was taken; the client has to give more.
    AllThereIs,
    /// All of it was taken at this time.
    Ended(Instant),
    /// The server takes no more.
    Broken,
}

impl Out {
    /// Nothing yet.
    pub(super) fn nothing() -> Self {
        Self {
            text: BytesMut::new(),
            piece: Bytes::new(),
            behind: VecDeque::new(),
            end: b"",
            body: ProvenBody::empty(),
            framed: Framed::Nothing,
            is_last: true,
            has_begun: false,
            has_moved: false,
            state: State::Going,
        }
    }

    /// Starts on a request whose head was written into [`Out::room`], and frames the body as its size
    /// says. Nothing may be left of the request before.
    pub(super) fn start(&mut self, body: ProvenBody) {
        debug_assert!(self.piece.is_empty() && self.behind.is_empty() && self.end.is_empty());
        self.framed = if body.is_end_stream() {
            Framed::Nothing
        } else {
            body.size_hint()
                .exact()
                .map_or(Framed::Chunks, Framed::Length)
        };
        self.body = body;
        self.is_last = self.framed == Framed::Nothing;
        self.has_begun = false;
        self.has_moved = false;
        self.state = State::Going;
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether the server has taken more since this was last asked.
    pub(super) const fn has_moved(&mut self) -> bool {
        std::mem::replace(&mut self.has_moved, false)
    }

    /// The body, if the server cannot have read a byte of the request.
    pub(super) fn into_unsent(mut self) -> Option<ProvenBody> {
        if self.has_begun {
            return None;
        }
        if !self.behind.is_empty() {
            let pieces: Vec<&[u8]> = iter::once(&self.piece)
                .chain(&self.behind)
                .map(|piece| &**piece)
                .collect();
            self.piece = pieces.concat().into();
        }
        if !self.piece.is_empty() {
            self.body.put_back(self.piece);
        }
        Some(self.body)
    }

    /// Lets go of the body: what it came from may be a file, or a client's connection.
    pub(super) fn let_go(&mut self) {
        self.body = ProvenBody::empty();
    }

    /// An empty buffer for the next request's head.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        if self.text.capacity() > KEPT_ROOM {
            self.text = BytesMut::new();
        }
        self.text.clear();
        &mut self.text
    }

    /// Sends as much as there is and as the server takes. Ready when nothing
    /// more will be sent. `since` is when the request was handed over.
    ///
    /// # Errors
    /// What is wrong with the request's own body.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        since: Instant,
    ) -> Poll<Result<(), BodyError>> {
        if matches!(self.state, State::Ended(_) | State::Broken) {
            return Poll::Ready(Ok(()));
        }
        loop {
            // Before the head is sent, so that a small body leaves with it.
            self.look_for_piece(cx)?;
            if self.text.is_empty() && self.piece.is_empty() && self.end.is_empty() {
                break;
            }
            match self.poll_write(cx, stream) {
                Poll::Ready(Ok(sent)) if sent > 0 => {
                    self.has_begun = true;
                    self.has_moved = true;
                    self.state = State::Going;
                }
                Poll::Ready(_) => {
                    self.state = State::Broken;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return self.stuck(),
            }
        }
        // TLS takes more than the server does, and shows here that it holds it.
        let Poll::Ready(flushed) = Pin::new(stream).poll_flush(cx) else {
            return self.stuck();
        };
        if flushed.is_err() {
            self.state = State::Broken;
        } else if self.is_last {
            self.state = State::Ended(match self.framed {
                Framed::Nothing => since,
                _ => Instant::now(),
            });
        } else {
            self.state = State::AllThereIs;
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// The server takes no more for now.
    fn stuck<T>(&mut self) -> Poll<T> {
        if !matches!(self.state, State::Stuck(_)) {
            self.state = State::Stuck(Instant::now());
        }
        Poll::Pending
    }

    /// Takes the body's next pieces up, if there are any and the last one is sent.
    fn look_for_piece(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        if self.is_last || !self.piece.is_empty() || !self.end.is_empty() {
            return Ok(());
        }
        self.piece = self.next_piece(cx)?;
        let mut bytes = self.piece.len();
        // Of chunks each has a head of its own.
        let gathers = matches!(self.framed, Framed::Length(_));
        while gathers && (1..ENOUGH).contains(&bytes) && self.behind.len() + 1 < MAX_PIECES {
            let next = self.next_piece(cx)?;
            if next.is_empty() {
                break;
            }
            bytes += next.len();
            self.behind.push_back(next);
        }
        Ok(())
    }

    /// The body's next piece, none of it while there is none.
    fn next_piece(&mut self, cx: &mut Context<'_>) -> Result<Bytes, BodyError> {
        if self.is_last {
            return Ok(Bytes::new());
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Ok(Bytes::new()),
            Poll::Ready(frame) => frame.transpose()?,
        };
        let piece = frame.and_then(|frame| frame.into_data().ok());
        self.is_last = self.body.is_end_stream() || piece.is_none();
        let piece = piece.unwrap_or_default();
        match &mut self.framed {
            Framed::Nothing => {}
            Framed::Length(left) => {
                *left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or_else(|| BodyError::BrokeOff("it is longer than it said".into()))?;
                // Whoever knows the length does not wait to be told the end.
                self.is_last |= *left == 0;
                if self.is_last && *left > 0 {
                    return Err(BodyError::BrokeOff("it is shorter than it said".into()));
                }
            }
            Framed::Chunks => {
                if !piece.is_empty() {
                    write!(self.text, "{:x}\r\n", piece.len()).expect("a buffer that grows");
                }
                self.end = match (piece.is_empty(), self.is_last) {
                    (false, false) => b"\r\n",
                    (false, true) => b"\r\n0\r\n\r\n",
                    (true, true) => b"0\r\n\r\n",
                    (true, false) => b"",
                };
            }
        }
        Ok(piece)
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        let sent = if self.piece.is_empty() && self.end.is_empty() {
            ready!(stream.poll_write(cx, &self.text))?
        } else {
            let mut slices = [IoSlice::new(&[]); MAX_PIECES + 2];
            let pieces = iter::once(&self.piece).chain(&self.behind);
            let all = iter::once(&self.text[..]).chain(pieces.map(|piece| &piece[..]));
            let mut count = 0;
            for (slice, part) in slices.iter_mut().zip(all.chain(iter::once(self.end))) {
                *slice = IoSlice::new(part);
                count += 1;
            }
            ready!(stream.poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?
        };
        self.advance(sent);
        Poll::Ready(Ok(sent))
    }

    fn advance(&mut self, mut sent: usize) {
        let here = sent.min(self.text.len());
        if here == self.text.len() {
            // Unlike advancing, this keeps the room.
            self.text.clear();
        } else {
            self.text.advance(here);
        }
        sent -= here;
        loop {
            let here = sent.min(self.piece.len());
            self.piece.advance(here);
            sent -= here;
            if !self.piece.is_empty() {
                break;
            }
            // What it came from is a client's buffer, which would be kept as long as this connection.
            self.piece = self.behind.pop_front().unwrap_or_default();
            if self.piece.is_empty() {
                break;
            }
        }
        self.end = self.end.get(sent..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// As TLS does for a server that takes nothing: it takes all, and cannot pass it on.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Out {
        /// A body behind `head`.
        pub(in super::super) fn of(body: ProvenBody) -> Self {
            let mut out = Self::nothing();
            out.room().extend_from_slice(b"head");
            out.start(body);
            out
        }
    }

    #[test]
    fn a_server_that_takes_no_more_is_seen_behind_tls_too() {
        let mut out = Out::of(ProvenBody::empty());
        let mut cx = Context::from_waker(Waker::noop());
        let long_ago = Instant::now();
        assert!(out.poll_send(&mut cx, &mut Full, long_ago).is_pending());
        let State::Stuck(since) = out.state() else {
            panic!("{:?}", out.state());
        };
        assert!(out.poll_send(&mut cx, &mut Full, long_ago).is_pending());
        assert!(matches!(out.state(), State::Stuck(at) if at == since));
    }

    #[test]
    fn what_was_sent_is_let_go_of_while_the_connection_stays() {
        let piece = Bytes::from(vec![7; 64 * 1024]);
        let mut out = Out::of(ProvenBody::empty());
        out.piece = piece.clone();
        let mut cx = Context::from_waker(Waker::noop());
        let sent = out.poll_send(&mut cx, &mut tokio::io::sink(), Instant::now());
        assert!(matches!(sent, Poll::Ready(Ok(()))) && out.has_ended());
        assert!(piece.is_unique());
    }
}
