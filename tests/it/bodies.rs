//! Bodies: bounded, checked, and what becomes of one that is not what was signed.

use crate::harness::caller::content_digest;
use crate::harness::{Binary, Connection, Request, Setup, Token, Upstream, caller, h2};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;

const BEFORE: &str = "body = { limit = \"1 MiB\", verify = \"before-forwarding\" }";
const WHILE: &str = "body = { limit = \"1 MiB\", verify = \"while-forwarding\" }";
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn with_wrong_end(request: &Request) -> Request {
    let size = request.body.as_ref().map_or(0, Vec::len);
    let nonce = format!("{size} {}", request.chunked);
    let mut wrong = caller().nonce(&nonce).sign(request);
    *wrong.body.as_mut().unwrap().last_mut().unwrap() ^= 1;
    wrong
}

#[test]
fn checked_before_forwarding_a_wrong_body_never_reaches_the_upstream() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).route(BEFORE).start();
    for size in [1, 1000, 100_000, 900_000] {
        let request = gateway.request("POST", "/").body(vec![b'x'; size]);
        gateway
            .send(&with_wrong_end(&request))
            .assert_refused(401, "digest-mismatch");
        gateway
            .send(&with_wrong_end(&request.chunked()))
            .assert_refused(401, "digest-mismatch");
    }
    upstream.assert_silent();
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn that_bodies_cannot_be_set_aside_is_told_at_the_start_and_their_callers_when_to_come_again() {
    let upstream = Upstream::start();
    let nowhere = [("TMPDIR", "/nonexistent")];
    let binary = Binary::spawn_with(Setup::before(&upstream), &nowhere);
    let told = |what: &str| {
        let is_it = |line: &str| line.contains(what) && line.contains("/nonexistent");
        binary.stderr.wait_for(what, is_it)
    };
    told("no file can be made in");
    let request = binary.request("POST", "/").body(vec![b'x'; 2 << 20]);
    let refused = binary.send(&caller().at(Binary::now()).sign(&request));
    refused.assert_refused(503, "store-unavailable");
    assert_eq!(refused.field("retry-after"), Some("1"));
    told("bodies cannot be set aside until they are checked");
    upstream.assert_silent();
}

#[test]
fn checked_before_forwarding_a_right_body_arrives_whole() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).route(BEFORE).start();
    for (number, size) in [0, 1, 64 * 1024, 1 << 20].into_iter().enumerate() {
        let body: Vec<u8> = (0..size)
            .map(|place: usize| (place * 31 % 251) as u8)
            .collect();
        let request = gateway
            .request("POST", &format!("/{number}"))
            .body(body.clone());
        gateway.send(&caller().sign(&request)).assert_passed();
        assert!(upstream.got(number).body == body, "{size} bytes differ");
    }
}

#[test]
fn checked_while_forwarding_a_wrong_body_never_completes_at_the_upstream() {
    for chunked in [false, true] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(WHILE).start();
        let mut request = gateway.request("POST", "/").body(vec![b'x'; 500_000]);
        request.chunked = chunked;
        let response = gateway.send(&with_wrong_end(&request));
        response.assert_refused(401, "digest-mismatch");
        for got in upstream.heard() {
            assert!(
                !got.complete,
                "{} bytes were taken for whole",
                got.body.len()
            );
            assert!(got.body.len() < 500_000, "nothing was held back");
        }
        if let Some(place) = upstream.heard().len().checked_sub(1) {
            assert!(
                !upstream.got(place).complete,
                "the upstream took a wrong body for whole"
            );
        }
        assert_eq!(gateway.record(0)["code"], "digest-mismatch");
    }
}

#[test]
fn checked_while_forwarding_the_end_is_held_back_until_it_is_proven() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).route(WHILE).start();
    let body = vec![b'x'; 300_000];
    let signed = caller().sign(&gateway.request("POST", "/").body(body.clone()));
    let mut connection = gateway.connect();
    connection.send(&signed.head());
    connection.send(&body[..200_000]);
    let got = upstream.wait_for_body(0, 100_000);
    assert!(!got.ended);
    connection.send(&body[200_000..]);
    connection.response().assert_passed();
    assert!(upstream.only().body == body);
}

#[test]
fn checked_while_forwarding_a_small_wrong_body_never_completes_either() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).route(WHILE).start();
    for size in [1, 10, 1000] {
        let mut request = gateway.request("POST", "/").body(vec![b'x'; size]);
        request.chunked = true;
        gateway
            .send(&with_wrong_end(&request))
            .assert_refused(401, "digest-mismatch");
    }
    for place in 0..upstream.heard().len() {
        assert!(!upstream.got(place).complete);
    }
}

#[test]
fn a_wrong_body_that_comes_with_its_head_reaches_nobody_even_while_forwarding() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).route(WHILE).start();
    for size in [1, 4_000] {
        let request = with_wrong_end(&gateway.request("POST", "/").body(vec![b'x'; size]));
        let body = request.body.clone().unwrap();
        let mut connection = gateway.connect();
        connection.send(&[&request.head()[..], &body[..]].concat());
        connection.response().assert_refused(401, "digest-mismatch");
    }
    assert!(upstream.heard().is_empty());
}

#[test]
fn over_http_2_a_body_cannot_be_left_out_by_an_end_that_comes_late() {
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(policy).start();
        let mut stripped = caller().sign(&gateway.request("POST", "/").body("hello"));
        stripped.body = None;
        let stripped = stripped.field("Content-Length", "0");
        let other = caller().sign(&gateway.request("GET", "/other"));
        let mut session = h2::Session::open(gateway.address(), &[]);
        session.head(1, &stripped, false);
        assert_eq!(session.wait_for(h2::HEADERS, 1).status(), 401);
        // Behind its answer all is done that the head before could set off.
        session.head(3, &other, true);
        assert_eq!(session.answer(3), (Some(200), true));
        session.frame(h2::DATA, h2::END_STREAM, 1, b"");
        assert_eq!(upstream.only().target(), "/other");
    }
}

#[test]
fn over_http_2_a_body_that_is_said_to_be_nothing_needs_no_digest() {
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(policy).start();
        let empty = gateway.request("POST", "/");
        let signed = caller().sign(&empty).field("Content-Length", "0");
        let other = caller().sign(&gateway.request("GET", "/other"));
        let mut session = h2::Session::open(gateway.address(), &[]);
        session.head(1, &signed, false);
        session.head(3, &other, true);
        assert_eq!(session.answer(3), (Some(200), true));
        assert_eq!(upstream.only().target(), "/other", "till its end is there");
        session.frame(h2::DATA, h2::END_STREAM, 1, b"");
        assert_eq!(session.answer(1), (Some(200), true));
        assert_eq!(upstream.got(1).body, b"");
    }
}

#[test]
fn over_http_2_a_body_that_is_taken_back_is_never_whole() {
    const NO_ERROR: [u8; 4] = [0; 4];
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream)
            .route("accept = [\"token\"]")
            .route(policy)
            .start();
        let request = gateway
            .request("POST", "/")
            .field("Portcullis-Token", &Token::new().text());
        let mut session = h2::Session::open(gateway.address(), &[]);
        for (stream, piece) in [(1, &b"half of it"[..]), (3, b"")] {
            session.head(stream, &request, false);
            session.frame(h2::DATA, 0, stream, piece);
            session.frame(h2::RST_STREAM, 0, stream, &NO_ERROR);
        }
        let last = gateway
            .request("GET", "/last")
            .field("Portcullis-Token", &Token::new().text());
        session.head(5, &last, true);
        assert_eq!(session.answer(5), (Some(200), true));
        for number in 0..2 {
            assert_eq!(
                gateway.record(number)["status"]
                    .as_u64()
                    .map(|status| status < 300),
                Some(false)
            );
        }
        for got in upstream.heard() {
            assert!(!got.complete || got.target() == "/last", "{:?}", got.body);
        }
    }
}

#[test]
fn a_body_over_the_limit_is_refused_however_it_is_framed() {
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(policy).start();
        let body = vec![b'x'; (1 << 20) + 1];
        let request = gateway.request("POST", "/").body(body);
        gateway
            .send(&caller().sign(&request))
            .assert_refused(413, "body-too-large");
        upstream.assert_silent();
        gateway
            .send(&caller().nonce("chunked").sign(&request.chunked()))
            .assert_refused(413, "body-too-large");
        for place in 0..upstream.heard().len() {
            assert!(!upstream.got(place).complete);
        }
        let request = gateway.request("POST", "/").body(vec![b'x'; 1 << 20]);
        gateway.send(&caller().sign(&request)).assert_passed();
    }
}

#[test]
fn a_body_that_breaks_off_never_completes_at_the_upstream() {
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(policy).start();
        let request = caller().sign(&gateway.request("POST", "/").body(vec![b'x'; 200_000]));
        let mut connection = gateway.connect();
        connection.send(&request.head());
        connection.send(&vec![b'x'; 150_000]);
        drop(connection);
        let record = gateway.record(0);
        assert_ne!(record["status"], 200, "{record}");
        for place in 0..upstream.heard().len() {
            assert!(!upstream.got(place).complete);
        }
    }
}

#[test]
fn a_passing_body_that_takes_all_of_total_timeout_is_a_408() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .upstream("total_timeout = \"300ms\"")
        .route("accept = [\"public\"]")
        .start();
    let mut connection = gateway.connect();
    connection.send(&gateway.request("POST", "/").body("hello").head());
    connection.send(b"hel");
    let response = connection.response_to("POST");
    response.assert_refused(408, "request-timeout");
    assert!(connection.is_closed());
    assert!(!upstream.got(0).complete);
}

#[test]
fn a_client_may_wait_to_be_told_to_continue() {
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(policy).start();
        let request = caller()
            .sign(&gateway.request("POST", "/").body("patience"))
            .field("Expect", "100-continue");
        let mut connection = gateway.connect();
        connection.send(&request.head());
        let (status, _) = connection.head().expect("100 Continue");
        assert_eq!(status, 100);
        connection.send(b"patience");
        connection.response().assert_passed();
        assert_eq!(upstream.only().body, b"patience");
    }
}

#[test]
fn a_client_that_waits_is_refused_without_sending_its_body() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = caller()
        .secret(b"not the secret of this very key!")
        .sign(&gateway.request("POST", "/").body(vec![b'x'; 100_000]))
        .field("Expect", "100-continue");
    let mut connection = gateway.connect();
    connection.send(&request.head());
    let (status, _) = connection.head().expect("a refusal at once");
    assert_eq!(status, 401);
    upstream.assert_silent();
}

#[test]
fn a_refused_upload_does_not_leave_its_rest_to_be_read_as_a_request() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let smuggled = caller().sign(&gateway.request("GET", "/smuggled")).bytes();
    let request = caller()
        .secret(b"not the secret of this very key!")
        .sign(&gateway.request("POST", "/").body(smuggled.clone()));
    let mut connection = gateway.connect();
    connection.send(&request.head());
    connection.send(&smuggled);
    connection
        .response()
        .assert_refused(401, "credential-rejected");
    if let Some(second) = connection.try_response_after_finish() {
        panic!("the body was answered as a request: {second:?}");
    }
    upstream.assert_silent();
}

#[test]
fn a_client_that_sends_all_before_it_reads_hears_why_it_was_refused() {
    // More than sockets hold between them.
    const LARGE: usize = 12 << 20;
    for policy in [BEFORE, WHILE] {
        let upstream = Upstream::start();
        let gateway = Setup::before(&upstream).route(policy).start();
        let request = gateway.request("POST", "/").body(vec![b'x'; LARGE]);
        for (nonce, request) in [("whole", request.clone()), ("chunked", request.chunked())] {
            let mut connection = gateway.connect();
            let signed = caller().nonce(nonce).sign(&request);
            let sent = connection.try_send(&signed.bytes());
            assert!(sent, "it was reset");
            connection.response().assert_refused(413, "body-too-large");
        }
    }
}

#[test]
fn pipelined_requests_are_each_proven_and_answered_in_order() {
    let upstream = Upstream::answering(|got, wire| {
        wire.answer(200, &[], got.target().as_bytes());
    });
    let gateway = Setup::before(&upstream).start();
    let mut bytes = caller()
        .sign(&gateway.request("POST", "/first").body("1"))
        .bytes();
    bytes.extend(gateway.request("GET", "/unproven").bytes());
    bytes.extend(caller().sign(&gateway.request("GET", "/third")).bytes());
    let mut connection = gateway.connect();
    connection.send(&bytes);
    let first = connection.response();
    assert_eq!((first.status, first.text().as_str()), (200, "/first"));
    connection
        .response()
        .assert_refused(401, "credential-missing");
    if let Some(third) = connection.try_response_to("GET") {
        assert_eq!((third.status, third.text().as_str()), (200, "/third"));
    }
}

#[test]
fn a_gibibyte_up_does_not_move_peak_memory() {
    let (sizes, size) = mpsc::channel();
    let sizes = Mutex::new(sizes);
    let upstream = Upstream::raw(move |stream, _| {
        let (head, mut sum) = read_head(stream);
        if head.is_empty() {
            return;
        }
        let mut buffer = vec![0; 256 * 1024];
        while sum < GIB {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(some) => sum += some as u64,
            }
        }
        sizes.lock().unwrap().send(sum).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let binary = Setup::before(&upstream)
        .route("body = { limit = \"2 GiB\", verify = \"while-forwarding\" }")
        .spawn();
    let block = vec![0_u8; MIB as usize];
    let mut hash = Sha256::new();
    for _ in 0..GIB / MIB {
        hash.update(&block);
    }
    let digest = format!(
        "sha-256=:{}:",
        data_encoding::BASE64.encode(&hash.finalize())
    );
    let before = warmed_up(&binary);
    let request = caller()
        .at(Binary::now())
        .covering(&["@method", "@target-uri", "content-digest"])
        .sign(
            &binary
                .request("POST", "/up")
                .field("Content-Digest", &digest)
                .field("Content-Length", &GIB.to_string()),
        );
    let mut connection = Connection::open(binary.address());
    connection.send(&request.head());
    for _ in 0..GIB / MIB {
        connection.send(&block);
    }
    connection.response().assert_passed();
    assert_eq!(size.recv().unwrap(), GIB);
    let grown = binary.peak_memory() - before;
    assert!(grown < 16 * MIB, "peak memory grew by {} KiB", grown / 1024);
}

#[test]
fn a_gibibyte_down_does_not_move_peak_memory() {
    let upstream = Upstream::raw(|stream, _| {
        if read_head(stream).0.is_empty() {
            return;
        }
        let _ = stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").as_bytes());
        let block = vec![0; MIB as usize];
        for _ in 0..GIB / MIB {
            if stream.write_all(&block).is_err() {
                return;
            }
        }
        let _ = read_head(stream);
    });
    let binary = Setup::before(&upstream).spawn();
    let before = warmed_up(&binary);
    let now = Binary::now();
    let token = Token::new().claim("iat", now).claim("exp", now + 300);
    let request = binary
        .request("GET", "/down")
        .field("Portcullis-Token", &token.text());
    let mut connection = Connection::open(binary.address());
    connection.send(&request.bytes());
    let (status, _) = connection.head().expect("a head");
    assert_eq!(status, 200);
    let mut buffer = vec![0; 256 * 1024];
    let mut sum = connection.take_buffered().len() as u64;
    while sum < GIB {
        let some = connection.stream().read(&mut buffer).unwrap();
        assert!(some > 0, "broke off after {sum} bytes");
        sum += some as u64;
    }
    assert_eq!(sum, GIB);
    let grown = binary.peak_memory() - before;
    assert!(grown < 16 * MIB, "peak memory grew by {} KiB", grown / 1024);
}

/// Peak memory once the first requests are through: what is asked is what a body moves.
pub(crate) fn warmed_up(binary: &Binary) -> u64 {
    for _ in 0..4 {
        let response = binary.send(&binary.request("GET", "/unproven"));
        response.assert_refused(401, "credential-missing");
    }
    binary.peak_memory()
}

/// Reads a head; gives back how many bytes of the body came with it.
pub(crate) fn read_head(stream: &mut TcpStream) -> (Vec<u8>, u64) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = crate::harness::raw::find(&read, b"\r\n\r\n") {
            let body = (read.len() - end - 4) as u64;
            return (read, body);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return (Vec::new(), 0),
            Ok(some) => read.extend_from_slice(&buffer[..some]),
        }
    }
}

#[test]
fn a_digest_in_chunked_form_and_without_length_is_checked_too() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let body = "some chunks";
    let request = gateway
        .request("POST", "/")
        .field("Content-Digest", &content_digest(body.as_bytes()))
        .body(body)
        .chunked();
    gateway.send(&caller().sign(&request)).assert_passed();
    let empty = gateway.request("POST", "/").body("").chunked();
    gateway.send(&caller().sign(&empty)).assert_passed();
    assert_eq!(upstream.got(1).body, b"");
}
