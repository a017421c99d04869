//! Clients over HTTP/1.1 that take their time, or are gone: what they hold is
//! given back in time, at the gateway and at the upstream. HTTP/2 has the same
//! tests in `http2.rs`.

use crate::harness::{Connection, DEADLINE, Gateway, Request, Setup, Upstream, caller};
use std::sync::{Mutex, mpsc};

/// A route for who is proven, and one for anybody.
pub(crate) fn setup(upstream: &Upstream) -> Setup {
    Setup::before(upstream).routes(
        "[[routes]]\nname = \"proven\"\npath = \"/**\"\nupstream = \"backend\"\n\
         accept = [\"http-signature\", \"token\"]\n\
         body = { limit = \"10 MiB\", verify = \"while-forwarding\" }\n\
         [[routes]]\nname = \"public\"\npath = \"/public/**\"\nupstream = \"backend\"\n\
         accept = [\"public\"]\n",
    )
}

/// The same request with a good signature and, on a public route, without one.
fn both(gateway: &Gateway, method: &str, path: &str, body: Option<&[u8]>) -> [Request; 2] {
    let request = |path: &str| {
        let request = gateway.request(method, path);
        match body {
            Some(body) => request.body(body),
            None => request,
        }
    };
    [
        caller().sign(&request(path)),
        request(&format!("/public{path}")),
    ]
}

/// Minimum rates that nobody keeps.
const TOO_FAST: &str = "min_rate = \"1 GiB/s\"\nmin_rate_grace = \"300ms\"";

#[test]
fn a_body_that_pauses_is_a_408_and_never_completes_at_the_upstream() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).server("body_timeout = \"300ms\"").start();
    for request in both(&gateway, "POST", "/", Some(b"hello")) {
        let mut connection = gateway.connect();
        connection.send(&request.head());
        connection.send(b"hel");
        let response = connection.response_to("POST");
        response.assert_refused(408, "request-timeout");
        assert!(connection.is_closed());
    }
    for place in 0..upstream.heard().len() {
        assert!(!upstream.got(place).complete);
    }
}

#[test]
fn a_body_that_drips_is_a_408_and_never_completes_at_the_upstream() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).server(TOO_FAST).start();
    let body = vec![b'x'; 1 << 20];
    for chunked in [false, true] {
        let path = format!("/{chunked}");
        for mut request in both(&gateway, "POST", &path, Some(&body)) {
            request.chunked = chunked;
            let mut connection = gateway.connect();
            connection.send(&request.head());
            let mut answered = connection.stream().try_clone().unwrap();
            // Another client's requests are the clock of the drips.
            let mut place = 0;
            while !has_answer(&mut answered) {
                let drip: &[u8] = if chunked { b"1\r\nx\r\n" } else { b"x" };
                connection.try_send(drip);
                gateway.send(&both(&gateway, "HEAD", "/", None)[1]);
                place += 1;
                assert!(place < 1 << 20);
            }
            let response = connection.response_to("POST");
            response.assert_refused(408, "request-timeout");
        }
    }
    for place in 0..upstream.heard().len() {
        let got = upstream.got(place);
        assert!(got.line().starts_with("HEAD") || !got.complete);
    }
}

fn has_answer(stream: &mut std::net::TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let has = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    has
}

#[test]
fn an_answer_that_is_not_taken_lets_its_upstream_go() {
    let (closed, upstream) = Upstream::endless_at("/");
    let gateway = setup(&upstream).server("write_timeout = \"300ms\"").start();
    for request in both(&gateway, "GET", "/", None) {
        let mut connection = gateway.connect();
        connection.send(&request.bytes());
        closed.recv_timeout(DEADLINE).unwrap();
    }
}

#[test]
fn an_answer_that_is_taken_too_slowly_lets_its_upstream_go() {
    let (closed, upstream) = Upstream::endless_at("/");
    let gateway = setup(&upstream).server(TOO_FAST).start();
    for request in both(&gateway, "GET", "/", None) {
        let mut connection = gateway.connect();
        connection.send(&request.bytes());
        let mut is_let_go = false;
        while !is_let_go && !connection.take(1).is_empty() {
            is_let_go = closed.try_recv().is_ok();
        }
        // The cut resets the connection, which may be seen first.
        if !is_let_go {
            closed.recv_timeout(DEADLINE).unwrap();
        }
    }
}

#[test]
fn whoever_keeps_the_minimum_rate_gets_all_of_a_long_answer() {
    let upstream = Upstream::answering(|_, wire| wire.answer(200, &[], &vec![b'x'; 1 << 20]));
    let gateway = setup(&upstream)
        .server("min_rate = \"1 B/s\"\nmin_rate_grace = \"1s\"")
        .start();
    for request in both(&gateway, "GET", "/", None) {
        let response = gateway.send(&request);
        response.assert_passed();
        assert_eq!(response.body.len(), 1 << 20);
    }
}

#[test]
fn a_client_that_closes_cancels_the_request_that_is_at_work_for_it() {
    let (closed, upstream) = Upstream::silent_at("/waits");
    let gateway = setup(&upstream).start();
    for body in [None, Some(&b"hello"[..])] {
        let method = if body.is_some() { "POST" } else { "GET" };
        for request in both(&gateway, method, "/waits", body) {
            let before = upstream.heard().len();
            let mut connection = gateway.connect();
            connection.send(&request.bytes());
            upstream.wait_for_head(before);
            drop(connection);
            closed.recv_timeout(DEADLINE).unwrap();
        }
    }
}

#[test]
fn a_client_that_resets_its_connection_cancels_the_request_that_is_at_work_for_it() {
    let (closed, upstream) = Upstream::silent_at("/waits");
    let gateway = setup(&upstream).start();
    for (place, request) in both(&gateway, "GET", "/waits", None).iter().enumerate() {
        let mut connection = gateway.connect();
        connection.send(&request.bytes());
        upstream.wait_for_head(place);
        let socket = socket2::SockRef::from(connection.stream());
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(connection);
        closed.recv_timeout(DEADLINE).unwrap();
    }
}

#[test]
fn a_client_that_has_said_all_and_waits_gets_its_answer_however_late() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::answering(move |_, wire| {
        let _ = held.lock().unwrap().recv();
        wire.answer(200, &[], b"hello");
    });
    let gateway = setup(&upstream).start();
    for request in both(&gateway, "GET", "/", None) {
        let mut connection = gateway.connect();
        connection.send(&request.bytes());
        connection.finish();
        // We ask twice whether it is still there; it is.
        for _ in 0..2 {
            assert_eq!(connection.head().unwrap().0, 102);
        }
        release.send(()).unwrap();
        connection.response().assert_passed();
    }
}

#[test]
fn a_client_of_http_1_0_is_sent_no_interim_answer() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::answering(move |got, wire| {
        if got.target() == "/public/held" {
            let _ = held.lock().unwrap().recv();
        }
        wire.answer(200, &[], b"hello");
    });
    let gateway = setup(&upstream).start();
    let mut old = gateway.connect();
    let host = gateway.address();
    old.send(format!("GET /public/held HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes());
    old.finish();
    upstream.wait_for_head(0);
    // When one that came later has been asked twice, it would have been, too.
    let mut new = Connection::open(host);
    new.send(&gateway.request("GET", "/public/held").bytes());
    new.finish();
    for _ in 0..2 {
        assert_eq!(new.head().unwrap().0, 102);
    }
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    assert_eq!(old.head().unwrap().0, 200);
    new.response().assert_passed();
}
