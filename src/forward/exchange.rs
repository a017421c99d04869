//! One request to one server, and its answer, each within its deadlines.

use super::arriving::{Alone, Arriving, Beside};
use super::body::ProvenBody;
use super::http1::{self, Broken, State};
use super::streaming::Streaming;
use super::tunnel::{self, Far};
use super::upstream::{
    Lease, NoPlace, Place, Pool, Ready, Settings, Stream, UsedUp, Wants, Way, tls,
};
use super::{Failed, Late, Outgoing, streamed};
use http::{StatusCode, response};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The deadlines of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    start: Instant,
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    pub(super) end: Instant,
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

    /// The same for another server, of which nothing was asked until now; the
    /// end stays. False when that has come: there is no time for another.
    pub(super) fn again(&mut self) -> bool {
        self.start = Instant::now();
        self.start < self.end
    }

    /// When a connection has to be there that is asked for at `from`.
    fn connect_by(&self, from: Instant) -> Instant {
        (from + self.connect).min(self.end)
    }
}

/// How it went.
pub(super) enum Tried {
    /// The server answers.
    Answered(response::Parts, Arriving),
    /// The server switches protocols, as it was asked to.
    Switched(response::Parts, Box<Far>),
    /// Not a byte of the request has left: another server may have it.
    NotSent(ProvenBody, Failed),
    /// Nor has it here, and the server is well: it only speaks no version of
    /// HTTP that can do what is asked.
    Unfit(ProvenBody, Failed),
    /// Nor has it, since this machine has nothing left to connect with; another server may have a connection that is kept.
    Lacking(ProvenBody, Failed),
    /// Nobody else may have it: some of it may have left.
    Failed(Failed),
    /// The same, and another request that was on the same connection has told of it.
    Excused(Failed),
}

/// Sends `request` to the server at `place`: on a kept connection, or on a
/// new one where that turns out to be stale before a byte was sent on it. One
/// that carries many requests may refuse this one: then on one other. Of the
/// addresses of a name it goes to one on the `way`, which notes which that was.
pub(super) async fn exchange(
    request: &impl Outgoing,
    mut body: ProvenBody,
    place: &Arc<Place>,
    label: &str,
    pool: &Pool,
    deadlines: &Deadlines,
    way: &mut Way,
) -> Tried {
    let mut connect_by = deadlines.connect_by(deadlines.start);
    let mut lease = match pool.lease(place, connect_by).await {
        Ok(lease) => lease,
        Err(NoPlace { limit }) => {
            let all = format!("all of its {limit} connections are in use");
            return Tried::NotSent(body, Failed::Overloaded(all).of(label));
        }
    };
    if let Some(at) = lease.waited_until() {
        // Others took the time until then, not the server.
        connect_by = deadlines.connect_by(at);
    }
    if let Err(error) = pool.look_up(&lease, connect_by).await {
        let why = Failed::connecting(&error, Late::LookUp).of(label);
        return not_connected(body, &error, why);
    }
    let wants = Wants::of(request, place);
    let mut has_refused = false;
    if let Some(kept) = lease.reuse(wants, way) {
        // It cannot have been late while others took its time.
        let since = lease.waited_until().unwrap_or(deadlines.start);
        match send(request, body, kept, lease, place, deadlines, since).await {
            Sent::Answered(head, arriving) => return Tried::Answered(head, arriving),
            Sent::Switched(head, far) => return Tried::Switched(head, far),
            Sent::Not(unsent, again, _) => {
                (body, lease) = (unsent, again);
                has_refused = true;
                // It was connected to, and took its time for something else.
                connect_by = deadlines.connect_by(Instant::now());
            }
            Sent::Failed(failed) => return Tried::Failed(failed.of(label)),
            Sent::Excused(failed) => return Tried::Excused(failed.of(label)),
        }
    }
    loop {
        let new = lease.connect(wants, way, connect_by).await;
        let mut lacked = None;
        // Nothing is left that a trial takes: what is kept will do.
        let new = new.or_else(|error| {
            let again = UsedUp::of(&error).is_some() && way.leave();
            let Some(kept) = again.then(|| lease.reuse(wants, way)).flatten() else {
                return Err(error);
            };
            lacked = Some(Failed::connecting(&error, Late::Connect));
            Ok(kept)
        });
        let new = match new {
            Ok(new) => new,
            Err(error) => {
                let why = Failed::connecting(&error, Late::Connect).of(label);
                if request.upgrade().is_some() && error.kind() == io::ErrorKind::Unsupported {
                    return Tried::Unfit(body, why);
                }
                return not_connected(body, &error, why);
            }
        };
        // A server that restarts says good-bye also on a connection that was just made.
        let may_try_another = !has_refused && matches!(new, Ready::Shared);
        return match send(request, body, new, lease, place, deadlines, Instant::now()).await {
            Sent::Answered(head, arriving) => Tried::Answered(head, arriving),
            Sent::Switched(head, far) => Tried::Switched(head, far),
            Sent::Not(unsent, again, _) if may_try_another => {
                (body, lease) = (unsent, again);
                has_refused = true;
                connect_by = deadlines.connect_by(Instant::now());
                continue;
            }
            Sent::Not(unsent, _, why) => match lacked {
                // What was kept had ended, and there is nothing to make a new one with.
                Some(lacked) => Tried::Lacking(unsent, lacked.of(label)),
                None => Tried::NotSent(unsent, why.of(label)),
            },
            Sent::Failed(failed) => Tried::Failed(failed.of(label)),
            Sent::Excused(failed) => Tried::Excused(failed.of(label)),
        };
    }
}

impl Wants {
    fn of(request: &impl Outgoing, place: &Place) -> Self {
        if request.upgrade().is_some() {
            return Self::Alone;
        }
        if place.may_share() && request.is_long() {
            return Self::Apart;
        }
        Self::Any
    }
}

/// There is no connection to the server, so that nothing was sent.
fn not_connected(body: ProvenBody, error: &io::Error, why: Failed) -> Tried {
    if UsedUp::of(error).is_some() {
        Tried::Lacking(body, why)
    } else {
        Tried::NotSent(body, why)
    }
}

/// How it went on one connection.
enum Sent {
    Answered(response::Parts, Arriving),
    Switched(response::Parts, Box<Far>),
    /// The server has not processed it.
    Not(ProvenBody, Lease, Failed),
    Failed(Failed),
    Excused(Failed),
}

/// Sends on one connection, or on a stream of it, and waits for the answer's head.
async fn send(
    request: &impl Outgoing,
    body: ProvenBody,
    ready: Ready,
    lease: Lease,
    place: &Place,
    deadlines: &Deadlines,
    since: Instant,
) -> Sent {
    match ready {
        Ready::Alone(connection) => {
            let keeps = place.keeps();
            alone(request, body, connection, lease, deadlines, since, keeps).await
        }
        // Its state is large; a request over HTTP/1.1 does not pay for it.
        Ready::Shared => Box::pin(shared(request, body, lease, place, *deadlines)).await,
    }
}

async fn alone(
    request: &impl Outgoing,
    body: ProvenBody,
    mut connection: http1::Connection<Stream, Beside>,
    lease: Lease,
    deadlines: &Deadlines,
    since: Instant,
    keeps: bool,
) -> Sent {
    let method = request.method().clone();
    let is_last = !keeps || http1::may_be_left_unread(&method, &body);
    request.write(connection.room(), &body, is_last);
    let beside = Beside::new(lease, *deadlines);
    let mut exchange = connection.start(method, body, since, beside);
    if is_last {
        exchange.is_last();
    }
    if request.upgrade().is_some() {
        exchange.may_switch();
    }
    match poll_fn(|cx| poll_answer(&mut exchange, cx, deadlines, since)).await {
        Ok(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            if let Err(why) = tunnel::is_as_asked(&head.headers, request.upgrade()) {
                return Sent::Failed(Failed::Invalid(why.into()));
            }
            let Some(beside) = exchange.beside().take() else {
                return Sent::Failed(Failed::Invalid("it switches protocols twice".into()));
            };
            let (stream, early) = exchange.into_stream();
            Sent::Switched(head, Box::new(Far::new(stream, early, beside.into_lease())))
        }
        Ok(head) => Sent::Answered(head, Arriving::Http1(Alone::new(exchange))),
        // Another server could do no more with a body that is bad.
        Err(failed @ Failed::Body(_)) => Sent::Failed(failed),
        Err(failed) => {
            let beside = exchange.beside().take();
            match (exchange.into_unsent(), beside) {
                (Some(body), Some(beside)) => {
                    let why = "it closed the connection at once";
                    Sent::Not(body, beside.into_lease(), Failed::Unreachable(why.into()))
                }
                _ => Sent::Failed(failed),
            }
        }
    }
}

async fn shared(
    request: &impl Outgoing,
    body: ProvenBody,
    mut lease: Lease,
    place: &Place,
    deadlines: Deadlines,
) -> Sent {
    let Some(slot) = lease.slot() else {
        return Sent::Failed(Failed::Invalid("it has no stream".into()));
    };
    match streamed::send(slot, place.scheme(), request.request(body), &deadlines).await {
        Ok((head, body)) => {
            let streaming = Streaming::new(body, lease, deadlines);
            Sent::Answered(head, Arriving::Http2(Box::new(streaming)))
        }
        Err((Some(unsent), why)) => Sent::Not(unsent, lease, why),
        Err((None, failed)) => match lease.slot() {
            Some(slot) if slot.is_excused() => Sent::Excused(failed),
            _ => Sent::Failed(failed),
        },
    }
}

fn poll_answer(
    exchange: &mut http1::Exchange<Stream, Beside>,
    cx: &mut Context<'_>,
    deadlines: &Deadlines,
    since: Instant,
) -> Poll<Result<response::Parts, Failed>> {
    if let Poll::Ready(answer) = exchange.poll_answer(cx) {
        return Poll::Ready(answer.map_err(Failed::from));
    }
    let sending = exchange.sending();
    deadlines
        .poll_late(sending, since, |until| exchange.poll_alarm(cx, until))
        .map(|late| Err(Failed::late(late)))
}

impl Deadlines {
    /// Ready when the answer's head is late, to a request that was handed
    /// over at `since`. `rings` says whether a time has passed, or has us woken then.
    pub(super) fn poll_late(
        &self,
        sending: State,
        since: Instant,
        mut rings: impl FnMut(Instant) -> bool,
    ) -> Poll<Late> {
        let (due, late) = match sending {
            State::Ended(at) => self.by_the_end(at + self.first_byte, Late::Answer),
            State::Going | State::Broken => self.by_the_end(since + self.first_byte, Late::Answer),
            State::Stuck(at) => self.by_the_end(at + self.idle, Late::GoOn),
            // The server's own deadlines bound how long a client may take.
            State::AllThereIs => (self.end, Late::Body),
        };
        loop {
            let wake = match sending {
                State::Ended(_) => due,
                // A body may end at any time, and then the answer is due after this long.
                _ => due.min(Instant::now() + self.first_byte),
            };
            if !rings(wake) {
                return Poll::Pending;
            }
            if wake >= due {
                return Poll::Ready(late);
            }
        }
    }

    /// Whether an answer had to be over by now, though each of its frames is there when it is asked
    /// for. The first one costs no look at the clock; `has_begun` is whether it has come.
    pub(super) fn are_over(&self, has_begun: &mut bool) -> bool {
        std::mem::replace(has_begun, true) && self.end <= Instant::now()
    }

    /// When a frame that is owed `since` is late, and with what.
    pub(super) fn next_frame(&self, since: Instant) -> (Instant, Late) {
        self.by_the_end(since + self.idle, Late::GoOn)
    }

    /// Nothing is due later than the end of all.
    fn by_the_end(&self, due: Instant, late: Late) -> (Instant, Late) {
        if self.end <= due {
            (self.end, Late::Finish)
        } else {
            (due, late)
        }
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Request(error) => Self::Body(error),
            Broken::Io(error) => match tls::refusal(&error) {
                Some(why) => Self::Unreachable(why),
                // Some of it was sent, whatever was lacking then.
                None => Self::Broke(error.to_string()),
            },
            broken @ Broken::Closed => Self::Broke(broken.to_string()),
            broken @ Broken::Invalid(_) => Self::Invalid(broken.to_string()),
        }
    }
}
