//! The bytes to and from a server, whatever carries them.

use super::tls;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A connection to a server, before a protocol is spoken on it.
#[derive(Debug)]
pub(in crate::forward) enum Stream {
    /// In clear text.
    Tcp(TcpStream),
    /// Through a socket of this machine.
    Unix(UnixStream),
    /// To a server that has shown who it is.
    Tls {
        stream: Box<TlsStream<TcpStream>>,
        /// Whether it asked who we are, and was told nothing.
        was_asked: bool,
    },
}

impl Stream {
    /// Whether its server asked who we are, and was told nothing.
    pub(super) const fn was_asked(&self) -> bool {
        match self {
            Self::Tls { was_asked, .. } => *was_asked,
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }
}

/// Does the same on whatever carries the bytes.
macro_rules! on {
    ($self:ident, $stream:ident => $what:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $what,
            Stream::Unix($stream) => $what,
            Stream::Tls {
                stream: $stream, ..
            } => $what,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let was_asked = self.was_asked();
        on!(self, stream => Pin::new(stream).poll_read(cx, buffer))
            .map_err(|error| tls::told(error, was_asked))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls { stream, .. } => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
