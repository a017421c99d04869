//! One fetch of a key set: a GET over a connection of its own, within bounds.

use super::{Place, Settings};
use crate::schemes::token::key_set::MAX_KEY_SET;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How long a fetch may take, from the look-up of a name to the last byte.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const MAX_TRIES: usize = 4;
/// How long connecting may take in all: each of them has as much of it as the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// Bytes that the head of an answer may have.
const MAX_HEAD: usize = 32 * 1024;
/// Who asks.
const AGENT: &str = "portcullis-issuers";

/// The key set as it came, or why there is none.
pub(super) async fn fetch(settings: &Settings) -> Result<Vec<u8>, String> {
    let place = &settings.place;
    let stream = connect(place)
        .await
        .map_err(|error| format!("no connection to `{}`: {error}", place.authority()))?;
    match &settings.tls {
        Some(client) => {
            let secured = client.secure(place.host(), stream).await;
            ask(place, secured.map_err(|error| error.to_string())?).await
        }
        None if place.is_tls() => Err("TLS is not set up for it".to_owned()),
        None => ask(place, stream).await,
    }
}

async fn connect(place: &Place) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let tried = in_turn(addresses(place).await?);
    let each = time_of_each(tried.len());
    for address in tried {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(last)
}

async fn addresses(place: &Place) -> io::Result<Vec<SocketAddr>> {
    let port = place.port();
    if let Ok(ip) = place.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    // In clear text it must not lead elsewhere, whatever the system says.
    if !place.is_tls() {
        return Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)]);
    }
    Ok(lookup_host((place.host(), port)).await?.collect())
}

/// How long a connection to one of so many addresses may take.
fn time_of_each(addresses: usize) -> Duration {
    CONNECT_TIMEOUT / addresses.max(1) as u32
}

/// Those that are tried, the families in turn, that of the first one first: where one of them leads nowhere, the other
/// is asked next (RFC 8305, section 4), and still in time for whoever waits at the start.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == begins_with_v6);
    (0..MAX_TRIES)
        .flat_map(|number| [first.get(number), second.get(number)])
        .flatten()
        .copied()
        .take(MAX_TRIES)
        .collect()
}

/// Ends what drives a connection, with whoever waits for its answer.
struct Driven(AbortHandle);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ask(
    place: &Place,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Vec<u8>, String> {
    let broke = |error: hyper::Error| format!("its answer cannot be read: {error}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broke)?;
    let driving = tokio::spawn(async move {
        // What breaks it, whoever waits for the answer is told.
        let _ = connection.await;
    });
    let _driven = Driven(driving.abort_handle());
    let request = Request::get(place.target())
        .header(HOST, place.authority())
        .header(ACCEPT, HeaderValue::from_static("application/json, */*"))
        .header(USER_AGENT, HeaderValue::from_static(AGENT))
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broke)?;
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(format!(
                "it answered {}, and redirects are not followed: name the place itself",
                status.as_u16()
            ));
        }
        status => return Err(format!("it answered {}", status.as_u16())),
    }
    let body = Limited::new(response.into_body(), MAX_KEY_SET);
    let collected = body.collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            format!("its answer has more than {MAX_KEY_SET} bytes")
        } else {
            format!("its answer cannot be read: {error}")
        }
    })?;
    Ok(collected.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(addresses: &[&str]) -> Vec<String> {
        let read = |address: &&str| SocketAddr::new(address.parse().unwrap(), 443);
        let tried = in_turn(addresses.iter().map(read).collect());
        tried.iter().map(|one| one.ip().to_string()).collect()
    }

    #[test]
    fn both_families_are_tried_however_many_addresses_one_of_them_has() {
        let six = ["::1", "::2", "::3", "::4", "::5"];
        let both = [&six[..], &["10.0.0.1", "10.0.0.2"]].concat();
        assert_eq!(tried(&both), ["::1", "10.0.0.1", "::2", "10.0.0.2"]);
        let one = [&six[..], &["10.0.0.1"]].concat();
        assert_eq!(tried(&one), ["::1", "10.0.0.1", "::2", "::3"]);
        // The system says which family comes first.
        let four_first = ["10.0.0.1", "10.0.0.2", "::1"];
        assert_eq!(tried(&four_first), ["10.0.0.1", "::1", "10.0.0.2"]);
    }

    #[test]
    fn of_one_family_the_first_addresses_are_tried_in_their_order() {
        let six = ["::1", "::2", "::3", "::4", "::5"];
        assert_eq!(tried(&six), six[..MAX_TRIES]);
        assert!(tried(&[]).is_empty());
    }

    #[test]
    fn every_address_that_is_tried_has_its_time_within_a_fetch_and_fewer_have_more() {
        assert!(CONNECT_TIMEOUT < FETCH_TIMEOUT);
        for (addresses, each) in [(0, 6_000), (1, 6_000), (2, 3_000), (3, 2_000), (4, 1_500)] {
            assert_eq!(time_of_each(addresses), Duration::from_millis(each));
        }
        // The last of them has its turn before a start goes on without keys.
        let before = time_of_each(MAX_TRIES) * (MAX_TRIES as u32 - 1);
        assert!(before < super::super::START_WAIT);
    }
}
