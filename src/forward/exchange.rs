//! One request to one server, and its answer, each within its deadlines.

use super::body::ProvenBody;
use super::http1::{self, Broken, State};
use super::tunnel::{self, Far};
use super::upstream::{Lease, NoPlace, Place, Pool, Settings};
use super::{Failed, Outgoing};
use bytes::Bytes;
use http::{StatusCode, response};
use http_body::Frame;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The deadlines of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    start: Instant,
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    end: Instant,
}

impl Deadlines {
    /// The deadlines of a request that starts now.
    pub(super) fn start(settings: &Settings) -> Self {
        let start = Instant::now();
        Self {
            start,
            connect: settings.connect,
            first_byte: settings.first_byte,
            idle: settings.idle,
            end: start + settings.total,
        }
    }
}

/// How it went.
pub(super) enum Tried {
    /// The server answers.
    Answered(response::Parts, Streaming),
    /// The server switches protocols, as it was asked to.
    Switched(response::Parts, Box<Far>),
    /// Not a byte of the request has left: another server may have it.
    NotSent(ProvenBody, Failed),
    /// Some of it may have: nobody else may have it.
    Failed(Failed),
}

/// Sends `request` to the server at `place`: on a kept connection, or on a
/// new one where that turns out to be stale before a byte was sent on it.
pub(super) async fn exchange(
    request: &impl Outgoing,
    mut body: ProvenBody,
    place: &Arc<Place>,
    label: &str,
    pool: &Pool,
    deadlines: &Deadlines,
) -> Tried {
    let connect_by = (deadlines.start + deadlines.connect).min(deadlines.end);
    let mut lease = match pool.lease(place, connect_by).await {
        Ok(lease) => lease,
        Err(NoPlace { limit }) => {
            let all = format!("`{label}`: all of its {limit} connections are in use");
            return Tried::NotSent(body, Failed::Overloaded(all));
        }
    };
    if let Some(kept) = lease.reuse() {
        match send(request, body, kept, lease, *deadlines, deadlines.start).await {
            Sent::Answered(head, streaming) => return Tried::Answered(head, streaming),
            Sent::Switched(head, far) => return Tried::Switched(head, far),
            Sent::Not(unsent, again) => (body, lease) = (unsent, again),
            Sent::Failed(failed) => return Tried::Failed(failed),
        }
    }
    let new = match lease.connect(connect_by).await {
        Ok(new) => new,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Tried::NotSent(body, Failed::Timeout("connect"));
        }
        Err(error) => {
            let why = format!("`{label}`: {error}");
            return Tried::NotSent(body, Failed::Unreachable(why));
        }
    };
    match send(request, body, new, lease, *deadlines, Instant::now()).await {
        Sent::Answered(head, streaming) => Tried::Answered(head, streaming),
        Sent::Switched(head, far) => Tried::Switched(head, far),
        Sent::Not(unsent, _) => {
            let why = format!("`{label}`: it closed the connection at once");
            Tried::NotSent(unsent, Failed::Unreachable(why))
        }
        Sent::Failed(failed) => Tried::Failed(failed),
    }
}

/// How it went on one connection.
enum Sent {
    Answered(response::Parts, Streaming),
    Switched(response::Parts, Box<Far>),
    Not(ProvenBody, Lease),
    Failed(Failed),
}

/// Sends on one connection and waits for the answer's head.
async fn send(
    request: &impl Outgoing,
    body: ProvenBody,
    mut connection: http1::Connection<TcpStream>,
    lease: Lease,
    deadlines: Deadlines,
    since: Instant,
) -> Sent {
    let mut head = connection.room();
    request.write(&mut head, &body);
    let method = request.method().clone();
    let mut exchange = connection.start(method, head, body, since);
    if request.upgrade().is_some() {
        exchange.may_switch();
    }
    match poll_fn(|cx| poll_answer(&mut exchange, cx, &deadlines, since)).await {
        Ok(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            if let Err(why) = tunnel::is_as_asked(&head.headers, request.upgrade()) {
                return Sent::Failed(Failed::Invalid(why.into()));
            }
            let (stream, early) = exchange.into_stream();
            Sent::Switched(head, Box::new(Far::new(stream, early, lease)))
        }
        Ok(head) => Sent::Answered(head, Streaming::new(exchange, lease, deadlines)),
        // Another server could do no more with a body that is bad.
        Err(failed @ Failed::Body(_)) => Sent::Failed(failed),
        Err(failed) => match exchange.into_unsent() {
            Some(body) => Sent::Not(body, lease),
            None => Sent::Failed(failed),
        },
    }
}

fn poll_answer(
    exchange: &mut http1::Exchange<TcpStream>,
    cx: &mut Context<'_>,
    deadlines: &Deadlines,
    since: Instant,
) -> Poll<Result<response::Parts, Failed>> {
    if let Poll::Ready(answer) = exchange.poll_answer(cx) {
        return Poll::Ready(answer.map_err(Failed::from));
    }
    loop {
        let sending = exchange.sending();
        let (due, phase) = deadlines.due(sending, since);
        let wake = match sending {
            State::Ended(_) => due,
            // A body may end at any time, and then the answer is due after this long.
            _ => due.min(Instant::now() + deadlines.first_byte),
        };
        if !exchange.poll_alarm(cx, wake) {
            return Poll::Pending;
        }
        if wake >= due {
            return Poll::Ready(Err(Failed::Timeout(phase)));
        }
    }
}

impl Deadlines {
    /// When whoever has to act next is late, and with what.
    fn due(&self, sending: State, since: Instant) -> (Instant, &'static str) {
        let (due, phase) = match sending {
            State::Ended(at) => (at + self.first_byte, "answer"),
            State::Going | State::Broken => (since + self.first_byte, "answer"),
            State::Stuck(at) => (at + self.idle, "go on"),
            // The server's own deadlines bound how long a client may take.
            State::AllThereIs => (self.end, "finish"),
        };
        if self.end <= due {
            (self.end, "finish")
        } else {
            (due, phase)
        }
    }
}

/// An answer's body on its way, and what is left of the request.
pub(super) struct Streaming {
    state: Talk,
    deadlines: Deadlines,
    /// Since when the server has owed us a frame.
    waiting: Option<Instant>,
}

enum Talk {
    Going(http1::Exchange<TcpStream>, Lease),
    Over,
    /// It is about to break off.
    Breaking(Failed),
    /// It broke off: never a clean end.
    Broken,
}

impl Streaming {
    fn new(exchange: http1::Exchange<TcpStream>, lease: Lease, deadlines: Deadlines) -> Self {
        let mut streaming = Self {
            state: Talk::Going(exchange, lease),
            deadlines,
            waiting: None,
        };
        streaming.give_back_at_end();
        streaming
    }

    /// The next frame.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let exchange = match &mut self.state {
            Talk::Going(exchange, _) => exchange,
            Talk::Over => return Poll::Ready(None),
            Talk::Breaking(_) | Talk::Broken => return Poll::Ready(Some(Err(self.break_off()))),
        };
        let frame = match exchange.poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(broke_off)),
            Poll::Pending => {
                // A frame that comes at once costs no look at the clock.
                let since = *self.waiting.get_or_insert_with(Instant::now);
                let (due, phase) = self.deadlines.next_frame(since);
                if !exchange.poll_alarm(cx, due) {
                    return Poll::Pending;
                }
                Some(Err(Failed::Timeout(phase)))
            }
        };
        self.waiting = None;
        if let Some(Err(failed)) = frame {
            // The client first gets what there is, so that it sees an answer
            // break off, and not a connection without any.
            self.state = Talk::Breaking(failed);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.give_back_at_end();
        Poll::Ready(frame)
    }

    fn break_off(&mut self) -> Failed {
        match std::mem::replace(&mut self.state, Talk::Broken) {
            Talk::Breaking(failed) => failed,
            _ => Failed::Invalid("it broke off".into()),
        }
    }

    /// Whether nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        match &self.state {
            Talk::Going(exchange, _) => exchange.is_over(),
            Talk::Over => true,
            Talk::Breaking(_) | Talk::Broken => false,
        }
    }

    /// Bytes to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.state {
            Talk::Going(exchange, _) => exchange.left(),
            Talk::Over => Some(0),
            Talk::Breaking(_) | Talk::Broken => None,
        }
    }

    fn give_back_at_end(&mut self) {
        if let Talk::Going(exchange, _) = &self.state
            && exchange.is_over()
            && let Talk::Going(exchange, lease) = std::mem::replace(&mut self.state, Talk::Over)
        {
            lease.give_back(exchange.into_connection());
        }
    }
}

impl Deadlines {
    /// When a frame that is owed `since` is late, and with what.
    fn next_frame(&self, since: Instant) -> (Instant, &'static str) {
        let due = since + self.idle;
        if self.end <= due {
            (self.end, "finish")
        } else {
            (due, "go on")
        }
    }
}

fn broke_off(broken: Broken) -> Failed {
    match broken {
        Broken::Request(error) => Failed::Body(error),
        broken => Failed::Invalid(format!("it broke off: {broken}")),
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Request(error) => Self::Body(error),
            broken @ (Broken::Closed | Broken::Io(_)) => Self::Broke(broken.to_string()),
            broken @ Broken::Invalid(_) => Self::Invalid(broken.to_string()),
        }
    }
}
