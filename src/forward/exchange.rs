//! One request to one server, and the head of its answer.

use super::Failed;
use super::answer::Arriving;
use super::body::{BodyError, ProvenBody, Sending, Sent};
use super::streamed;
use super::upstream::{Lease, NoPlace, Place, Pool, Sender, Settings};
use http::uri::Scheme;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    connect: Duration,
    first_byte: Duration,
    pub(super) idle: Duration,
    pub(super) end: Instant,
}

impl Deadlines {
    /// The deadlines of a request that starts now.
    pub(super) fn start(settings: &Settings) -> Self {
        Self {
            connect: settings.connect,
            first_byte: settings.first_byte,
            idle: settings.idle,
            end: Instant::now() + settings.total,
        }
    }
}

/// How it went.
pub(super) enum Tried {
    /// The server answers.
    Answered(Response<Arriving>, Lease),
    /// Not a byte of the request has left: another server may have it.
    NotSent(Request<ProvenBody>, Failed),
    /// Some of it may have: nobody else may have it.
    Failed(Failed),
}

/// Sends `request` to the server at `place`: on a kept connection, or on a
/// new one where that turns out to be stale before a byte was sent on it.
pub(super) async fn exchange(
    mut request: Request<ProvenBody>,
    place: &Arc<Place>,
    label: &str,
    pool: &Pool,
    deadlines: &Deadlines,
) -> Tried {
    let connect_by = (Instant::now() + deadlines.connect).min(deadlines.end);
    let mut lease = match pool.lease(place, connect_by).await {
        Ok(lease) => lease,
        Err(NoPlace { limit }) => {
            let all = format!("`{label}`: all of its {limit} connections are in use");
            return Tried::NotSent(request, Failed::Unreachable(all));
        }
    };
    if let Err(error) = pool.look_up(&lease, connect_by).await {
        return Tried::NotSent(request, not_connected(label, &error));
    }
    let scheme = place.scheme();
    if let Some(kept) = lease.reuse() {
        match send(kept, &scheme, request, deadlines).await {
            Ok(response) => return Tried::Answered(response, lease),
            Err((Some(unsent), _)) => request = unsent,
            Err((None, failed)) => return Tried::Failed(failed.of(label)),
        }
    }
    let new = match lease.connect(connect_by).await {
        Ok(new) => new,
        Err(error) => {
            let why = not_connected(label, &error).with_hint(place);
            return Tried::NotSent(request, why);
        }
    };
    match send(new, &scheme, request, deadlines).await {
        Ok(response) => Tried::Answered(response, lease),
        Err((Some(unsent), failed)) => Tried::NotSent(unsent, failed.of(label)),
        Err((None, failed)) => Tried::Failed(failed.unless_refused(place).of(label)),
    }
}

/// Why a server took no connection.
fn not_connected(label: &str, error: &io::Error) -> Failed {
    if error.kind() == io::ErrorKind::TimedOut {
        return Failed::Timeout("connect");
    }
    Failed::Unreachable(error.to_string()).of(label)
}

impl Failed {
    /// Names the server that could not be reached.
    fn of(self, label: &str) -> Self {
        match self {
            Self::Unreachable(why) => Self::Unreachable(format!("`{label}`: {why}")),
            other => other,
        }
    }

    /// Adds what to do about it, if we know.
    fn with_hint(self, place: &Place) -> Self {
        match (self, place.hint()) {
            (Self::Unreachable(why), Some(hint)) => {
                Self::Unreachable(format!("{why} (hint: {hint})"))
            }
            (other, _) => other,
        }
    }

    /// A server that wants to know who we are says no only after the
    /// handshake (TLS 1.3): then a new connection that broke off is no answer.
    fn unless_refused(self, place: &Place) -> Self {
        match self {
            Self::Invalid(why) if place.hint().is_some() => Self::Unreachable(why).with_hint(place),
            other => other,
        }
    }
}

/// Sends on one connection, or on one stream of it, and waits for the
/// answer's head. An error comes with the request when it was not processed.
async fn send(
    sender: &mut Sender,
    scheme: &Scheme,
    request: Request<ProvenBody>,
    deadlines: &Deadlines,
) -> Result<Response<Arriving>, (Option<Request<ProvenBody>>, Failed)> {
    match sender {
        Sender::Http1(connection) => http1(connection.sender(), request, deadlines).await,
        // Its state is large; a request over HTTP/1.1 does not pay for it.
        Sender::Http2(slot) => {
            Box::pin(streamed::send(slot, scheme.clone(), request, deadlines)).await
        }
    }
}

/// Sends on one connection and waits for the answer's head. An error comes
/// with the request when nothing of it was sent.
async fn http1(
    connection: &mut SendRequest<ProvenBody>,
    mut request: Request<ProvenBody>,
    deadlines: &Deadlines,
) -> Result<Response<Arriving>, (Option<Request<ProvenBody>>, Failed)> {
    let sending = request.body_mut().watch();
    let from = Instant::now();
    let mut answer = pin!(connection.try_send_request(request));
    let mut alarm = pin!(sleep_until(deadlines.first(sending.as_deref(), from)));
    let response = poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(answer.map_err(|mut error| {
                let unsent = error.take_message();
                let failed = match unsent {
                    Some(_) => Failed::Unreachable("it closed the connection at once".into()),
                    None => failure(&error.into_error()),
                };
                (unsent, failed)
            }));
        }
        match deadlines.poll_late(alarm.as_mut(), sending.as_deref(), from, cx) {
            Poll::Ready(late) => Poll::Ready(Err((None, Failed::Timeout(late)))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await?;
    check(&response).map_err(|why| (None, Failed::Invalid(why.into())))?;
    // While the body still goes out, a byte either way is a sign of life.
    let sending = sending.filter(|sending| !matches!(sending.get(), Sent::Ended(_)));
    Ok(response.map(|body| Arriving::http1(body, sending)))
}

/// What a server was too late with.
pub(super) type Late = &'static str;

impl Deadlines {
    /// When to look first, of a request that was handed over at `from`.
    pub(super) fn first(&self, sending: Option<&Sending>, from: Instant) -> Instant {
        self.next(sending, from, from).0
    }

    /// Ready when the answer's head is late.
    pub(super) fn poll_late(
        &self,
        mut alarm: Pin<&mut Sleep>,
        sending: Option<&Sending>,
        from: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Late> {
        while alarm.as_mut().poll(cx).is_ready() {
            let (wake, late) = self.next(sending, from, Instant::now());
            if let Some(phase) = late {
                return Poll::Ready(phase);
            }
            alarm.as_mut().reset(wake);
        }
        Poll::Pending
    }

    /// When to look again, and what is late by now. `from` is when the
    /// request was handed over.
    fn next(
        &self,
        sending: Option<&Sending>,
        from: Instant,
        now: Instant,
    ) -> (Instant, Option<Late>) {
        let (due, phase) = match sending.map(Sending::get) {
            None => (from + self.first_byte, "answer"),
            Some(Sent::Ended(at)) => (at + self.first_byte, "answer"),
            Some(Sent::Taken(at)) => (at + self.idle, "go on"),
            // The server's own deadlines bound how long a client may take.
            Some(Sent::AllThereIs) => (self.end, "finish"),
        };
        let (due, phase) = if self.end <= due {
            (self.end, "finish")
        } else {
            (due, phase)
        };
        // A body may end at any time, and then the answer is due after this long.
        let wake = due.min(now + self.first_byte);
        (wake, (now >= due).then_some(phase))
    }
}

/// What the HTTP library lets through and two readers could read differently.
fn check(response: &Response<Incoming>) -> Result<(), &'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches protocols, which nobody asked for");
    }
    let fields = response.headers();
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err("there is more than one `Content-Length`");
    }
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if length.is_some() {
            return Err("it has both `Content-Length` and `Transfer-Encoding`");
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("its transfer coding is not `chunked`");
        }
    }
    Ok(())
}

/// The request's own body is to blame where its error lies below.
fn failure(error: &hyper::Error) -> Failed {
    let below = error.source();
    if let Some(body) = below.and_then(|below| below.downcast_ref::<BodyError>()) {
        return Failed::Body(body.again());
    }
    Failed::Invalid(match below {
        Some(below) => format!("{error}: {below}"),
        None => error.to_string(),
    })
}
