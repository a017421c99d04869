//! What the upstream gets, and what becomes of its answer.

use crate::harness::h2;
use crate::harness::issuer;
use crate::harness::{
    Closed, Connection, DEADLINE, Gateway, Request, Setup, Token, Upstream, caller,
};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;

fn signed(gateway: &Gateway, method: &str, target: &str) -> Request {
    caller().sign(&gateway.request(method, target))
}

/// A request that may be repeated, by token.
fn shown(gateway: &Gateway, method: &str, target: &str) -> Request {
    gateway
        .request(method, target)
        .field("Portcullis-Token", &Token::new().text())
}

#[test]
fn target_and_body_arrive_byte_for_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for (number, target) in [
        "/",
        "/orders/7?b=2&a=1&b=1&&=&x",
        "/caf%C3%A9/%7euser;v=1,2/a:b@c!$&'()*+=",
        "/p?",
        "/p?q=a+b%20c&r=(x)'!*&s=%e2%82%ac&t=/?:@",
        "/%61?%61=%61",
    ]
    .into_iter()
    .enumerate()
    {
        let body: Vec<u8> = (0..=255).collect();
        let request = gateway
            .request("POST", target)
            .field("Content-Type", "application/octet-stream")
            .body(body.clone());
        gateway.send(&caller().sign(&request)).assert_passed();
        let got = upstream.got(number);
        assert_eq!(got.target(), target);
        assert_eq!(got.body, body);
        assert_eq!(got.field("content-length"), Some("256"));
        assert_eq!(got.field("transfer-encoding"), None);
        assert_eq!(got.field("content-type"), Some("application/octet-stream"));
    }
}

#[test]
fn a_chunked_body_arrives_whole_under_one_framing_field() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = gateway
        .request("POST", "/")
        .body("in a few chunks of no great size")
        .chunked();
    gateway.send(&caller().sign(&request)).assert_passed();
    let got = upstream.only();
    assert_eq!(got.body, b"in a few chunks of no great size");
    let framing = got.values("content-length").len() + got.values("transfer-encoding").len();
    assert_eq!(framing, 1, "{}", got.head);
}

#[test]
fn a_request_without_body_arrives_without_one() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    gateway.send(&signed(&gateway, "GET", "/")).assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("content-length"), None);
    assert_eq!(got.field("transfer-encoding"), None);
}

#[test]
fn fields_pass_in_order_with_their_repetitions() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = gateway
        .request("GET", "/")
        .field("Accept", "text/html")
        .field("X-One", "1")
        .field("X-Many", "first")
        .field("X-Many", "second")
        .field("Cookie", "a=1; b=2");
    gateway.send(&caller().sign(&request)).assert_passed();
    let got = upstream.only();
    assert_eq!(got.values("x-many"), ["first", "second"]);
    assert_eq!(got.field("x-one"), Some("1"));
    assert_eq!(got.field("cookie"), Some("a=1; b=2"));
    assert_eq!(got.field("accept"), Some("text/html"));
    assert_eq!(
        got.field("host"),
        Some(gateway.address().to_string().as_str())
    );
}

#[test]
fn forged_identities_never_arrive() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut request = signed(&gateway, "GET", "/");
    for name in [
        "Portcullis-App",
        "portcullis-app",
        "PORTCULLIS-KEY",
        "Portcullis-Scheme",
        "Portcullis-Assurance",
        "Portcullis-Scopes",
        "Portcullis-Request-Id",
        "Portcullis-Anything",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-User",
        "X-Real-IP",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Accel-Redirect",
        "X-Sendfile",
        "Proxy",
        "Remote-User",
    ] {
        request = request.field(name, "forged");
    }
    gateway.send(&request).assert_passed();
    let got = upstream.only();
    assert!(!got.head.contains("forged"), "{}", got.head);
    assert_eq!(got.field("portcullis-app"), Some("mobile"));
    assert_eq!(got.field("portcullis-key"), Some("mobile-2026"));
    let id = got.field("portcullis-request-id").expect("a request id");
    assert_eq!(id.len(), 32);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(gateway.record(0)["request_id"], id);
}

#[test]
fn forged_identities_arrive_neither_over_http_2_nor_in_trailers() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut request = signed(&gateway, "GET", "/");
    for name in [
        "Portcullis-App",
        "Portcullis-Request-Id",
        "X-Forwarded-For",
        "X-Real-IP",
        "Forwarded",
        "Remote-User",
    ] {
        request = request.field(name, "forged").field(name, "forged");
    }
    h2::send(&request, gateway.address()).assert_passed();
    let got = upstream.only();
    assert!(!got.head.contains("forged"), "{}", got.head);
    assert_eq!(got.values("portcullis-app"), ["mobile"]);

    let trailing = signed_body(&gateway);
    let mut bytes = trailing.bytes();
    bytes.truncate(bytes.len() - b"\r\n".len());
    bytes.extend_from_slice(b"Portcullis-App: forged\r\nX-End: forged\r\n\r\n");
    let mut connection = gateway.connect();
    connection.send(&bytes);
    connection.response().assert_passed();
    let got = upstream.got(1);
    assert_eq!(got.body, b"a body in chunks");
    assert!(!got.head.contains("forged"), "{}", got.head);
}

fn signed_body(gateway: &Gateway) -> Request {
    let request = gateway.request("POST", "/").body("a body in chunks");
    caller().sign(&request).chunked()
}

#[test]
fn names_that_some_servers_read_alike_are_refused() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for name in [
        "Portcullis_App",
        "portcullis_app",
        "X_Forwarded_For",
        "Content_Length",
        "Portcullis.App",
        "X.Forwarded.For",
        "Portcullis+App",
        "X+Forwarded+For",
    ] {
        let request = signed(&gateway, "GET", "/").field(name, "forged");
        gateway
            .send(&request)
            .assert_refused(400, "malformed-request");
        assert_eq!(h2::send(&request, gateway.address()).status, 400);
    }
    upstream.assert_silent();
}

#[test]
fn forwarded_tells_the_socket_and_the_host_that_was_asked() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = gateway
        .request("GET", "/")
        .authority("api.example.com")
        .field("X-Forwarded-For", "6.6.6.6")
        .field("Forwarded", "for=6.6.6.6;host=evil.example");
    gateway.send(&caller().sign(&request)).assert_passed();
    let got = upstream.only();
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(got.field("x-forwarded-host"), Some("api.example.com"));
    assert_eq!(got.field("x-forwarded-proto"), Some("http"));
    let forwarded = got.field("forwarded").expect("Forwarded");
    for part in ["for=127.0.0.1", "host=", "api.example.com", "proto=http"] {
        assert!(forwarded.contains(part), "{forwarded}");
    }
    assert!(
        !got.head.contains("6.6.6.6") && !got.head.contains("evil"),
        "{}",
        got.head
    );
}

#[test]
fn hop_by_hop_fields_end_here_in_both_directions() {
    let upstream = Upstream::answering(|_, wire| {
        wire.send(
            b"HTTP/1.1 200 OK\r\nConnection: x-inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\n\
              Proxy-Authenticate: Basic\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok",
        );
    });
    let gateway = Setup::before(&upstream).start();
    let request = signed(&gateway, "GET", "/")
        .field("Connection", "keep-alive, X-Hop")
        .field("X-Hop", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Proxy-Authorization", "Basic x")
        .field("TE", "gzip")
        .field("Trailer", "X-End")
        .field("Upgrade", "h2c")
        .field("X-Kept", "yes");
    let response = gateway.send(&request);
    assert_eq!(response.status, 200, "{}", response.text());
    let got = upstream.only();
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
    ] {
        assert_eq!(got.field(name), None, "{}", got.head);
    }
    assert_eq!(got.field("connection"), Some("keep-alive"));
    assert_eq!(got.field("x-kept"), Some("yes"));
    for name in ["x-inner", "keep-alive", "proxy-authenticate"] {
        assert_eq!(response.field(name), None, "{:?}", response.fields);
    }
    assert_eq!(response.field("x-kept"), Some("yes"));
    assert_eq!(response.text(), "ok");
}

#[test]
fn the_proof_stays_here_unless_the_route_hands_it_on() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = gateway.request("POST", "/").body("x");
    gateway.send(&caller().sign(&request)).assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.field("signature"), None, "{}", got.head);
    assert_eq!(got.field("signature-input"), None, "{}", got.head);

    let kept = Upstream::start();
    let gateway = Setup::before(&kept).route("keep_proof = true").start();
    let request = gateway.request("POST", "/").body("x");
    let request = caller().sign(&request);
    gateway.send(&request).assert_passed();
    let got = kept.only();
    for name in ["signature", "signature-input", "content-digest"] {
        assert_eq!(got.field(name), request.value(name).as_deref());
    }
}

#[test]
fn tokens_of_other_routes_end_here_too() {
    let upstream = Upstream::start();
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"backend\"\n{more}\n\n"
        )
    };
    let taking = "accept = [\"token\"]\ntoken_headers = [\"X-App-Token\", \"authorization\"]";
    let routes = [
        route("taking", taking),
        route("open", "accept = [\"public\"]"),
        route("keeping", "accept = [\"public\"]\nkeep_proof = true"),
        // Takes tokens, but those of the issuer nowhere.
        route("own", "accept = [\"token\"]\nissuers = []"),
    ];
    let setup = Setup::before(&upstream).routes(&routes.concat());
    setup.write("keys.json", issuer::every_key().to_string().as_bytes());
    let headers = "headers = [\"X-Firebase-AppCheck\"]";
    let setup = setup.more(&issuer::section("file:keys.json", headers));
    let gateway = setup.start();
    for (number, (path, kept)) in [("/open", None), ("/keeping", Some("t")), ("/own", None)]
        .iter()
        .enumerate()
    {
        let request = gateway.request("GET", path).field("X-App-Token", "t");
        let request = request.field("X-Firebase-AppCheck", "t");
        let request = request.field("Authorization", "Bearer the-backends");
        let request = match *path {
            "/own" => request.field("Portcullis-Token", &Token::new().text()),
            _ => request,
        };
        gateway.send(&request).assert_passed();
        let got = upstream.got(number);
        for field in ["x-app-token", "x-firebase-appcheck"] {
            assert_eq!(got.field(field), *kept, "{path} {field}");
        }
        assert_eq!(got.field("authorization"), Some("Bearer the-backends"));
    }
}

#[test]
fn a_field_of_tokens_that_only_we_may_set_is_handed_on_by_no_other_route() {
    let upstream = Upstream::start();
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"backend\"\nkeep_proof = true\n{more}\n\n"
        )
    };
    let elsewhere = "accept = [\"token\"]\ntoken_headers = [\"X-App-Token\"]";
    let routes = [
        route("taking", "accept = [\"token\"]"),
        route("elsewhere", elsewhere),
    ];
    let gateway = Setup::before(&upstream).routes(&routes.concat()).start();
    let live = Token::new().text();
    let request = gateway.request("GET", "/elsewhere");
    let request = request.field("X-App-Token", &live);
    let request = request.field("Portcullis-Token", &live);
    gateway.send(&request).assert_passed();
    let got = upstream.got(0);
    assert_eq!(got.field("x-app-token"), Some(&*live));
    assert_eq!(got.field("portcullis-token"), None);
    let request = gateway.request("GET", "/taking");
    gateway
        .send(&request.field("Portcullis-Token", &live))
        .assert_passed();
    assert_eq!(upstream.got(1).field("portcullis-token"), Some(&*live));
}

#[test]
fn the_answer_arrives_as_it_was_given() {
    let upstream = Upstream::answering(|_, wire| {
        wire.answer(
            418,
            &[
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
                ("Content-Type", "text/plain"),
                ("X-Powered-By", "tea"),
            ],
            b"short and stout",
        );
    });
    let gateway = Setup::before(&upstream).start();
    let response = gateway.send(&signed(&gateway, "GET", "/"));
    assert_eq!(
        (response.status, response.text().as_str()),
        (418, "short and stout")
    );
    assert_eq!(response.values("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.field("content-type"), Some("text/plain"));
    assert!(response.complete);
}

#[test]
fn answers_without_a_body_stay_so() {
    let upstream = Upstream::answering(|got, wire| match got.target() {
        "/204" => {
            wire.send(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        "/304" => {
            wire.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
        }
        _ => {
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        }
    });
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    for (method, target, status) in [
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("HEAD", "/head", 200),
        ("GET", "/204", 204),
    ] {
        connection.send(&shown(&gateway, method, target).bytes());
        let response = connection.response_to(method);
        assert_eq!(response.status, status);
    }
}

#[test]
fn a_chunked_answer_streams() {
    let (next, nexts) = mpsc::channel::<&'static [u8]>();
    let nexts = Mutex::new(nexts);
    let upstream = Upstream::answering(move |_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n");
        while let Ok(bytes) = nexts.lock().unwrap().recv() {
            wire.send(bytes);
        }
    });
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&signed(&gateway, "GET", "/").bytes());
    let (status, _) = connection.head().expect("the head, before any of the body");
    assert_eq!(status, 200);
    next.send(b"6\r\nevent1\r\n").unwrap();
    assert_eq!(connection.take(11), b"6\r\nevent1\r\n");
    next.send(b"6\r\nevent2\r\n0\r\n\r\n").unwrap();
    drop(next);
    assert_eq!(connection.take(16), b"6\r\nevent2\r\n0\r\n\r\n");
}

#[test]
fn an_upstream_that_refuses_or_cannot_be_reached_is_a_502() {
    let closed = Closed::port();
    let nobody = closed.address();
    let gateway = Setup::with_servers(&format!("\"http://{nobody}\"")).start();
    gateway
        .send(&signed(&gateway, "GET", "/"))
        .assert_refused(502, "upstream-unreachable");
    // What is told outside names no server.
    let response = gateway.send(&signed(&gateway, "GET", "/"));
    assert!(
        !response.text().contains(&nobody.port().to_string()),
        "{}",
        response.text()
    );
}

#[test]
fn an_upstream_that_closes_without_an_answer_is_a_502_and_is_not_asked_again() {
    let upstream = Upstream::answering(|_, wire| wire.close());
    let gateway = Setup::before(&upstream).start();
    for (number, method) in ["POST", "GET"].into_iter().enumerate() {
        let response = gateway.send(&signed(&gateway, method, "/"));
        assert_eq!(response.status, 502, "{}", response.text());
        assert_eq!(
            upstream.heard().len(),
            number + 1,
            "a signed request was sent twice"
        );
    }
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_a_504() {
    let upstream = Upstream::answering(|_, wire| wire.wait_for_close());
    let gateway = Setup::before(&upstream)
        .upstream("timeout = \"200ms\"")
        .start();
    gateway
        .send(&signed(&gateway, "GET", "/"))
        .assert_refused(504, "upstream-timeout");
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn an_answer_that_is_no_http_is_a_502() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    ] {
        let upstream = Upstream::answering(move |_, wire| {
            wire.send(answer);
            wire.close();
        });
        let gateway = Setup::before(&upstream).start();
        let response = gateway.send(&signed(&gateway, "GET", "/"));
        assert_eq!(
            response.status,
            502,
            "{}: {}",
            String::from_utf8_lossy(answer),
            response.text()
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_visibly_broken() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\nxyz\r\n\r\n",
    ] {
        let upstream = Upstream::answering(move |_, wire| {
            wire.send(answer);
            wire.close();
        });
        let gateway = Setup::before(&upstream).start();
        let response = gateway.send(&signed(&gateway, "GET", "/"));
        assert!(
            response.status == 502 || !response.complete,
            "{}: {response:?}",
            String::from_utf8_lossy(answer)
        );
        assert_eq!(gateway.record(0)["cut"], response.status != 502);
    }
}

#[test]
fn connections_to_the_upstream_are_kept_and_a_stale_one_is_replaced() {
    let (close, told) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let upstream = Upstream::answering(move |got, wire| {
        wire.answer(200, &[], b"hello");
        if got.target() == "/last" {
            told.lock().unwrap().recv().unwrap();
            wire.close();
            done.send(()).unwrap();
        }
    });
    let gateway = Setup::before(&upstream).server("workers = 1").start();
    let mut connection = gateway.connect();
    let mut ask = |target: &str| {
        connection.send(&signed(&gateway, "POST", target).bytes());
        connection.response().assert_passed();
    };
    ask("/a");
    ask("/b");
    ask("/last");
    assert_eq!(upstream.connections(), 1);
    close.send(()).unwrap();
    is_done.recv().unwrap();
    // A single-use request right behind it: it must go out once, over another connection.
    ask("/c");
    assert_eq!(upstream.connections(), 2);
    assert_eq!(upstream.heard().len(), 4);
}

#[test]
fn of_several_servers_one_that_cannot_be_reached_is_passed_over() {
    let closed = Closed::port();
    let nobody = closed.address();
    let upstream = Upstream::start();
    let servers = format!("\"http://{nobody}\", \"http://{}\"", upstream.address());
    let gateway = Setup::with_servers(&servers).start();
    for number in 0..6 {
        let request = signed(&gateway, "POST", &format!("/{number}"));
        gateway.send(&request).assert_passed();
    }
    assert_eq!(upstream.heard().len(), 6);
}

#[test]
fn several_servers_share_the_work() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let servers = format!("\"http://{}\", \"http://{}\"", one.address(), two.address());
    let gateway = Setup::with_servers(&servers).start();
    for _ in 0..20 {
        gateway.send(&shown(&gateway, "GET", "/")).assert_passed();
    }
    assert!(one.heard().len() >= 5 && two.heard().len() >= 5);
}

#[test]
fn the_upstream_request_ends_when_the_client_leaves() {
    let (left, leaves) = mpsc::channel::<()>();
    let left = Mutex::new(left);
    let upstream = Upstream::answering(move |got, wire| {
        if got.target() == "/streams" {
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
            while wire.send(&[b'x'; 4096]) {}
            wire.close();
        } else {
            wire.wait_for_close();
        }
        left.lock().unwrap().send(()).unwrap();
    });
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&signed(&gateway, "GET", "/streams").bytes());
    assert_eq!(connection.take(4096).len(), 4096);
    drop(connection);
    leaves.recv_timeout(crate::harness::DEADLINE).unwrap();

    // Over HTTP/2 also while it waits for an answer.
    let connection = h2::open(gateway.address(), &signed(&gateway, "GET", "/waits"));
    upstream.wait_for_head(1);
    drop(connection);
    leaves.recv_timeout(crate::harness::DEADLINE).unwrap();
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&signed(&gateway, "GET", "/").bytes());
    connection.finish();
    connection.response().assert_passed();
}

#[test]
fn an_early_answer_ends_the_upload() {
    let upstream = Upstream::raw(|stream, _| {
        let mut read = [0; 1024];
        let _ = stream.read(&mut read);
        let _ = stream.write_all(
            b"HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!",
        );
        let mut rest = [0; 4096];
        while matches!(stream.read(&mut rest), Ok(n) if n > 0) {}
    });
    let gateway = Setup::before(&upstream)
        .route("body = { limit = \"10 MiB\", verify = \"while-forwarding\" }")
        .start();
    let request = shown(&gateway, "POST", "/").body(vec![b'x'; 1 << 20]);
    let mut connection = Connection::open(gateway.address());
    connection.send(&request.head());
    connection.send(&[b'x'; 1000]);
    let response = connection.response();
    assert_eq!((response.status, response.text().as_str()), (413, "no!"));
}

#[test]
fn http_1_0_clients_get_what_they_can_read() {
    let upstream = Upstream::answering(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    });
    let gateway = Setup::before(&upstream).start();
    let request = shown(&gateway, "GET", "/").bytes();
    let request = String::from_utf8(request)
        .unwrap()
        .replace("HTTP/1.1", "HTTP/1.0");
    let mut connection = gateway.connect();
    connection.send(request.as_bytes());
    let all = connection.take(usize::MAX);
    let text = String::from_utf8_lossy(&all);
    assert!(
        text.starts_with("HTTP/1.") && text.ends_with("\r\n\r\nhello"),
        "{text}"
    );
    assert!(
        !text.to_ascii_lowercase().contains("transfer-encoding"),
        "{text}"
    );
}

#[test]
fn http_1_0_clients_see_that_an_answer_broke_off() {
    let upstream = Upstream::answering(|got, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        match got.target() {
            "/whole" => assert!(wire.send(b"0\r\n\r\n")),
            _ => wire.close(),
        }
    });
    let gateway = Setup::before(&upstream).start();
    for (target, is_whole) in [("/whole", true), ("/part", false)] {
        let request = shown(&gateway, "GET", target).bytes();
        let request = String::from_utf8(request)
            .unwrap()
            .replace("HTTP/1.1", "HTTP/1.0");
        let mut client = TcpStream::connect(gateway.address()).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut all = Vec::new();
        let end = client.read_to_end(&mut all).map_err(|why| why.kind());
        let text = String::from_utf8_lossy(&all);
        assert!(text.ends_with("\r\n\r\nhello"), "{text}");
        let expected = if is_whole {
            Ok(all.len())
        } else {
            Err(ErrorKind::ConnectionReset)
        };
        assert_eq!(end, expected, "{target}");
    }
}

#[test]
fn a_trace_is_passed_on_and_logged() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = signed(&gateway, "GET", "/")
        .field("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
        .field("tracestate", "vendor=1");
    gateway.send(&request).assert_passed();
    let got = upstream.only();
    assert!(
        got.field("traceparent")
            .is_some_and(|value| value.contains(trace)),
        "{}",
        got.head
    );
    assert_eq!(got.field("tracestate"), Some("vendor=1"));
    assert_eq!(gateway.record(0)["trace"], trace);
}
