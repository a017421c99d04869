//! What is counted on a connection as it comes and goes. Most of it is what wears one out: it is left before it is ended with
//! the requests of all who use it.
//!
//! The HTTP/2 library ends it over the 101st frame of its life that is of a body and brings nothing, not even the
//! end. Nobody can set that. Servers that pass bodies on frame by frame send one an answer.
//!
//! Servers end it for requests that are reset: Netty for more than 200 in 30 seconds, unless it is told otherwise.

use crate::framing::{self, Part, Walk};
use crate::sending::{Step, Waits};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Requests that we reset on one connection within a while…
const RESETS: u32 = 100;
/// …as long as this.
const RESETS_IN: Duration = Duration::from_secs(30);

/// Resets of one connection.
#[derive(Debug, Default)]
pub(super) struct Resets {
    since: Option<Instant>,
    count: u32,
}

impl Resets {
    /// Counts one; whether there are so many that the connection gets no more requests.
    pub(super) fn wear_out(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now >= since + RESETS_IN) {
            self.since = Some(now);
            self.count = 0;
        }
        self.count += 1;
        self.count >= RESETS
    }
}

/// Empty frames that have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Empty(Arc<AtomicUsize>);

impl Empty {
    /// Whether the library could end the connection, were it given further requests beside so many.
    pub(super) fn wears_out(&self, in_use: usize) -> bool {
        framing::wears_out(self.0.load(Ordering::Relaxed), in_use)
    }
}

/// How often a server that made us wait took more.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Arc<AtomicUsize>);

impl Taken {
    pub(super) fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts both in what a server sends and takes.
#[derive(Debug)]
pub(super) struct Counting<S> {
    stream: S,
    walk: Walk,
    empty: Empty,
    taken: Taken,
    waits: Waits,
}

impl<S> Counting<S> {
    /// Of a server that has said nothing yet.
    pub(super) fn new(stream: S, empty: Empty, taken: Taken) -> Self {
        Self {
            stream,
            walk: Walk::behind(0),
            empty,
            taken,
            waits: Waits::default(),
        }
    }

    fn note<T>(&mut self, step: Step, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.waits.note(step, &polled) {
            self.taken.0.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.walk.next(&mut bytes) {
            if matches!(part, Part::Head(head) if head.is_empty_data()) {
                self.empty.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.follow(buf.filled().get(before..).unwrap_or_default());
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(Step::Write, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(Step::Write, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(Step::Flush, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::{AsyncReadExt as _, duplex};

    #[tokio::test]
    async fn what_a_server_takes_is_counted_where_it_made_us_wait() {
        let (mut server, ours) = duplex(8);
        let taken = Taken::default();
        let mut ours = Counting::new(ours, Empty::default(), taken.clone());
        let mut write = |bytes: &[u8]| {
            let mut cx = Context::from_waker(Waker::noop());
            Pin::new(&mut ours).poll_write(&mut cx, bytes).is_ready()
        };
        assert!(write(b"0123") && write(b"4567"));
        assert!(!write(b"89") && !write(b"89"));
        assert_eq!(taken.times(), 0);
        server.read_exact(&mut [0; 4]).await.unwrap();
        assert!(write(b"89") && write(b"ab"));
        assert_eq!(taken.times(), 1);
    }
}
