//! Whom a request is from when a proxy stands before the gateway: PROXY
//! headers, and the fields of trusted proxies.

use crate::harness::curl::curl;
use crate::harness::{Connection, Gateway, Request, Response, Setup, Upstream, caller};
use std::path::Path;

/// One worker, so that records stand in the order of their requests.
const HERE: &str = "workers = 1\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"unix\"]";

fn request() -> Request {
    Request::new("GET", "/orders").authority("api.example.com")
}

fn signed() -> Request {
    caller().sign(&request())
}

/// A gateway that wants PROXY headers.
fn behind_proxies(upstream: &Upstream) -> Gateway {
    Setup::before(upstream)
        .server(HERE)
        .server("proxy_protocol = true\nhead_timeout = \"300ms\"")
        .start()
}

fn send(gateway: &Gateway, header: &[u8], request: &Request) -> Response {
    let mut connection = gateway.connect();
    connection.send(&[header, &request.bytes()].concat());
    connection.response()
}

fn binary(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [
        &b"\r\n\r\n\0\r\nQUIT\n"[..],
        &[command, kind],
        &length,
        rest,
    ]
    .concat()
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let page = gateway.ask_admin("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} in {page}"))
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn a_proxy_header_tells_whom_the_connection_is_from() {
    let upstream = Upstream::start();
    let gateway = behind_proxies(&upstream);
    let ipv4 = [192, 0, 2, 2, 10, 0, 0, 1, 1, 1, 0, 80];
    let with_more = [&ipv4[..], &[0xee, 0, 5, 1, 2, 3, 4, 5]].concat();
    let mapped = "::ffff:192.0.2.3".parse::<std::net::Ipv6Addr>().unwrap();
    let ipv6 = [&mapped.octets()[..], &[0; 20]].concat();
    for (n, (header, address)) in [
        (
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
            "192.0.2.1",
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n".to_vec(),
            "2001:db8::1",
        ),
        (binary(0x21, 0x11, &ipv4), "192.0.2.2"),
        (binary(0x21, 0x11, &with_more), "192.0.2.2"),
        (binary(0x21, 0x21, &ipv6), "192.0.2.3"),
    ]
    .into_iter()
    .enumerate()
    {
        // What a client behind the proxy says of itself counts for nothing.
        let request = signed().field("X-Forwarded-For", "6.6.6.6");
        send(&gateway, &header, &request).assert_passed();
        assert_eq!(gateway.record(n)["peer"], address);
        let got = upstream.got(n);
        let way = format!("{address}, 127.0.0.1");
        assert_eq!(got.field("x-forwarded-for"), Some(&*way));
        assert_eq!(got.values("x-forwarded-for").len(), 1);
    }
}

#[test]
fn a_proxy_header_of_the_second_version_tells_whether_the_caller_speaks_tls() {
    let upstream = Upstream::start();
    let gateway = behind_proxies(&upstream);
    let ipv4 = [192, 0, 2, 2, 10, 0, 0, 1, 1, 1, 0, 80];
    let with = |fields: &[u8]| binary(0x21, 0x11, &[&ipv4[..], fields].concat());
    for (n, (header, scheme)) in [
        (with(&[0x20, 0, 5, 1, 0, 0, 0, 0]), "https"),
        (with(&[0x20, 0, 5, 0, 0, 0, 0, 0]), "http"),
        (with(&[]), "http"),
        // A field that goes beyond the header tells nothing.
        (with(&[0x20, 0, 5, 1, 0, 0, 0]), "http"),
        // The first version cannot say it.
        (
            b"PROXY TCP4 192.0.2.2 10.0.0.1 257 443\r\n".to_vec(),
            "http",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = request();
        request.scheme = scheme;
        // The caller's own word counts for nothing.
        let request = caller().sign(&request).field("X-Forwarded-Proto", "https");
        send(&gateway, &header, &request).assert_passed();
        assert_eq!(gateway.record(n)["peer"], "192.0.2.2", "{n}");
        assert_eq!(gateway.record(n)["tls"], scheme == "https", "{n}");
        let got = upstream.got(n);
        assert_eq!(got.field("x-forwarded-proto"), Some(scheme), "{n}");
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_peer_and_one_that_hides_is_not_believed() {
    let upstream = Upstream::start();
    let gateway = behind_proxies(&upstream);
    let from_elsewhere = signed().field("X-Forwarded-For", "192.0.2.8");
    for (n, (header, address)) in [
        // It may speak for others by its fields, as without PROXY headers.
        (binary(0x20, 0x00, &[]), "192.0.2.8"),
        (binary(0x21, 0x00, &[]), "127.0.0.1"),
        (binary(0x21, 0x31, &[b'x'; 216]), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        // Another trusted proxy may as well.
        (
            b"PROXY TCP4 10.1.1.1 10.0.0.1 1 1\r\n".to_vec(),
            "192.0.2.8",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        send(&gateway, &header, &from_elsewhere).assert_passed();
        assert_eq!(gateway.record(n)["peer"], address, "{n}");
    }
    let way = upstream.got(4).field("x-forwarded-for").map(str::to_owned);
    assert_eq!(way.as_deref(), Some("192.0.2.8, 10.1.1.1, 127.0.0.1"));
}

#[test]
fn a_header_may_come_in_pieces_and_with_the_first_request_in_one() {
    let upstream = Upstream::start();
    let gateway = behind_proxies(&upstream);
    let header = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";
    let mut connection = gateway.connect();
    for piece in header.chunks(7) {
        connection.send(piece);
    }
    connection.send(&signed().bytes());
    connection.response().assert_passed();
    connection.send(&signed().bytes());
    connection.response().assert_passed();
    assert_eq!(gateway.record(1)["peer"], "192.0.2.1");
}

#[test]
fn curl_speaks_it_too_also_before_tls() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server(HERE)
        .server("proxy_protocol = true")
        .server("tls = { certificate = \"file:cert.pem\", key = \"file:key.pem\" }");
    let made = rcgen::generate_simple_self_signed(vec!["api.example.com".to_owned()]).unwrap();
    let authority = setup.write("cert.pem", made.cert.pem().as_bytes());
    setup.write("key.pem", made.signing_key.serialize_pem().as_bytes());
    let gateway = setup.start();
    let mut request = request();
    request.scheme = "https";
    for version in ["--http1.1", "--http2"] {
        let more = [
            "--haproxy-protocol",
            "--cacert",
            authority.to_str().unwrap(),
            version,
        ];
        let signed = caller()
            .sign(&request)
            .field("X-Forwarded-For", "192.0.2.7");
        curl(&signed, gateway.address(), &more).assert_passed();
    }
    // It tells our own address, which is trusted: so the field is read.
    assert_eq!(gateway.record(1)["peer"], "192.0.2.7");
    assert_eq!(gateway.record(1)["tls"], true);
    let way = upstream.got(1).field("x-forwarded-for").map(str::to_owned);
    assert_eq!(way.as_deref(), Some("192.0.2.7, 127.0.0.1, 127.0.0.1"));
}

#[test]
fn who_brings_no_header_is_not_served() {
    let upstream = Upstream::start();
    let gateway = behind_proxies(&upstream);
    let too_long = binary(0x21, 0x11, &[0; 521]);
    for bytes in [
        &request().bytes()[..],
        b"PROXY TCP4 192.0.2.1\r\n",
        b"PROXY TCP9 1.1.1.1 1.1.1.1 1 1\r\n",
        &binary(0x22, 0x11, &[0; 12]),
        &too_long[..16],
        &[b'P'; 600],
        // Never whole: the deadline of a head ends it.
        b"PROXY TCP4 192.0",
    ] {
        let mut connection = gateway.connect();
        connection.send(bytes);
        assert!(connection.is_closed(), "{bytes:?}");
    }
    // So it does for whoever says nothing.
    assert!(gateway.connect().is_closed());
    upstream.assert_silent();
    assert_eq!(
        metric(&gateway, "portcullis_connections_closed_proxy_header_total"),
        8
    );
    // The next one is served.
    send(&gateway, &binary(0x20, 0, &[]), &signed()).assert_passed();
}

#[test]
fn whoever_is_no_trusted_proxy_is_not_served_and_not_believed() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream)
        .server("trusted_proxies = [\"192.0.2.1\"]")
        .server("proxy_protocol = true");
    let gateway = setup.start();
    let mut connection = gateway.connect();
    connection.send(b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1\r\n");
    connection.send(&signed().bytes());
    assert!(connection.is_closed());
    upstream.assert_silent();
    assert_eq!(
        metric(&gateway, "portcullis_connections_closed_stranger_total"),
        1
    );
}

#[test]
fn without_proxy_protocol_a_header_is_no_request() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).server(HERE).start();
    send(
        &gateway,
        b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1\r\n",
        &signed(),
    )
    .assert_refused(400, "malformed-request");
    upstream.assert_silent();
}

#[test]
fn addresses_are_counted_from_the_right_and_what_the_backend_gets_is_ours() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).server(HERE).start();
    for (n, (field, address, way)) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1, 127.0.0.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1", "192.0.2.1, 127.0.0.1"),
        (
            "6.6.6.6, 192.0.2.1, 10.0.0.7",
            "192.0.2.1",
            "192.0.2.1, 10.0.0.7, 127.0.0.1",
        ),
        ("192.0.2.1, rubbish", "127.0.0.1", "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = signed()
            .field("X-Forwarded-For", field)
            .field("Forwarded", "for=7.7.7.7")
            .field("X-Real-IP", "8.8.8.8")
            .field("X-Forwarded-Host", "evil.example.com");
        gateway.send(&request).assert_passed();
        assert_eq!(gateway.record(n)["peer"], address, "{field}");
        let got = upstream.got(n);
        assert_eq!(got.values("x-forwarded-for"), [way]);
        assert_eq!(got.field("x-forwarded-host"), Some("api.example.com"));
        assert_eq!(got.field("x-real-ip"), None);
        let first = got.field("forwarded").unwrap().split(';').next();
        assert_eq!(first, Some(&*format!("for={address}")));
    }
    assert_eq!(metric(&gateway, "portcullis_forwarded_unreadable_total"), 1);
    let whole = upstream.got(2).field("forwarded").map(str::to_owned);
    assert_eq!(
        whole.as_deref(),
        Some("for=192.0.2.1;host=api.example.com;proto=http, for=10.0.0.7, for=127.0.0.1")
    );
}

#[test]
fn a_stranger_tells_nothing_of_whom_it_is_from() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server("trusted_proxies = [\"10.0.0.0/8\"]")
        .start();
    let request = signed()
        .field("X-Forwarded-For", "192.0.2.1")
        .field("X-Forwarded-Proto", "https");
    gateway.send(&request).assert_passed();
    let record = gateway.record(0);
    assert_eq!(
        (&record["peer"], &record["tls"]),
        (&"127.0.0.1".into(), &false.into())
    );
    assert_eq!(upstream.only().values("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn a_trusted_proxy_tells_the_scheme_that_is_signed_and_never_the_host() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).server(HERE).start();
    let sign = |scheme| {
        let mut request = request();
        request.scheme = scheme;
        let signer = caller().covering(&["@method", "@target-uri"]);
        signer
            .sign(&request)
            .field("X-Forwarded-For", "192.0.2.1")
            .field("X-Forwarded-Host", "other.example.com")
    };
    let told = |request: Request, scheme| gateway.send(&request.field("X-Forwarded-Proto", scheme));
    told(sign("https"), "https").assert_passed();
    told(sign("http"), "http").assert_passed();
    told(sign("http"), "https").assert_refused(401, "credential-rejected");
    assert_eq!(upstream.got(0).field("x-forwarded-proto"), Some("https"));
    assert_eq!(
        upstream.got(0).field("x-forwarded-host"),
        Some("api.example.com")
    );
    assert_eq!(gateway.record(0)["tls"], true);
}

#[test]
fn each_caller_behind_a_trusted_proxy_has_its_own_count() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server(HERE)
        .server("listen = [\"127.0.0.1:0\", \"unix:gate.sock\"]\nforwarded = \"forwarded\"")
        .peers("failures = { rate = \"1/h\", burst = 1 }")
        .start();
    let path = gateway.setup().path("gate.sock");
    let from = |address: &str| request().field("Forwarded", &format!("for={address}"));
    ask(&path, &from("192.0.2.1")).assert_refused(401, "credential-missing");
    ask(&path, &from("192.0.2.1")).assert_refused(429, "peer-limited");
    ask(&path, &from("192.0.2.2")).assert_refused(401, "credential-missing");
    assert_eq!(gateway.record(2)["peer"], "192.0.2.2");
    // Also when it comes by another way.
    gateway
        .send(&from("192.0.2.1"))
        .assert_refused(429, "peer-limited");
}

fn ask(path: &Path, request: &Request) -> Response {
    let mut connection = Connection::open_unix(path);
    connection.send(&request.bytes());
    connection.response()
}

#[test]
fn a_check_of_the_proxy_comes_in_when_nobody_else_does() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server(HERE)
        .server("proxy_protocol = true\nmax_connections = 1")
        .server("health_checkers = [\"127.0.0.1\", \"192.0.2.200\"]")
        .start();
    let open = |header: &[u8]| {
        let mut connection = gateway.connect();
        connection.send(&[header, &request().bytes()].concat());
        connection
    };
    let client = b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1\r\n";
    let served = |header: &[u8]| {
        let mut connection = open(header);
        connection
            .response()
            .assert_refused(401, "credential-missing");
        connection
    };
    let _held = served(client);
    // More than the reserve is large: they do not use it up.
    for _ in 0..20 {
        assert!(open(client).is_closed());
    }
    assert!(open(b"PROXY UNKNOWN\r\n").is_closed());
    let _checks = [
        served(&binary(0x20, 0x00, &[])),
        served(b"PROXY TCP4 192.0.2.200 10.0.0.1 1 1\r\n"),
    ];
    assert_eq!(
        metric(&gateway, "portcullis_connections_closed_full_total"),
        21
    );
}

#[test]
fn an_address_that_a_proxy_header_tells_has_its_cap() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .server(HERE)
        .server("proxy_protocol = true\nmax_connections_per_address = 2")
        .start();
    let open = |address: &str| {
        let mut connection = gateway.connect();
        let header = format!("PROXY TCP4 {address} 10.0.0.1 1 1\r\n");
        connection.send(header.as_bytes());
        connection.send(&request().bytes());
        connection
    };
    let mut held = [open("192.0.2.1"), open("192.0.2.1")];
    for connection in &mut held {
        connection
            .response()
            .assert_refused(401, "credential-missing");
    }
    assert!(open("192.0.2.1").is_closed());
    open("192.0.2.2")
        .response()
        .assert_refused(401, "credential-missing");
    assert_eq!(
        metric(&gateway, "portcullis_connections_closed_per_address_total"),
        1
    );
}
