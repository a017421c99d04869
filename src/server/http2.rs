//! One HTTP/2 connection of a client: its requests in, each on a stream that runs as a task of its own.
//! The HTTP/2 library has the frames, with every bound set by us and none left to its defaults.

use super::Handler;
use super::streams;
use super::turn::{Desk, Turn};
use crate::clock::alarm::{Alarm, after};
use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake};
use h2::{Error, Ping, PingPong, Reason};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Requests at a time on one HTTP/2 connection.
pub(super) const H2_STREAMS: u32 = 100;
/// Bytes of a head after decompression, as RFC 9113 counts them (32 for each field on top). The library
/// refuses more in silence: it is some more than what may pass, so that most are refused by us.
const H2_HEAD: u32 = 48 * 1024;
/// Bytes of a frame.
const H2_FRAME: u32 = 16 * 1024;
/// Bytes of a body in flight, for each stream…
const H2_STREAM_WINDOW: u32 = 64 * 1024;
/// …and for the whole connection. Half of these is what small DATA that nobody has read may lack to
/// 256 bytes each, all together, before the library ends the connection: a stream's window full of messages
/// of 11 bytes or more, as gRPC frames them, is less, so that one server that pauses ends nobody's connection.
pub(super) const H2_CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes of a response kept for each stream until its client takes them.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// Bytes that field compression may remember.
const H2_HEADER_TABLE: u32 = 4 * 1024;
/// Streams a client may open and reset before we look at them, until the connection ends.
const H2_RESETS_PENDING: usize = 20;
/// Streams we may have to reset for its errors, until the connection ends.
const H2_RESETS_LOCAL: usize = 100;
/// How long an HTTP/2 client may say nothing until we ask whether it is still there, a half more at most, and
/// how long it may take to say so.
const H2_PING_AFTER: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How often we look whether it said something.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const QUIET_LOOKS: u64 = H2_PING_AFTER.as_secs() / LOOK_EVERY.as_secs();

/// What every connection is made by.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEAD)
        .max_frame_size(H2_FRAME)
        .initial_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buffer_size(H2_SEND_BUFFER)
        .header_table_size(H2_HEADER_TABLE)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING)
        .max_local_error_reset_streams(Some(H2_RESETS_LOCAL));
    builder
}

/// Whether the library ended a connection since its client sent too much that is cheap for it.
pub(super) fn is_of_a_flood(error: &Error) -> bool {
    error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
}

/// A connection, from its preface to its end.
pub(super) struct Http2<H, S> {
    state: State<S>,
    desk: Arc<Desk<H>>,
    /// Whether goodbye is to be said as soon as there is a connection to say it on.
    is_leaving: bool,
}

enum State<S> {
    Greeting(Handshake<S, Bytes>),
    Open {
        connection: Connection<S, Bytes>,
        watch: Watch,
    },
}

impl<H, S: AsyncRead + AsyncWrite + Unpin> Http2<H, S> {
    pub(super) fn new(handshake: Handshake<S, Bytes>, desk: Desk<H>) -> Self {
        Self {
            state: State::Greeting(handshake),
            desk: Arc::new(desk),
            is_leaving: false,
        }
    }

    /// Says goodbye: what is in flight, and what crosses it, is the last.
    pub(super) fn leave(&mut self) {
        match &mut self.state {
            State::Greeting(_) => self.is_leaving = true,
            State::Open { connection, .. } => connection.graceful_shutdown(),
        }
    }
}

impl<H: Handler, S: AsyncRead + AsyncWrite + Unpin> Future for Http2<H, S> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Greeting(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if this.is_leaving {
                        connection.graceful_shutdown();
                    }
                    let watch = Watch::new(connection.ping_pong());
                    this.state = State::Open { connection, watch };
                }
                State::Open { connection, watch } => {
                    if watch.finds_it_gone(cx, || this.desk.line.said()) {
                        connection.abrupt_shutdown(Reason::NO_ERROR);
                    }
                    match ready!(connection.poll_accept(cx)?) {
                        Some((request, reply)) => {
                            let turn = Turn::new(&this.desk);
                            // Large: what is in its box is moved no more.
                            tokio::spawn(Box::pin(streams::run(turn, request, reply)));
                        }
                        None => return Poll::Ready(Ok(())),
                    }
                }
            }
        }
    }
}

/// Asks a client that says nothing, and takes nothing that waits for it, whether it is still there.
struct Watch {
    pings: Option<PingPong>,
    alarm: Alarm,
    next: Instant,
    /// How much it had said when we last looked.
    said: u64,
    /// Looks in a row at which that was no more than before.
    quiet: u64,
    is_asked: bool,
    is_gone: bool,
}

impl Watch {
    fn new(pings: Option<PingPong>) -> Self {
        Self {
            pings,
            alarm: Alarm::default(),
            next: after(LOOK_EVERY),
            said: 0,
            quiet: 0,
            is_asked: false,
            is_gone: false,
        }
    }

    /// Whether it did not answer in time; `said` is how much it has said so far.
    fn finds_it_gone(&mut self, cx: &mut Context<'_>, said: impl Fn() -> u64) -> bool {
        let Some(pings) = &mut self.pings else {
            return false;
        };
        if self.is_asked && pings.poll_pong(cx).is_ready() {
            self.is_asked = false;
            self.quiet = 0;
            self.next = after(LOOK_EVERY);
        }
        while !self.is_gone && self.alarm.poll(cx, self.next) {
            let said = said();
            self.quiet = if said == self.said { self.quiet + 1 } else { 0 };
            self.said = said;
            if self.is_asked {
                // The question may stand behind much that it still has to take.
                self.is_gone = self.quiet > 0;
                self.next = after(H2_PING_TIMEOUT);
                continue;
            }
            let is_to_be_asked = self.quiet >= QUIET_LOOKS;
            self.is_asked = is_to_be_asked && pings.send_ping(Ping::opaque()).is_ok();
            if self.is_asked {
                // Its task is woken by the answer.
                let _ = pings.poll_pong(cx);
                self.next = after(H2_PING_TIMEOUT);
            } else {
                self.next = after(LOOK_EVERY);
            }
        }
        self.is_gone
    }
}
