//! One request to one server, and the head of its answer.

use super::Failed;
use super::body::{BodyError, ProvenBody, Sending, Sent};
use super::tunnel::{Declined, Far};
use super::upstream::{Lease, NoPlace, Place, Pool, Settings};
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

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
    Answered(Response<Incoming>, Lease),
    /// The server switches protocols, as it was asked to.
    Switched(Response<()>, Box<Far>),
    /// The server was asked to switch protocols, and answers instead.
    Declined(Response<Box<Declined>>),
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
    let connect_by = deadlines.connect_by();
    let mut lease = match pool.lease(place, connect_by).await {
        Ok(lease) => lease,
        Err(NoPlace { limit }) => {
            let all = format!("`{label}`: all of its {limit} connections are in use");
            return Tried::NotSent(request, Failed::Unreachable(all));
        }
    };
    if let Some(kept) = lease.reuse() {
        match send(kept, request, deadlines).await {
            Ok(response) => return Tried::Answered(response, lease),
            Err((Some(unsent), _)) => request = unsent,
            Err((None, failed)) => return Tried::Failed(failed),
        }
    }
    let new = match lease.connect(connect_by).await {
        Ok(new) => new,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Tried::NotSent(request, Failed::Timeout("connect"));
        }
        Err(error) => {
            let why = format!("`{label}`: {error}");
            return Tried::NotSent(request, Failed::Unreachable(why));
        }
    };
    match send(new, request, deadlines).await {
        Ok(response) => Tried::Answered(response, lease),
        Err((Some(unsent), _)) => {
            let why = format!("`{label}`: it closed the connection at once");
            Tried::NotSent(unsent, Failed::Unreachable(why))
        }
        Err((None, failed)) => Tried::Failed(failed),
    }
}

/// Sends on one connection and waits for the answer's head. An error comes
/// with the request when nothing of it was sent.
async fn send(
    connection: &mut SendRequest<ProvenBody>,
    mut request: Request<ProvenBody>,
    deadlines: &Deadlines,
) -> Result<Response<Incoming>, (Option<Request<ProvenBody>>, Failed)> {
    let sending = request.body_mut().watch();
    let from = Instant::now();
    let mut answer = pin!(connection.try_send_request(request));
    let mut alarm = pin!(sleep_until(
        deadlines.next(sending.as_deref(), from, from).0
    ));
    let response = poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(answer.map_err(|mut error| {
                let unsent = error.take_message();
                (unsent, failure(&error.into_error()))
            }));
        }
        while alarm.as_mut().poll(cx).is_ready() {
            let (wake, late) = deadlines.next(sending.as_deref(), from, Instant::now());
            if let Some(phase) = late {
                return Poll::Ready(Err((None, Failed::Timeout(phase))));
            }
            alarm.as_mut().reset(wake);
        }
        Poll::Pending
    })
    .await?;
    check(&response).map_err(|why| (None, Failed::Invalid(why.into())))?;
    Ok(response)
}

impl Deadlines {
    /// Until when a connection has to be there.
    pub(super) fn connect_by(&self) -> Instant {
        self.end.min(Instant::now() + self.connect)
    }

    /// Until when a request without a body, sent now, has to be answered.
    pub(super) fn answer_by(&self) -> Instant {
        self.end.min(Instant::now() + self.first_byte)
    }

    /// When to look again, and what is late by now. `from` is when the
    /// request was handed over.
    fn next(
        &self,
        sending: Option<&Sending>,
        from: Instant,
        now: Instant,
    ) -> (Instant, Option<&'static str>) {
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
pub(super) fn check(response: &Response<Incoming>) -> Result<(), &'static str> {
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
pub(super) fn failure(error: &hyper::Error) -> Failed {
    let below = error.source();
    if let Some(body) = below.and_then(|below| below.downcast_ref::<BodyError>()) {
        return Failed::Body(body.again());
    }
    Failed::Invalid(match below {
        Some(below) => format!("{error}: {below}"),
        None => error.to_string(),
    })
}
