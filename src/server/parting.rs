//! How a connection ends, so that its client can read what it was told.
//!
//! A socket that is closed while its peer still sends is reset, and with it goes what the peer has
//! not read yet: be it the end of an answer that we have sent to its last byte (RFC 9112, section
//! 9.6). So we say that nothing more comes, and hear the peer out until it ends too, or for a while.
//! Meanwhile the connection keeps its place, and next to no memory.

use super::http1::Connection;
use super::paced::Out;
use super::socket::Breaks;
use crate::clock::alarm::Alarm;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// What a client still sends behind a refusal is read and thrown away, up to
/// here: a reset in its place would take the refusal from it. Many send all of
/// a body before they read a byte, and what is on its way is a lot on a fast line.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// The longest that a client is heard out, whatever it sends.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(10);
/// How long it may say nothing, where it is known to say something while it takes what we sent.
const QUIET_TALKING: Duration = Duration::from_secs(2);
/// And where it may: ask for more before it has read that nothing more comes.
const QUIET: Duration = Duration::from_secs(1);
/// Bytes of one read.
const LINGER_STEP: usize = 8 * 1024;

/// How long a peer may say nothing once it was told that nothing more comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    lasts: Duration,
    /// Since when it says nothing already, if it does.
    since: Option<Instant>,
}

impl Quiet {
    /// It may well be sending: what nobody will read of a request, or windows.
    pub(super) const TALKING: Self = Self {
        lasts: QUIET_TALKING,
        since: None,
    };

    /// All that it sent was read. It has said nothing `since`, if that is known.
    pub(super) const fn read(since: Option<Instant>) -> Self {
        Self {
            lasts: QUIET,
            since,
        }
    }
}

/// A peer that is heard out.
#[derive(Debug)]
pub(super) struct Linger {
    /// Bytes that are still taken from it.
    left: usize,
    quiet: Duration,
    /// When it said something last.
    heard: Instant,
    /// The end, whatever it says.
    until: Instant,
    alarm: Alarm,
}

impl Linger {
    /// From now on, for so many `bytes` at most, and until `until`.
    pub(super) fn new(bytes: usize, quiet: Quiet, until: Instant) -> Self {
        Self {
            left: bytes,
            quiet: quiet.lasts,
            heard: quiet.since.unwrap_or_else(Instant::now),
            until,
            alarm: Alarm::default(),
        }
    }

    /// Bytes that are still taken from the peer.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// Throws away what has come; ready when the peer has ended, or has had its time.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<()> {
        while self.left > 0 {
            let mut scratch = [MaybeUninit::uninit(); LINGER_STEP];
            let mut scratch = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut *stream).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                    self.left = self.left.saturating_sub(scratch.filled().len());
                    self.heard = Instant::now();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let until = self.until.min(self.heard + self.quiet);
                    return if self.alarm.poll(cx, until) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    };
                }
            }
        }
        Poll::Ready(())
    }
}

/// Says that nothing more comes, and lets a peer that still reads or sends take what we said; not
/// for longer than until what is in flight has `drained`.
pub(super) async fn part<S: AsyncRead + AsyncWrite + Breaks + Unpin>(
    connection: Connection<S>,
    drained: impl Future<Output = ()>,
) {
    tokio::select! {
        biased;
        () = hear_out(connection) => {}
        () = drained => {}
    }
}

async fn hear_out<S: AsyncRead + AsyncWrite + Breaks + Unpin>(connection: Connection<S>) {
    if connection.is_cut_short() {
        // Not the end that all of an answer has.
        return;
    }
    let quiet = connection.quiet();
    let until = Instant::now() + LINGER_TIME;
    let mut stream = connection.into_stream();
    match stream.out() {
        Out::Failed => return,
        Out::Shut => {}
        Out::Open => {
            let shut = timeout_at(until, stream.shutdown()).await;
            if !matches!(shut, Ok(Ok(()))) {
                return;
            }
        }
    }
    let mut linger = Linger::new(LINGER_BYTES, quiet, until);
    poll_fn(|cx| linger.poll(cx, &mut stream)).await;
}
