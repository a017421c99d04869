//! Callers of what goes on for a while: `WebSocket`s, events without an end, and calls as gRPC
//! has them, with messages both ways and trailers. Some end as they should, some are broken off.

use crate::actors::{EACH, Site, THINKS};
use crate::bed::calls::{MEDIA_TYPE, STATUS, WELL};
use crate::bed::origin::{EVENT, EVENTS};
use crate::bed::sign::{AUTHORITY, Caller, Proof};
use crate::bed::websocket::{self, CLOSE, MESSAGE};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{CONTENT_TYPE, TE};
use http::request::Builder;
use http::{Request, Response, StatusCode, Version};
use memchr::memmem;
use std::error::Error;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Messages of a `WebSocket`, or of a call, that come back before the next one goes out.
const MESSAGES: usize = 8;
/// Events that are read before the reader has enough.
const ENOUGH: usize = 16;
/// Rounds until a caller over HTTP/2 comes with a new connection.
const ROUNDS: usize = 8;
/// A message of a call.
const PIECE: &[u8] = &[b'm'; 200];

const SOCKETS: &str = "WebSockets";
const BROKEN_SOCKETS: &str = "WebSockets, broken off";
const DROPPED_EVENTS: &str = "events, until there are enough";
const CALLS: &str = "calls both ways";
const BROKEN_CALLS: &str = "calls both ways, broken off";

type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

pub(super) fn start(site: &Site, running: &mut JoinSet<()>) {
    for who in [SOCKETS, BROKEN_SOCKETS, DROPPED_EVENTS, CALLS, BROKEN_CALLS] {
        site.tally.awaits(who);
    }
    for _ in 0..EACH {
        if site.door.http2 {
            running.spawn(streams(site.clone()));
        } else {
            running.spawn(sockets(site.clone()));
            running.spawn(events(site.clone()));
        }
    }
}

fn tell(site: &Site, who: &'static str, done: &Done) {
    match done {
        Ok(()) => site.tally.good(who),
        Err(error) => {
            let door = site.door.name();
            site.tally.wrong(format!("{who}, {door}: {error}"));
        }
    }
}

async fn sockets(site: Site) {
    let mut breaks_off = false;
    while !site.stop.is_cancelled() {
        let who = if breaks_off { BROKEN_SOCKETS } else { SOCKETS };
        tell(&site, who, &socket(&site, breaks_off).await);
        breaks_off = !breaks_off;
        sleep(THINKS).await;
    }
}

async fn socket(site: &Site, breaks_off: bool) -> Done {
    let request = Caller::new().request(Proof::Signature, "/sockets/1", None, false);
    let mut stream = site.dialer.open(site.address, Ipv4Addr::LOCALHOST).await?;
    websocket::open(&mut stream, &request).await?;
    for _ in 0..MESSAGES {
        websocket::exchange(&mut stream, MESSAGE).await?;
        sleep(THINKS).await;
    }
    if breaks_off {
        // Within a message, and without a word.
        stream.write_all(&MESSAGE[..MESSAGE.len() / 2]).await?;
        stream.flush().await?;
        return Ok(());
    }
    websocket::exchange(&mut stream, CLOSE).await?;
    stream.shutdown().await?;
    if stream.read(&mut [0; 16]).await? > 0 {
        return Err("there was more behind the end".into());
    }
    Ok(())
}

async fn events(site: Site) {
    while !site.stop.is_cancelled() {
        tell(&site, DROPPED_EVENTS, &some_events(&site).await);
        sleep(THINKS).await;
    }
}

async fn some_events(site: &Site) -> Done {
    const RIGHT: &[u8] = b"HTTP/1.1 200 ";
    let path = format!("/orders{EVENTS}");
    let request = Caller::new().request(Proof::Token, &path, None, false);
    let mut stream = site.dialer.open(site.address, Ipv4Addr::LOCALHOST).await?;
    stream.write_all(&request.head).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while memmem::find_iter(&answer, EVENT).count() < ENOUGH {
        let has_ended = stream.read_buf(&mut answer).await? == 0;
        let is_right = answer.starts_with(RIGHT) || answer.len() < RIGHT.len();
        if has_ended || !is_right {
            return Err(String::from_utf8_lossy(&answer).into());
        }
    }
    Ok(())
}

async fn streams(site: Site) {
    while !site.stop.is_cancelled() {
        let done = some_streams(&site).await;
        if done.is_err() {
            tell(&site, CALLS, &done);
        }
        sleep(THINKS).await;
    }
}

/// One connection, some rounds; in each there are several streams at a time.
async fn some_streams(site: &Site) -> Done {
    let stream = site.dialer.open(site.address, Ipv4Addr::LOCALHOST).await?;
    let (client, connection) = h2::client::handshake(stream).await?;
    // It ends when we do.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    for _ in 0..ROUNDS {
        if site.stop.is_cancelled() {
            break;
        }
        let token = Caller::new().token().to_owned();
        let (whole, broken, events) = tokio::join!(
            call(client.clone(), &token, false),
            call(client.clone(), &token, true),
            events_over_http2(client.clone(), &token),
        );
        tell(site, CALLS, &whole);
        tell(site, BROKEN_CALLS, &broken);
        tell(site, DROPPED_EVENTS, &events);
        if whole.is_err() || broken.is_err() || events.is_err() {
            break;
        }
        sleep(THINKS).await;
    }
    Ok(())
}

/// Each message goes out once the one before has come back.
async fn call(client: SendRequest<Bytes>, token: &str, breaks_off: bool) -> Done {
    let request = Request::post(format!("https://{AUTHORITY}/calls/1"))
        .header(CONTENT_TYPE, MEDIA_TYPE)
        .header(TE, "trailers");
    let request = proven(request, token)?;
    let (answer, mut messages) = client.ready().await?.send_request(request, false)?;
    messages.send_data(Bytes::from_static(PIECE), false)?;
    let mut back = body(answer.await?)?;
    for _ in 0..MESSAGES {
        take(&mut back, PIECE.len()).await?;
        sleep(THINKS).await;
        messages.send_data(Bytes::from_static(PIECE), false)?;
    }
    if breaks_off {
        return Ok(());
    }
    take(&mut back, PIECE.len()).await?;
    messages.send_data(Bytes::new(), true)?;
    while let Some(piece) = back.data().await {
        if !piece?.is_empty() {
            return Err("more came back than went out".into());
        }
    }
    let trailers = back.trailers().await?.ok_or("there are no trailers")?;
    let status = trailers.get(STATUS).ok_or("the trailers lack the status")?;
    if status != WELL {
        // With the gateway's own word on it, if it has one.
        return Err(format!("it ended with {trailers:?}").into());
    }
    Ok(())
}

async fn events_over_http2(client: SendRequest<Bytes>, token: &str) -> Done {
    let request = Request::get(format!("https://{AUTHORITY}/orders{EVENTS}"));
    let request = proven(request, token)?;
    let (answer, _) = client.ready().await?.send_request(request, true)?;
    let mut events = body(answer.await?)?;
    take(&mut events, ENOUGH * EVENT.len()).await
}

fn proven(request: Builder, token: &str) -> http::Result<Request<()>> {
    let request = request.header("portcullis-token", token);
    request.version(Version::HTTP_2).body(())
}

fn body(answer: Response<RecvStream>) -> Done<RecvStream> {
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body()),
        status => Err(status.to_string().into()),
    }
}

/// Reads so many bytes, or some more where they came in one piece with them.
async fn take(body: &mut RecvStream, mut count: usize) -> Done {
    while count > 0 {
        let piece = body.data().await.ok_or("it ended early")??;
        body.flow_control().release_capacity(piece.len())?;
        count = count.saturating_sub(piece.len());
    }
    Ok(())
}
