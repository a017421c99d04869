//! The guard between a socket and the HTTP/1.1 library: it follows the
//! framing of what comes in, and lets a head through only when it is complete
//! and clean.
//!
//! In place of a bad head a stand-in goes through, and its number is noted on
//! the [`Line`]; then the input ends. So good requests that came before it are
//! answered first, in order, and the library never sees what it could misread.

use super::framing::{Awaits, End, Framing};
use super::line::Line;
use super::paced::Paced;
use super::patience::Patience;
use super::{Deadlines, Fault};
use crate::clock::alarm::{Alarm, after};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes read at a time while a head is incomplete. They and the head
/// ([`super::head::MAX_HEAD`]) are all that is ever held back.
const HEAD_STEP: usize = 4 * 1024;

/// What goes through in place of a bad head.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: invalid\r\n\r\n";

/// A client that has said all and waits may be gone: nothing tells the one
/// from the other but its answer to bytes of ours. So we send what every
/// client of HTTP/1.1 has to pass over (RFC 9110, section 15.2): the first
/// makes the system of one that is gone say so, the second finds it.
const KNOCK: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";
const KNOCKS: u8 = 2;

/// A clear-text or TLS stream, guarded.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: Paced<S>,
    framing: Framing,
    held: Held,
    input: Input,
    deadlines: Deadlines,
    alarm: Alarm,
    waiting: Option<(Awaits, Instant)>,
    /// With a body; of head number `.1`.
    patience: (Patience, u64),
    /// How often we knocked, and what of it is still to be sent.
    knocks: (u8, &'static [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    /// What comes from now on is not read.
    Shut,
    /// The peer ended it.
    Ended,
    Broken(&'static str),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Guards `stream`. `head_until` is the deadline of a head of which bytes
    /// were read already.
    pub(super) fn new(stream: Paced<S>, deadlines: Deadlines, head_until: Option<Instant>) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            held: Held::default(),
            input: Input::Open,
            deadlines,
            alarm: Alarm::default(),
            waiting: head_until.map(|until| (Awaits::Head, until)),
            patience: (Patience::new(deadlines.body, deadlines.pace), 0),
            knocks: (0, &[]),
        }
    }

    /// Whether the peer may still be sending a request that nobody will read.
    pub(super) fn has_unread(&self) -> bool {
        match self.input {
            Input::Ended => false,
            Input::Broken(_) => true,
            Input::Open | Input::Shut => {
                self.line().fault().is_some()
                    || self.framing.awaits(&self.held.bytes) != Awaits::Request
            }
        }
    }

    pub(super) fn into_inner(self) -> Paced<S> {
        self.stream
    }

    /// The stream, and what came behind the head that switched its protocol.
    pub(super) fn into_tunnel(self) -> (Paced<S>, Vec<u8>) {
        (self.stream, self.held.bytes)
    }

    fn line(&self) -> &Line {
        self.stream.line()
    }

    /// Reads straight into the library's buffer, and takes back what is not
    /// clear. True when some of it is.
    fn read_through(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        if Pin::new(&mut self.stream).poll_read(cx, buf)?.is_pending() {
            return self.wait(cx);
        }
        let new = buf.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            self.input = Input::Ended;
            return Poll::Ready(Ok(true));
        }
        let verdict = self.framing.follow(new);
        if verdict.end.is_none() {
            self.held.keep(new.get(verdict.clear..).unwrap_or_default());
        }
        buf.set_filled(before + verdict.clear);
        Poll::Ready(Ok(self.obey(verdict.clear, verdict.end)))
    }

    /// Reads on while a part of a head is held.
    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Poll::Ready(read) = self.fill(cx)? else {
            return self.wait(cx);
        };
        if read == 0 {
            // Half a head is no request, and there is nobody left to tell.
            self.held = Held::default();
            self.input = Input::Ended;
            return Poll::Ready(Ok(true));
        }
        self.sort();
        // Clear bytes are held now, and given out from there.
        Poll::Ready(Ok(false))
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let held = self.held.bytes.len();
        self.held.bytes.resize(held + HEAD_STEP, 0);
        let mut buf = ReadBuf::new(self.held.bytes.get_mut(held..).unwrap_or_default());
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
        let read = buf.filled().len();
        self.held.bytes.truncate(held + read);
        polled.map_ok(|()| read)
    }

    /// Finds what is clear of what is held.
    fn sort(&mut self) {
        let verdict = self.framing.follow(&self.held.bytes);
        self.held.clear = verdict.clear;
        if verdict.end.is_some() {
            self.held.bytes.truncate(verdict.clear);
        }
        let _ = self.obey(verdict.clear, verdict.end);
    }

    /// Looks whether the client is still there while its request is answered.
    /// The library reads on only when it has answered.
    fn look(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let is_between =
            !self.framing.is_undecided() && self.framing.awaits(&[]) == Awaits::Request;
        if self.input == Input::Open && self.held.bytes.is_empty() && is_between {
            match self.fill(cx)? {
                Poll::Pending => self.held = Held::default(),
                Poll::Ready(0) => self.input = Input::Ended,
                Poll::Ready(_) => self.sort(),
            }
        }
        let (knocks, left) = &mut self.knocks;
        let may_knock = self.stream.line().is_at_work() && left.is_empty() && *knocks < KNOCKS;
        if self.input == Input::Ended && may_knock {
            *knocks += 1;
            *left = KNOCK;
        }
        Ok(())
    }

    /// Sends what is left of a knock, before anything else.
    fn knock(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (_, left) = &mut self.knocks;
        while !left.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *left = left.get(sent..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    /// Does what follows from a verdict; true when there were clear bytes.
    fn obey(&mut self, clear: usize, end: Option<End>) -> bool {
        if clear > 0 {
            self.waiting = None;
            self.note_moved(clear);
            if self.framing.is_undecided() {
                self.line().ask(self.framing.heads());
            }
        }
        match end {
            None => {}
            Some(End::Head(fault)) => self.stand_in(fault),
            Some(End::Body(why)) => self.input = Input::Broken(why),
        }
        clear > 0
    }

    /// Of many heads at once only the last can have a body that we wait for.
    fn note_moved(&mut self, bytes: usize) {
        let (patience, of) = &mut self.patience;
        if *of == self.framing.heads() {
            patience.moved(bytes);
        } else {
            *of = self.framing.heads();
            patience.renew();
        }
    }

    fn stand_in(&mut self, fault: Fault) {
        self.line().note_fault(self.framing.heads(), fault);
        self.held.bytes.extend_from_slice(STAND_IN);
        self.held.clear = self.held.bytes.len();
        self.input = Input::Shut;
    }

    /// The peer has nothing for us: has it still time?
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let awaits = self.framing.awaits(&self.held.bytes);
        if awaits == Awaits::Body {
            return if self.patience.0.wait(cx, 0) {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            } else {
                Poll::Pending
            };
        }
        let until = match self.waiting {
            Some((same, until)) if same == awaits => until,
            _ => {
                let until = after(match awaits {
                    Awaits::Head => self.deadlines.head,
                    Awaits::Request | Awaits::Body => self.deadlines.idle,
                });
                self.waiting = Some((awaits, until));
                until
            }
        };
        if !self.alarm.poll(cx, until) {
            return Poll::Pending;
        }
        match awaits {
            Awaits::Request | Awaits::Body => self.input = Input::Shut,
            Awaits::Head => {
                self.held = Held::default();
                self.stand_in(Fault::HeadTimeout);
            }
        }
        Poll::Ready(Ok(false))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        loop {
            if buf.remaining() == 0 || wire.held.give(buf) {
                return Poll::Ready(Ok(()));
            }
            match wire.input {
                Input::Open => {}
                Input::Shut | Input::Ended => return Poll::Ready(Ok(())),
                Input::Broken(why) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
            }
            if wire.framing.is_undecided() {
                // What came with the head waits here, what comes now in the socket.
                ready!(wire.line().poll_declined(cx));
                wire.framing.go_on();
                wire.sort();
                continue;
            }
            let done = if wire.held.bytes.is_empty() {
                ready!(wire.read_through(cx, buf))?
            } else {
                ready!(wire.read_more(cx))?
            };
            if done {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.knock(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.knock(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.line().is_to_look() {
            self.look(cx)?;
        }
        ready!(self.knock(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Bytes that were read and not let through yet.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// So many of them may be.
    clear: usize,
    given: usize,
}

impl Held {
    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives out what is clear; false when nothing is.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let clear = self.bytes.get(self.given..self.clear).unwrap_or_default();
        let here = clear.len().min(buf.remaining());
        if here == 0 {
            return false;
        }
        buf.put_slice(clear.get(..here).unwrap_or_default());
        self.given += here;
        if self.given == self.clear {
            // An idle connection keeps no memory for a head that once came in pieces.
            let rest = self.bytes.split_off(self.clear);
            *self = Self {
                bytes: rest,
                clear: 0,
                given: 0,
            };
        }
        true
    }
}
