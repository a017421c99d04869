//! Connections that go on in another protocol: WebSocket, and whatever a route names.

use crate::harness::caller::Caller;
use crate::harness::raw::find;
use crate::harness::{
    Binary, Connection, DEADLINE, Gateway, Request, Setup, Token, Upstream, caller, h2,
};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server;
use tokio_tungstenite::tungstenite::http::HeaderName;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept_hdr, client};

const UPGRADE: &str = "upgrade = [\"websocket\"]";
const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A WebSocket server by another hand, which sends each message back, and tells the head it got.
fn echo() -> (mpsc::Receiver<Vec<(String, String)>>, Upstream) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::raw(move |stream, _| {
        #[expect(clippy::result_large_err, reason = "it is the library's")]
        let note = |request: &server::Request, response: server::Response| {
            let fields = request.headers().iter();
            let fields =
                fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            tell.lock().unwrap().send(fields.collect()).unwrap();
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr(stream.try_clone().unwrap(), note) else {
            return;
        };
        while let Ok(message) = socket.read() {
            if message.is_close() {
                let _ = socket.flush();
                return;
            }
            if socket.send(message).is_err() {
                return;
            }
        }
    });
    (told, upstream)
}

/// The caller, each of whose handshakes differs from those before.
fn anew() -> Caller {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    caller().nonce(&NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// A WebSocket client by another hand, whose handshake is signed.
fn connect(gateway: &Gateway) -> Result<WebSocket<TcpStream>, Error> {
    let signed = anew().sign(&gateway.request("GET", "/chat"));
    connect_as(&signed, TcpStream::connect(gateway.address()).unwrap())
}

fn connect_as<S: Read + Write>(signed: &Request, stream: S) -> Result<WebSocket<S>, Error> {
    let url = format!("ws://{}{}", signed.authority, signed.target);
    let mut request = url.into_client_request()?;
    for (name, value) in &signed.fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    match client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// A handshake by hand.
fn handshake(gateway: &Gateway) -> Request {
    gateway
        .request("GET", "/chat")
        .field("Connection", "keep-alive, Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Version", "13")
}

fn gateway(upstream: &Upstream) -> Gateway {
    Setup::before(upstream).route(UPGRADE).start()
}

/// Reads a head from a backend's end; what came with it too.
fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        if let Some(end) = find(&read, b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return (String::from_utf8(read).unwrap(), rest);
        }
        match stream.read(&mut buffer) {
            Ok(some) if some > 0 => read.extend_from_slice(&buffer[..some]),
            _ => return (String::from_utf8(read).unwrap(), Vec::new()),
        }
    }
}

/// The metric of open tunnels.
fn tunnels(gateway: &Gateway) -> String {
    let page = gateway.ask_admin("/metrics").text();
    let line = page
        .lines()
        .find(|line| line.starts_with("portcullis_tunnels "))
        .expect("a metric of tunnels");
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn a_websocket_passes_messages_both_ways_and_leaves_one_record() {
    let (told, upstream) = echo();
    let gateway = gateway(&upstream);
    let mut socket = connect(&gateway).unwrap();
    assert_eq!(tunnels(&gateway), "1");
    for message in [
        Message::text("hello"),
        Message::binary(vec![7; 300_000]),
        Message::text(""),
    ] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);

    let fields = told.recv_timeout(DEADLINE).unwrap();
    let value = |name: &str| {
        let found: Vec<_> = fields.iter().filter(|(known, _)| known == name).collect();
        assert!(found.len() < 2, "{found:?}");
        found.first().map(|(_, value)| value.clone())
    };
    assert_eq!(value("connection").unwrap(), "upgrade");
    assert_eq!(value("upgrade").unwrap(), "websocket");
    assert_eq!(value("sec-websocket-version").unwrap(), "13");
    assert_eq!(value("portcullis-app").unwrap(), "mobile");
    assert_eq!(value("signature"), None, "the proof stays here");

    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["app"]),
        (&101.into(), &"mobile".into())
    );
    assert!(record["bytes_in"].as_u64().unwrap() > 300_000, "{record}");
    assert!(record["bytes_out"].as_u64().unwrap() > 300_000, "{record}");
    assert_eq!(record["cut"], Value::Null, "{record}");
    assert_eq!(tunnels(&gateway), "0");
}

#[test]
fn many_websockets_pass_at_once() {
    let (_told, upstream) = echo();
    let gateway = gateway(&upstream);
    let mut sockets: Vec<_> = (0..40).map(|_| connect(&gateway).unwrap()).collect();
    for round in 0..3 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket
                .send(Message::text(format!("{round} {number}")))
                .unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            let wanted = Message::text(format!("{round} {number}"));
            assert_eq!(socket.read().unwrap(), wanted);
        }
    }
}

#[test]
fn a_handshake_is_verified_like_any_request() {
    let (_told, upstream) = echo();
    let gateway = gateway(&upstream);
    for (request, status, code) in [
        (handshake(&gateway), 401, "credential-missing"),
        (
            caller().secret(&[1; 32]).sign(&handshake(&gateway)),
            401,
            "credential-rejected",
        ),
        (
            Caller::new("stranger", &[1; 32]).sign(&handshake(&gateway)),
            401,
            "credential-rejected",
        ),
    ] {
        gateway.send(&request).assert_refused(status, code);
    }
    let once = caller().nonce("n").sign(&handshake(&gateway));
    let mut first = gateway.connect();
    first.send(&once.bytes());
    assert_eq!(first.head().unwrap().0, 101);
    gateway.send(&once).assert_refused(401, "replayed");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_signed_handshake_opens_one_tunnel_however_often_it_is_copied() {
    let upstream = Upstream::raw(|stream, _| {
        let (head, _) = read_head(stream);
        if !head.to_ascii_lowercase().contains("\r\nupgrade:") {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        let _ = stream.write_all(SWITCH);
        let _ = std::io::copy(stream, &mut std::io::sink());
    });
    let gateway = gateway(&upstream);
    let plain = caller().sign(&gateway.request("GET", "/chat"));
    let switching = |request: &Request| {
        let request = request.clone().field("Connection", "Upgrade");
        request.field("Upgrade", "websocket")
    };
    // What only reads passes again, and is not used up by it.
    gateway.send(&plain).assert_passed();
    gateway.send(&plain).assert_passed();
    let asked = switching(&plain);
    let mut first = gateway.connect();
    first.send(&asked.bytes());
    assert_eq!(first.head().unwrap().0, 101);
    gateway.send(&asked).assert_refused(401, "replayed");
    gateway.send(&plain).assert_passed();
    assert_eq!(upstream.connections(), 4);
    // A token is for many requests, whatever they ask.
    let token = Token::new().text();
    let shown = gateway
        .request("GET", "/chat")
        .field("Portcullis-Token", &token);
    for _ in 0..2 {
        let mut connection = gateway.connect();
        connection.send(&switching(&shown).bytes());
        assert_eq!(connection.head().unwrap().0, 101);
    }
}

const CORS: &str = "cors = { origins = [\"https://app.example\"] }";

#[test]
fn a_handshake_of_a_page_that_may_not_call_is_refused() {
    let (_told, upstream) = echo();
    let gateway = Setup::before(&upstream)
        .route(&format!("{UPGRADE}\n{CORS}"))
        .start();
    let of = |origin: &str| handshake(&gateway).field("Origin", origin);
    let ours = format!("http://{}", gateway.address());
    let of_another_scheme = format!("https://{}", gateway.address());
    let of_another_port = format!("{ours}0");
    for origin in [
        "https://evil.example",
        "http://app.example",
        "null",
        &of_another_scheme,
        &of_another_port,
    ] {
        let refused = gateway.send(&anew().sign(&of(origin)));
        refused.assert_refused(403, "origin-not-allowed");
        // Who proves nothing learns nothing by it.
        let unproven = gateway.send(&of(origin));
        unproven.assert_refused(401, "credential-missing");
    }
    assert_eq!(upstream.connections(), 0);
    // Most programs send none, others the one that they call.
    for asked in [of("https://app.example"), of(&ours), handshake(&gateway)] {
        let mut connection = gateway.connect();
        connection.send(&anew().sign(&asked).bytes());
        assert_eq!(connection.head().unwrap().0, 101);
    }
}

#[test]
fn where_that_is_only_observed_the_handshake_passes_and_is_recorded() {
    let (_told, upstream) = echo();
    let gateway = Setup::before(&upstream)
        .route(&format!("mode = \"observe\"\n{UPGRADE}\n{CORS}"))
        .start();
    let asked = handshake(&gateway).field("Origin", "https://evil.example");
    let mut connection = gateway.connect();
    connection.send(&anew().sign(&asked).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    drop(connection);
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["would_refuse"]),
        (&101.into(), &"origin-not-allowed".into())
    );
}

#[test]
fn bytes_that_come_too_early_wait_for_the_101() {
    let (early, heard) = mpsc::channel();
    let early = Mutex::new(early);
    let upstream = Upstream::raw(move |stream, _| {
        let (_, behind) = read_head(stream);
        // Whatever was let through would lie here already: it was sent with the head.
        stream.set_nonblocking(true).unwrap();
        let waiting = stream.peek(&mut [0; 16]).unwrap_or(0);
        stream.set_nonblocking(false).unwrap();
        stream.write_all(SWITCH).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        let told = (behind.len() + waiting, rest);
        early.lock().unwrap().send(told).unwrap();
    });
    let gateway = gateway(&upstream);
    let mut connection = gateway.connect();
    let mut bytes = caller().sign(&handshake(&gateway)).bytes();
    bytes.extend_from_slice(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n\x00\xff");
    connection.send(&bytes);
    let (status, fields) = connection.head().unwrap();
    assert_eq!(status, 101);
    let value = |name: &str| {
        let mut values = fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None);
        value
    };
    assert_eq!(value("connection"), Some("upgrade"));
    assert_eq!(value("upgrade"), Some("websocket"));
    connection.send(b" and late");
    connection.finish();
    let (before, after) = heard.recv_timeout(DEADLINE).unwrap();
    assert_eq!(before, 0, "bytes passed before the 101");
    assert_eq!(
        after,
        b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n\x00\xff and late"
    );
}

#[test]
fn behind_a_refused_handshake_stands_the_next_request() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut connection = gateway.connect();
    let next = caller().sign(&gateway.request("GET", "/next"));
    connection.send(&[handshake(&gateway).bytes(), next.bytes()].concat());
    connection
        .response()
        .assert_refused(401, "credential-missing");
    connection.response().assert_passed();
    assert_eq!(upstream.only().target(), "/next");
}

#[test]
fn behind_a_refused_handshake_no_frame_reaches_the_backend() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for behind in [
        &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..],
        b"GET /smuggled HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ] {
        let mut connection = gateway.connect();
        connection.send(&[&handshake(&gateway).bytes(), behind].concat());
        connection
            .response()
            .assert_refused(401, "credential-missing");
        connection
            .response()
            .assert_refused(400, "malformed-request");
        assert!(connection.is_closed());
    }
    upstream.assert_silent();
}

#[test]
fn a_backend_that_does_not_switch_gives_an_answer_like_any_other() {
    let upstream = Upstream::answering(|got, wire| {
        if got.target() == "/chat" {
            assert_eq!(got.field("upgrade"), Some("websocket"));
            wire.answer(426, &[("X-Why", "old")], &vec![b'x'; 300_000]);
        } else {
            assert_eq!(got.field("upgrade"), None);
            wire.answer(200, &[], b"hello");
        }
    });
    let gateway = gateway(&upstream);
    let mut connection = gateway.connect();
    // The next request is there before the first is answered.
    let next = caller().sign(&gateway.request("GET", "/next"));
    let asked = caller().sign(&handshake(&gateway));
    connection.send(&[asked.bytes(), next.bytes()].concat());
    let response = connection.response();
    assert_eq!(
        (response.status, response.field("x-why")),
        (426, Some("old"))
    );
    assert_eq!((response.body.len(), response.complete), (300_000, true));
    connection.response().assert_passed();
    assert_eq!(gateway.record(0)["status"], 426);
    assert_eq!(tunnels(&gateway), "0");
}

#[test]
fn a_backend_that_lies_about_the_switch_is_a_502() {
    for answer in [
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let upstream = Upstream::raw(move |stream, _| {
            read_head(stream);
            let _ = write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\n{answer}\r\nabc"
            );
        });
        let gateway = gateway(&upstream);
        let response = gateway.send(&caller().sign(&handshake(&gateway)));
        response.assert_refused(502, "upstream-invalid");
    }
}

#[test]
fn a_switch_that_nobody_asked_for_is_a_502() {
    let upstream = Upstream::raw(|stream, _| {
        read_head(stream);
        let _ = stream.write_all(SWITCH);
    });
    let gateway = gateway(&upstream);
    let plain = caller().sign(&gateway.request("GET", "/chat"));
    gateway.send(&plain).assert_refused(502, "upstream-invalid");
}

#[test]
fn what_asks_in_another_way_is_a_request_without_upgrade() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let plain = || gateway.request("GET", "/chat");
    let mut asked = 0;
    for request in [
        handshake(&gateway)
            .without("upgrade")
            .field("Upgrade", "websocket, h2c"),
        handshake(&gateway).field("Upgrade", "h2c"),
        handshake(&gateway)
            .without("upgrade")
            .field("Upgrade", "h2c"),
        handshake(&gateway)
            .without("upgrade")
            .field("Upgrade", "other"),
        handshake(&gateway).without("connection"),
        plain().field("Connection", "upgrade"),
        handshake(&gateway).body("with a body"),
        handshake(&gateway).body("with a body").chunked(),
    ] {
        let signed = caller().sign(&request);
        gateway.send(&signed).assert_passed();
        let got = upstream.got(asked);
        for name in ["upgrade", "http2-settings"] {
            assert_eq!(got.field(name), None, "{}", got.head);
        }
        assert!(!got.field("connection").unwrap().contains("upgrade"));
        asked += 1;
    }
    let old = caller().sign(&handshake(&gateway)).bytes();
    let old = String::from_utf8(old)
        .unwrap()
        .replace("HTTP/1.1", "HTTP/1.0");
    let mut connection = gateway.connect();
    connection.send(old.as_bytes());
    assert_eq!(connection.response().status, 200);
    assert_eq!(upstream.got(asked).field("upgrade"), None);
}

#[test]
fn a_route_that_names_no_protocol_switches_to_none() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    gateway
        .send(&caller().sign(&handshake(&gateway)))
        .assert_passed();
    assert_eq!(upstream.only().field("upgrade"), None);
}

#[test]
fn http_2_has_no_upgrades() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let signed = caller().sign(&handshake(&gateway));
    let lower = h2::lower(&signed);
    assert!(h2::ask(gateway.address(), &h2::fields(&signed, &lower), None).is_none());
    // Extended CONNECT (RFC 8441) is not offered.
    let address = gateway.address().to_string();
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", &*address),
        (":path", "/chat"),
    ];
    let answer = h2::ask(gateway.address(), &fields, None);
    assert!(answer.is_none_or(|answer| answer.status >= 400));
    upstream.assert_silent();
}

#[test]
fn each_sides_end_is_passed_on_by_itself() {
    let upstream = Upstream::raw(|stream, _| {
        read_head(stream);
        stream.write_all(SWITCH).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        // The client has said all; it still listens.
        stream.write_all(b"you said: ").unwrap();
        stream.write_all(&all).unwrap();
    });
    let gateway = gateway(&upstream);
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    connection.send(b"all of it");
    connection.finish();
    assert_eq!(connection.take(100), b"you said: all of it");

    let upstream = Upstream::raw(|stream, _| {
        read_head(stream);
        stream.write_all(SWITCH).unwrap();
        stream.write_all(b"first").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"after the end");
    });
    let gateway = self::gateway(&upstream);
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    assert_eq!(connection.take(100), b"first");
    connection.send(b"after the end");
    connection.finish();
    assert_eq!(gateway.record(0)["bytes_in"], 13);
}

#[test]
fn a_side_that_goes_away_takes_the_other_along() {
    let (closed, told) = mpsc::channel();
    let closed = Mutex::new(closed);
    let upstream = Upstream::raw(move |stream, number| {
        read_head(stream);
        stream.write_all(SWITCH).unwrap();
        if number == 0 {
            let ended = stream.read(&mut [0; 8]);
            closed.lock().unwrap().send(ended.unwrap_or(0)).unwrap();
        }
    });
    let gateway = gateway(&upstream);
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    drop(connection);
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), 0);
    let mut connection = gateway.connect();
    connection.send(&anew().sign(&handshake(&gateway)).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    assert!(connection.is_closed());
}

/// A backend that switches, and says nothing until the other end goes.
fn silent() -> Upstream {
    Upstream::raw(|stream, _| {
        read_head(stream);
        let _ = stream.write_all(SWITCH);
        let _ = std::io::copy(stream, &mut std::io::sink());
    })
}

#[test]
fn a_tunnel_in_which_no_byte_passes_is_closed() {
    let upstream = silent();
    let gateway = Setup::before(&upstream)
        .route(UPGRADE)
        .server("tunnel_idle_timeout = \"100ms\"")
        .start();
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    assert!(connection.is_closed());
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["cut"]),
        (&101.into(), &true.into())
    );
    assert!(
        record["reason"].as_str().unwrap().contains("100ms"),
        "{record}"
    );
}

#[test]
fn neither_the_time_outs_of_answers_nor_of_idle_connections_end_a_tunnel() {
    let release = mpsc::channel();
    let waiting = Mutex::new(release.1);
    let upstream = Upstream::raw(move |stream, _| {
        read_head(stream);
        stream.write_all(SWITCH).unwrap();
        let _ = waiting.lock().unwrap().recv();
        stream.write_all(b"late").unwrap();
    });
    let gateway = Setup::before(&upstream)
        .route(UPGRADE)
        .server("idle_timeout = \"50ms\"\nbody_timeout = \"50ms\"\nhead_timeout = \"50ms\"")
        .upstream("timeout = \"50ms\"\nidle_timeout = \"50ms\"\ntotal_timeout = \"50ms\"")
        .start();
    let mut connection = gateway.connect();
    connection.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    // Other connections have run into those time-outs by the time that this one is used.
    let mut other = gateway.connect();
    assert!(other.is_closed());
    let mut half = gateway.connect();
    half.send(b"GET / HTTP/1.1\r\n");
    half.response().assert_refused(408, "request-timeout");
    release.0.send(()).unwrap();
    assert_eq!(connection.take(4), b"late");
}

#[test]
fn no_more_tunnels_are_open_than_may_be() {
    let upstream = silent();
    let gateway = Setup::before(&upstream)
        .route(UPGRADE)
        .server("tunnels = 1")
        .start();
    let asked = || anew().sign(&handshake(&gateway));
    let mut first = gateway.connect();
    first.send(&asked().bytes());
    assert_eq!(first.head().unwrap().0, 101);
    let refused = gateway.send(&asked());
    refused.assert_refused(503, "overloaded");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(upstream.connections(), 1);
    // The tunnel's record is written when its place is free.
    first.finish();
    assert!(first.is_closed());
    gateway.record(1);
    let mut next = gateway.connect();
    next.send(&asked().bytes());
    assert_eq!(next.head().unwrap().0, 101);
}

#[test]
fn a_tunnel_is_a_request_of_its_app_in_flight() {
    let upstream = silent();
    let gateway = Setup::before(&upstream)
        .route(UPGRADE)
        .app("plan = \"one\"")
        .more("[plans.one]\nconcurrency = 1")
        .start();
    let mut first = gateway.connect();
    first.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(first.head().unwrap().0, 101);
    let plain = caller().sign(&gateway.request("GET", "/"));
    gateway
        .send(&plain)
        .assert_refused(429, "concurrency-exceeded");
    first.finish();
    assert!(first.is_closed());
    gateway.record(1);
    let other = gateway.send(&plain);
    assert_ne!(other.status, 429, "{}", other.text());
}

#[test]
fn a_tunnel_is_one_of_its_servers_connections_and_never_used_for_another_request() {
    let upstream = silent();
    let gateway = Setup::before(&upstream)
        .route(UPGRADE)
        .server("workers = 1")
        .upstream("max_connections = 1\nconnect_timeout = \"100ms\"")
        .start();
    let mut first = gateway.connect();
    first.send(&caller().sign(&handshake(&gateway)).bytes());
    assert_eq!(first.head().unwrap().0, 101);
    let plain = caller().sign(&gateway.request("GET", "/"));
    gateway.send(&plain).assert_refused(503, "overloaded");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn tunnels_that_are_open_when_the_gateway_stops_are_closed_in_the_end() {
    let upstream = silent();
    let mut binary = Setup::before(&upstream)
        .route(UPGRADE)
        .server("drain_timeout = \"300ms\"")
        .spawn();
    let asked = Request::new("GET", "/chat")
        .to(binary.address())
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    let mut connection = Connection::open(binary.address());
    connection.send(&caller().at(Binary::now()).sign(&asked).bytes());
    assert_eq!(connection.head().unwrap().0, 101);
    binary.signal("TERM");
    assert!(connection.is_closed());
    assert!(binary.wait().success());
    binary
        .stderr
        .wait_for("how many were cut", |line| line.contains("outlasted"));
    let record: Value = serde_json::from_str(&binary.stdout.first(1)[0]).unwrap();
    assert_eq!(
        (&record["status"], &record["cut"]),
        (&101.into(), &true.into())
    );
    assert!(
        record["reason"].as_str().unwrap().contains("stopped"),
        "{record}"
    );
}

#[test]
fn a_backend_that_cannot_be_reached_or_says_nothing_is_told_as_ever() {
    let closed = crate::harness::Closed::port();
    let gateway = Setup::with_servers(&format!("\"http://{}\"", closed.address()))
        .route(UPGRADE)
        .start();
    let asked = caller().sign(&handshake(&gateway));
    gateway
        .send(&asked)
        .assert_refused(502, "upstream-unreachable");

    let answers = AtomicBool::new(false);
    let upstream = Upstream::raw(move |stream, _| {
        read_head(stream);
        if answers.swap(true, Ordering::SeqCst) {
            return;
        }
        let _ = stream.read(&mut [0; 8]);
    });
    let gateway = Setup::before(&upstream)
        .route(UPGRADE)
        .upstream("timeout = \"100ms\"")
        .start();
    let asked = || anew().sign(&handshake(&gateway));
    let first = gateway.send(&asked());
    first.assert_refused(504, "upstream-timeout");
    let second = gateway.send(&asked());
    second.assert_refused(502, "upstream-invalid");
}

#[test]
fn of_several_servers_one_that_cannot_be_reached_is_passed_over() {
    let upstream = silent();
    let closed = crate::harness::Closed::port();
    let servers = format!(
        "\"http://{}\", \"http://{}\"",
        closed.address(),
        upstream.address()
    );
    let gateway = Setup::with_servers(&servers).route(UPGRADE).start();
    for _ in 0..3 {
        let mut connection = gateway.connect();
        connection.send(&anew().sign(&handshake(&gateway)).bytes());
        assert_eq!(connection.head().unwrap().0, 101);
    }
}

/// Runs the Python library `websockets`, as it stands in `examples/clients`; its last line is JSON.
fn websockets(gateway: &Gateway, more: &[&str]) -> Value {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/clients/venv/bin/python3");
    let program = root.join("examples/clients/python/websockets_client.py");
    assert!(python.exists(), "run ./test, or examples/clients/install");
    let output = std::process::Command::new(python)
        .arg(program)
        .args(["--url", &format!("ws://{}/chat?room=1", gateway.address())])
        .args(["--key-id", "mobile-2026"])
        .arg("--secret-file")
        .arg(gateway.setup().path("mobile.key"))
        .args(more)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn python_websockets_with_a_signed_handshake_is_accepted() {
    let (_told, upstream) = echo();
    let gateway = Gateway::start_now(Setup::before(&upstream).route(UPGRADE));
    let said = "x".repeat(70_000);
    let answer = websockets(&gateway, &["--body", &said, "--nonce"]);
    assert_eq!(
        (&answer["status"], &answer["body"]),
        (&101.into(), &said.into())
    );
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["cut"]),
        (&101.into(), &Value::Null)
    );
    let old = (Binary::now() - 3600).to_string();
    let answer = websockets(&gateway, &["--created", &old]);
    assert_eq!(answer["status"], 401, "{answer}");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_websocket_passes_over_tls() {
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    const HOST: &str = "api.example.com";
    let (_told, upstream) = echo();
    let setup = Setup::before(&upstream)
        .route(UPGRADE)
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    let certified = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    setup.write("cert.pem", certified.cert.pem().as_bytes());
    setup.write_secret("key.pem", certified.signing_key.serialize_pem().as_bytes());
    let gateway = setup.start();

    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = HOST.try_into().unwrap();
    let session = ClientConnection::new(config.into(), name).unwrap();
    let stream = TcpStream::connect(gateway.address()).unwrap();
    let mut request = Request::new("GET", "/chat").authority(HOST);
    request.scheme = "https";
    let signed = caller().sign(&request);
    let mut socket = connect_as(&signed, StreamOwned::new(session, stream)).unwrap();
    for message in [Message::text("hello"), Message::binary(vec![7; 300_000])] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    drop(socket);
    assert_eq!(gateway.record(0)["tls"], true);
}
