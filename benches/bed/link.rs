//! A connection to a proxy: which HTTP version, with or without TLS.

use super::certificate;
use super::http1::Http1;
use super::http2::Http2;
use super::sign::Prepared;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// How a proxy is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Door {
    pub(crate) http2: bool,
    pub(crate) tls: bool,
}

impl Door {
    pub(crate) const HTTP1: Self = Self::new(false, false);
    pub(crate) const HTTP2: Self = Self::new(true, false);
    pub(crate) const HTTP1_TLS: Self = Self::new(false, true);
    pub(crate) const HTTP2_TLS: Self = Self::new(true, true);

    const fn new(http2: bool, tls: bool) -> Self {
        Self { http2, tls }
    }

    pub(crate) const fn name(self) -> &'static str {
        match (self.http2, self.tls) {
            (false, false) => "HTTP/1.1",
            (true, false) => "HTTP/2",
            (false, true) => "HTTP/1.1 TLS",
            (true, true) => "HTTP/2 TLS",
        }
    }
}

/// What both kinds of stream are.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Opens connections through one door.
#[derive(Clone)]
pub(crate) struct Dialer {
    door: Door,
    tls: Option<TlsConnector>,
}

impl Dialer {
    /// `folder` is where the certificate lies.
    pub(crate) fn new(door: Door, folder: &Path) -> Self {
        let protocol: &[u8] = if door.http2 { b"h2" } else { b"http/1.1" };
        let tls = door.tls.then(|| certificate::client(folder, protocol));
        Self { door, tls }
    }

    /// A connection ready for requests, from an address of the loopback range.
    pub(crate) async fn dial(&self, to: SocketAddr, from: Ipv4Addr) -> io::Result<Link> {
        let stream = self.open(to, from).await?;
        Ok(if self.door.http2 {
            Link::Http2(Http2::open(stream).await?)
        } else {
            Link::Http1(Http1::new(stream))
        })
    }

    /// The same, before a byte of HTTP has passed.
    pub(crate) async fn open(&self, to: SocketAddr, from: Ipv4Addr) -> io::Result<Box<dyn Stream>> {
        let stream = connect(to, from).await?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(connector) => {
                let name = ServerName::try_from(super::sign::AUTHORITY).expect("a host");
                Box::new(connector.connect(name, stream).await?)
            }
        };
        Ok(stream)
    }
}

/// A plain connection from an address of the loopback range.
pub(crate) async fn connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if from != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(crate) enum Link {
    Http1(Http1),
    Http2(Http2),
}

impl Link {
    /// Sends every request and reads every answer, with up to `streams` at a
    /// time where the protocol can; `told` gets each status.
    pub(crate) async fn converse(
        &mut self,
        requests: &[Prepared],
        streams: usize,
        told: &mut (impl FnMut(u16) + Send),
    ) -> io::Result<()> {
        match self {
            Self::Http1(link) => {
                for request in requests {
                    told(link.exchange(request).await?);
                }
                Ok(())
            }
            Self::Http2(link) => link.converse(requests, streams, told).await,
        }
    }
}
