//! What a client sends: read when it is wanted, within its deadlines.

use super::reader::{Asked, Reader, Step};
use crate::clock::alarm::{Alarm, NEVER, after, later};
use crate::server::paced::Paced;
use crate::server::parting::Quiet;
use crate::server::patience::Patience;
use crate::server::{Deadlines, Fault};
use bytes::Bytes;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes that one read asks for: at first, and at most once it turned out that there are more.
const FIRST_READ: usize = 8 * 1024;
const MAX_READ: usize = 128 * 1024;
/// Bytes that one look takes in, whether a client is still there.
const LOOK: usize = 64;

/// The client's half of a connection.
#[derive(Debug)]
pub(super) struct Input {
    reader: Reader,
    state: State,
    /// Bytes that the next read asks for, and whether the last one brought far less.
    next_read: usize,
    was_small: bool,
    idle: Duration,
    head: Duration,
    /// What we wait for between two requests, and until when.
    waiting: Option<(Awaits, Instant)>,
    alarm: Alarm,
    /// With a body.
    patience: Patience,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// What comes from now on is not read.
    Shut,
    /// The peer ended it.
    Ended,
    /// What it sent cannot be read on.
    Broken,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// A request, of which not a byte is there.
    Request,
    /// The rest of a head.
    Head,
}

/// What came of waiting for a request.
#[derive(Debug)]
pub(super) enum Next {
    Request(Asked),
    /// What came is none.
    Fault(Fault),
    /// None comes.
    End,
}

/// What came of waiting for more of a body.
#[derive(Debug)]
pub(super) enum More {
    Data { data: Bytes, is_last: bool },
    End,
    Failed(io::Error),
}

impl Input {
    /// Of a connection of which `first` was read; `head_until` is the
    /// deadline of the head that it belongs to.
    pub(super) fn new(first: &[u8], deadlines: &Deadlines, head_until: Option<Instant>) -> Self {
        let mut reader = Reader::default();
        if !first.is_empty() {
            reader.arrived().reserve(FIRST_READ);
            reader.bring(first);
        }
        Self {
            reader,
            state: State::Open,
            next_read: FIRST_READ,
            was_small: false,
            idle: deadlines.idle,
            head: deadlines.head,
            waiting: head_until.map(|until| (Awaits::Head, until)),
            alarm: Alarm::default(),
            patience: Patience::new(deadlines.body, deadlines.pace),
        }
    }

    pub(super) const fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// How long the peer may say nothing once it was told that nothing more comes: it may still
    /// take its last answer, and send its next request meanwhile.
    pub(super) fn quiet(&self) -> Quiet {
        if self.has_unread() {
            return Quiet::TALKING;
        }
        let since = match self.waiting {
            Some((Awaits::Request, until)) => until.checked_sub(self.idle.min(NEVER)),
            _ => None,
        };
        Quiet::read(since)
    }

    /// Whether the peer may still be sending what nobody will read.
    fn has_unread(&self) -> bool {
        match self.state {
            State::Ended => false,
            State::Broken => true,
            State::Open | State::Shut => !self.reader.is_between() || self.reader.held() > 0,
        }
    }

    /// Whether the peer said that nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// What came behind a request that switched the protocol.
    pub(super) fn into_rest(mut self) -> Bytes {
        self.reader.take_rest()
    }

    /// Lets go of all memory that an idle connection can do without.
    pub(super) fn let_go(&mut self) {
        self.reader.let_go();
        self.next_read = FIRST_READ;
    }

    /// The next request's head. `answered` is when the answer before it was
    /// sent, if that is now.
    pub(super) fn poll_request<S>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Paced<S>,
        answered: Option<Instant>,
    ) -> Poll<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.reader.head() {
                Ok(None) => {}
                Ok(Some(asked)) => {
                    self.waiting = None;
                    return Poll::Ready(Next::Request(asked));
                }
                Err(fault) => return Poll::Ready(self.fault(fault)),
            }
            if self.state != State::Open {
                return Poll::Ready(Next::End);
            }
            match self.poll_read(cx, stream) {
                Poll::Ready(Ok(0)) => {
                    // Half a head is no request, and there is nobody left to tell.
                    self.state = State::Ended;
                    return Poll::Ready(Next::End);
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => {
                    self.state = State::Ended;
                    return Poll::Ready(Next::End);
                }
                Poll::Pending => return self.wait(cx, answered),
            }
        }
    }

    fn fault(&mut self, fault: Fault) -> Next {
        self.state = State::Broken;
        Next::Fault(fault)
    }

    /// The peer has nothing for us: has it still time?
    fn wait(&mut self, cx: &mut Context<'_>, answered: Option<Instant>) -> Poll<Next> {
        let awaits = if self.reader.has_begun() {
            Awaits::Head
        } else {
            Awaits::Request
        };
        let until = match self.waiting {
            Some((same, until)) if same == awaits => until,
            _ => {
                let until = match (awaits, answered) {
                    (Awaits::Head, _) => after(self.head),
                    (Awaits::Request, None) => after(self.idle),
                    (Awaits::Request, Some(now)) => later(now, self.idle),
                };
                self.waiting = Some((awaits, until));
                until
            }
        };
        if !self.alarm.poll(cx, until) {
            return Poll::Pending;
        }
        Poll::Ready(match awaits {
            Awaits::Request => {
                self.state = State::Shut;
                Next::End
            }
            Awaits::Head => self.fault(Fault::HeadTimeout),
        })
    }

    /// A body begins, of which some may have arrived.
    pub(super) const fn begin_body(&mut self) {
        self.patience.renew();
    }

    /// What comes next of the body.
    pub(super) fn poll_body<S>(&mut self, cx: &mut Context<'_>, stream: &mut Paced<S>) -> Poll<More>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.reader.step() {
                Ok(Step::Data(data)) => {
                    let is_last = self.reader.is_between();
                    return Poll::Ready(More::Data { data, is_last });
                }
                Ok(Step::End) => return Poll::Ready(More::End),
                Ok(Step::More) => {}
                Err(why) => {
                    self.state = State::Broken;
                    let error = io::Error::new(io::ErrorKind::InvalidData, why);
                    return Poll::Ready(More::Failed(error));
                }
            }
            let read = match self.state {
                State::Open => self.poll_read(cx, stream),
                _ => Poll::Ready(Ok(0)),
            };
            let error = match read {
                Poll::Ready(Ok(0)) => {
                    self.state = State::Ended;
                    io::ErrorKind::UnexpectedEof.into()
                }
                Poll::Ready(Ok(read)) => {
                    self.patience.moved(read);
                    continue;
                }
                Poll::Ready(Err(error)) => {
                    self.state = State::Ended;
                    error
                }
                Poll::Pending if self.patience.wait(cx, 0) => {
                    self.state = State::Shut;
                    io::ErrorKind::TimedOut.into()
                }
                Poll::Pending => return Poll::Pending,
            };
            return Poll::Ready(More::Failed(error));
        }
    }

    /// Throws the rest of the body away if it is there already; true when it is.
    pub(super) fn drain<S>(&mut self, cx: &mut Context<'_>, stream: &mut Paced<S>) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut may_read = self.state == State::Open;
        loop {
            match self.reader.step() {
                Ok(Step::Data(_)) => {}
                Ok(Step::End) => return true,
                Ok(Step::More) if std::mem::take(&mut may_read) => {
                    if !matches!(self.poll_read(cx, stream), Poll::Ready(Ok(1..))) {
                        return false;
                    }
                }
                Ok(Step::More) => return false,
                Err(_) => {
                    self.state = State::Broken;
                    return false;
                }
            }
        }
    }

    /// Looks whether the client is still there, between two requests. Behind more than a first
    /// read of what comes next that is not seen.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn look<S>(&mut self, cx: &mut Context<'_>, stream: &mut Paced<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.state != State::Open
            || !self.reader.is_between()
            || self.reader.held() >= FIRST_READ
        {
            return Ok(());
        }
        let mut few = [MaybeUninit::uninit(); LOOK];
        let mut few = ReadBuf::uninit(&mut few);
        if Pin::new(stream).poll_read(cx, &mut few)?.is_ready() {
            if few.filled().is_empty() {
                self.state = State::Ended;
            }
            self.reader.bring(few.filled());
        }
        Ok(())
    }

    fn poll_read<S>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Paced<S>,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let arrived = self.reader.arrived();
        // Where nobody holds what came before any more, this takes its room again.
        if arrived.capacity() - arrived.len() < self.next_read / 2 {
            arrived.reserve(self.next_read);
        }
        let room = arrived.capacity() - arrived.len();
        let read = ready!(pin!(stream.read_buf(arrived)).poll(cx))?;
        if read == room {
            // There was more than we asked for: of a body all that is still to come.
            let left = self.reader.left().and_then(|left| left.try_into().ok());
            let more = left.unwrap_or(0).max(self.next_read * 2);
            self.next_read = more.min(MAX_READ);
            self.was_small = false;
        } else if read < self.next_read / 4 {
            // What comes next is small too, if this was not the end of something large.
            if std::mem::replace(&mut self.was_small, true) {
                self.next_read = (self.next_read / 2).max(FIRST_READ);
            }
        } else {
            self.was_small = false;
        }
        Poll::Ready(Ok(read))
    }
}
