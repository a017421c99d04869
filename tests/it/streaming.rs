//! Streams of events, and the methods and fields by which a client asks for less than a whole answer.

use crate::harness::{DEADLINE, Gateway, Request, Setup, Upstream, caller, h2 as raw_h2};
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::mpsc;
use tokio::net::TcpStream;

const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n";

/// A backend that sends what it is told to as it is told, and tells when its client has gone.
fn events() -> (mpsc::Sender<Vec<u8>>, mpsc::Receiver<()>, Upstream) {
    let (next, nexts) = mpsc::channel::<Vec<u8>>();
    let (gone, told) = mpsc::channel();
    let (nexts, gone) = (Mutex::new(nexts), Mutex::new(gone));
    let upstream = Upstream::answering(move |_, wire| {
        wire.send(EVENTS);
        while let Ok(bytes) = nexts.lock().unwrap().recv() {
            if bytes.is_empty() {
                break;
            }
            wire.send(&bytes);
        }
        wire.wait_for_close();
        gone.lock().unwrap().send(()).unwrap();
    });
    (next, told, upstream)
}

fn chunk(event: &str) -> Vec<u8> {
    format!("{:X}\r\n{event}\r\n", event.len()).into_bytes()
}

fn signed(gateway: &Gateway, method: &str, target: &str) -> Request {
    caller().sign(&gateway.request(method, target))
}

pub(crate) fn as_http(request: &Request) -> http::Request<()> {
    let mut head = http::Request::builder()
        .method(&*request.method)
        .uri(format!("http://{}{}", request.authority, request.target));
    for (name, value) in &request.fields {
        head = head.header(name, value);
    }
    head.body(()).unwrap()
}

/// Runs `test` with a client of HTTP/2 that nobody here wrote.
pub(crate) fn over_http_2<F: Future>(
    gateway: &Gateway,
    test: impl FnOnce(h2::client::SendRequest<Bytes>) -> F,
) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address = gateway.address();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        tokio::time::timeout(DEADLINE, test(client)).await.unwrap()
    })
}

#[test]
fn each_event_passes_at_once() {
    let (next, gone, upstream) = events();
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&signed(&gateway, "GET", "/").bytes());
    assert_eq!(connection.head().expect("a head before any event").0, 200);
    for number in 0..20 {
        let event = chunk(&format!("data: {number}\n\n"));
        next.send(event.clone()).unwrap();
        assert_eq!(connection.take(event.len()), event);
    }
    next.send(b"0\r\n\r\n".to_vec()).unwrap();
    assert_eq!(connection.take(5), b"0\r\n\r\n");
    next.send(Vec::new()).unwrap();
    drop(gateway);
    gone.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn over_http_2_each_event_passes_at_once_and_a_reset_ends_the_upstreams_request() {
    let (next, gone, upstream) = events();
    let gateway = Setup::before(&upstream).start();
    over_http_2(&gateway, |mut client| {
        let request = as_http(&signed(&gateway, "GET", "/"));
        async move {
            let (answer, _) = client.send_request(request, true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            for number in 0..20 {
                let event = format!("data: {number}\n\n");
                next.send(chunk(&event)).unwrap();
                let data = poll_fn(|cx| body.poll_data(cx)).await.unwrap().unwrap();
                assert_eq!(data, event);
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            // The backend is silent now, and waits for its client to go.
            next.send(Vec::new()).unwrap();
            drop(body);
            tokio::task::spawn_blocking(move || gone.recv_timeout(DEADLINE).unwrap())
                .await
                .unwrap();
        }
    });
    let record = gateway.record(0);
    assert_eq!(
        (&record["status"], &record["cut"]),
        (&200.into(), &true.into())
    );
}

#[test]
fn a_stream_that_is_silent_for_longer_than_the_idle_timeout_is_cut() {
    let (next, gone, upstream) = events();
    let gateway = Setup::before(&upstream)
        .upstream("idle_timeout = \"200ms\"")
        .start();
    let mut connection = gateway.connect();
    connection.send(&signed(&gateway, "GET", "/").bytes());
    assert_eq!(connection.head().unwrap().0, 200);
    let event = chunk("data: 1\n\n");
    next.send(event.clone()).unwrap();
    assert_eq!(connection.take(event.len()), event);
    next.send(Vec::new()).unwrap();
    assert!(connection.is_closed(), "cut, without a clean end");
    gone.recv_timeout(DEADLINE).unwrap();
    let record = gateway.record(0);
    assert_eq!(record["cut"], true, "{record}");
    assert!(
        record["reason"].as_str().unwrap().contains("in time"),
        "{record}"
    );
}

#[test]
fn head_tells_the_length_of_what_it_does_not_bring() {
    let upstream = Upstream::answering(|got, wire| {
        assert!(got.line().starts_with("HEAD "));
        wire.answer(200, &[("ETag", "\"x\"")], &[b'x'; 12_345]);
    });
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    for _ in 0..2 {
        connection.send(&signed(&gateway, "HEAD", "/").bytes());
        let response = connection.response_to("HEAD");
        assert_eq!(response.status, 200);
        assert_eq!(response.field("content-length"), Some("12345"));
        assert_eq!(response.field("etag"), Some("\"x\""));
    }
    // A refusal says what it would have been to a `GET`.
    connection.send(&gateway.request("HEAD", "/").bytes());
    let refused = connection.response_to("HEAD");
    assert_eq!(refused.status, 401);
    assert_ne!(refused.field("content-length"), Some("0"));

    let requests = [
        (signed(&gateway, "HEAD", "/h2"), 200, Some("12345")),
        (gateway.request("HEAD", "/h2"), 401, None),
    ];
    over_http_2(&gateway, |mut client| async move {
        for (request, status, length) in requests {
            let (answer, _) = client.send_request(as_http(&request), true).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), status);
            if let Some(length) = length {
                assert_eq!(answer.headers()["content-length"], length);
            }
            let mut body = answer.into_body();
            let data = poll_fn(|cx| body.poll_data(cx)).await;
            assert!(data.is_none_or(|data| data.unwrap().is_empty()));
        }
    });
}

#[test]
fn options_of_the_whole_server_reaches_the_upstream_as_such() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let covered = caller().covering(&["@method", "@authority", "@request-target"]);
    let whole = gateway.request("OPTIONS", "*");
    gateway.send(&covered.sign(&whole)).assert_passed();
    assert_eq!(upstream.only().line(), "OPTIONS * HTTP/1.1");
    gateway
        .send(&whole)
        .assert_refused(401, "credential-missing");
    let other = gateway.request("GET", "*");
    gateway
        .send(&other)
        .assert_refused(400, "malformed-request");
}

#[test]
fn max_forwards_counts_hops_of_options() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("methods = [\"GET\", \"OPTIONS\"]")
        .start();
    let asked = |method: &str, hops: &str| {
        let request = gateway.request(method, "/").field("Max-Forwards", hops);
        caller().sign(&request)
    };
    gateway.send(&asked("OPTIONS", "3")).assert_passed();
    assert_eq!(upstream.got(0).field("max-forwards"), Some("2"));
    let here = gateway.send(&asked("OPTIONS", "0"));
    assert_eq!(
        (here.status, here.field("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    // Other methods are not asked to count.
    gateway.send(&asked("GET", "0")).assert_passed();
    assert_eq!(upstream.got(1).field("max-forwards"), Some("0"));
    let unproven = gateway.request("OPTIONS", "/").field("Max-Forwards", "0");
    gateway
        .send(&unproven)
        .assert_refused(401, "credential-missing");
}

#[test]
fn a_body_is_asked_for_only_once_its_head_is_proven() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let expecting = |request: Request| request.field("Expect", "100-continue").body("body");
    let mut connection = gateway.connect();
    connection.send(
        &caller()
            .sign(&expecting(gateway.request("POST", "/")))
            .head(),
    );
    assert_eq!(connection.head().unwrap().0, 100);
    connection.send(b"body");
    connection.response().assert_passed();
    assert_eq!(upstream.got(0).field("expect"), None);

    // Whoever is refused is not asked for one.
    connection.send(&expecting(gateway.request("POST", "/")).head());
    assert_eq!(connection.head().unwrap().0, 401);
    assert_eq!(upstream.heard().len(), 1);

    // Without a body there is nothing to ask for.
    let mut connection = gateway.connect();
    let nothing = gateway.request("GET", "/").field("Expect", "100-continue");
    connection.send(&caller().sign(&nothing).bytes());
    assert_eq!(connection.head().unwrap().0, 200);
}

#[test]
fn over_http_2_expectations_are_held_to_the_same() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let expecting = |value: &str| {
        let request = gateway.request("POST", "/").field("expect", value);
        caller().sign(&request.body("body"))
    };
    let answer = raw_h2::send(&expecting("100-continue"), gateway.address());
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.only().field("expect"), None);
    let answer = raw_h2::send(&expecting("200-ok"), gateway.address());
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (417, Some("expectation-failed"))
    );
}

#[test]
fn over_http_2_too_methods_that_reach_no_resource_are_refused() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let address = gateway.address().to_string();
    let trace = raw_h2::send(&signed(&gateway, "TRACE", "/"), gateway.address());
    assert_eq!(trace.status, 400);
    let connect = [(":method", "CONNECT"), (":authority", &*address)];
    let answer = raw_h2::ask(gateway.address(), &connect, None);
    assert_eq!(answer.map(|answer| answer.status), Some(400));
    upstream.assert_silent();
}

#[test]
fn over_http_2_a_connect_with_a_length_is_refused_alone() {
    let (release, upstream) = Upstream::held();
    let gateway = Setup::before(&upstream).start();
    let mut session = raw_h2::Session::open(gateway.address(), &[]);
    session.head(1, &signed(&gateway, "GET", "/"), true);
    upstream.wait_for_head(0);
    let address = gateway.address().to_string();
    let mut connect = Vec::new();
    let fields = [
        (":method", "CONNECT"),
        (":authority", &*address),
        ("content-length", "5"),
    ];
    raw_h2::head_on(&mut connect, 3, &fields, false);
    session.send(&connect);
    assert_eq!(session.answer(3).0, Some(400));
    release.send(()).unwrap();
    assert_eq!(session.answer(1), (Some(200), true));
}

#[test]
fn over_http_2_nobody_is_told_to_send_the_body() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("body_timeout = \"300ms\"")
        .start();
    let request = gateway.request("POST", "/").field("expect", "100-continue");
    let request = caller().sign(&request.body("body"));
    let mut session = raw_h2::Session::open(gateway.address(), &[]);
    session.head(1, &request, false);
    assert_eq!(session.answer(1).0, Some(408));
}
