//! The room as a client meets it.

mod deadlines;
mod over_sockets;
mod over_wires;

use super::admission::Admission;
use super::connection::Worker;
use super::*;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Full, combinators::MapErr};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Answers with what it got, and with how it was refused; `/dropped` with the tasks that its body leaves behind.
#[derive(Clone)]
struct Toy {
    /// `/held` takes one before it answers.
    release: Arc<Semaphore>,
    /// `/held` gives one when it has begun.
    begun: Arc<Semaphore>,
}

type ToyBody = MapErr<Full<Bytes>, fn(Infallible) -> BoxError>;

fn said(status: u16, text: String) -> Response<ToyBody> {
    let body = Full::from(text).map_err((|never| match never {}) as fn(Infallible) -> BoxError);
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}

/// A 101, behind which everything comes back.
fn switched() -> Response<ToyBody> {
    let mut response = said(101, String::new());
    response
        .extensions_mut()
        .insert(Tunnel::new(|client| async {
            let (mut from, mut to) = tokio::io::split(client);
            let _ = tokio::io::copy(&mut from, &mut to).await;
            let _ = to.shutdown().await;
        }));
    response
}

impl Toy {
    fn new() -> Self {
        Self {
            release: Arc::new(Semaphore::new(0)),
            begun: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Handler for Toy {
    type Body = ToyBody;

    async fn handle(&self, peer: &Peer, head: Box<Parts>, body: RequestBody) -> Response<ToyBody> {
        match head.uri.path() {
            "/held" => {
                self.begun.add_permits(1);
                self.release.acquire().await.unwrap().forget();
            }
            "/unread" => return said(403, "unread".into()),
            "/dropped" => {
                let tasks = || Handle::current().metrics().num_alive_tasks();
                let before = tasks();
                drop(body);
                return said(200, (tasks() - before).to_string());
            }
            "/switch" if head.headers.contains_key(http::header::UPGRADE) => return switched(),
            "/unasked" => return said(101, String::new()),
            "/large" => return said(200, "x".repeat(1024 * 1024)),
            "/vast" => return said(200, "x".repeat(128 * 1024 * 1024)),
            _ => {}
        }
        let tls = match (peer.tls, &peer.certificate) {
            (false, _) => "",
            (true, None) => " over TLS",
            (true, Some(_)) => " over mutual TLS",
        };
        match body.collect().await {
            Ok(body) => {
                let body = body.to_bytes();
                let body = String::from_utf8_lossy(&body);
                said(200, format!("{} {}{tls} [{body}]", head.method, head.uri))
            }
            Err(error) => said(400, format!("body: {:?}", io_kind(&*error))),
        }
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Response<ToyBody> {
        said(400, format!("{fault:?}"))
    }
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    error
        .downcast_ref::<io::Error>()
        .map(io::Error::kind)
        .or_else(|| error.source().and_then(io_kind))
}

const DEADLINES: Deadlines = Deadlines {
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(8),
    idle: Duration::from_mins(1),
    body: Duration::from_secs(10),
    write: Duration::from_secs(20),
    drain: Duration::from_secs(15),
    pace: Pace {
        rate: None,
        grace: Duration::ZERO,
    },
};

const CLIENT: Peer = Peer::at(Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));

const NO_CAPS: Caps = Caps {
    connections: 1_000,
    per_address: 1_000,
    health_checkers: Networks(Vec::new()),
};

fn admission() -> Arc<Admission> {
    let forwarders = Forwarders::default();
    Arc::new(Admission::new(&NO_CAPS, forwarders, Arc::default()))
}

/// A client's end of a connection that is served without a socket.
fn connect(toy: &Toy) -> (DuplexStream, Arc<Worker<Toy>>, tokio::task::JoinHandle<()>) {
    let (client, ours) = duplex(64 * 1024);
    let worker = Arc::new(Worker::new(toy.clone(), DEADLINES, None, admission()));
    let serving = worker.clone();
    let asking = worker.closing().asking();
    let served = tokio::spawn(async move { serving.serve_clear(ours, CLIENT, asking).await });
    (client, worker, served)
}

/// Sends pieces, each once the one before it is read, then no more, and returns all that comes back.
async fn exchange<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    String::from_utf8(exchange_bytes(pieces).await).unwrap()
}

async fn exchange_bytes<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut client, _worker, served) = connect(&Toy::new());
    for piece in pieces {
        // The server may have closed behind a refusal.
        if client.write_all(piece).await.is_err() {
            break;
        }
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    let _ = client.shutdown().await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    served.await.unwrap();
    answer
}

/// What a client of HTTP/2 says first: the preface, and no settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A `GET` over HTTP/2 as a frame; a body may follow unless it `ends` there.
fn get_on(stream: u32, path: &str, ends: bool) -> Vec<u8> {
    // `:method` and `:scheme` as in the static table, `:authority` and `:path` as literals.
    let mut fields = vec![0x82, 0x87, 0x01, 1, b'a', 0x04, path.len() as u8];
    fields.extend_from_slice(path.as_bytes());
    let mut frame = vec![0, 0, fields.len() as u8, 1, 4 | u8::from(ends)];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend(fields);
    frame
}

/// Status and body of each answer.
fn answers(mut text: &str) -> Vec<(u16, String)> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap()
            .parse()
            .unwrap();
        found.push((head[9..12].parse().unwrap(), rest[..length].to_owned()));
        text = &rest[length..];
    }
    found
}

fn bodies(text: &str) -> Vec<String> {
    answers(text).into_iter().map(|(_, body)| body).collect()
}

fn request(text: &str) -> Vec<u8> {
    let (line, body) = text.split_once('|').unwrap_or((text, ""));
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nHost: a\r\n{length}\r\n{body}").into_bytes()
}
