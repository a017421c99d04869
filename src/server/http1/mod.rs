//! One HTTP/1.1 connection of a client: requests in, their answers out.
//!
//! In: a stream whose writes have deadlines, and where requests are answered.
//! Out: one answer a request, in order; at the end, a tunnel where the last
//! answer switched the protocol. Everything happens in the connection's own
//! task: a head is read and judged once, its handler polled in place, its
//! body read when it is asked for, and a small answer leaves in one `write`.

mod answer;
pub(crate) mod chunks;
mod class;
pub(crate) mod head;
pub(super) mod inlet;
mod input;
mod out;
pub mod reader;
pub(crate) mod says;
mod tray;

use super::body::RequestBody;
use super::line::Line;
use super::paced::Paced;
use super::parting::Quiet;
use super::socket::Breaks;
use super::turn::Desk;
use super::{BoxError, Deadlines, Handler, Tunnel};
use answer::{Asker, Size};
use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, response};
use http_body::Body;
use inlet::{Feeder, Wants};
use input::{Input, More, Next};
use out::Out;
use reader::Asked;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tray::Tray;

/// A client that has said all and waits may be gone: nothing tells the one
/// from the other but its answer to bytes of ours. So we send what every
/// client of HTTP/1.1 has to pass over (RFC 9110, section 15.2): the first
/// makes the system of one that is gone say so, the second finds it.
const KNOCK: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";
const KNOCKS: u8 = 2;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// All of a connection, from its first request to its last.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: Paced<S>,
    input: Input,
    out: Out,
    /// Where the body of the request goes that is being answered.
    feeder: Option<Feeder>,
    /// Whether its client waits for a 100 before it sends that body.
    waits: bool,
    /// Whether another request may follow.
    keeps_open: bool,
    knocks: u8,
    /// When the head of the last answer was written, as long as that is now.
    answered: Option<Instant>,
}

/// The client is gone, or can no longer be understood.
#[derive(Debug)]
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl<S: AsyncRead + AsyncWrite + Breaks + Unpin> Connection<S> {
    /// A connection of which `first` was read; `head_until` is the deadline
    /// of the head that it belongs to.
    pub(super) fn new(
        stream: Paced<S>,
        first: &[u8],
        deadlines: &Deadlines,
        head_until: Option<Instant>,
    ) -> Self {
        Self {
            stream,
            input: Input::new(first, deadlines, head_until),
            out: Out::default(),
            feeder: None,
            waits: false,
            keeps_open: true,
            knocks: 0,
            answered: None,
        }
    }

    /// How long the peer may say nothing once it was told that nothing more comes.
    pub(super) fn quiet(&self) -> Quiet {
        self.input.quiet()
    }

    /// Whether its last answer was to end with it, and broke off.
    pub(super) fn is_cut_short(&self) -> bool {
        self.out.is_broken() && self.out.is_until_close()
    }

    pub(super) fn into_stream(self) -> Paced<S> {
        self.stream
    }

    /// The stream, and what came behind the head that switched its protocol.
    pub(super) fn into_tunnel(self) -> (Paced<S>, Bytes) {
        (self.stream, self.input.into_rest())
    }

    fn line(&self) -> &Line {
        self.stream.line()
    }

    /// Answers requests until none comes any more, or the protocol is switched.
    pub(super) async fn serve<H: Handler>(&mut self, desk: &Desk<H>) -> Option<Tunnel> {
        let tray = Tray::default();
        // What answers is large: it is there while there is something to do, and never moved.
        let mut attending = None;
        loop {
            let next = poll_fn(|cx| {
                let is_to_look = self.line().is_to_look();
                let polled = self.poll_request(cx);
                if is_to_look && polled.is_pending() {
                    // Nothing has come for a while. To ask takes memory, too.
                    self.let_go();
                    attending = None;
                }
                polled
            });
            let (response, asker, switches) = match next.await {
                Next::End => return None,
                Next::Fault(fault) => {
                    let response = desk.handler.refuse(&desk.peer, fault);
                    (response, self.refuse(), false)
                }
                Next::Request(head) => {
                    let (asker, switches) = (Asker::from(&head), head.switches);
                    let (head, body) = self.take_up(head);
                    tray.lay(head, body);
                    let attending = attending.get_or_insert_with(|| Box::pin(tray.attend(desk)));
                    let answered = poll_fn(|cx| {
                        self.poll_answer(cx, !asker.http_10, |cx| {
                            let Poll::Pending = attending.as_mut().poll(cx);
                            tray.poll_answer()
                        })
                    });
                    match answered.await {
                        Ok(response) => (response, asker, switches),
                        Err(Gone) => return None,
                    }
                }
            };
            let (mut parts, mut body) = response.into_parts();
            let tunnel = parts.extensions.remove::<Tunnel>().filter(|_| switches);
            if desk.line.is_last() && tunnel.is_none() {
                self.keeps_open = false;
            }
            let mut size = Some(answer::size_of(&body));
            let sent = poll_fn(|cx| {
                if let Some(size) = size.take() {
                    self.start(cx, &mut parts, size, asker, body.is_end_stream());
                }
                self.poll_send(cx, &mut body)
            });
            let sent = sent.await;
            self.input.reader().take_back(parts.headers);
            drop(body);
            if sent.is_err() {
                return None;
            }
            poll_fn(|cx| self.poll_settle(cx)).await;
            self.line().land();
            if tunnel.is_some() || !self.keeps_open {
                return tunnel;
            }
        }
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.line().is_ending() {
            return Poll::Ready(Next::End);
        }
        let answered = self.answered.take();
        let polled = self.input.poll_request(cx, &mut self.stream, answered);
        if polled.is_pending() {
            self.line().note_holding(true);
        }
        polled
    }

    /// What came is no request: its answer is the last.
    fn refuse(&mut self) -> Asker {
        self.keeps_open = false;
        self.line().begin();
        Asker::NOBODY
    }

    /// Makes a request of a head, and of what has arrived behind it.
    fn take_up(&mut self, asked: Asked) -> (Box<Parts>, RequestBody) {
        self.line().begin();
        self.keeps_open = asked.keeps_open;
        let reader = self.input.reader();
        let body = if reader.is_between() {
            RequestBody::whole(Bytes::new())
        } else if let Some(bytes) = (!asked.waits).then(|| reader.whole()).flatten() {
            RequestBody::whole(bytes)
        } else {
            let left = reader.left();
            // What is bad from the start is so before anybody hears of it.
            let (feeder, inlet) = Feeder::new(!asked.waits);
            self.feeder = Some(feeder);
            self.waits = asked.waits;
            self.input.begin_body();
            RequestBody::arriving(inlet, left)
        };
        (asked.parts, body)
    }

    /// Waits for the answer's head, and brings the body meanwhile. `at_work`
    /// is whether the client may hear from us before.
    fn poll_answer<R>(
        &mut self,
        cx: &mut Context<'_>,
        at_work: bool,
        mut answer: impl FnMut(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<Result<R, Gone>> {
        self.feed(cx, true);
        loop {
            if let Poll::Ready(response) = answer(cx) {
                return Poll::Ready(Ok(response));
            }
            if !self.feed(cx, true) {
                break;
            }
        }
        self.look(cx, at_work)?;
        if !self.out.is_empty() && self.out.poll_send(cx, &mut self.stream)?.is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(cx)?;
        }
        Poll::Pending
    }

    /// Writes the answer's head.
    fn start(
        &mut self,
        cx: &mut Context<'_>,
        parts: &mut response::Parts,
        mut size: Size,
        asker: Asker,
        is_over: bool,
    ) {
        if self
            .feeder
            .as_ref()
            .is_some_and(|feeder| feeder.wants(cx) == Wants::NoMore)
        {
            self.drain(cx);
        }
        if parts.status.is_informational() && parts.status != StatusCode::SWITCHING_PROTOCOLS {
            // It would not be the answer, and no other comes.
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
            parts.headers.clear();
            size = Size::Empty;
            self.keeps_open = false;
        }
        let now = Instant::now();
        let written = answer::write(self.out.text(), parts, size, asker, self.keeps_open, now);
        self.keeps_open = written.keeps_open;
        self.out.start(written.framed, is_over);
        if self.out.is_until_close() {
            self.stream.stream().break_off(true);
        }
        self.answered = Some(now);
    }

    /// Sends what was written, and the body as it comes.
    fn poll_send<B>(&mut self, cx: &mut Context<'_>, body: &mut B) -> Poll<Result<(), Gone>>
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        self.feed(cx, false);
        let polled = self.poll_send_and_feed(cx, body);
        if polled.is_pending() {
            self.answered = None;
            self.look(cx, false)?;
        }
        polled
    }

    fn poll_send_and_feed<B>(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut B,
    ) -> Poll<Result<(), Gone>>
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        loop {
            self.out.fill(cx, body);
            if !self.out.is_empty() {
                ready!(self.out.poll_send(cx, &mut self.stream))?;
            } else if self.out.is_last() {
                ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                let is_whole = !self.out.is_broken();
                if is_whole && self.out.is_until_close() {
                    self.stream.stream().break_off(false);
                }
                return Poll::Ready(is_whole.then_some(()).ok_or(Gone));
            } else {
                ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                // The answer's body may wait for more of the request's.
                if !self.feed(cx, false) {
                    return Poll::Pending;
                }
            }
        }
    }

    /// Brings the request's body on if somebody asks for it; true when who
    /// asked is in this very task, and has something to take now.
    fn feed(&mut self, cx: &mut Context<'_>, may_continue: bool) -> bool {
        let Some(feeder) = &self.feeder else {
            return false;
        };
        if feeder.wants(cx) != Wants::Piece {
            return false;
        }
        if std::mem::take(&mut self.waits) && may_continue {
            self.out.text().extend_from_slice(CONTINUE);
        }
        let Poll::Ready(more) = self.input.poll_body(cx, &mut self.stream) else {
            return false;
        };
        let (same, is_over) = match more {
            More::Data { data, is_last } => (feeder.give(cx, data, is_last), is_last),
            More::End => (feeder.end(cx), true),
            More::Failed(error) => {
                self.keeps_open = false;
                (feeder.fail(cx, error), true)
            }
        };
        if is_over {
            self.feeder = None;
        }
        same
    }

    /// Behind the answer: brings the rest of the body while somebody takes it.
    /// What nobody does must not be taken for a request.
    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(feeder) = &self.feeder {
            feeder.note_answered();
            if feeder.wants(cx) == Wants::NoMore {
                self.drain(cx);
            } else if !self.feed(cx, false) && self.feeder.is_some() {
                return Poll::Pending;
            }
        }
        self.waits = false;
        Poll::Ready(())
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        self.feeder = None;
        self.keeps_open &= self.input.drain(cx, &mut self.stream);
    }

    /// Looks whether the client is still there, now and then. `at_work` is
    /// whether it may hear from us before its answer.
    fn look(&mut self, cx: &mut Context<'_>, at_work: bool) -> io::Result<()> {
        if !self.line().is_to_look() {
            return Ok(());
        }
        self.input.look(cx, &mut self.stream)?;
        let may_knock = at_work && self.out.is_empty() && self.knocks < KNOCKS;
        if self.input.has_ended() && may_knock {
            self.knocks += 1;
            self.out.text().extend_from_slice(KNOCK);
        }
        Ok(())
    }

    /// Lets go of all memory that an idle connection can do without.
    fn let_go(&mut self) {
        self.input.let_go();
        self.out.let_go();
        self.line().note_holding(false);
    }
}
