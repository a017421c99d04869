//! Requests that ask to switch protocols, and what passes once that is done.
//!
//! Such a request goes out on a connection of its own, which is never kept.
//! Only the 101 that was asked for opens it; what passes then is not read.

use super::Failed;
use super::body::ProvenBody;
use super::exchange::{Deadlines, Tried, check, failure};
use super::upstream::{Io, Lease, NoPlace, Place, Pool, answers};
use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Bytes that are read at a time. An open tunnel holds them only while one
/// side does not take what the other has sent.
const STEP: usize = 16 * 1024;

/// The server's end of an open tunnel. Dropped, it closes the connection.
pub struct Far {
    stream: Box<dyn Io>,
    /// What came right behind the 101.
    early: Bytes,
    /// Its place among the server's connections.
    _lease: Lease,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What passes belongs into no log.
        f.write_str("Far")
    }
}

/// Sends `request`, which has no body, to the server at `place`, and asks to
/// switch to `protocol`.
pub(super) async fn exchange(
    request: Request<ProvenBody>,
    protocol: &HeaderValue,
    place: &Arc<Place>,
    label: &str,
    pool: &Pool,
    deadlines: &Deadlines,
) -> Tried {
    let connect_by = deadlines.connect_by();
    let lease = match pool.lease(place, connect_by).await {
        Ok(lease) => lease,
        Err(NoPlace { limit }) => {
            let all = format!("`{label}`: all of its {limit} connections are in use");
            return Tried::NotSent(request, Failed::Unreachable(all));
        }
    };
    let stream = match lease.open(connect_by).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Tried::NotSent(request, Failed::Timeout("connect"));
        }
        Err(error) => {
            let why = format!("`{label}`: {error}");
            return Tried::NotSent(request, Failed::Unreachable(why));
        }
    };
    match ask(stream, request, protocol, deadlines).await {
        Ok(Asked::Switched(head, stream, early)) => {
            let far = Far {
                stream,
                early,
                _lease: lease,
            };
            Tried::Switched(head, Box::new(far))
        }
        Ok(Asked::Answered(response, link)) => {
            let (head, body) = response.into_parts();
            let declined = Declined {
                body,
                waiting: None,
                deadlines: *deadlines,
                _link: link,
                _lease: lease,
            };
            Tried::Declined(Response::from_parts(head, Box::new(declined)))
        }
        Err(failed) => Tried::Failed(failed),
    }
}

/// What a server says to it.
enum Asked {
    Switched(Response<()>, Box<dyn Io>, Bytes),
    Answered(Response<Incoming>, Link),
}

type Wire = Connection<TokioIo<Box<dyn Io>>, ProvenBody>;

async fn ask(
    stream: Box<dyn Io>,
    request: Request<ProvenBody>,
    protocol: &HeaderValue,
    deadlines: &Deadlines,
) -> Result<Asked, Failed> {
    let (mut sender, mut connection): (_, Wire) = answers()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let mut answer = pin!(sender.send_request(request));
    let mut over = false;
    // Driven here, not by a task, so that the stream can be taken out again.
    let answered = poll_fn(|cx| {
        if !over {
            over = connection.poll_without_shutdown(cx).is_ready();
        }
        answer.as_mut().poll(cx)
    });
    let by = deadlines.answer_by();
    let response = timeout_at(by, answered)
        .await
        .map_err(|_| Failed::Timeout("answer"))?
        .map_err(|error| failure(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        check(&response).map_err(|why| Failed::Invalid(why.into()))?;
        let link = Link::keep(sender, (!over).then_some(connection));
        return Ok(Asked::Answered(response, link));
    }
    switches(response.headers(), protocol).map_err(|why| Failed::Invalid(why.into()))?;
    if !over {
        let done = poll_fn(|cx| connection.poll_without_shutdown(cx));
        timeout_at(by, done)
            .await
            .map_err(|_| Failed::Timeout("answer"))?
            .map_err(|error| failure(&error))?;
    }
    let parts = connection.into_parts();
    let (mut head, _) = response.into_parts();
    head.extensions.clear();
    let head = Response::from_parts(head, ());
    Ok(Asked::Switched(head, parts.io.into_inner(), parts.read_buf))
}

/// Whether a 101 is the one that was asked for (RFC 9110, section 15.2.2).
fn switches(fields: &HeaderMap, protocol: &HeaderValue) -> Result<(), &'static str> {
    let mut protocols = fields.get_all(UPGRADE).iter();
    match (protocols.next(), protocols.next()) {
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()) => {}
        _ => return Err("it switches to another protocol than was asked for"),
    }
    if !names_upgrade(fields) {
        return Err("it switches protocols without `Connection: upgrade`");
    }
    if fields.contains_key(CONTENT_LENGTH) || fields.contains_key(TRANSFER_ENCODING) {
        return Err("it switches protocols and has a body");
    }
    Ok(())
}

/// Whether `Connection` names `upgrade`.
pub fn names_upgrade(fields: &HeaderMap) -> bool {
    fields.get_all(CONNECTION).iter().any(|value| {
        let mut names = value.as_bytes().split(|byte| *byte == b',');
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    })
}

/// A connection that is kept up while an answer is read from it.
struct Link {
    _sender: SendRequest<ProvenBody>,
    task: Option<AbortHandle>,
}

impl Link {
    fn keep(sender: SendRequest<ProvenBody>, connection: Option<Wire>) -> Self {
        let task = connection.map(|connection| {
            let task = tokio::spawn(async move {
                // What goes wrong is told to whoever reads the body.
                let _ = connection.await;
            });
            task.abort_handle()
        });
        Self {
            _sender: sender,
            task,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The body of an answer that switches nothing.
pub(super) struct Declined {
    body: Incoming,
    /// Until when the next frame is due.
    waiting: Option<Pin<Box<tokio::time::Sleep>>>,
    deadlines: Deadlines,
    _link: Link,
    _lease: Lease,
}

impl Declined {
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| Failed::Invalid(format!("it broke off: {error}")))
            }));
        }
        let due = self.deadlines.end.min(Instant::now() + self.deadlines.idle);
        let alarm = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep_until(due)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(Failed::Timeout("go on"))))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// From the client.
    pub up: u64,
    /// To the client.
    pub down: u64,
}

/// How a tunnel ended before both sides had said all.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// No byte passed for so long.
    #[error("no byte passed either way for {0:?}")]
    Idle(Duration),
    /// One of the connections broke.
    #[error("the tunnel broke: {0}")]
    Broken(#[from] io::Error),
}

/// Lets bytes pass both ways, each way until its end, which is passed on;
/// counts them in `passed`.
///
/// # Errors
/// [`Cut`] when it did not end by itself.
pub async fn pass(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    far: Far,
    idle: Duration,
    passed: &mut Passed,
) -> Result<(), Cut> {
    let Far {
        stream: mut server,
        early,
        _lease,
    } = far;
    let (mut up, mut down) = (Way::default(), Way::default());
    passed.down += early.len() as u64;
    down.held = early;
    let mut last = Instant::now();
    let mut alarm = pin!(sleep_until(last + idle));
    poll_fn(|cx| {
        let before = *passed;
        let above = up.poll(cx, &mut client, &mut server, &mut passed.up)?;
        let below = down.poll(cx, &mut server, &mut client, &mut passed.down)?;
        if above.is_ready() && below.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if before != *passed {
            last = Instant::now();
        }
        while alarm.as_mut().poll(cx).is_ready() {
            let due = last + idle;
            if due <= alarm.deadline() {
                return Poll::Ready(Err(Cut::Idle(idle)));
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    })
    .await
}

/// Bytes in one direction.
#[derive(Default)]
struct Way {
    /// What was read and not yet taken.
    held: Bytes,
    unflushed: bool,
    input: Input,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Input {
    #[default]
    Open,
    /// It has ended; that is to be passed on.
    Ended,
    Over,
}

impl Way {
    /// Ready when all has passed, the end too.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        passed: &mut u64,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.held.is_empty() {
                let taken = ready!(Pin::new(&mut *to).poll_write(cx, &self.held))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.held.advance(taken);
                self.unflushed = true;
            }
            match self.input {
                Input::Open => {}
                Input::Ended => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.input = Input::Over;
                    return Poll::Ready(Ok(()));
                }
                Input::Over => return Poll::Ready(Ok(())),
            }
            // On the stack, so that a tunnel in which nothing passes has no buffer.
            let mut space = [const { MaybeUninit::uninit() }; STEP];
            let mut space = ReadBuf::uninit(&mut space);
            if Pin::new(&mut *from).poll_read(cx, &mut space)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
            let read = space.filled();
            if read.is_empty() {
                self.input = Input::Ended;
                continue;
            }
            *passed += read.len() as u64;
            let taken = match Pin::new(&mut *to).poll_write(cx, read) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0,
            };
            self.unflushed |= taken > 0;
            let rest = read.get(taken..).unwrap_or_default();
            self.held = Bytes::copy_from_slice(rest);
        }
    }
}
