//! A connection's socket, whichever way it came in.

use super::listen::Listener;
use crate::sending;
use socket2::SockRef;
use std::io::{self, Cursor};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

/// A listener within a runtime.
#[derive(Debug)]
pub enum Entrance {
    /// By an address.
    Tcp(TcpListener),
    /// By the file system.
    Unix(UnixListener),
}

impl Entrance {
    /// Registers a listener with the runtime we are in.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// The next connection, and its address, which those of a Unix socket do not have.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Option<IpAddr>)>> {
        Poll::Ready(match self {
            Self::Tcp(listener) => {
                let (stream, address) = ready!(listener.poll_accept(cx))?;
                Ok((
                    Stream::new(Socket::Tcp(stream)),
                    Some(address.ip().to_canonical()),
                ))
            }
            Self::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                Ok((Stream::new(Socket::Unix(stream)), None))
            }
        })
    }

    /// The next connection. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// What accept(2) says: of the connection, or of the listener.
    pub async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// What was read already; most connections have none.
    ahead: Option<Box<Cursor<Vec<u8>>>>,
    /// Whether anything came to whoever reads it now.
    was_heard: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    const fn new(socket: Socket) -> Self {
        Self {
            socket,
            ahead: None,
            was_heard: false,
        }
    }

    /// Sends small pieces at once, and large ones in steps that can be seen, as a Unix socket does by itself.
    pub(super) fn send_at_once(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            // Without it answers come late, but they come.
            let _ = sending::at_once(stream);
        }
    }

    /// Has these bytes read next.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>) {
        self.ahead = (!bytes.is_empty()).then(|| Box::new(Cursor::new(bytes)));
    }

    /// From here on somebody else reads.
    pub(super) const fn hear_anew(&mut self) {
        self.was_heard = false;
    }

    /// Whether a byte was read since.
    pub(super) const fn was_heard(&self) -> bool {
        self.was_heard
    }
}

/// A stream that can end so that its peer takes what it got for a part, and not for all.
pub(super) trait Breaks {
    /// Whether it does so, should it be closed from now on.
    fn break_off(&self, does: bool);
}

impl Breaks for Stream {
    fn break_off(&self, does: bool) {
        // A Unix socket knows no reset: its peer is on this machine.
        if let Socket::Tcp(stream) = &self.socket {
            // Without it the end looks like a good one, as it does elsewhere.
            let _ = if does {
                stream.set_zero_linger()
            } else {
                SockRef::from(stream).set_linger(None)
            };
        }
    }
}

impl Breaks for TlsStream<Stream> {
    fn break_off(&self, does: bool) {
        self.get_ref().0.break_off(does);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Some(ahead) = &mut this.ahead {
            let read = Pin::new(&mut **ahead).poll_read(cx, buf);
            // Without room nothing is read, and all of it stays.
            if buf.filled().len() > before || buf.remaining() == 0 {
                this.was_heard = true;
                return read;
            }
            this.ahead = None;
        }
        let read = match &mut this.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        this.was_heard |= buf.filled().len() > before;
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind holds anything back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
impl Breaks for tokio::io::DuplexStream {
    fn break_off(&self, _: bool) {}
}

#[cfg(test)]
impl<R, W> Breaks for tokio::io::Join<R, W> {
    fn break_off(&self, _: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_was_put_back_is_not_lost_to_a_read_without_room() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut stream = Stream::new(Socket::Unix(ours));
        stream.put_back(b"before ".to_vec());
        theirs.write_all(b"after").await.unwrap();
        drop(theirs);
        poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut [])))
            .await
            .unwrap();
        let mut read = String::new();
        stream.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "before after");
    }

    #[tokio::test]
    async fn the_system_takes_little_for_a_client_that_takes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let entrance = Entrance::Tcp(listener);
        let _client = sending::tests::connect_with_little_room(address).await;
        let (stream, _) = entrance.accept().await.unwrap();
        stream.send_at_once();
        let Socket::Tcp(stream) = stream.socket else {
            panic!("it is none of a Unix socket");
        };
        let taken = sending::tests::taken(&stream).await;
        assert!(taken < sending::tests::FEW, "{taken} bytes");
    }
}
