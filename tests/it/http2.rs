//! HTTP/2 by hand, frame by frame: what is cheap to send must not be dear to
//! serve. Memory, streams and the upstream's work are bounded, the connection
//! ends, and everybody else is served on.

use crate::harness::h2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    INITIAL_WINDOW, PING, PRIORITY, RST_STREAM, SETTINGS, Session, WINDOW_UPDATE,
};
use crate::harness::{Binary, Connection, DEADLINE, Gateway, Request, Setup, Upstream, caller};
use crate::overload::{QUEUED, wait_for};
use crate::slow_clients::setup;
use std::net::SocketAddr;

/// Streams at a time on a connection.
const STREAMS: u32 = 100;
/// Requests of one connection that an upstream may be at work on.
const AT_WORK: usize = 2 * STREAMS as usize;
/// What one connection may cost.
const MEMORY: u64 = 16 << 20;
/// The flag of a frame that is longer than what it brings.
const PADDED: u8 = 8;
/// What is told of connections.
const FLOODS: &str = "portcullis_connections_closed_flood_total ";
const REFUSED_HEADS: &str = "portcullis_http2_heads_refused_total ";
/// What is told of a request whose connection we end.
const ENDED: &str = "\"reason\":\"its connection was ended by us";

/// The same request with a good signature and, on a public route, without one.
fn both(gateway: &Gateway, method: &str, path: &str) -> [Request; 2] {
    [
        caller().sign(&gateway.request(method, path)),
        gateway.request(method, &format!("/public{path}")),
    ]
}

/// The same request, once more: a signature is good for one.
fn again(gateway: &Gateway, request: &Request) -> Request {
    if request.target.starts_with("/public") {
        request.clone()
    } else {
        caller().sign(&gateway.request(&request.method, &request.target))
    }
}

fn assert_alive(gateway: &Gateway) {
    gateway
        .send(&caller().sign(&gateway.request("GET", "/alive")))
        .assert_passed();
}

/// Streams of a client: 1, 3, 5…
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// A gateway that could have more requests at the upstream than one client may.
fn before_many(upstream: &Upstream) -> Gateway {
    setup(upstream)
        .upstream("max_connections = 5_000")
        .server("workers = 1")
        .start()
}

/// Opens all streams there may be, waits until the upstream has their
/// requests, and ends them by `end`; again and again, until the connection ends.
fn reset_on_dispatch(
    request: &Request,
    address: SocketAddr,
    upstream: &Upstream,
    end: fn(&mut Session, u32),
) -> Option<u32> {
    let mut session = Session::open(address, &[]);
    let mut ids = streams();
    for _ in 0..20 {
        let batch: Vec<u32> = ids.by_ref().take(STREAMS as usize).collect();
        let before = upstream.heard().len();
        for id in &batch {
            session.head(*id, request, true);
        }
        if let Some(error) = session.pong_or_goodbye() {
            return Some(error);
        }
        upstream.wait_for_head((before + batch.len()).min(AT_WORK) - 1);
        for id in &batch {
            end(&mut session, *id);
        }
        // What comes behind must not be dispatched either.
        if let Some(error) = session.pong_or_goodbye() {
            return Some(error);
        }
    }
    session.goodbye()
}

/// Whatever ends the streams, the connection ends, and the upstream had a bounded number.
fn nothing_piles_up(end: fn(&mut Session, u32)) {
    for proven in [0, 1] {
        let (_release, upstream) = Upstream::held();
        let gateway = before_many(&upstream);
        let request = &both(&gateway, "GET", "/held")[proven];
        let error = reset_on_dispatch(request, gateway.address(), &upstream, end);
        assert_eq!(error, Some(ENHANCE_YOUR_CALM));
        let heard = upstream.heard().len();
        assert!(heard <= AT_WORK, "{heard} requests reached the upstream");
    }
}

#[test]
fn requests_that_are_reset_on_dispatch_pile_up_at_no_upstream() {
    nothing_piles_up(|session, id| {
        session.reset(id);
    });
}

#[test]
fn requests_that_we_are_made_to_reset_pile_up_at_no_upstream() {
    // More than a window can be: an error of the stream, which we have to reset.
    nothing_piles_up(|session, id| {
        session.open_window(id, 0x7fff_ffff);
    });
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    for proven in [0, 1] {
        let (_release, upstream) = Upstream::held();
        let gateway = before_many(&upstream);
        let request = &both(&gateway, "GET", "/held")[proven];
        let mut session = Session::open(gateway.address(), &[]);
        let mut bytes = Vec::new();
        for id in streams().take(2_000) {
            h2::put_request(&mut bytes, id, request, true);
            h2::frame(&mut bytes, RST_STREAM, 0, id, &h2::CANCEL.to_be_bytes());
        }
        session.send(&bytes);
        assert_eq!(session.goodbye(), Some(ENHANCE_YOUR_CALM));
        let heard = upstream.heard().len();
        assert!(heard <= AT_WORK, "{heard} requests reached the upstream");
    }
}

#[test]
fn a_client_may_give_up_on_some_of_its_requests() {
    let (held, upstream) = (Upstream::held(), Upstream::start());
    let gateway = Setup::before(&held.1)
        .routes(&format!(
            "[[routes]]\nname = \"held\"\npath = \"/held\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"quick\"\npath = \"/quick\"\nupstream = \"quick\"\naccept = [\"http-signature\"]\n\
             [upstreams.quick]\nservers = [\"http://{}\"]\n",
            upstream.address()
        ))
        .start();
    let given_up = caller().sign(&gateway.request("GET", "/held"));
    let wanted = caller().sign(&gateway.request("GET", "/quick"));
    let mut session = Session::open(gateway.address(), &[]);
    let mut ids = streams();
    for place in 0..60 {
        let id = ids.next().unwrap();
        session.head(id, &given_up, true);
        held.1.wait_for_head(place);
        session.reset(id);
        let id = ids.next().unwrap();
        session.head(id, &wanted, true);
        assert_eq!(session.answer(id), (Some(200), true));
    }
}

#[test]
fn a_reset_stream_cancels_its_request_at_the_upstream_and_no_other() {
    let (cancelled, upstream) = Upstream::silent_at("/held");
    let gateway = setup(&upstream).start();
    for request in both(&gateway, "GET", "/held") {
        let before = upstream.heard().len();
        let mut session = Session::open(gateway.address(), &[]);
        session.head(1, &request, true);
        upstream.wait_for_head(before);
        session.reset(1);
        cancelled.recv_timeout(DEADLINE).unwrap();
        session.head(3, &caller().sign(&gateway.request("GET", "/")), true);
        assert_eq!(session.answer(3), (Some(200), true));
    }
}

/// Sends `flood` again and again until the connection ends.
fn until_the_end(session: &mut Session, flood: &[u8]) {
    // What the systems at both ends keep in their buffers takes a while to fill.
    const MOST: usize = 256 << 20;
    let mut sent = 0;
    while session.send(flood) {
        sent += flood.len();
        assert!(sent < MOST, "the connection lives on after {sent} bytes");
    }
}

/// The binary, warm, and how much memory it had.
fn warm(upstream: &Upstream) -> (Binary, u64) {
    let binary = setup(upstream).server("workers = 1").spawn();
    for _ in 0..20 {
        binary.send(&signed_now(&binary, "/warm")).assert_passed();
        let answer = h2::send(&signed_now(&binary, "/warm"), binary.address());
        assert_eq!(answer.status, 200);
    }
    let memory = binary.peak_memory();
    (binary, memory)
}

fn signed_now(binary: &Binary, path: &str) -> Request {
    caller()
        .at(Binary::now())
        .sign(&binary.request("GET", path))
}

fn assert_frugal(binary: &mut Binary, before: u64, what: &str) {
    let now = binary.peak_memory();
    let more = now.saturating_sub(before);
    assert!(more < MEMORY, "{what} cost {more} bytes");
    assert!(binary.is_running(), "{what} ended the process");
    binary.send(&signed_now(binary, "/alive")).assert_passed();
}

/// Frames of which one costs next to nothing.
fn cheap_frames() -> [(&'static str, Vec<u8>); 10] {
    let settings = [0, 1, 0, 0, 0, 0];
    let padded = [5, 0, 0, 0, 0, 0];
    let ends = "ends of a stream that we reset";
    let padded_ends = "padded ends of a stream that we reset";
    let cases: [(&str, u8, u8, u32, &[u8]); 10] = [
        ("pings", PING, 0, 0, &[0; 8]),
        ("settings", SETTINGS, 0, 0, &[]),
        ("settings that change something", SETTINGS, 0, 0, &settings),
        ("priorities", PRIORITY, 0, 3, &[0, 0, 0, 1, 7]),
        ("windows", WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ("resets of what is over", RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        ("frames of no known kind", 0xbe, 0, 0, &[]),
        ("empty data", DATA, 0, 5, &[]),
        (ends, DATA, END_STREAM, 3, &[]),
        (padded_ends, DATA, END_STREAM | PADDED, 3, &padded),
    ];
    cases.map(|(what, kind, flags, stream, payload)| {
        let mut bytes = Vec::new();
        for _ in 0..1_000 {
            h2::frame(&mut bytes, kind, flags, stream, payload);
        }
        (what, bytes)
    })
}

/// A connection with a request behind it, one that we reset, and an upload that never ends.
fn with_an_upload(address: SocketAddr, quick: &Request) -> Session {
    let mut session = Session::open(address, &[]);
    session.head(1, quick, true);
    assert_eq!(session.answer(1), (Some(200), true));
    let upload = Request::new("POST", "/public/upload").to(address);
    session.head(3, &upload.clone().field("connection", "close"), false);
    session.wait_for(RST_STREAM, 3);
    let upload = upload.body("x");
    session.head(5, &upload, false);
    session
}

#[test]
fn floods_of_frames_that_are_no_request_cost_no_memory_and_end_the_connection() {
    let upstream = Upstream::start();
    let (mut binary, before) = warm(&upstream);
    for (what, flood) in cheap_frames() {
        let mut session = with_an_upload(binary.address(), &signed_now(&binary, "/warm"));
        // The answers to them are read by nobody.
        until_the_end(&mut session, &flood);
        assert_frugal(&mut binary, before, what);
    }
}

#[test]
fn a_flood_is_told_to_calm_down() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    for (what, flood) in cheap_frames() {
        let mut session = with_an_upload(gateway.address(), &both(&gateway, "GET", "/")[0]);
        for _ in 0..20 {
            session.send(&flood);
        }
        assert_eq!(session.goodbye(), Some(ENHANCE_YOUR_CALM), "{what}");
        assert_alive(&gateway);
    }
    wait_for(&gateway, FLOODS, cheap_frames().len() as u64);
}

#[test]
fn what_is_in_flight_on_a_connection_that_we_end_is_told_from_what_a_client_left() {
    let (_release, upstream) = Upstream::held();
    let gateway = before_many(&upstream);
    let held = &both(&gateway, "GET", "/held")[1];
    let (mut pings, mut empty) = (Vec::new(), Vec::new());
    for _ in 0..10_000 {
        h2::frame(&mut pings, PING, 0, 0, &[0; 8]);
    }
    // The library ends it over these.
    let upload = gateway.request("POST", "/public/upload").body("x");
    h2::put_request(&mut empty, 3, &upload, false);
    for _ in 0..101 {
        h2::frame(&mut empty, DATA, 0, 3, &[]);
    }
    for (place, flood) in [pings, empty].iter().enumerate() {
        let mut session = Session::open(gateway.address(), &[]);
        session.head(1, held, true);
        upstream.wait_for_head(place);
        session.send(flood);
        assert_eq!(session.goodbye(), Some(ENHANCE_YOUR_CALM));
    }
    gateway.log().wait_for_count(ENDED, 2);
    wait_for(&gateway, FLOODS, 2);
    let mut session = Session::open(gateway.address(), &[]);
    session.head(1, held, true);
    upstream.wait_for_head(2);
    drop(session);
    let left = gateway
        .log()
        .wait_for("the client's going", |line| line.contains("client went"));
    assert!(left.contains("\"status\":499"), "{left}");
}

#[test]
fn a_hundred_empty_frames_within_bodies_are_all_that_a_connection_may_bring() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let request = gateway.request("POST", "/public/").body("hi");
    let mut session = Session::open(gateway.address(), &[]);
    let unanswered = streams().take(102).find(|id| {
        session.head(*id, &request, false);
        session.frame(DATA, 0, *id, &[]);
        session.frame(DATA, END_STREAM, *id, b"hi");
        session.answer(*id) != (Some(200), true)
    });
    assert_eq!(unanswered, streams().nth(100));
}

#[test]
fn behind_fifty_empty_frames_within_bodies_a_client_is_told_to_come_with_another_connection() {
    let (allow, upstream) = Upstream::held();
    let gateway = setup(&upstream).start();
    let request = gateway.request("POST", "/public/").body("hi");
    let mut session = Session::open(gateway.address(), &[]);
    for (place, id) in streams().take(50).enumerate() {
        session.head(id, &request, false);
        session.frame(DATA, 0, id, &[]);
        session.frame(DATA, END_STREAM, id, b"hi");
        upstream.wait_for_head(place);
        if place == 49 {
            assert_eq!(session.goodbye(), Some(0));
        }
        allow.send(()).unwrap();
        // Without a goodbye before the last one, which is answered as well.
        session.wait_for(HEADERS, id);
    }
}

/// One request at a time; others wait for their place, so that their bodies stay unread.
const ONE_IN_FLIGHT: &str = "[overload]\nin_flight = 1\nqueue = 100\nqueue_timeout = \"1h\"\n";

/// Takes the only place there is, at an upstream that has heard so many before.
fn take_the_place(address: SocketAddr, upstream: &Upstream, before: usize) -> Connection {
    let mut connection = Connection::open(address);
    let held = Request::new("GET", "/public/held").to(address);
    connection.send(&held.bytes());
    upstream.wait_for_head(before);
    connection
}

/// A session with an upload that nobody reads.
fn with_an_unread_upload(gateway: &Gateway) -> Session {
    let upload = gateway.request("POST", "/public/").body(vec![b'x'; 65_535]);
    let mut session = Session::open(gateway.address(), &[]);
    session.head(1, &upload, false);
    wait_for(gateway, QUEUED, 1);
    session
}

fn small_data(bytes: &mut Vec<u8>, stream: u32, frames: usize, each: &[u8]) {
    for _ in 0..frames {
        h2::frame(bytes, DATA, 0, stream, each);
    }
}

#[test]
fn four_thousand_small_frames_that_nobody_has_read_are_all_that_a_connection_may_bring() {
    let (_release, upstream) = Upstream::held();
    let gateway = setup(&upstream).more(ONE_IN_FLIGHT).start();
    let _first = take_the_place(gateway.address(), &upstream, 0);
    let mut session = with_an_unread_upload(&gateway);
    // Its window would hold sixteen times as many.
    let mut small = Vec::new();
    small_data(&mut small, 1, 4_112, b"x");
    session.send(&small);
    assert!(session.settle(), "it ended sooner");
    session.frame(DATA, 0, 1, b"x");
    assert_eq!(session.goodbye(), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn a_window_full_of_small_messages_that_nobody_has_read_ends_no_connection() {
    let (_release, upstream) = Upstream::held();
    let gateway = setup(&upstream).more(ONE_IN_FLIGHT).start();
    let _first = take_the_place(gateway.address(), &upstream, 0);
    // Of eleven bytes and of twenty, behind the five that gRPC puts before them.
    for each in [16, 25] {
        let mut session = with_an_unread_upload(&gateway);
        let mut small = Vec::new();
        small_data(&mut small, 1, 65_535 / each, &vec![b'x'; each]);
        session.send(&small);
        assert!(session.settle(), "{each} bytes each");
        // Whoever waits goes, so that the next one is seen.
        session.reset(1);
        wait_for(&gateway, QUEUED, 0);
    }
}

#[test]
fn small_messages_that_are_read_as_they_come_end_no_connection_however_fast_they_are() {
    const CALLS: usize = 10;
    const MESSAGES: usize = 6_500;
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let body = vec![b'x'; 10 * MESSAGES];
    let upload = gateway.request("POST", "/public/").body(body);
    let mut session = Session::open(gateway.address(), &[]);
    let mut rest = Vec::new();
    for (place, id) in streams().take(CALLS).enumerate() {
        session.head(id, &upload, false);
        session.frame(DATA, 0, id, &[b'x'; 10]);
        upstream.wait_for_body(place, 10);
        small_data(&mut rest, id, MESSAGES - 2, &[b'x'; 10]);
        h2::frame(&mut rest, DATA, END_STREAM, id, &[b'x'; 10]);
    }
    session.send(&rest);
    let mut ended = 0;
    while ended < CALLS {
        let frame = session.next().expect("the connection ended");
        assert!(![RST_STREAM, GOAWAY].contains(&frame.kind), "{frame:?}");
        ended += usize::from(frame.ends());
    }
    for place in 0..CALLS {
        assert!(upstream.got(place).complete);
    }
}

#[test]
fn bodies_that_nobody_reads_cost_little_memory() {
    let (_release, upstream) = Upstream::held_but("/warm");
    let binary = setup(&upstream)
        .server("workers = 1")
        .more(ONE_IN_FLIGHT)
        .spawn();
    binary.send(&signed_now(&binary, "/warm")).assert_passed();
    let before = binary.peak_memory();
    let _first = take_the_place(binary.address(), &upstream, 1);
    let upload = binary.request("POST", "/public/").body(vec![b'x'; 60_000]);
    let mut session = Session::open(binary.address(), &[]);
    let mut bytes = Vec::new();
    for id in streams().take(40) {
        h2::put_request(&mut bytes, id, &upload, false);
        // What is long makes up for what is short.
        for _ in 0..3 {
            h2::frame(&mut bytes, DATA, 0, id, &[b'x'; 16_384]);
        }
        small_data(&mut bytes, id, 250, b"x");
    }
    session.send(&bytes);
    assert!(session.settle(), "the connection ended");
    let more = binary.peak_memory().saturating_sub(before);
    assert!(more < MEMORY, "the bodies cost {more} bytes");
}

#[test]
fn many_requests_and_windows_are_no_flood() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    let mut session = Session::open(gateway.address(), &[]);
    let request = caller().sign(&gateway.request("GET", "/"));
    for id in streams().take(3_000) {
        session.head(id, &request, true);
        session.open_window(id, 1_000);
        session.open_window(0, 1_000);
        assert_eq!(session.answer(id), (Some(200), true));
    }
}

#[test]
fn a_client_that_answers_each_of_many_small_messages_is_no_flood() {
    const MESSAGES: usize = 10_000;
    let upstream = Upstream::answering(|_, wire| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(b"14\r\nxxxxxxxxxxxxxxxxxxxx\r\n".repeat(MESSAGES));
        bytes.extend(b"0\r\n\r\n");
        wire.send(&bytes);
    });
    let gateway = setup(&upstream).start();
    for request in both(&gateway, "GET", "/stream") {
        // So many are on their way at a time.
        let mut session = Session::open(gateway.address(), &[(INITIAL_WINDOW, 500 * 20)]);
        session.open_window(0, 1 << 20);
        session.head(1, &request, true);
        let (mut messages, mut answers) = (0, Vec::new());
        loop {
            let frame = session.next().expect("the connection ended");
            assert_ne!(frame.kind, GOAWAY, "after {messages} messages");
            if frame.ends() {
                break;
            }
            if frame.kind == DATA {
                messages += 1;
                let bytes = frame.payload.len() as u32;
                h2::frame(&mut answers, WINDOW_UPDATE, 0, 1, &bytes.to_be_bytes());
                // As gRPC's clients do to learn how much their way to us holds.
                h2::frame(&mut answers, PING, 0, 0, &[0; 8]);
                if messages % 100 == 0 {
                    session.send(&std::mem::take(&mut answers));
                }
            }
        }
        assert!(messages >= MESSAGES, "{messages}");
    }
}

#[test]
fn streams_above_the_bound_are_refused_and_a_flood_of_them_ends_the_connection() {
    let (_release, upstream) = Upstream::held();
    let gateway = setup(&upstream)
        .upstream("max_connections = 5_000")
        .server("workers = 1")
        .start();
    let request = &both(&gateway, "GET", "/held")[0];
    let mut session = Session::open(gateway.address(), &[]);
    for id in streams().take(STREAMS as usize + 1) {
        session.head(id, request, true);
    }
    let refused = session.wait_for(RST_STREAM, 2 * STREAMS + 1);
    assert_eq!(refused.error(), 7, "{refused:?}");
    let mut flood = Vec::new();
    for id in streams().skip(STREAMS as usize + 1).take(20_000) {
        h2::put_request(&mut flood, id, request, true);
    }
    session.send(&flood);
    assert_eq!(session.goodbye(), Some(ENHANCE_YOUR_CALM));
    assert!(upstream.heard().len() <= STREAMS as usize);
}

#[test]
fn heads_that_never_end_are_cut_off() {
    let upstream = Upstream::start();
    let (mut binary, before) = warm(&upstream);
    // With fields, and with nothing at all in each frame.
    for payload in [literal_field("x", &"y".repeat(1_000)), Vec::new()] {
        let mut session = Session::open(binary.address(), &[]);
        session.frame(HEADERS, END_STREAM, 1, &payload);
        let mut flood = Vec::new();
        for _ in 0..16 {
            h2::frame(&mut flood, CONTINUATION, 0, 1, &payload);
        }
        until_the_end(&mut session, &flood);
        assert_frugal(&mut binary, before, "a head that never ends");
    }
    assert_eq!(upstream.heard().len(), 42, "only the good requests");
}

fn literal_field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x10];
    h2::literal(&mut block, name.as_bytes());
    h2::literal(&mut block, value.as_bytes());
    block
}

/// The first field of the table that grows, behind 61 fixed ones.
const INDEXED: u8 = 0x80 + 62;

/// A head with one indexed field, for others to follow that refer to it by [`INDEXED`].
fn growing(value: &str) -> Vec<u8> {
    // The four pseudo-fields, the path as a literal; then `x: value`, indexed.
    let mut block = vec![0x82, 0x86, 0x41];
    h2::literal(&mut block, b"a.example");
    block.push(0x04);
    h2::literal(&mut block, b"/public/bomb");
    block.push(0x40);
    h2::literal(&mut block, b"x");
    h2::literal(&mut block, value.as_bytes());
    block
}

/// One that refers to it as often as a frame can, a byte each.
fn bomb(value: &str) -> Vec<u8> {
    let mut block = growing(value);
    block.resize(16_384, INDEXED);
    block
}

#[test]
fn heads_that_the_library_refuses_are_counted_and_too_many_of_them_end_the_connection() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).start();
    // More than 48 KiB, unpacked: we refuse only what is less.
    let mut block = growing(&"y".repeat(3_900));
    block.resize(block.len() + 15, INDEXED);
    let mut session = Session::open(gateway.address(), &[]);
    session.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    assert_eq!(session.answer(1), (Some(431), true));
    assert!(session.settle());
    wait_for(&gateway, REFUSED_HEADS, 1);
    let ended = streams().skip(1).take(1_000).find_map(|id| {
        session.frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
        session.pong_or_goodbye()
    });
    assert_eq!(ended, Some(ENHANCE_YOUR_CALM));
    wait_for(&gateway, FLOODS, 1);
    upstream.assert_silent();
    assert_alive(&gateway);
}

#[test]
fn a_head_that_stops_ends_the_connection_in_time() {
    let (_release, upstream) = Upstream::held();
    let gateway = setup(&upstream).server("head_timeout = \"300ms\"").start();
    let mut session = Session::open(gateway.address(), &[]);
    session.head(1, &both(&gateway, "GET", "/held")[0], true);
    upstream.wait_for_head(0);
    session.frame(HEADERS, END_STREAM, 3, &literal_field("x", "y"));
    assert!(session.goodbye().is_some());
    let record = gateway.record(0);
    assert_eq!(record["status"], 499, "{record}");
    assert!(record.to_string().contains(ENDED), "{record}");
    wait_for(&gateway, REFUSED_HEADS, 1);
}

#[test]
fn heads_that_grow_when_unpacked_cost_little_memory_also_when_no_window_is_opened() {
    let upstream = Upstream::start();
    let (mut binary, before) = warm(&upstream);
    for value in [String::new(), "y".repeat(1_000), "y".repeat(3_900)] {
        for window in [0, 65_535] {
            let mut session = Session::open(binary.address(), &[(INITIAL_WINDOW, window)]);
            let block = bomb(&value);
            for id in streams().take(1_000) {
                if !session.frame(HEADERS, END_HEADERS | END_STREAM, id, &block) {
                    break;
                }
            }
            session.settle();
            assert_frugal(
                &mut binary,
                before,
                &format!("a bomb of {} bytes, window {window}", value.len()),
            );
        }
    }
    assert!(
        upstream
            .heard()
            .iter()
            .all(|got| !got.head.contains("bomb"))
    );
}

#[test]
fn answers_that_nobody_takes_cost_little_memory_and_are_reset_in_time() {
    let upstream = Upstream::answering(|_, wire| wire.answer(200, &[], &vec![b'x'; 1 << 20]));
    let binary = setup(&upstream)
        .server("workers = 1\nwrite_timeout = \"1s\"")
        .spawn();
    binary.send(&signed_now(&binary, "/warm")).assert_passed();
    let before = binary.peak_memory();
    let mut session = Session::open(binary.address(), &[(INITIAL_WINDOW, 0)]);
    let signed = signed_now(&binary, "/large");
    let public = binary.request("GET", "/public/large");
    for (id, place) in streams().zip(0..STREAMS) {
        let request = if place % 2 == 0 { &signed } else { &public };
        session.head(id, request, true);
    }
    let mut reset = 0;
    while reset < STREAMS {
        let frame = session.next().expect("the connection ended");
        reset += u32::from(frame.kind == RST_STREAM);
    }
    let more = binary.peak_memory().saturating_sub(before);
    assert!(more < MEMORY, "the answers cost {more} bytes");
}

#[test]
fn a_stream_whose_window_stays_shut_is_reset_and_its_upstream_let_go() {
    let (closed, upstream) = Upstream::endless_at("/endless");
    let gateway = setup(&upstream).server("write_timeout = \"300ms\"").start();
    for request in both(&gateway, "GET", "/endless") {
        let mut session = Session::open(gateway.address(), &[]);
        session.head(1, &request, true);
        let reset = session.wait_for(RST_STREAM, 1);
        assert_eq!(reset.error(), h2::CANCEL);
        closed.recv_timeout(DEADLINE).unwrap();
        // Only the stream: what it took of the connection's window is given anew.
        session.open_window(0, 65_535);
        session.head(3, &caller().sign(&gateway.request("GET", "/")), true);
        assert_eq!(session.answer(3), (Some(200), true));
    }
}

/// Answers 9,000 bytes, which say before how many they are or do not.
fn small_answers() -> Upstream {
    Upstream::answering(|got, wire| {
        let body = [b'x'; 9_000];
        if got.target().ends_with("/chunked") {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2328\r\n";
            wire.send(&[head, &body[..], b"\r\n0\r\n\r\n"].concat());
        } else {
            wire.answer(200, &[], &body);
        }
    })
}

#[test]
fn an_answer_of_one_piece_is_waited_for_no_longer_than_a_large_one() {
    let upstream = small_answers();
    let gateway = setup(&upstream).server("write_timeout = \"300ms\"").start();
    for path in ["/small", "/chunked"] {
        for request in both(&gateway, "GET", path) {
            // No room on the stream.
            for window in [0, 1, 8_999] {
                let mut session = Session::open(gateway.address(), &[(INITIAL_WINDOW, window)]);
                session.head(1, &again(&gateway, &request), true);
                assert_eq!(session.wait_for(RST_STREAM, 1).error(), h2::CANCEL);
            }
            // None on the connection: seven fit, and no eighth.
            let mut session = Session::open(gateway.address(), &[]);
            for id in streams().take(7) {
                session.head(id, &again(&gateway, &request), true);
                assert_eq!(session.answer(id), (Some(200), true));
            }
            session.head(15, &again(&gateway, &request), true);
            assert_eq!(session.wait_for(RST_STREAM, 15).error(), h2::CANCEL);
        }
    }
}

#[test]
fn a_window_that_just_fits_is_enough_for_an_answer() {
    let upstream = small_answers();
    let gateway = setup(&upstream).start();
    for path in ["/small", "/chunked"] {
        for request in both(&gateway, "GET", path) {
            for first in [9_000, 1] {
                let mut session = Session::open(gateway.address(), &[(INITIAL_WINDOW, first)]);
                session.head(1, &again(&gateway, &request), true);
                if first < 9_000 {
                    session.open_window(1, 9_000 - first);
                }
                assert_eq!(session.answer(1), (Some(200), true));
            }
        }
    }
}

#[test]
fn a_window_that_opens_byte_by_byte_is_too_slow() {
    let (closed, upstream) = Upstream::endless_at("/endless");
    let gateway = setup(&upstream)
        .server("min_rate = \"1 GiB/s\"\nmin_rate_grace = \"300ms\"")
        .start();
    let pace = caller().sign(&gateway.request("HEAD", "/"));
    for request in both(&gateway, "GET", "/endless") {
        let mut session = Session::open(gateway.address(), &[(INITIAL_WINDOW, 1)]);
        session.head(1, &request, true);
        for id in streams().skip(1) {
            session.open_window(1, 1);
            if session.round(id, &pace).kind == RST_STREAM {
                break;
            }
        }
        closed.recv_timeout(DEADLINE).unwrap();
    }
}

#[test]
fn a_client_that_takes_its_answer_in_small_steps_gets_all_of_it() {
    let upstream = Upstream::answering(|_, wire| wire.answer(200, &[], &vec![b'x'; 100_000]));
    let gateway = setup(&upstream).start();
    for request in both(&gateway, "GET", "/large") {
        let mut session = Session::open(gateway.address(), &[(INITIAL_WINDOW, 100)]);
        session.open_window(0, 1 << 20);
        session.head(1, &request, true);
        let mut got = 0;
        loop {
            let frame = session.next().expect("the connection ended");
            assert_ne!(frame.kind, RST_STREAM, "after {got} bytes");
            if frame.kind == DATA {
                got += frame.payload.len();
                session.open_window(1, frame.payload.len() as u32);
            }
            if frame.ends() {
                break;
            }
        }
        assert_eq!(got, 100_000);
    }
}

#[test]
fn a_body_that_does_not_come_is_a_408_and_other_streams_go_on() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).server("body_timeout = \"300ms\"").start();
    let with_body = |path: &str| gateway.request("POST", path).body("never comes");
    for request in [caller().sign(&with_body("/")), with_body("/public/")] {
        let mut session = Session::open(gateway.address(), &[]);
        session.head(1, &request, false);
        session.head(3, &caller().sign(&gateway.request("GET", "/")), true);
        assert_eq!(session.answer(3), (Some(200), true));
        assert_eq!(session.answer(1).0, Some(408));
    }
    assert!(
        upstream
            .heard()
            .iter()
            .all(|got| got.line().starts_with("GET") || !got.complete)
    );
}

#[test]
fn a_body_that_drips_is_too_slow() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .server("min_rate = \"1 GiB/s\"\nmin_rate_grace = \"300ms\"")
        .start();
    let with_body = |path: &str| gateway.request("POST", path).body(vec![b'x'; 1 << 20]);
    let pace = caller().sign(&gateway.request("HEAD", "/"));
    for request in [caller().sign(&with_body("/")), with_body("/public/")] {
        let mut session = Session::open(gateway.address(), &[]);
        session.head(1, &request, false);
        let answer = streams().skip(1).find_map(|id| {
            session.frame(DATA, 0, 1, b"x");
            let frame = session.round(id, &pace);
            (frame.stream == 1 && frame.kind == HEADERS).then(|| frame.status())
        });
        assert_eq!(answer, Some(408));
    }
    for place in 0..upstream.heard().len() {
        let got = upstream.got(place);
        assert!(got.line().starts_with("HEAD") || !got.complete);
    }
}

#[test]
fn a_request_that_crosses_the_goodbye_of_an_idle_connection_has_the_time_of_every_other() {
    let (allow, upstream) = Upstream::held();
    let gateway = setup(&upstream)
        .server("idle_timeout = \"300ms\"\nwrite_timeout = \"300ms\"")
        .start();
    for (place, request) in both(&gateway, "GET", "/").iter().enumerate() {
        let mut crossing = Session::open(gateway.address(), &[]);
        assert_eq!(crossing.goodbye(), Some(0));
        crossing.head(1, request, true);
        upstream.wait_for_head(place);
        // Another that is idle ends meanwhile, goodbye and all.
        let mut idle = Session::open(gateway.address(), &[]);
        while idle.next().is_some() {}
        allow.send(()).unwrap();
        assert_eq!(crossing.answer(1), (Some(200), true));
    }
}

#[test]
fn a_connection_without_requests_ends_whether_it_is_silent_or_pings() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream)
        .server("idle_timeout = \"500ms\"\nwrite_timeout = \"500ms\"")
        .start();
    for pings in [false, true] {
        for used in [false, true] {
            let mut session = Session::open(gateway.address(), &[]);
            if used {
                session.head(1, &caller().sign(&gateway.request("GET", "/")), true);
                assert_eq!(session.answer(1), (Some(200), true));
            }
            if pings {
                while session.settle() {}
            } else {
                assert_eq!(session.goodbye(), Some(0));
                while session.next().is_some() {}
            }
        }
    }
}
