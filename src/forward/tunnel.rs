//! Requests that ask to switch protocols, and what passes once that is done.
//!
//! Only the 101 that was asked for opens a tunnel; what passes then is not read.

use super::upstream::{Counted, Lease, Stream};
use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// Bytes that are read at a time. An open tunnel holds them only while one
/// side does not take what the other has sent.
const STEP: usize = 16 * 1024;

/// The server's end of an open tunnel. Dropped, it closes the connection.
pub struct Far {
    stream: Stream,
    /// What came right behind the 101.
    early: Bytes,
    /// Its place among the server's connections.
    _lease: Lease,
    /// What it is among all that the server has to do.
    counted: Option<Counted>,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What passes belongs into no log.
        f.write_str("Far")
    }
}

impl Far {
    pub(super) const fn new(stream: Stream, early: Bytes, lease: Lease) -> Self {
        Self {
            stream,
            early,
            _lease: lease,
            counted: None,
        }
    }

    /// Counts as a request in flight, which it began as, for as long as it is open.
    pub(super) fn count(&mut self, counted: Option<Counted>) {
        self.counted = counted;
    }
}

/// Whether a 101 is the one that was asked for (RFC 9110, section 15.2.2).
pub(super) fn is_as_asked(
    fields: &HeaderMap,
    protocol: Option<&HeaderValue>,
) -> Result<(), &'static str> {
    let asked = protocol.map(HeaderValue::as_bytes).unwrap_or_default();
    let mut protocols = fields.get_all(UPGRADE).iter();
    match (protocols.next(), protocols.next()) {
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(asked) => {}
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
        counted: _counted,
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
