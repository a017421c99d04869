//! Told to stop: what becomes of connections and requests, phase by phase.

use crate::harness::h2::{self, INITIAL_WINDOW, SETTINGS, WINDOW_UPDATE};
use crate::harness::raw::find;
use crate::harness::{
    Binary, Connection, DEADLINE, Request, Response, Setup, Upstream, caller, wait_until,
};
use crate::webhooks;
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

fn signed(binary: &Binary, path: &str) -> Vec<u8> {
    let request = binary.request("GET", path);
    caller().at(Binary::now()).sign(&request).bytes()
}

fn ask(binary: &Binary) -> Response {
    let mut connection = Connection::open(binary.address());
    connection.send(&signed(binary, "/"));
    connection.response()
}

fn ready(binary: &Binary) -> (u16, String) {
    let ready = Request::new("GET", "/readyz")
        .to(binary.admin())
        .send_to(binary.admin());
    (ready.status, ready.text())
}

fn wait_for_phase(binary: &Binary, phase: &str) -> String {
    let phase = format!("\"phase\":\"{phase}\"");
    binary.stderr.wait_for(&phase, |line| line.contains(&phase))
}

#[test]
fn a_gateway_that_is_not_ready_says_so_and_does_all_else_as_ever() {
    let upstream = Upstream::start();
    // Its end is not what this waits for.
    let binary = Setup::before(&upstream)
        .server("drain = { not_ready = \"1h\" }")
        .spawn();
    let mut kept = Connection::open(binary.address());
    kept.send(&signed(&binary, "/1"));
    kept.response().assert_passed();
    binary.signal("TERM");
    wait_for_phase(&binary, "not ready");
    let said = "draining: not ready\n".to_owned();
    assert_eq!(ready(&binary), (503, said));
    kept.send(&signed(&binary, "/2"));
    let response = kept.response();
    response.assert_passed();
    assert_eq!(response.field("connection"), None);
    let response = ask(&binary);
    response.assert_passed();
    assert_eq!(response.field("connection"), None);
}

#[test]
fn a_goodbye_is_said_in_answers_and_new_connections_are_still_taken() {
    let upstream = Upstream::start();
    let binary = Setup::before(&upstream)
        .server("drain = { goodbye = \"1h\" }")
        .spawn();
    let mut kept = Connection::open(binary.address());
    kept.send(&signed(&binary, "/1"));
    kept.response().assert_passed();
    let mut silent = Connection::open(binary.address());
    binary.signal("TERM");
    wait_for_phase(&binary, "saying goodbye");
    let said = "draining: saying goodbye\n".to_owned();
    assert_eq!(ready(&binary), (503, said));
    let mut new = Connection::open(binary.address());
    // The event stands before the workers hear of it: the first answer may still be as ever.
    for connection in [&mut kept, &mut silent, &mut new] {
        for _ in 0..1_000 {
            connection.send(&signed(&binary, "/2"));
            let response = connection.response();
            response.assert_passed();
            if response.field("connection") == Some("close") {
                break;
            }
        }
        assert!(connection.is_closed(), "it was never said goodbye to");
    }
}

#[test]
fn over_http_2_a_goodbye_ends_the_connection_behind_its_streams() {
    let (allow, upstream) = Upstream::held();
    let binary = Setup::before(&upstream)
        .server("drain = { goodbye = \"1h\" }")
        .spawn();
    let request = caller()
        .at(Binary::now())
        .sign(&binary.request("GET", "/1"));
    let mut connection = h2::open(binary.address(), &request);
    upstream.wait_for_head(0);
    binary.signal("TERM");
    wait_for_phase(&binary, "saying goodbye");
    let (mut goodbye, mut answered) = (false, false);
    // Frames, until the connection ends by itself or both were seen.
    loop {
        let start = connection.take(9);
        if start.len() < 9 {
            break;
        }
        let length = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let payload = connection.take(length as usize);
        match (start[3], start[8]) {
            (GOAWAY, _) => {
                assert_eq!(payload[4..8], [0; 4], "it is no error");
                if !goodbye {
                    allow.send(()).unwrap();
                }
                goodbye = true;
            }
            (DATA, 1) if start[4] & END_STREAM != 0 => {
                answered = true;
            }
            (PING, _) if start[4] == 0 => {
                let mut pong = vec![0, 0, 8, PING, 1, 0, 0, 0, 0];
                pong.extend(payload);
                connection.send(&pong);
            }
            _ => {}
        }
    }
    assert!(goodbye && answered, "{goodbye} {answered}");
    // And others are still let in.
    allow.send(()).unwrap();
    ask(&binary).assert_passed();
}

const DATA: u8 = 0;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

#[test]
fn the_phases_follow_each_other_and_each_tells_what_is_in_flight() {
    let (allow, upstream) = Upstream::held();
    let mut binary = Setup::before(&upstream)
        .server("drain = { not_ready = \"50ms\", goodbye = \"50ms\" }")
        .spawn();
    let mut connection = Connection::open(binary.address());
    connection.send(&signed(&binary, "/1"));
    upstream.wait_for_head(0);
    binary.signal("TERM");
    for phase in ["not ready", "saying goodbye", "refusing"] {
        let told = wait_for_phase(&binary, phase);
        assert!(told.contains("\"in_flight\":1"), "{told}");
    }
    assert_eq!(ready(&binary), (503, "draining: refusing\n".to_owned()));
    allow.send(()).unwrap();
    let response = connection.response();
    response.assert_passed();
    assert_eq!(response.field("connection"), Some("close"));
    assert!(binary.wait().success());
    assert!(TcpStream::connect(binary.address()).is_err());
    assert!(binary.stderr.text().contains("\"cut\":0"));
    assert_eq!(binary.stdout.text().lines().count(), 1);
}

#[test]
fn a_body_that_streams_is_sent_to_its_end() {
    let (allow, upstream) = Upstream::in_two_parts();
    let mut binary = Setup::before(&upstream).spawn();
    let mut connection = Connection::open(binary.address());
    connection.send(&signed(&binary, "/"));
    assert_eq!(connection.head().unwrap().0, 200);
    assert_eq!(connection.take(3), b"hel");
    binary.signal("TERM");
    wait_for_phase(&binary, "refusing");
    allow.send(()).unwrap();
    assert_eq!(connection.take(2), b"lo");
    assert!(connection.is_closed());
    assert!(binary.wait().success());
}

const LARGE: usize = 1 << 20;
/// Bytes that a client has taken when it says something.
const STEP: usize = 64 * 1024;
/// More room than anybody needs.
const WINDOW: u32 = 16 << 20;

/// Each answer is large, and waits until it is allowed.
fn large_and_held() -> (Sender<()>, Upstream) {
    let (allow, allowed) = channel::<()>();
    let allowed = Mutex::new(allowed);
    let upstream = Upstream::answering(move |_, wire| {
        let _ = allowed.lock().unwrap().recv();
        wire.answer(200, &[], &vec![b'x'; LARGE]);
    });
    (allow, upstream)
}

/// A client that takes little at a time: most of a large answer waits for it in the system that
/// the gateway gave it to.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The next frame; `None` when the connection ends, be it by a reset.
fn next_frame(stream: &mut TcpStream) -> Option<h2::Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some(h2::Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

#[test]
fn over_http_2_the_last_answer_arrives_whole_though_its_client_opens_windows_meanwhile() {
    let (allow, upstream) = large_and_held();
    let mut binary = Setup::before(&upstream).spawn();
    let request = caller()
        .at(Binary::now())
        .sign(&binary.request("GET", "/1"));
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let setting = [&INITIAL_WINDOW.to_be_bytes()[..], &WINDOW.to_be_bytes()].concat();
    h2::frame(&mut bytes, SETTINGS, 0, 0, &setting);
    h2::frame(&mut bytes, WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
    h2::put_request(&mut bytes, 1, &request, true);
    let mut client = narrow(binary.address());
    client.write_all(&bytes).unwrap();
    upstream.wait_for_head(0);
    binary.signal("TERM");
    let (mut taken, mut told, mut is_whole) = (0, 0, false);
    while let Some(frame) = next_frame(&mut client) {
        let mut says = Vec::new();
        match frame.kind {
            PING if frame.flags == 0 => h2::frame(&mut says, PING, 1, 0, &frame.payload),
            // The second half of the goodbye: no stream comes behind this one.
            GOAWAY if frame.payload[..4] == [0, 0, 0, 1] => allow.send(()).unwrap(),
            DATA => {
                taken += frame.payload.len();
                is_whole = frame.ends();
                if taken - told >= STEP {
                    let more = (taken - told) as u32;
                    h2::frame(&mut says, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
                    told = taken;
                }
            }
            _ => {}
        }
        // Where nobody hears it any more, less arrives.
        let _ = client.write_all(&says);
    }
    assert_eq!((taken, is_whole), (LARGE, true));
    drop(client);
    assert!(binary.wait().success());
}

#[test]
fn the_last_answer_arrives_whole_though_its_client_asks_on_meanwhile() {
    let (allow, upstream) = large_and_held();
    let mut binary = Setup::before(&upstream).server("workers = 1").spawn();
    let mut idle = Connection::open(binary.address());
    idle.send(&binary.request("GET", "/").bytes());
    idle.response().assert_refused(401, "credential-missing");
    let mut client = narrow(binary.address());
    client.write_all(&signed(&binary, "/1")).unwrap();
    upstream.wait_for_head(0);
    binary.signal("TERM");
    // Then the worker of both knows that every answer is the last.
    assert!(idle.is_closed());
    drop(idle);
    allow.send(()).unwrap();
    let next = signed(&binary, "/2");
    let (mut taken, mut piece) = (Vec::new(), [0; 16 * 1024]);
    let mut has_asked = false;
    let is_clean = loop {
        match client.read(&mut piece) {
            Ok(0) => break true,
            Ok(read) => taken.extend_from_slice(&piece[..read]),
            Err(_) => break false,
        }
        if taken.len() >= STEP && !has_asked {
            client.write_all(&next).unwrap();
            has_asked = true;
        }
    };
    let head = find(&taken, b"\r\n\r\n").expect("a head") + 4;
    assert_eq!((taken.len() - head, is_clean), (LARGE, true));
    drop(client);
    assert!(binary.wait().success());
    assert_eq!(upstream.heard().len(), 1, "the second was not answered");
}

#[test]
fn a_request_that_waits_in_the_queue_is_answered() {
    let (allow, upstream) = Upstream::held();
    let mut binary = Setup::before(&upstream)
        .more("[overload]\nin_flight = 1\nqueue_timeout = \"1h\"")
        .spawn();
    let mut first = Connection::open(binary.address());
    first.send(&signed(&binary, "/1"));
    upstream.wait_for_head(0);
    let mut waits = Connection::open(binary.address());
    // It passes once, so that it needs the memory of proofs.
    let once = caller()
        .at(Binary::now())
        .sign(&binary.request("POST", "/2"));
    waits.send(&once.bytes());
    let queued = || {
        let metrics = Request::new("GET", "/metrics")
            .to(binary.admin())
            .send_to(binary.admin());
        let text = metrics.text();
        text.contains("\nportcullis_queued_requests 1\n")
    };
    wait_until("a request that waits", queued);
    binary.signal("TERM");
    wait_for_phase(&binary, "refusing");
    for _ in 0..2 {
        allow.send(()).unwrap();
    }
    first.response().assert_passed();
    waits.response_to("POST").assert_passed();
    assert!(waits.is_closed());
    assert!(binary.wait().success());
}

#[test]
fn a_request_whose_body_proves_it_is_answered_when_that_comes() {
    let upstream = Upstream::start();
    let mut binary = webhooks::setup(&upstream, "github", "").spawn();
    let body = webhooks::BODY;
    let mut request = binary.request("POST", "/hooks").body(body);
    for (name, value) in webhooks::fields("github", webhooks::BYTES, 0, body) {
        request = request.field(name, &value);
    }
    let mut connection = Connection::open(binary.address());
    let expecting = request.clone().field("Expect", "100-continue");
    connection.send(&expecting.head());
    assert_eq!(connection.head().unwrap().0, 100);
    binary.signal("TERM");
    wait_for_phase(&binary, "refusing");
    connection.send(body.as_bytes());
    connection.response_to("POST").assert_passed();
    assert!(binary.wait().success());
}

#[test]
fn a_tls_handshake_that_has_begun_ends_without_holding_it_up() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    setup.write("cert.pem", made.cert.pem().as_bytes());
    setup.write_secret("key.pem", made.signing_key.serialize_pem().as_bytes());
    let mut binary = setup.spawn();
    let mut shaking = Connection::open(binary.address());
    // The start of a record that never ends.
    shaking.send(&[22, 3, 1, 2, 0, 1]);
    binary.signal("TERM");
    assert!(binary.wait().success());
    assert!(shaking.is_closed());
}

#[test]
fn a_second_signal_skips_what_is_left() {
    let (_allow, upstream) = Upstream::held();
    let mut binary = Setup::before(&upstream)
        .server("drain = { not_ready = \"1h\", goodbye = \"1h\" }")
        .spawn();
    let connection = Connection::open(binary.address());
    binary.signal("TERM");
    wait_for_phase(&binary, "not ready");
    binary.signal("TERM");
    assert_eq!(binary.wait().code(), Some(1));
    let _ = connection.stream().shutdown(Shutdown::Both);
}
