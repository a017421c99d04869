//! Bytes that two readers could read differently, over raw sockets: each case
//! with a valid signature and without one. What matters: a clear answer or a
//! closed connection, nothing at the upstream, and the gateway lives on.

use crate::harness::{Connection, Gateway, Response, Setup, Token, Upstream, caller};

fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    (upstream, gateway)
}

/// The fields of a good signature for this request, as they go into a head.
fn proof(gateway: &Gateway, method: &str, target: &str) -> String {
    caller()
        .sign(&gateway.request(method, target))
        .fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect::<Vec<_>>()
        .concat()
}

/// What comes back for bytes as they stand; `None` for a closed connection.
fn ask(gateway: &Gateway, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(gateway.address());
    connection.send(bytes);
    connection.finish();
    connection.try_response_to("GET")
}

/// Fails unless `bytes` are answered with a refusal of this status, and nothing of them is forwarded.
#[track_caller]
fn assert_refused(gateway: &Gateway, upstream: &Upstream, bytes: &[u8], status: u16) {
    let before = upstream.heard().len();
    let mut connection = Connection::open(gateway.address());
    connection.send(bytes);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    let response = connection.response();
    assert_eq!(response.status, status, "{shown}\ngot {}", response.text());
    assert_eq!(
        response.field("content-type"),
        Some("application/problem+json"),
        "{shown}"
    );
    assert_eq!(
        upstream.heard().len(),
        before,
        "the upstream heard of\n{shown}"
    );
    gateway
        .send(&caller().sign(&gateway.request("GET", "/alive")))
        .assert_passed();
}

/// A head with these lines, once with a good signature for `method` and `target`, once without.
fn with_and_without_proof(
    gateway: &Gateway,
    method: &str,
    target: &str,
    lines: &str,
    body: &str,
) -> [Vec<u8>; 2] {
    [String::new(), proof(gateway, method, target)]
        .map(|proof| format!("{method} {target} HTTP/1.1\r\n{lines}{proof}\r\n{body}").into_bytes())
}

#[test]
fn two_framings_at_once_are_refused_and_the_connection_ends() {
    let (upstream, gateway) = gateway();
    let host = format!("Host: {}\r\n", gateway.address());
    for framing in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 3.0\r\n",
        "Content-Length:\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        let lines = format!("{host}{framing}");
        let body = "3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        for bytes in with_and_without_proof(&gateway, "POST", "/", &lines, body) {
            assert_refused(&gateway, &upstream, &bytes, 400);
            // Whatever follows is not read as a request: at most one answer, then the end.
            let mut connection = Connection::open(gateway.address());
            connection.send(&bytes);
            let _ = connection.try_response_to("POST");
            assert!(connection.is_closed(), "{framing}: the connection lives on");
        }
    }
}

#[test]
fn a_transfer_coding_in_http_1_0_is_refused() {
    let (upstream, gateway) = gateway();
    let proof = proof(&gateway, "POST", "/");
    for proof in ["", &proof] {
        let bytes = format!(
            "POST / HTTP/1.0\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n{proof}\r\n0\r\n\r\n",
            gateway.address()
        );
        assert_refused(&gateway, &upstream, bytes.as_bytes(), 400);
    }
}

#[test]
fn chunks_that_two_readers_could_read_differently_are_refused() {
    let (upstream, gateway) = gateway();
    let token = Token::new().text();
    for body in [
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \u{b}\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\n0\r\n\r\n",
    ] {
        let bytes = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nPortcullis-Token: {token}\r\n\r\n{body}",
            gateway.address()
        );
        let mut connection = Connection::open(gateway.address());
        connection.send(bytes.as_bytes());
        connection.finish();
        let response = connection.response_to("POST");
        assert_eq!(response.status, 400, "{body:?}: {response:?}");
        for place in 0..upstream.heard().len() {
            assert!(
                !upstream.got(place).complete,
                "{body:?} was taken for a whole body"
            );
        }
    }
}

#[test]
fn trailers_and_chunk_extensions_do_not_reach_the_upstream() {
    let chunked = |gateway: &Gateway, body: &str| {
        let bytes = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nTrailer: Portcullis-App\r\nPortcullis-Token: {}\r\n\r\n{body}",
            gateway.address(),
            Token::new().text()
        );
        ask(gateway, bytes.as_bytes()).expect("an answer")
    };
    // An extension is refused with the body that has it.
    let (upstream, gateway) = self::gateway();
    chunked(&gateway, "3;a=b;c=\"d\"\r\nabc\r\n0\r\n\r\n").assert_refused(400, "malformed-request");
    for place in 0..upstream.heard().len() {
        assert!(!upstream.got(place).complete);
    }
    // A trailer is dropped, and the body goes on without it.
    let (upstream, gateway) = self::gateway();
    let trailers = "Portcullis-App: forged\r\nX-End: 1\r\n";
    chunked(&gateway, &format!("3\r\nabc\r\n0\r\n{trailers}\r\n")).assert_passed();
    let got = upstream.only();
    assert!(got.complete);
    assert_eq!(got.body, b"abc");
    assert_eq!(got.field("portcullis-app"), Some("mobile"));
    for name in ["trailer", "x-end"] {
        assert_eq!(got.field(name), None, "{}", got.head);
    }
}

#[test]
fn exactly_one_good_host_is_needed() {
    let (upstream, gateway) = gateway();
    let host = gateway.address().to_string();
    for lines in [
        String::new(),
        format!("Host: {host}\r\nHost: {host}\r\n"),
        format!("Host: {host}\r\nhost: other.example\r\n"),
        "Host:\r\n".into(),
        "Host: a b\r\n".into(),
        "Host: user@a.example\r\n".into(),
        "Host: a.example/x\r\n".into(),
        "Host: a.example?x\r\n".into(),
        "Host: a.example#x\r\n".into(),
        "Host: a.example:x\r\n".into(),
        "Host: a.example:\r\n".into(),
        "Host: a.example:65536\r\n".into(),
        "Host: a.example:80:80\r\n".into(),
        "Host: a.example.\r\n".into(),
        "Host: a.example.:80\r\n".into(),
        "Host: .a.example\r\n".into(),
        "Host: a..example\r\n".into(),
        "Host: a.example, b.example\r\n".into(),
        "Host: [::1\r\n".into(),
        "Host: ::1\r\n".into(),
        "Host: [zz]\r\n".into(),
        "Host: http://a.example\r\n".into(),
        "Host: \u{e4}.example\r\n".into(),
        "Host: %61.example\r\n".into(),
    ] {
        for bytes in with_and_without_proof(&gateway, "GET", "/", &lines, "") {
            assert_refused(&gateway, &upstream, &bytes, 400);
        }
    }
    let without = format!("GET / HTTP/1.0\r\n{}\r\n", proof(&gateway, "GET", "/"));
    assert_refused(&gateway, &upstream, without.as_bytes(), 400);
}

#[test]
fn an_absolute_target_must_agree_with_host_and_is_forwarded_as_a_path() {
    let (upstream, gateway) = gateway();
    let host = gateway.address().to_string();
    let signed = caller().sign(&gateway.request("GET", "/orders?x=1"));
    let mut absolute = signed.clone();
    absolute.target = format!("http://{host}/orders?x=1");
    gateway.send(&absolute).assert_passed();
    assert_eq!(upstream.only().target(), "/orders?x=1");
    for target in [
        "http://other.example/orders?x=1",
        "http://user@{host}/orders?x=1",
        "ftp://{host}/orders?x=1",
        "http:///orders?x=1",
        "http:orders?x=1",
        "//{host}/orders?x=1",
        "orders?x=1",
        "{host}",
        "*",
        "",
        "?x=1",
        "./orders",
    ] {
        let mut request = signed.clone();
        request.target = target.replace("{host}", &host);
        assert_refused(&gateway, &upstream, &request.bytes(), 400);
    }
}

#[test]
fn methods_that_reach_no_resource_are_refused() {
    let (upstream, gateway) = gateway();
    let host = gateway.address();
    for line in [
        format!("CONNECT {host} HTTP/1.1"),
        "CONNECT other.example:443 HTTP/1.1".into(),
        "TRACE / HTTP/1.1".into(),
        "GET * HTTP/1.1".into(),
        "get / HTTP/1.1".into(),
        "GeT / HTTP/1.1".into(),
        "G@T / HTTP/1.1".into(),
        "GET\t/ HTTP/1.1".into(),
        "GET  / HTTP/1.1".into(),
        "GET / HTTP/1.2".into(),
        "GET / HTTP/2.0".into(),
        "GET / HTTP/0.9".into(),
        "GET /".into(),
        "GET / http/1.1".into(),
        "GET / HTTP/1.1 ".into(),
        " GET / HTTP/1.1".into(),
        "PRI * HTTP/1.1".into(),
    ] {
        for proof in [String::new(), proof(&gateway, "GET", "/")] {
            let bytes = format!("{line}\r\nHost: {host}\r\n{proof}\r\n");
            assert_refused(&gateway, &upstream, bytes.as_bytes(), 400);
        }
    }
    // An unknown method is a method: it goes to the route, which has the last word.
    let before = upstream.heard().len();
    let signed = caller().sign(&gateway.request("TRACK", "/"));
    gateway.send(&signed).assert_passed();
    assert_eq!(upstream.got(before).line(), "TRACK / HTTP/1.1");
}

#[test]
fn heads_have_bounds_on_every_side() {
    let (upstream, gateway) = gateway();
    let host = format!("Host: {}\r\n", gateway.address());
    let long_target = format!("/{}", "a".repeat(8 * 1024));
    let long_query = format!("/?{}", "a".repeat(8 * 1024));
    for target in [long_target, long_query, format!("/{}", "a".repeat(100_000))] {
        for bytes in with_and_without_proof(&gateway, "GET", &target, &host, "") {
            assert_refused(&gateway, &upstream, &bytes, 414);
        }
    }
    let fields = |count: usize, value: &str| {
        let fields = (0..count).map(|n| format!("X-{n}: {value}\r\n"));
        fields.collect::<Vec<_>>().concat()
    };
    let many = fields(101, "1");
    let large = format!("X-Large: {}\r\n", "a".repeat(33 * 1024));
    let sum = fields(40, &"a".repeat(1000));
    let huge = format!("X-Large: {}\r\n", "a".repeat(1 << 20));
    for lines in [many, large, sum, huge] {
        let lines = format!("{host}{lines}");
        for bytes in with_and_without_proof(&gateway, "GET", "/", &lines, "") {
            assert_refused(&gateway, &upstream, &bytes, 431);
        }
    }
    // Just inside is inside.
    let fields = fields(90, "1");
    let target = format!("/{}", "a".repeat(8000));
    let bytes = format!(
        "GET {target} HTTP/1.1\r\n{host}{}{fields}\r\n",
        proof(&gateway, "GET", &target)
    );
    ask(&gateway, bytes.as_bytes()).unwrap().assert_passed();
}

#[test]
fn bytes_that_do_not_belong_into_a_head_are_refused() {
    let (upstream, gateway) = gateway();
    let host = format!("Host: {}\r\n", gateway.address());
    let proof = proof(&gateway, "GET", "/");
    for lines in [
        &b"X: a\0b\r\n"[..],
        b"X: a\rb\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\x01b\r\n",
        b"X: a\x7fb\r\n",
        b"X\0: a\r\n",
        b"X y: a\r\n",
        b"X : a\r\n",
        b"X\t: a\r\n",
        b": a\r\n",
        b"X\r\n",
        b"X: a\r\n folded\r\n",
        b"X: a\r\n\tfolded\r\n",
        b" X: a\r\n",
        b"X\xe4: a\r\n",
        b"(X): a\r\n",
    ] {
        for proof in ["", proof.as_str()] {
            let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
            bytes.extend_from_slice(host.as_bytes());
            bytes.extend_from_slice(lines);
            bytes.extend_from_slice(proof.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            assert_refused(&gateway, &upstream, &bytes, 400);
        }
    }
}

#[test]
fn bare_line_feeds_end_no_line() {
    let (upstream, gateway) = gateway();
    let request = caller().sign(&gateway.request("GET", "/")).bytes();
    let text = String::from_utf8(request).unwrap();
    let all = text.replace("\r\n", "\n");
    assert_refused(&gateway, &upstream, all.as_bytes(), 400);
    let first = text.replacen("\r\n", "\n", 1);
    assert_refused(&gateway, &upstream, first.as_bytes(), 400);
}

#[test]
fn targets_with_two_readings_are_refused_as_ambiguous() {
    let (upstream, gateway) = gateway();
    let host = format!("Host: {}\r\n", gateway.address());
    for target in [
        "/orders/../admin",
        "/orders/..",
        "/./orders",
        "/orders/.",
        "/orders/./x",
        "/..",
        "/.",
        "/orders/%2e%2e/admin",
        "/orders/%2E./admin",
        "/orders/.%2e/admin",
        "/%2e/orders",
        "/orders/%2e",
        "//orders",
        "/orders//x",
        "/orders///",
        "//",
        "/orders\\admin",
        "/\\x/admin",
        "/%5Cx/admin",
        "/\t/x/admin",
        "/%09/x/admin",
        "/.//x/admin",
        "/%2e//x/admin",
        "/%2Fx/admin",
        "/orders\\..\\admin",
        "/orders/%2fadmin",
        "/orders/%2Fadmin",
        "/orders/%5cadmin",
        "/orders/%5C..",
        "/orders/%00",
        "/orders%00.png",
        "/orders/%0a",
        "/orders/%0d%0aX:y",
        "/orders/%1f",
        "/orders/%7f",
        "/orders/%",
        "/orders/%2",
        "/orders/%zz",
        "/orders/%u002e",
        "/orders/%%32%66",
        "/orders/%c0%ae",
        "/orders/%c0%af",
        "/orders/%e0%80%af",
        "/orders/%ff",
        "/orders/%80",
        "/orders/%ed%a0%80",
        "/orders/%f8%80%80%80%af",
        "/orders/..;/admin",
        "/orders/..;x=1/admin",
        "/orders/.;/x",
        "/orders/%2e%2e;/admin",
        "/orders/{x}",
        "/orders/|x",
        "/orders/\"x",
        "/orders/<x>",
        "/orders/^x",
        "/orders/`x",
        "/orders/\u{e4}",
    ] {
        for bytes in with_and_without_proof(&gateway, "GET", target, &host, "") {
            assert_refused(&gateway, &upstream, &bytes, 400);
            let response = ask(&gateway, &bytes).expect("an answer");
            assert!(
                ["ambiguous-path", "malformed-request"].contains(&response.code().as_str()),
                "{target}: {}",
                response.text()
            );
        }
    }
    for target in [
        "/orders#x",
        "/orders?x#y",
        "/#",
        "/orders?a\u{e4}",
        "/orders?a b",
        "/orders?a\"b",
        "/orders?a\0",
    ] {
        for bytes in with_and_without_proof(&gateway, "GET", target, &host, "") {
            assert_refused(&gateway, &upstream, &bytes, 400);
        }
    }
}

#[test]
fn the_legacy_encoding_of_a_route_lets_two_spellings_through_byte_for_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .route("path_encoding = \"legacy\"")
        .start();
    for (number, target) in ["/a//b", "/a%2Fb", "/a%2fb//"].into_iter().enumerate() {
        gateway
            .send(&caller().sign(&gateway.request("GET", target)))
            .assert_passed();
        assert_eq!(upstream.got(number).target(), target);
    }
    for target in [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a%5cb",
        "/a%00",
        "/.//x/b",
        "/%2e//x/b",
        "/%5Cx/b",
    ] {
        gateway
            .send(&caller().sign(&gateway.request("GET", target)))
            .assert_refused(400, "ambiguous-path");
    }
}

#[test]
fn the_record_of_a_refused_path_names_it_and_never_its_query() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let request = gateway.request("GET", "/a/../b?secret=canary");
    gateway.send(&request).assert_refused(400, "ambiguous-path");
    let record = gateway.record(0);
    assert_eq!(record["path"], "/a/../b");
    assert!(!record.to_string().contains("canary"), "{record}");
}

#[test]
fn no_spelling_of_a_guarded_path_passes_as_another_routes() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .routes(
            "[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"public\"]\npath_encoding = \"legacy\"\n\
             [[routes]]\nname = \"admin\"\npath = \"/a/admin/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"cancel\"\npath = \"/jobs:cancel\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"me\"\npath = \"/@me/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"year\"\npath = \"/lake/year=2024/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"month\"\npath = \"/lake/m%3D1/**\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"star\"\npath = \"/star/%2A\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n",
        )
        .start();
    for target in [
        "/a//admin/x",
        "//a/admin",
        "/a%2Fadmin/x",
        "/a%2fadmin%2fx",
        "/a/admin%2Fx",
        "/a%2F%2Fadmin",
        "/a/admin;v=1/x",
        "/a;/admin",
        "/a/;x/admin",
        "/a/admin%3bx",
        "/%61/%61dmin;x",
        "/a//admin;x%2Fy",
        // Decoded before parameters are cut off.
        "/a;x%2Fadmin",
        "/a%3bx%2Fadmin/y",
        // What can stand plain is escaped.
        "/jobs%3Acancel;v=1",
        "/jobs%3Acancel%3Bv=1",
        "//jobs%3Acancel",
        "/;x/jobs%3Acancel",
        "/%40me%2Fx",
        "/@me%3B/x",
        // Taken for a URL: what follows `//` is a host then.
        "//x/a/admin",
        "//x/a/admin/x",
        "//x:80/a/admin",
        "//u@x/a/admin/x",
        "//x;/a/admin",
        "//x/a/admin;v=1/x",
        "///x/a/admin/x",
        "///a/admin",
        "//x//a//admin",
        "//x//y/a/admin",
        "/%2Fx/a/admin",
        "//x%2Fa/admin",
        "//;/%40me",
        "/;y/x/a/admin",
        // Decoded before a query is cut off.
        "/a/admin%3Fx",
        "/a/admin%3f/y",
        "/a/admin%23",
        "/a%2Fadmin%3Fx",
        "//x/a/admin%3Fx",
        "/jobs%3Acancel%3F",
        "/jobs:cancel%23%3Fx",
        "/;x%3Fy/jobs:cancel%3F",
    ] {
        gateway
            .send(&gateway.request("GET", target))
            .assert_refused(400, "ambiguous-path");
    }
    for target in [
        "/a/admin/x",
        "/jobs:cancel",
        "/jobs%3Acancel",
        "/jobs%3acancel",
        "/%6aobs%3Acancel",
        "/@me/%40you",
        "/%40me",
        "/%40me/x",
        "/%40%6de/;x",
        "/lake/year=2024/x",
        "/lake/year%3D2024/x",
        "/lake/m=1/x",
        "/lake/m%3D1/x",
        "/star/*",
        "/star/%2a",
    ] {
        gateway
            .send(&gateway.request("GET", target))
            .assert_refused(401, "credential-missing");
    }
    upstream.assert_silent();
    // Signers of S3 escape all but unreserved characters: the route is theirs, too.
    let escaped = gateway.request("GET", "/lake/year%3D2024/x");
    gateway.send(&caller().sign(&escaped)).assert_passed();
    assert_eq!(
        upstream.heard().pop().unwrap().target(),
        "/lake/year%3D2024/x"
    );
    for target in [
        "/a//b",
        "/a%2Fb;x",
        "/a/b;v=1",
        "/a/administrator",
        "//a",
        "//x/y",
        "///x/a/administrator",
        "/x//a/admin",
        "/a/administrator%3Fx",
        "/a%3Fx/admin%23y",
        "/a/%3F",
        "/jobs%3Arun",
        "/jobs%253Acancel",
        "/a%40b.c/%21%24%26%27%28%29%2A%2B%2C%3B%3D",
    ] {
        gateway
            .send(&gateway.request("GET", target))
            .assert_passed();
        assert_eq!(upstream.heard().pop().unwrap().target(), target);
    }
}

#[test]
fn no_escape_of_what_ends_a_path_carries_a_request_past_the_route_that_guards_it() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .routes(
            "[[routes]]\nname = \"all\"\npath = \"/**\"\nupstream = \"backend\"\naccept = [\"public\"]\n\
             [[routes]]\nname = \"admin\"\npath = \"/admin\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n\
             [[routes]]\nname = \"secret\"\npath = \"/users/*/secret\"\nupstream = \"backend\"\naccept = [\"http-signature\"]\n",
        )
        .start();
    for target in [
        "/admin%3Fx",
        "/admin%3f",
        "/admin%23x",
        "/admin%3Fx/y",
        "/admin%3Fx%23",
        "/%61dmin%3Fx?y",
        "/admin;x%3Fy",
        "/admin%3B%3F/x",
        "/admin;v%3Fx/y",
        "/users/1/secret%3F",
        "/users/1/secret%23",
        // The one ends it, and the other is of a name.
        "/users/1%23/secret%3Fx",
        "/users/1%3F/secret%23x",
    ] {
        gateway
            .send(&gateway.request("GET", target))
            .assert_refused(400, "ambiguous-path");
    }
    upstream.assert_silent();
    for target in [
        "/admin2%3Fx",
        "/x%3F/admin",
        "/admin%253Fx",
        "/users/1/secrets%3F",
        "/users/a%3Fb/c%23d",
        "/%3F",
        "/%23",
    ] {
        gateway
            .send(&gateway.request("GET", target))
            .assert_passed();
        assert_eq!(upstream.heard().pop().unwrap().target(), target);
    }
}

#[test]
fn the_connection_field_cannot_take_away_what_was_proven() {
    let (upstream, gateway) = gateway();
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Authorization",
        "Signature",
        "signature-input",
        "Content-Digest",
        "Portcullis-App",
        "portcullis-scopes",
        "Portcullis-Token",
        "Cookie",
        "Content-Type",
    ] {
        for value in [
            name.to_owned(),
            format!("close, {name}"),
            format!("{name},keep-alive"),
        ] {
            let request = caller()
                .sign(&gateway.request("GET", "/"))
                .field("Connection", &value);
            assert_refused(&gateway, &upstream, &request.bytes(), 400);
        }
    }
    let request = caller()
        .sign(&gateway.request("GET", "/").field("X-Signed", "1"))
        .field(
            "Connection",
            "Forwarded, X-Forwarded-For, Via, X-Request-Id",
        );
    if gateway.send(&request).status == 200 {
        let got = upstream.heard().pop().unwrap();
        assert_eq!(
            got.field("x-forwarded-for"),
            Some("127.0.0.1"),
            "{}",
            got.head
        );
    }
}

#[test]
fn a_covered_field_cannot_be_dropped_on_the_way() {
    let (upstream, gateway) = gateway();
    let signer = caller().covering(&["@method", "@target-uri", "x-tenant"]);
    let request = signer
        .sign(&gateway.request("GET", "/").field("X-Tenant", "7"))
        .field("Connection", "X-Tenant");
    let response = gateway.send(&request);
    assert_ne!(
        response.status, 200,
        "the upstream would not see the tenant that was signed"
    );
    upstream.assert_silent();
}

#[test]
fn connection_names_a_bounded_number_of_fields() {
    let (upstream, gateway) = gateway();
    for (names, statuses) in [(32, 200), (33, 400)] {
        let list = vec!["x"; names].join(",");
        let request = caller().sign(&gateway.request("GET", "/").field("Connection", &list));
        assert_eq!(gateway.send(&request).status, statuses);
    }
    assert_eq!(upstream.heard().len(), 1);
}

#[test]
fn fields_that_may_stand_once_are_refused_twice() {
    let (upstream, gateway) = gateway();
    for (name, value) in [
        ("Authorization", "Bearer x"),
        ("Content-Type", "text/plain"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("X-Amz-Date", "20210420T020755Z"),
        ("DPoP", "x"),
        ("Expect", "100-continue"),
    ] {
        let request = caller().sign(
            &gateway
                .request("GET", "/")
                .field(name, value)
                .field(&name.to_lowercase(), value),
        );
        assert_refused(&gateway, &upstream, &request.bytes(), 400);
    }
    let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    let request = gateway
        .request("POST", "/")
        .field("Content-Digest", digest)
        .field(
            "Content-Digest",
            "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        )
        .body("{\"hello\": \"world\"}");
    for request in [caller().sign(&request), request] {
        assert_refused(&gateway, &upstream, &request.bytes(), 400);
    }
}

#[test]
fn an_expectation_that_we_do_not_know_is_refused() {
    let (upstream, gateway) = gateway();
    for value in ["200-ok", "100-continue, x", "x", ""] {
        let request = caller()
            .sign(&gateway.request("POST", "/"))
            .field("Expect", value);
        assert_refused(&gateway, &upstream, &request.bytes(), 417);
    }
}

#[test]
fn no_byte_passes_in_another_protocol() {
    let (upstream, gateway) = gateway();
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: upgrade\r\nUpgrade: anything\r\n",
    ] {
        let bytes = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\n{lines}{}\r\n",
            gateway.address(),
            proof(&gateway, "GET", "/")
        );
        let response = ask(&gateway, bytes.as_bytes()).expect("an answer");
        assert!(
            [200, 400, 426].contains(&response.status),
            "{lines}: {}",
            response.text()
        );
        for got in upstream.heard() {
            for name in ["upgrade", "http2-settings"] {
                assert_eq!(got.field(name), None, "{}", got.head);
            }
        }
    }
}

#[test]
fn what_is_no_http_at_all_is_refused_or_closed() {
    let (upstream, gateway) = gateway();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"SSH-2.0-x\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\r\n\r\n\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let response = ask(&gateway, bytes).expect("an answer");
        assert_eq!(response.status, 400, "{response:?}");
    }
    // Who leaves before the end of a head has asked for nothing.
    for bytes in [&b"GET"[..], b""] {
        assert!(ask(&gateway, bytes).is_none());
    }
    upstream.assert_silent();
    gateway
        .send(&caller().sign(&gateway.request("GET", "/")))
        .assert_passed();
}

#[test]
fn every_refusal_of_bytes_is_logged_with_its_reason() {
    let (_upstream, gateway) = gateway();
    ask(&gateway, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        .unwrap()
        .assert_refused(400, "malformed-request");
    ask(&gateway, b"GET / HTTP/1.1\r\nX : a\r\n\r\n");
    for number in 0..2 {
        let record = gateway.record(number);
        assert_eq!(record["status"], 400, "{record}");
        assert_eq!(record["code"], "malformed-request", "{record}");
        assert!(
            record["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{record}"
        );
    }
}

mod http_2 {
    //! The same rules, over HTTP/2.

    use super::{Gateway, Setup, Upstream, caller, gateway};
    use crate::harness::curl::h2c;
    use crate::harness::h2::{self, fields, lower};

    /// The status that comes back; `None` for a reset.
    fn ask(gateway: &Gateway, fields: &[(&str, &str)], body: Option<&[u8]>) -> Option<u16> {
        h2::ask(gateway.address(), fields, body).map(|response| response.status)
    }

    #[test]
    fn a_signed_request_passes() {
        let (upstream, gateway) = gateway();
        let request = caller().sign(&gateway.request("GET", "/orders?x=1"));
        let lower = lower(&request);
        assert_eq!(ask(&gateway, &fields(&request, &lower), None), Some(200));
        let got = upstream.only();
        assert_eq!(got.line(), "GET /orders?x=1 HTTP/1.1");
        assert_eq!(got.field("host"), Some(request.authority.as_str()));
    }

    #[test]
    fn fields_that_belong_to_a_connection_or_break_a_message_are_refused() {
        let upstream = Upstream::start();
        // Without a proof, and open to all, so that nothing but the head itself is refused.
        let gateway = Setup::before(&upstream)
            .route("accept = [\"public\"]")
            .start();
        let request = gateway.request("GET", "/");
        let authority = request.authority.as_str();
        let base = fields(&request, &[]);
        let and = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
        let with = |place: usize, field: (&'static str, &'static str)| {
            let mut changed = base.clone();
            changed[place] = field;
            changed
        };
        let without = |place: usize| [&base[..place], &base[place + 1..]].concat();
        let [method, scheme, host, path] = [0, 1, 2, 3];
        let reset = vec![
            and(&[("connection", "x")]),
            and(&[("transfer-encoding", "chunked")]),
            and(&[("keep-alive", "1")]),
            and(&[("proxy-connection", "x")]),
            and(&[("upgrade", "h2c")]),
            and(&[("te", "gzip")]),
            and(&[("X-Upper", "1")]),
            and(&[("x y", "1")]),
            and(&[("x", "a\r\nb: c")]),
            and(&[("x", "a\0b")]),
            and(&[("x", "a\nb")]),
            and(&[(":path", "/other")]),
            and(&[(":unknown", "x")]),
            and(&[(":status", "200")]),
            and(&[("content-length", "5")]),
            without(method),
            without(scheme),
            without(path),
            [&[("x", "1")][..], &base[..]].concat(),
            with(method, (":method", "CONNECT")),
            with(path, (":path", "")),
            with(path, (":path", "orders")),
            with(path, (":path", "/a b")),
            with(host, (":authority", "a b")),
            with(host, (":authority", "")),
        ];
        let answered = vec![
            and(&[("host", "other.example")]),
            [&base[..], &[("host", authority), ("host", authority)]].concat(),
            and(&[("x_y", "1")]),
            and(&[("x", " a")]),
            and(&[("x", "a ")]),
            and(&[("x", "\ta")]),
            without(host),
            with(method, (":method", "get")),
            with(method, (":method", "TRACE")),
            with(path, (":path", "*")),
            with(path, (":path", "/a/../b")),
            with(path, (":path", "/\u{e4}")),
            with(host, (":authority", "user@a.example")),
        ];
        for (status, cases) in [(None, reset), (Some(400), answered)] {
            for case in cases {
                assert_eq!(ask(&gateway, &case, None), status, "{case:?}");
                assert!(upstream.heard().is_empty(), "{case:?} reached the upstream");
            }
        }
        assert_eq!(ask(&gateway, &base, None), Some(200));
        // In trailers pseudo-fields are dropped with them.
        let mut session = h2::Session::open(gateway.address(), &[]);
        let upload = gateway.request("POST", "/").body("hi");
        session.head(1, &upload, false);
        session.frame(h2::DATA, 0, 1, b"hi");
        let mut trailers = Vec::new();
        h2::head_on(&mut trailers, 1, &[(":path", "/other")], true);
        session.send(&trailers);
        assert_eq!(session.answer(1), (Some(200), true));
        let got = upstream.got(1);
        assert_eq!((got.line(), &got.body[..]), ("POST / HTTP/1.1", &b"hi"[..]));
    }

    #[test]
    fn heads_have_the_same_bounds() {
        let (upstream, gateway) = gateway();
        let request = caller().sign(&gateway.request("GET", "/"));
        let proof = lower(&request);
        let base = fields(&request, &proof);
        let long = format!("/{}", "a".repeat(8 * 1024));
        let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let large = "a".repeat(33 * 1024);
        let long = [&base[..3], &[(":path", long.as_str())], &base[4..]].concat();
        let many = [&base[..], &many].concat();
        let large = [&base[..], &[("x", large.as_str())]].concat();
        let cases = [
            (long, 414, "uri-too-long"),
            (many, 431, "headers-too-large"),
            (large, 431, "headers-too-large"),
        ];
        for (place, (fields, status, code)) in cases.iter().enumerate() {
            let answer = h2::ask(gateway.address(), fields, None).expect("an answer");
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (*status, &(*code).into())
            );
            assert_eq!(gateway.record(place)["code"], *code);
        }
        upstream.assert_silent();
    }

    #[test]
    fn a_length_that_differs_from_the_data_is_refused() {
        let (upstream, gateway) = gateway();
        let request = caller().sign(&gateway.request("POST", "/").body("hello"));
        let mut proof = lower(&request);
        for length in ["4", "6", "0", "x", "5, 5"] {
            proof.retain(|(name, _)| name != "content-length");
            proof.push(("content-length".into(), length.into()));
            let answer = ask(&gateway, &fields(&request, &proof), Some(b"hello"));
            assert!(
                answer.is_none_or(|status| (400..500).contains(&status)),
                "{length}: {answer:?}"
            );
        }
        for place in 0..upstream.heard().len() {
            assert!(!upstream.got(place).complete);
        }
    }

    #[test]
    fn several_cookie_fields_are_joined() {
        let (upstream, gateway) = gateway();
        let request = caller().sign(&gateway.request("GET", "/"));
        let proof = lower(&request);
        let fields = [
            fields(&request, &proof),
            vec![("cookie", "a=1"), ("cookie", "b=2")],
        ]
        .concat();
        assert_eq!(ask(&gateway, &fields, None), Some(200));
        assert_eq!(upstream.only().field("cookie"), Some("a=1; b=2"));
    }

    #[test]
    fn refusals_have_the_same_form() {
        let (upstream, gateway) = gateway();
        let response = h2c(&gateway.request("GET", "/"), gateway.address());
        response.assert_refused(401, "credential-missing");
        assert!(response.field("accept-signature").is_some());
        upstream.assert_silent();
    }

    #[test]
    fn a_wrong_body_never_completes_at_the_upstream() {
        for policy in ["before-forwarding", "while-forwarding"] {
            let upstream = Upstream::start();
            let gateway = Setup::before(&upstream)
                .route(&format!(
                    "body = {{ limit = \"1 MiB\", verify = \"{policy}\" }}"
                ))
                .start();
            let mut request = caller().sign(&gateway.request("POST", "/").body(vec![b'x'; 60_000]));
            request.body = Some(vec![b'y'; 60_000]);
            let response = h2::send(&request, gateway.address());
            assert_eq!(response.json()["code"], "digest-mismatch");
            for place in 0..upstream.heard().len() {
                assert!(!upstream.got(place).complete);
            }
        }
    }
}
