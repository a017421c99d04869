//! A connection that goes on in another protocol, which is not read here.

use super::http1::Connection;
use super::paced::Paced;
use super::socket::Breaks;
use bytes::{Buf as _, Bytes};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's end, whatever carries it.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

type Passing = Pin<Box<dyn Future<Output = ()> + Send>>;
type Pass = Box<dyn FnOnce(Box<dyn Duplex>) -> Passing + Send>;

/// What a handler puts into the extensions of a 101: who takes the client's
/// end once the 101 is sent. It runs until it ends, or until `deadlines.drain`
/// is over when we stop; then it is dropped.
// Extensions want to be cloned; it is taken out once.
#[derive(Clone)]
pub struct Tunnel(Arc<Mutex<Option<Pass>>>);

impl Tunnel {
    /// A tunnel that `pass` keeps open.
    pub fn new<F>(pass: impl FnOnce(Box<dyn Duplex>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let pass: Pass = Box::new(|client| Box::pin(pass(client)));
        Self(Arc::new(Mutex::new(Some(pass))))
    }

    /// Hands the client's end over; waits until the tunnel ends.
    pub(super) async fn run<S>(
        self,
        connection: Connection<S>,
        drained: impl Future<Output = ()>,
    ) -> Result<(), Outlasted>
    where
        S: AsyncRead + AsyncWrite + Breaks + Send + Unpin + 'static,
    {
        let pass = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(pass) = pass else {
            return Ok(());
        };
        let (stream, early) = connection.into_tunnel();
        tokio::select! {
            biased;
            () = pass(Box::new(Client { early, stream })) => Ok(()),
            () = drained => Err(Outlasted),
        }
    }
}

/// A tunnel was still open when we stopped waiting.
#[derive(Debug)]
pub(super) struct Outlasted;

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

/// The client's end, beginning with what came before the 101 was sent.
struct Client<S> {
    early: Bytes,
    stream: Paced<S>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Client<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let here = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..here).unwrap_or_default());
        self.early.advance(here);
        if self.early.is_empty() {
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Breaks + Unpin> AsyncWrite for Client<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
