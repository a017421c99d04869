//! One HTTP/1.1 connection to a server: a request out, its answer in.
//!
//! In: a head that is written out, and a [`ProvenBody`]. Out: the answer's
//! head, then its body, read no faster than it is taken. Everything happens
//! within the request's own task: no task, channel or lock of the
//! connection's own stands between a client and its server, and dropping
//! what is here closes the connection at once.

pub mod answer;
mod framing;
mod head;
mod out;

#[cfg(test)]
mod tests;

pub(in crate::forward) use out::State;

use super::body::{BodyError, ProvenBody};
use crate::clock::alarm::Alarm;
use answer::Answer;
use bytes::{Bytes, BytesMut};
use framing::{Framing, Step};
use http::{Method, response};
use http_body::{Body as _, Frame};
use out::Out;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

/// Bytes that one read asks for: at first, and at most once it turned out that there are more.
const FIRST_READ: usize = 8 * 1024;
const MAX_READ: usize = 64 * 1024;

/// Methods that give a request's body a meaning, so that servers read it (RFC 9110, 5789, 4918, 3253,
/// 5323, and QUERY's draft).
const WITH_CONTENT: [&str; 10] = [
    "POST",
    "PUT",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "SEARCH",
    "QUERY",
    "LOCK",
    "MKCOL",
];

/// A connection on which nothing is under way.
#[derive(Debug)]
pub(in crate::forward) struct Connection<S, K>(Box<Talk<S, K>>);

/// One request and its answer on a connection.
#[derive(Debug)]
pub(in crate::forward) struct Exchange<S, K>(Box<Talk<S, K>>);

/// All of a connection, kept in one place from its first request to its last.
#[derive(Debug)]
struct Talk<S, K> {
    stream: S,
    /// Where it leads to.
    address: Option<SocketAddr>,
    arrived: BytesMut,
    next_read: usize,
    alarm: Alarm,
    method: Method,
    since: Instant,
    out: Out,
    answer: Answer,
    /// Whether no other request may follow, whatever the server says.
    is_last: bool,
    keeps_open: bool,
    waits: Option<Duration>,
    /// What whoever asks keeps here until its answer ends, so that it is not moved with it.
    beside: Option<K>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(in crate::forward) enum Broken {
    /// The request's own body is to blame.
    #[error(transparent)]
    Request(#[from] BodyError),
    /// What the server sent is no answer.
    #[error("{0}")]
    Invalid(&'static str),
    /// The server closed before its answer was whole.
    #[error("the server closed the connection")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether a server may leave the body of such a request unread: not all read one where the method gives it
/// no meaning, and what is left would be their next request, which nobody has judged.
pub(in crate::forward) fn may_be_left_unread(method: &Method, body: &ProvenBody) -> bool {
    !body.is_end_stream() && !WITH_CONTENT.contains(&method.as_str())
}

impl<S: AsyncRead + AsyncWrite + Unpin, K> Connection<S, K> {
    /// A connection that was just made.
    pub(in crate::forward) fn new(stream: S, address: Option<SocketAddr>) -> Self {
        Self(Box::new(Talk {
            stream,
            address,
            arrived: BytesMut::new(),
            next_read: FIRST_READ,
            alarm: Alarm::default(),
            method: Method::GET,
            since: Instant::now(),
            out: Out::nothing(),
            answer: Answer::Body(Framing::Length(0)),
            is_last: false,
            keeps_open: true,
            waits: None,
            beside: None,
        }))
    }

    /// Whether a request may be sent on it: the server has neither closed it
    /// nor said something that nobody asked for.
    pub(in crate::forward) fn is_usable(&mut self) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        let stream = &mut self.0.stream;
        let look = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut byte));
        // A task that has looked at many gets no answer any more, which is not the same as none.
        pin!(unconstrained(look)).poll(&mut cx).is_pending()
    }

    /// Where it leads to, if that is an address.
    pub(in crate::forward) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// How long the server waits for another request, where its last answer says so.
    pub(in crate::forward) const fn waits(&self) -> Option<Duration> {
        self.0.waits
    }

    /// An empty buffer to write a request's head into.
    pub(in crate::forward) fn room(&mut self) -> &mut BytesMut {
        self.0.out.room()
    }

    /// Starts a request whose head was written into [`Connection::room`].
    pub(in crate::forward) fn start(
        self,
        method: Method,
        body: ProvenBody,
        now: Instant,
        beside: K,
    ) -> Exchange<S, K> {
        let mut talk = self.0;
        talk.next_read = FIRST_READ;
        talk.method = method;
        talk.since = now;
        talk.out.start(body);
        talk.answer = Answer::none_yet();
        talk.beside = Some(beside);
        Exchange(talk)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, K> Exchange<S, K> {
    /// What is kept beside it, until it is taken.
    pub(in crate::forward) const fn beside(&mut self) -> &mut Option<K> {
        &mut self.0.beside
    }

    /// How the sending stands.
    pub(in crate::forward) fn sending(&self) -> State {
        self.0.out.state()
    }

    /// Whether all of the answer was taken.
    pub(in crate::forward) fn is_over(&self) -> bool {
        self.0.answer.is_over()
    }

    /// Bytes of the answer's body to come, where that is known.
    pub(in crate::forward) fn left(&self) -> Option<u64> {
        match &self.0.answer {
            Answer::Body(framing) => framing.left(),
            Answer::Head(_) => None,
        }
    }

    /// No other request may follow on its connection.
    pub(in crate::forward) fn is_last(&mut self) {
        self.0.is_last = true;
    }

    /// The request asks to switch protocols: a 101 is an answer to it.
    pub(in crate::forward) fn may_switch(&mut self) {
        if let Answer::Head(reader) = &mut self.0.answer {
            reader.may_switch = true;
        }
    }

    /// The connection itself, once it switched, and what came behind the 101.
    pub(in crate::forward) fn into_stream(self) -> (S, Bytes) {
        let talk = *self.0;
        (talk.stream, talk.arrived.freeze())
    }

    /// Whether the server has taken more of the request since this was last asked.
    pub(in crate::forward) fn has_moved(&mut self) -> bool {
        self.0.out.has_moved()
    }

    /// True when `until` has passed; else the task is woken then, or before.
    /// The connection's one timer, which a busy connection seldom sets.
    pub(in crate::forward) fn poll_alarm(&mut self, cx: &mut Context<'_>, until: Instant) -> bool {
        self.0.alarm.poll(cx, until)
    }

    /// The body, if the server cannot have read a byte of the request.
    pub(in crate::forward) fn into_unsent(self) -> Option<ProvenBody> {
        self.0.out.into_unsent()
    }

    /// The connection, if it is good for another request: the whole request
    /// is out, the whole answer is in, not a byte came behind it, and the
    /// server keeps it open.
    pub(in crate::forward) fn into_connection(mut self) -> Option<Connection<S, K>> {
        let talk = &mut *self.0;
        if !(talk.keeps_open
            && talk.answer.is_over()
            && talk.out.has_ended()
            && talk.arrived.is_empty())
        {
            return None;
        }
        talk.out.let_go();
        if talk.arrived.capacity() > FIRST_READ {
            talk.arrived = BytesMut::new();
        }
        Some(Connection(self.0))
    }

    /// Sends the request and reads the final answer's head.
    pub(in crate::forward) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<response::Parts, Broken>> {
        self.0.poll_answer(cx)
    }

    /// The next frame of the answer's body; goes on sending the request's.
    pub(in crate::forward) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_frame(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, K> Talk<S, K> {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, Broken>> {
        let _ = self.out.poll_send(cx, &mut self.stream, self.since)?;
        loop {
            // What is here was looked at when it came: at first nothing is.
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(Err(Broken::Closed));
            }
            let head = self.answer.head(&mut self.arrived, &self.method);
            if let Some(head) = head.map_err(Broken::Invalid)? {
                self.keeps_open = head.keeps_open && !self.is_last;
                self.waits = head.waits;
                return Poll::Ready(Ok(head.parts));
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.answer.is_over() {
            let _ = self.out.poll_send(cx, &mut self.stream, self.since)?;
        }
        loop {
            match self
                .answer
                .step(&mut self.arrived)
                .map_err(Broken::Invalid)?
            {
                Step::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Step::Trailers(fields) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Step::End => return Poll::Ready(None),
                Step::More => {}
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(if self.answer.ends_with_the_connection() {
                    None
                } else {
                    Some(Err(Broken::Closed))
                });
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Where nobody holds what came before any more, this takes its room again.
        if self.arrived.capacity() - self.arrived.len() < self.next_read / 2 {
            self.arrived.reserve(self.next_read);
        }
        let room = self.arrived.capacity() - self.arrived.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.arrived)).poll(cx))?;
        if read == room {
            // There was more than we asked for.
            self.next_read = (self.next_read * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(read))
    }
}
