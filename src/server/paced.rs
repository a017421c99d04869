//! A stream whose peer has to take what we send, byte by byte, within a deadline.

use super::line::Line;
use super::patience::{Pace, Patience};
use super::socket::Breaks;
use crate::sending::{Step, Waits};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client sends first when it knows that we speak HTTP/2 (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection, read ahead to tell the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct First {
    bytes: [u8; PREFACE.len()],
    from: usize,
    to: usize,
}

impl First {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }

    /// Where the next bytes go; empty when there are enough to tell.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.to..).unwrap_or_default()
    }

    /// Takes `read` more bytes in that were written to [`First::space`].
    pub(super) const fn extend(&mut self, read: usize) {
        self.to += read;
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let here = self.bytes().len().min(buf.remaining());
        buf.put_slice(self.bytes().get(..here).unwrap_or_default());
        self.from += here;
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    first: First,
    line: Arc<Line>,
    patience: Patience,
    waits: Waits,
    out: Out,
}

/// The state of what goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// More can be sent.
    Open,
    /// We said that nothing more comes.
    Shut,
    /// Nothing more can be sent.
    Failed,
}

impl<S> Paced<S> {
    /// Gives every piece of what is sent `limit` to be taken, and all of them
    /// together a `pace`. `first` was read before.
    pub(super) fn new(
        stream: S,
        first: First,
        line: Arc<Line>,
        limit: Duration,
        pace: Pace,
    ) -> Self {
        Self {
            stream,
            first,
            line,
            patience: Patience::new(limit, pace),
            waits: Waits::default(),
            out: Out::Open,
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) const fn out(&self) -> Out {
        self.out
    }

    /// What it carries.
    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: Breaks> Paced<S> {
    fn pace<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: Step,
        polled: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let waited = self.waits.is_any();
        let is_taken = self.waits.note(step, &polled);
        if let Poll::Ready(done) = polled {
            if let Ok(written) = &done {
                self.patience.moved(bytes(written));
            }
            if waited {
                self.line.note_unsent(false);
            }
            if is_taken {
                self.line.note_heard();
            }
            if done.is_err() {
                self.out = Out::Failed;
            }
            return Poll::Ready(done);
        }
        self.line.note_unsent(true);
        if self.patience.wait(cx, 0) {
            self.out = Out::Failed;
            // The system would offer what it holds, some MiB, for minutes to whoever does not take it.
            self.stream.break_off(true);
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.bytes().is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        self.first.give(buf);
        // What else has arrived goes behind it, so that a head is whole at
        // once. An error there comes again at the next read.
        let _ = Pin::new(&mut self.stream).poll_read(cx, buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Breaks + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.pace(cx, Step::Write, polled, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.pace(cx, Step::Write, polled, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.pace(cx, Step::Flush, polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        let paced = self.pace(cx, Step::Shutdown, polled, |()| 0);
        if matches!(paced, Poll::Ready(Ok(()))) {
            self.out = Out::Shut;
        }
        paced
    }
}
