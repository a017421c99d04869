//! A new connection to a server.

use super::http2::Http2;
use super::left_out::Way;
use super::resolve::Addresses;
use super::stream::Stream;
use super::tls::{self, ALPN_HTTP_2};
use super::used_up::told_apart;
use super::{At, Place, Protocol};
use crate::forward::Late;
use crate::forward::arriving::Beside;
use crate::forward::http1;
use crate::sending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Addresses of a name that are tried for one connection.
const MAX_TRIES: usize = 8;
/// Fields that a server's answer may have.
pub(in crate::forward) const MAX_ANSWER_FIELDS: usize = 100;
/// Bytes that the head of a server's answer may have.
pub(super) const MAX_ANSWER_HEAD: usize = 64 * 1024;

/// A connection that takes one request at a time.
pub(in crate::forward) type Http1 = http1::Connection<Stream, Beside>;

/// A connection that was made.
pub(super) enum Made {
    Http1(Http1),
    Http2(Arc<Http2>),
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Connects before `by` to the first address on the `way` that answers, ready for requests.
pub(super) async fn connect(
    place: &Place,
    addresses: &Addresses,
    way: &mut Way,
    by: Instant,
) -> io::Result<Made> {
    match &place.at {
        At::Unix { path } => {
            let stream = timeout_at(by, UnixStream::connect(path)).await??;
            ready(Stream::Unix(stream), None, in_clear(place.protocol), by).await
        }
        At::Clear { .. } | At::Tls { .. } => {
            let addresses = way.of(addresses);
            to_any(place, &addresses, way, by).await
        }
    }
}

/// As [`connect`], to speak HTTP/1.1 also to a server that would rather have HTTP/2. An error of
/// the kind [`io::ErrorKind::Unsupported`] says that the server does not speak it.
pub(super) async fn connect_alone(
    place: &Place,
    addresses: &Addresses,
    way: &mut Way,
    by: Instant,
) -> io::Result<Made> {
    match place.alone() {
        Some(alone) => connect(&alone, addresses, way, by).await,
        None => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it is set to speak HTTP/2 only",
        )),
    }
}

/// Connects before `by` to the first of `addresses` that answers.
pub(super) async fn to_any(
    place: &Place,
    addresses: &[SocketAddr],
    way: &mut Way,
    by: Instant,
) -> io::Result<Made> {
    let addresses = &addresses[..addresses.len().min(MAX_TRIES)];
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // One that does not answer must leave time for the others.
        let now = Instant::now();
        let share = by.saturating_duration_since(now) / (addresses.len() - tried) as u32;
        let by = now + share;
        let made = async {
            let (stream, version) = open(place, *address, by).await?;
            ready(stream, Some(*address), version, by).await
        };
        match made.await {
            Ok(made) => return Ok(made),
            Err(error) => {
                way.misses(*address, &error);
                last = error;
            }
        }
    }
    Err(last)
}

/// Connects before `by`, and makes sure of whom to.
async fn open(place: &Place, address: SocketAddr, by: Instant) -> io::Result<(Stream, Version)> {
    let stream = timeout_at(by, TcpStream::connect(address)).await?;
    let stream = stream.map_err(|error| told_apart(error, address))?;
    // A request is written in one piece; what comes later is a body's next
    // frame, which has nothing to wait for.
    sending::at_once(&stream)?;
    let At::Tls { host, client, .. } = &place.at else {
        return Ok((Stream::Tcp(stream), in_clear(place.protocol)));
    };
    let Some(client) = client else {
        return Err(io::Error::other("TLS is not set up for it"));
    };
    let name = client.name(host)?;
    let asked_before = client.asked_in_vain();
    let was_asked = || client.asked_in_vain() != asked_before;
    let shaking = TlsConnector::from(client.config()).connect(name.clone(), stream);
    let stream = timeout_at(by, shaking)
        .await
        .map_err(|_| Late::Handshake)?
        .map_err(|error| tls::explain(&error, &name, was_asked()))?;
    let agreed = stream.get_ref().1.alpn_protocol();
    let version = match place.protocol {
        Protocol::Auto | Protocol::Http2 if agreed == Some(ALPN_HTTP_2) => Version::Http2,
        Protocol::Auto | Protocol::Http1 => Version::Http1,
        Protocol::Http2 => {
            return Err(io::Error::other(
                "it does not speak HTTP/2 over TLS (ALPN `h2`)",
            ));
        }
    };
    let stream = Stream::Tls {
        stream: Box::new(stream),
        was_asked: was_asked(),
    };
    Ok((stream, version))
}

/// Nothing is settled in clear text: HTTP/2 is for who says so.
const fn in_clear(protocol: Protocol) -> Version {
    match protocol {
        Protocol::Http2 => Version::Http2,
        Protocol::Auto | Protocol::Http1 => Version::Http1,
    }
}

/// Starts to speak HTTP on a new connection.
async fn ready(
    stream: Stream,
    address: Option<SocketAddr>,
    version: Version,
    by: Instant,
) -> io::Result<Made> {
    match version {
        Version::Http1 => Ok(Made::Http1(Http1::new(stream, address))),
        Version::Http2 => Http2::start(stream, address, by).await.map(Made::Http2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::alarm::after;
    use std::time::Duration;

    #[tokio::test]
    async fn the_system_takes_little_for_a_server_that_takes_nothing() {
        let listener = sending::tests::with_little_room();
        let address = listener.local_addr().unwrap();
        let at = At::Clear {
            host: "127.0.0.1".into(),
            port: address.port(),
        };
        let (second, protocol) = (Duration::from_secs(1), Protocol::Auto);
        let place = Place::new(at, protocol, 1, second, None, None);
        let (stream, _) = open(&place, address, after(10 * second)).await.unwrap();
        let Stream::Tcp(stream) = stream else {
            panic!("it is in clear text");
        };
        let taken = sending::tests::taken(&stream).await;
        assert!(taken < sending::tests::FEW, "{taken} bytes");
    }
}
