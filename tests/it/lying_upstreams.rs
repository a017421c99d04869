//! Backends that lie: what they send is no answer, or no whole one, or not asked for.
//!
//! They leave their connection open unless they say otherwise: that it ends
//! is the gateway's doing, and so is every refusal.

use crate::harness::secure::Authority;
use crate::harness::upstream::{Got, Wire};
use crate::harness::{
    DEADLINE, Gateway, Request, Response, Setup, Upstream, caller, h2, wait_until,
};
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const KIB: usize = 1024;

/// A request with a proof that holds once, and a method that nobody may repeat.
fn ask(gateway: &Gateway, target: &str) -> Request {
    caller()
        .nonce(target)
        .sign(&gateway.request("POST", target))
}

/// A backend that sends the lie whose number stands in the target, and then
/// waits until its connection ends, which it tells. `/good` gets a good answer.
fn liar(lies: Vec<Vec<u8>>) -> (mpsc::Receiver<()>, Upstream) {
    let (closed, is_closed) = mpsc::channel();
    let closed = Mutex::new(closed);
    let upstream = Upstream::answering(move |got: &Got, wire: &mut Wire<'_>| {
        let number = got.target().trim_start_matches("/lie-").parse::<usize>();
        match number {
            Err(_) => wire.answer(200, &[], b"hello"),
            Ok(number) => {
                wire.send(&lies[number]);
                wire.wait_for_close();
                let _ = closed.lock().unwrap().send(());
            }
        }
    });
    (is_closed, upstream)
}

/// Tells every lie once; the connection ends each time, and the next request is served on another.
fn tell(lies: Vec<Vec<u8>>, judge: impl Fn(&Response, &str)) {
    let texts: Vec<String> = lies
        .iter()
        .map(|lie| String::from_utf8_lossy(&lie[..lie.len().min(200)]).into_owned())
        .collect();
    let (is_closed, upstream) = liar(lies);
    // One worker: the next request would find the connection if it were kept.
    let gateway = Setup::before(&upstream).server("workers = 1").start();
    for (number, text) in texts.iter().enumerate() {
        judge(
            &gateway.send(&ask(&gateway, &format!("/lie-{number}"))),
            text,
        );
        is_closed
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("the connection was left open: {text}"));
        let good = gateway.send(&ask(&gateway, &format!("/good-{number}")));
        assert_eq!(
            (good.status, good.text().as_str()),
            (200, "hello"),
            "{text}"
        );
        assert_eq!(
            upstream.heard().len(),
            2 * (number + 1),
            "asked again: {text}"
        );
    }
}

#[test]
fn what_is_no_answer_or_could_be_read_in_two_ways_is_a_502_and_ends_the_connection() {
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok").into_bytes();
    let mut lies: Vec<Vec<u8>> = [
        // Two framings, in either order, and lengths that are none.
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: 2 2",
        "Content-Length: 2;",
        "Content-Length:",
        "Content-Length: 9223372036854775808",
        "Content-Length: 184467440737095516162",
        // Codings that are not exactly one `chunked`.
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        // Fields that some readers see and others do not.
        "X: a\r\n b\r\nContent-Length: 2",
        "X: a\r\n\tb\r\nContent-Length: 2",
        " X: a\r\nContent-Length: 2",
        "X: a\0b\r\nContent-Length: 2",
        "X: a\rb\r\nContent-Length: 2",
        "X: a\r\rContent-Length: 3\r\nContent-Length: 2",
        "X\0: a\r\nContent-Length: 2",
        "X : a\r\nContent-Length: 2",
        "X\r\nContent-Length: 2",
        ": a\r\nContent-Length: 2",
        "X(a): a\r\nContent-Length: 2",
    ]
    .into_iter()
    .map(ok)
    .collect();
    // Status lines.
    for line in [
        "HTTP/1.1 99 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20x OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1  OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "200 OK",
    ] {
        lies.push(format!("{line}\r\nContent-Length: 2\r\n\r\nok").into_bytes());
    }
    lies.push(
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec(),
    );
    lies.push(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec());
    // Interim answers without an end, and a switch that nobody asked for.
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(9);
    lies.push([hints.into_bytes(), ok("Content-Length: 2")].concat());
    lies.push(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(),
    );
    // Names that each field is compared with.
    let many = vec!["x"; 33].join(",");
    lies.push(ok(&format!("Connection: {many}\r\nContent-Length: 2")));
    // More than a head may have.
    let rest = "HTTP/1.1 200 OK\r\nX: \r\nContent-Length: 2\r\n\r\n".len();
    let fat = "x".repeat(64 * KIB + 1 - rest);
    lies.push(ok(&format!("X: {fat}\r\nContent-Length: 2")));
    lies.push(ok(&format!("{}Content-Length: 2", "X: y\r\n".repeat(200))));
    tell(lies, |response, lie| {
        assert_eq!(response.status, 502, "{lie}");
        response.assert_refused(502, "upstream-invalid");
    });
}

#[test]
fn a_body_that_could_be_read_in_two_ways_has_no_clean_end() {
    let chunks = |text: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{text}")
            .into_bytes()
    };
    let long = "x".repeat(4 * KIB + 1);
    let lies = [
        // Sizes.
        "zz\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        " 1\r\nx\r\n0\r\n\r\n",
        "1 1\r\nx\r\n0\r\n\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\r\r\nx\r\n0\r\n\r\n",
        "1;a\rb\r\nx\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "0000000000000001\r\nx\r\n0\r\n\r\n",
        "10000000000000000\r\nx\r\n0\r\n\r\n",
        // Chunks that are longer than they say, or end in half a line's end.
        "1\r\nxy\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx\r0\r\n\r\n",
        // Trailers.
        "0\r\nx: a\0b\r\n\r\n",
        "0\r\nx: a\r\n b\r\n\r\n",
        "0\r\nx : a\r\n\r\n",
        "0\r\nno field\r\n\r\n",
    ]
    .into_iter()
    .map(chunks)
    .chain([
        chunks(&format!("1;{long}\r\nx\r\n0\r\n\r\n")),
        chunks(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(65))),
        chunks(&format!("0\r\nx: {}\r\n\r\n", "y".repeat(16 * KIB))),
    ])
    .collect();
    tell(lies, |response, lie| {
        assert!(response.status == 502 || !response.complete, "{lie}");
        assert!(
            response.status == 502 || b"hellox".starts_with(&response.body),
            "{lie}"
        );
    });
}

#[test]
fn the_longest_head_and_the_most_fields_and_interim_answers_pass() {
    let rest = "HTTP/1.1 200 OK\r\nX: \r\nContent-Length: 2\r\n\r\n".len();
    let fat = "x".repeat(64 * KIB - rest);
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(8);
    for answer in [
        format!("HTTP/1.1 200 OK\r\nX: {fat}\r\nContent-Length: 2\r\n\r\nok"),
        format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok",
            "X: y\r\n".repeat(199)
        ),
        format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ] {
        let upstream = Upstream::answering(move |_, wire| {
            wire.send(answer.as_bytes());
        });
        let gateway = Setup::before(&upstream).start();
        let response = gateway.send(&ask(&gateway, "/"));
        response.assert_passed();
        assert_eq!(response.text(), "ok");
    }
}

#[test]
fn what_has_no_end_is_cut() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extensions = format!("1;{}\r\nx\r\n", "x".repeat(4000));
    let hint = format!(
        "HTTP/1.1 103 Early Hints\r\nX: {}\r\n\r\n",
        "x".repeat(60 * KIB)
    );
    for (start, more) in [
        ("HTTP/1.1 200 OK\r\n".to_owned(), "X: y\r\n".to_owned()),
        ("HTTP/1.1 200 OK\r\nX: ".to_owned(), "y".repeat(KIB)),
        ("HTTP/1.1 200 ".to_owned(), "y".repeat(KIB)),
        (String::new(), hint),
        (format!("{CHUNKED}1;"), "x".repeat(KIB)),
        (CHUNKED.to_owned(), extensions),
        (format!("{CHUNKED}0\r\nX: "), "y".repeat(KIB)),
        (format!("{CHUNKED}0\r\n"), "X: y\r\n".repeat(10)),
        (CHUNKED.to_owned(), "0".repeat(KIB)),
    ] {
        let what = format!("{start}{}", &more[..more.len().min(20)]);
        let (cut, is_cut) = mpsc::channel();
        let cut = Mutex::new(cut);
        let upstream = Upstream::answering(move |_, wire| {
            wire.send(start.as_bytes());
            while wire.send(more.as_bytes()) {}
            wire.close();
            let _ = cut.lock().unwrap().send(());
        });
        let gateway = Setup::before(&upstream).start();
        let response = gateway.send(&ask(&gateway, "/"));
        assert!(
            response.status == 502 || !response.complete,
            "{what}: {}",
            response.status
        );
        is_cut
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("it may go on for ever: {what}"));
        assert_eq!(upstream.heard().len(), 1, "asked again: {what}");
    }
}

#[test]
fn a_connection_on_which_something_came_unasked_is_not_used_again() {
    const FORGED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    // Behind an answer in one piece with it, and while nothing is under way.
    for unasked in [FORGED, b"\r\n", b"x"] {
        for at_once in [true, false] {
            let (speak, may_speak) = mpsc::channel::<()>();
            let (spoke, has_spoken) = mpsc::channel::<()>();
            let ends = Mutex::new((may_speak, spoke));
            let upstream = Upstream::answering(move |got, wire| {
                const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                if got.target() != "/first" {
                    wire.send(ANSWER);
                } else if at_once {
                    wire.send(&[ANSWER, unasked].concat());
                } else {
                    wire.send(ANSWER);
                    let ends = ends.lock().unwrap();
                    ends.0.recv().unwrap();
                    wire.send(unasked);
                    ends.1.send(()).unwrap();
                }
            });
            let gateway = Setup::before(&upstream).server("workers = 1").start();
            assert_eq!(gateway.send(&ask(&gateway, "/first")).text(), "hello");
            if !at_once {
                speak.send(()).unwrap();
                has_spoken.recv_timeout(DEADLINE).unwrap();
            }
            for target in ["/second", "/third"] {
                let response = gateway.send(&ask(&gateway, target));
                response.assert_passed();
                assert_eq!(response.text(), "hello");
            }
            assert_eq!(upstream.got(1).connection, 1);
            assert_eq!(upstream.got(2).connection, 1, "a good one is kept");
        }
    }
}

#[test]
fn what_may_have_no_body_has_none_and_its_rest_is_no_answer() {
    for (method, head) in [
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ] {
        let upstream = Upstream::answering(move |got, wire| match got.target() {
            "/first" => {
                wire.send(head.as_bytes());
            }
            _ => wire.answer(200, &[], b"good"),
        });
        let gateway = Setup::before(&upstream).server("workers = 1").start();
        let mut connection = gateway.connect();
        connection.send(&caller().sign(&gateway.request(method, "/first")).bytes());
        let first = connection.response_to(method);
        assert_eq!(
            first.values("transfer-encoding"),
            Vec::<&str>::new(),
            "{head}"
        );
        if first.status == 204 {
            assert_eq!(first.field("content-length"), None, "{head}");
        }
        // On the same connection: no byte of the body stands before the next answer.
        connection.send(&ask(&gateway, "/second").bytes());
        assert_eq!(connection.response().text(), "good", "{head}");
    }
}

/// Backends that break off, in every framing that has an end.
fn breaking_off() -> Upstream {
    Upstream::answering(|got, wire| {
        let answer: &[u8] = match got.target() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part",
            "/chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly a part",
            "/chunks" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n"
            }
            "/end" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n0\r\n"
            }
            _ => b"HTTP/1.1 200 OK\r\nContent-Le",
        };
        wire.send(answer);
        wire.close();
    })
}

#[test]
fn an_answer_that_breaks_off_has_no_clean_end_in_either_version() {
    let upstream = breaking_off();
    let gateway = Setup::before(&upstream).start();
    for target in ["/length", "/chunk", "/chunks", "/end"] {
        let response = gateway.send(&ask(&gateway, target));
        assert!(response.status == 502 || !response.complete, "{target}");
        let (status, ended) = over_http_2(&gateway, target);
        assert!(status == Some(502) || !ended, "{target}: {status:?}");
    }
    let response = gateway.send(&ask(&gateway, "/head"));
    response.assert_refused(502, "upstream-invalid");
}

/// The answer's status, and whether its body came to an end.
fn over_http_2(gateway: &Gateway, target: &str) -> (Option<u16>, bool) {
    let mut session = h2::Session::open(gateway.address(), &[]);
    let request = caller()
        .nonce(&format!("{target}-over-http-2"))
        .sign(&gateway.request("POST", target));
    session.head(1, &request, true);
    session.answer(1)
}

#[test]
fn fields_that_only_a_hop_or_we_may_say_do_not_pass() {
    let upstream = Upstream::answering(|_, wire| {
        wire.send(
            b"HTTP/1.1 200 OK\r\nPortcullis-App: forged\r\nportcullis_key: forged\r\nPORTCULLIS-Anything: forged\r\n\
              Portcullis-Request-Id: forged\r\nConnection: keep-alive, X-Inner, content-type\r\nX-Inner: 1\r\n\
              Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n\
              TE: trailers\r\nContent-Type: text/plain\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok",
        );
    });
    let gateway = Setup::before(&upstream).start();
    let response = gateway.send(&ask(&gateway, "/"));
    response.assert_passed();
    for (name, value) in &response.fields {
        let name = name.to_ascii_lowercase();
        assert_ne!(value, "forged", "{name}");
        assert!(
            !["x-inner", "keep-alive", "upgrade", "te", "content-type"].contains(&name.as_str())
                && !name.starts_with("proxy-"),
            "{name}: {value}"
        );
    }
    assert_eq!(response.field("x-kept"), Some("yes"));
    let id = response.field("portcullis-request-id");
    assert_eq!(id, gateway.record(0)["id"].as_str());
}

#[test]
fn nothing_is_sent_again_once_a_byte_of_it_was_whatever_comes_back() {
    // It breaks before, within and behind its head; another server would answer.
    for answer in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel",
    ] {
        let served = Arc::new(AtomicUsize::new(0));
        let broken = || {
            let served = served.clone();
            Upstream::answering(move |_, wire| {
                served.fetch_add(1, Ordering::SeqCst);
                wire.send(answer.as_bytes());
                wire.close();
            })
        };
        let (one, two) = (broken(), broken());
        let servers = format!("\"http://{}\", \"http://{}\"", one.address(), two.address());
        let gateway = Setup::with_servers(&servers).start();
        for (number, method) in ["GET", "HEAD", "POST", "DELETE"].into_iter().enumerate() {
            let request = caller().nonce(method).sign(&gateway.request(method, "/"));
            let mut connection = gateway.connect();
            connection.send(&request.bytes());
            let _ = connection.try_response_to(method);
            assert_eq!(
                served.load(Ordering::SeqCst),
                number + 1,
                "{method}: {answer}"
            );
        }
    }
}

/// An HTTP/2 backend that answers the first request with a head of these
/// fields and these pieces of a body, the last of which ends the stream.
fn over_frames(fields: Vec<(&'static str, String)>, pieces: &'static [&'static [u8]]) -> Upstream {
    Upstream::raw(move |stream, _| {
        h2::to_each_head(stream, &[], || {
            let mut block = Vec::new();
            for (name, value) in &fields {
                block.push(0x10);
                h2::literal(&mut block, name.as_bytes());
                h2::literal(&mut block, value.as_bytes());
            }
            let mut bytes = Vec::new();
            let mut kind = h2::HEADERS;
            let mut blocks = block.chunks(16_384).peekable();
            while let Some(block) = blocks.next() {
                let ends = if pieces.is_empty() && kind == h2::HEADERS {
                    h2::END_STREAM
                } else {
                    0
                };
                let last = if blocks.peek().is_none() {
                    h2::END_HEADERS
                } else {
                    0
                };
                h2::frame(&mut bytes, kind, ends | last, 1, block);
                kind = h2::CONTINUATION;
            }
            for (number, piece) in pieces.iter().enumerate() {
                let ends = if number + 1 == pieces.len() {
                    h2::END_STREAM
                } else {
                    0
                };
                h2::frame(&mut bytes, h2::DATA, ends, 1, piece);
            }
            bytes
        });
    })
}

#[test]
fn answers_that_break_off_are_no_flood_of_the_client_who_asks() {
    let upstream = Upstream::answering(|got, wire| {
        if got.target() == "/good" {
            return wire.answer(200, &[], b"hello");
        }
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe");
        wire.close();
    });
    let gateway = Setup::before(&upstream).start();
    let mut session = h2::Session::open(gateway.address(), &[]);
    let mut stream = 1;
    let get = |target: &str| caller().sign(&gateway.request("GET", target));
    for number in 0..400 {
        let has_body = number % 2 > 0;
        if has_body {
            let post = gateway.request("POST", "/broken").body("hi");
            let post = caller().nonce(&number.to_string()).sign(&post);
            session.head(stream, &post, false);
            session.frame(h2::DATA, h2::END_STREAM, stream, b"hi");
        } else {
            session.head(stream, &get("/broken"), true);
        }
        assert_eq!(session.answer(stream), (Some(200), false), "{number}");
        stream += 2;
    }
    session.head(stream, &get("/good"), true);
    assert_eq!(session.answer(stream), (Some(200), true));
}

#[test]
fn a_server_that_takes_no_more_requests_has_no_more_connections_for_it() {
    let open = Arc::new(AtomicUsize::new(0));
    let counter = open.clone();
    let upstream = Upstream::raw(move |stream, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        h2::to_each_head(stream, &[], || {
            let mut bytes = Vec::new();
            // SETTINGS_MAX_CONCURRENT_STREAMS of none.
            h2::frame(&mut bytes, h2::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]);
            let mut block = vec![0x10];
            h2::literal(&mut block, b":status");
            h2::literal(&mut block, b"204");
            let flags = h2::END_STREAM | h2::END_HEADERS;
            h2::frame(&mut bytes, h2::HEADERS, flags, 1, &block);
            bytes
        });
        counter.fetch_sub(1, Ordering::SeqCst);
    });
    let gateway = Setup::before(&upstream)
        .upstream("protocol = \"http2\"")
        .start();
    for number in 0..20 {
        let request = caller()
            .nonce(&number.to_string())
            .sign(&gateway.request("GET", "/"));
        assert_eq!(gateway.send(&request).status, 204);
    }
    wait_until("connections that are let go of", || {
        open.load(Ordering::SeqCst) <= 2
    });
}

/// What becomes of it: nothing at all, if it breaks before its head has left.
fn of_frames(
    fields: Vec<(&'static str, String)>,
    pieces: &'static [&'static [u8]],
) -> Option<Response> {
    let upstream = over_frames(fields, pieces);
    let gateway = Setup::before(&upstream)
        .upstream("protocol = \"http2\"")
        .start();
    let mut connection = gateway.connect();
    connection.send(&ask(&gateway, "/").bytes());
    let response = connection.try_response_to("POST");
    assert_eq!(upstream.connections(), 1, "asked again");
    response
}

#[test]
fn over_http_2_an_answer_without_a_body_may_end_in_a_frame_of_its_own() {
    for (status, length) in [
        ("304", None),
        ("304", Some("5")),
        ("204", None),
        ("200", Some("0")),
    ] {
        let length = length.map(|length| ("content-length", length.to_owned()));
        let fields = std::iter::once((":status", status.to_owned())).chain(length);
        let upstream = over_frames(fields.collect(), &[b""]);
        let gateway = Setup::before(&upstream)
            .upstream("protocol = \"http2\"")
            .start();
        let response = gateway.send(&ask(&gateway, "/"));
        assert_eq!(response.status.to_string(), status);
        let record = gateway.record(0);
        assert_eq!(record.get("cut"), None, "{record}");
    }
}

#[test]
fn over_http_2_what_is_no_answer_or_not_whole_has_no_clean_end() {
    const OK: &[&[u8]] = &[b"ok"];
    let ok = |fields: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let fields = fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        std::iter::once((":status", "200".to_owned()))
            .chain(fields)
            .collect()
    };
    let status = |status: &str| vec![(":status", status.to_owned())];
    let good = of_frames(ok(&[("content-length", "2"), ("x", "y")]), &[b"o", b"k"]);
    let good = good.unwrap();
    good.assert_passed();
    assert_eq!((good.text().as_str(), good.field("x")), ("ok", Some("y")));
    let ended_late = of_frames(ok(&[("content-length", "2")]), &[b"ok", b""]);
    assert_eq!(ended_late.unwrap().text(), "ok");
    let mut taken = Vec::new();
    for (fields, pieces) in [
        (Vec::new(), OK),
        (vec![("x", "y".to_owned())], OK),
        (status("99"), OK),
        (status("099"), OK),
        (status("600"), OK),
        (status("999"), OK),
        (status("abc"), OK),
        (status("101"), OK),
        (ok(&[(":status", "200")]), OK),
        (
            vec![("x", "y".to_owned()), (":status", "200".to_owned())],
            OK,
        ),
        (ok(&[("connection", "close")]), OK),
        (ok(&[("keep-alive", "timeout=5")]), OK),
        (ok(&[("transfer-encoding", "chunked")]), OK),
        (ok(&[("upgrade", "h2c")]), OK),
        (ok(&[("X-Upper", "y")]), OK),
        (ok(&[("x y", "y")]), OK),
        (ok(&[("x", "a\0b")]), OK),
        (ok(&[("x", "a\rb")]), OK),
        (ok(&[("x", "a\nb: c")]), OK),
        // Lengths.
        (ok(&[("content-length", "9")]), OK),
        (ok(&[("content-length", "9")]), &[]),
        (ok(&[("content-length", "1")]), OK),
        (ok(&[("content-length", "2")]), &[b"ok", b"!"]),
        (ok(&[("content-length", "2")]), &[b"ok", b"", b"!"]),
        (ok(&[("content-length", "2"), ("content-length", "3")]), OK),
        (ok(&[("content-length", "+2")]), OK),
        (ok(&[("content-length", "x")]), OK),
        // More than a head may have.
        (ok(&[("x", &"y".repeat(64 * KIB + 1))]), OK),
        (ok(&[("x", "y"); 201]), OK),
    ] {
        let shown = format!(
            "{:?}",
            fields
                .iter()
                .take(3)
                .map(|(name, value)| (name, &value[..value.len().min(20)]))
                .collect::<Vec<_>>()
        );
        let response = of_frames(fields, pieces);
        if response
            .as_ref()
            .is_some_and(|response| response.status != 502 && response.complete)
        {
            taken.push(format!("{shown}: {response:?}"));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

#[test]
fn a_connection_that_is_not_made_in_time_is_given_up() {
    // It takes the connection, and never says a word of its handshake.
    let upstream = Upstream::raw(|stream, _| {
        let mut rest = [0; 1024];
        while matches!(stream.read(&mut rest), Ok(n) if n > 0) {}
    });
    let server = format!("\"https://localhost:{}\"", upstream.address().port());
    let setup = Setup::with_servers(&server)
        .upstream("connect_timeout = \"100ms\"\ntls = { ca = \"file:ca.pem\" }");
    setup.write("ca.pem", Authority::new().pem().as_bytes());
    let gateway = setup.start();
    let response = gateway.send(&ask(&gateway, "/"));
    response.assert_refused(504, "upstream-timeout");
    let port = upstream.address().port();
    let late = format!("the upstream did not finish the TLS handshake in time: `localhost:{port}`");
    assert_eq!(gateway.record(0)["reason"], late.as_str());
}

#[test]
fn the_log_names_the_server_that_failed_and_what_it_failed_in() {
    let good = Upstream::start();
    for (number, status, kind, more) in [
        (0, 504, "the upstream did not answer in time", ""),
        (
            1,
            502,
            "the upstream gave no answer",
            ": the server closed the connection",
        ),
        (2, 502, "the upstream's answer is not valid", ": its head "),
        (
            3,
            200,
            "the upstream's answer is not valid",
            ": it broke off: ",
        ),
    ] {
        let bad = Upstream::answering(move |_, wire| match number {
            0 => wire.wait_for_close(),
            1 => wire.close(),
            2 => {
                wire.send(b"nonsense\r\n\r\n");
                wire.wait_for_close();
            }
            _ => {
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
                wire.close();
            }
        });
        let servers = [&good, &bad].map(|one| format!("\"http://{}\"", one.address()));
        let gateway = Setup::with_servers(&servers.join(", "))
            .server("workers = 1")
            .upstream("timeout = \"1s\"\nejection = \"off\"")
            .start();
        // Which of the two is asked is left to chance.
        let failed = (0..300).find_map(|n| {
            gateway.send(&ask(&gateway, &format!("/{n}")));
            let record = gateway.record(n);
            (record["status"] != 200 || record["cut"] == true).then_some(record)
        });
        let record = failed.expect("a request that came to the one that fails");
        let server = bad.address().to_string();
        assert_eq!(record["upstream"], server.as_str(), "{record}");
        assert_eq!(record["status"], status, "{record}");
        let reason = record["reason"].as_str().unwrap();
        let told = format!("{kind}: `{server}`{more}");
        assert!(reason.starts_with(&told), "{reason}");
    }
}
