use super::super::says::MAX_LENGTH;
use super::*;
use proptest::prelude::*;

/// Reads `bytes` as they grow piece by piece; `cuts` are where pieces end.
fn read(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Progress {
    let mut head = Head::default();
    for cut in cuts {
        match head.read(&bytes[..cut]) {
            Progress::More => {}
            done => return done,
        }
    }
    head.read(bytes)
}

/// Reads `bytes` whole, byte by byte, and cut in two at every place; all must say the same.
fn read_in_every_way(bytes: &[u8]) -> Progress {
    let whole = read(bytes, []);
    assert_eq!(read(bytes, 0..bytes.len()), whole, "byte by byte");
    // Enough for a long one: what matters is in front and at the end.
    let places = (0..bytes.len().min(400)).chain(bytes.len().saturating_sub(40)..bytes.len());
    for cut in places {
        assert_eq!(read(bytes, [cut]), whole, "cut at {cut}");
    }
    whole
}

fn complete(bytes: usize, body: Body) -> Progress {
    Progress::Complete { bytes, body }
}

#[test]
fn clean_heads_pass_however_they_arrive() {
    for (head, body) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Body::None),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Body::None),
        ("GET / HTTP/1.0\r\n\r\n", Body::None),
        ("OPTIONS * HTTP/1.1\r\nhost:a\r\n\r\n", Body::None),
        ("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", Body::None),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", Body::None),
        (
            "GET /a%2F//b|c\"{}?q=`^{}? HTTP/1.1\r\nHost: a\r\n\r\n",
            Body::None,
        ),
        (
            "GET / HTTP/1.1\r\nHost:\r\nX:  \t a \t\r\nY:\r\n\r\n",
            Body::None,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~0aZ: caf\u{e9}\r\n\r\n",
            Body::None,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            Body::None,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\ncontent-length:12 \r\n\r\n",
            Body::Length(12),
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
            Body::Length(MAX_LENGTH),
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            Body::Chunked,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\t\r\n\r\n",
            Body::Chunked,
        ),
    ] {
        let stream = [head.as_bytes(), b"12 more bytes"].concat();
        assert_eq!(
            read_in_every_way(&stream),
            complete(head.len(), body),
            "{head:?}"
        );
    }
}

#[test]
fn smuggling_and_other_malformed_heads_are_refused_however_they_arrive() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for (head, why) in [
        // Lines
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".into(), "LF without CR"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), "LF without CR"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".into(), "LF without CR"),
        (
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            "LF without CR",
        ),
        (
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            "more than one empty line",
        ),
        (
            "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            "method is not a token",
        ),
        (with("X: a\rY: b"), "control byte"),
        (with("X: a\r\r"), "control byte"),
        (with("X: a\r\n folded"), "folded"),
        (with("X: a\r\n\tfolded"), "folded"),
        (with(" X: a"), "folded"),
        // Names and values
        (with("X : a"), "space before the colon"),
        (with("X\t: a"), "space before the colon"),
        (with("Content-Length : 3"), "space before the colon"),
        (with(": a"), "no name"),
        (with("X"), "no colon"),
        (with("X Y: a"), "name of a field is not a token"),
        (with("X\0: a"), "name of a field is not a token"),
        (with("X\u{e9}: a"), "name of a field is not a token"),
        (with("(X): a"), "name of a field is not a token"),
        (with("\"X\": a"), "name of a field is not a token"),
        (with("X: a\0b"), "control byte"),
        (with("X: a\u{1}b"), "control byte"),
        (with("X: a\u{1b}[31m"), "control byte"),
        (with("X: a\u{7f}b"), "control byte"),
        // Length and coding
        (
            with("Content-Length: 3\r\nTransfer-Encoding: chunked"),
            "exclude",
        ),
        (
            with("Transfer-Encoding: chunked\r\nContent-Length: 3"),
            "exclude",
        ),
        (
            with("Transfer-Encoding: chunked\r\nContent-Length: 0"),
            "exclude",
        ),
        (
            with("Transfer-Encoding: gzip, chunked"),
            "only transfer coding",
        ),
        (
            with("Transfer-Encoding: chunked, identity"),
            "only transfer coding",
        ),
        (
            with("Transfer-Encoding: chunked, chunked"),
            "only transfer coding",
        ),
        (
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            "only transfer coding",
        ),
        (
            with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
            "only transfer coding",
        ),
        (
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"),
            "only transfer coding",
        ),
        (with("Transfer-Encoding: identity"), "only transfer coding"),
        (with("Transfer-Encoding: xchunked"), "only transfer coding"),
        (
            with("Transfer-Encoding: \"chunked\""),
            "only transfer coding",
        ),
        (
            with("Transfer-Encoding: chunked;q=1"),
            "only transfer coding",
        ),
        (with("Transfer-Encoding: ,chunked"), "only transfer coding"),
        (with("Transfer-Encoding:"), "only transfer coding"),
        (with("Transfer-Encoding: \u{b}chunked"), "control byte"),
        (
            with("Content-Length: 3\r\nContent-Length: 3"),
            "more than one `Content-Length`",
        ),
        (
            with("Content-Length: 3\r\ncontent-length: 4"),
            "more than one `Content-Length`",
        ),
        (with("Content-Length: 3, 3"), "not one number"),
        (with("Content-Length: 3,3"), "not one number"),
        (with("Content-Length: +3"), "not one number"),
        (with("Content-Length: -3"), "not one number"),
        (with("Content-Length: 0x3"), "not one number"),
        (with("Content-Length: 3 3"), "not one number"),
        (with("Content-Length: 3.0"), "not one number"),
        (with("Content-Length:"), "not one number"),
        (
            with("Content-Length: 9223372036854775808"),
            "not one number",
        ),
        (
            with("Content-Length: 18446744073709551619"),
            "not one number",
        ),
        (
            with("Content-Length: 00000000000000000003"),
            "not one number",
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "HTTP/1.0 has no",
        ),
        // Host
        ("GET / HTTP/1.1\r\n\r\n".into(), "no `Host`"),
        ("GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n".into(), "no `Host`"),
        (with("Host: a"), "more than one `Host`"),
        (with("HOST: b"), "more than one `Host`"),
        // Request line
        (line("GET /#fragment HTTP/1.1"), "holds a `#`"),
        (line("GET /?a#fragment HTTP/1.1"), "holds a `#`"),
        (line("GET http://a/#b HTTP/1.1"), "holds a `#`"),
        (line("GET # HTTP/1.1"), "holds a `#`"),
        (line("GET /a\0b HTTP/1.1"), "target holds a control byte"),
        (line("GET /a\tb HTTP/1.1"), "target holds a control byte"),
        (line("GET /a\rb HTTP/1.1"), "target holds a control byte"),
        (line("GET /a\u{7f} HTTP/1.1"), "target holds a control byte"),
        (line("GET /caf\u{e9} HTTP/1.1"), "not ASCII"),
        (line("GET /?caf\u{e9} HTTP/1.1"), "not ASCII"),
        (line("GET /a<b> HTTP/1.1"), "percent-encoded"),
        (line("GET /a` HTTP/1.1"), "percent-encoded"),
        (line("GET /?a=\"b\" HTTP/1.1"), "percent-encoded"),
        (line("GET a/b HTTP/1.1"), "neither a path nor"),
        (line("GET ? HTTP/1.1"), "neither a path nor"),
        (line("GET http:// HTTP/1.1"), "neither a path nor"),
        (line("GET http:///a HTTP/1.1"), "neither a path nor"),
        (line("GET http://a?b HTTP/1.1"), "neither a path nor"),
        (line("GET HTTP://a/ HTTP/1.1"), "neither a path nor"),
        (
            line("GET /a b HTTP/1.1"),
            "not a method, a target and a version",
        ),
        (
            line("GET /  HTTP/1.1"),
            "not a method, a target and a version",
        ),
        (
            line("GET  / HTTP/1.1"),
            "not a method, a target and a version",
        ),
        (line("GET"), "not a method, a target and a version"),
        (line("GET /"), "does not end in"),
        (line("GET / "), "does not end in"),
        (line("GET / HTTP/1.1 "), "does not end in"),
        (line("GET / HTTP/1.2"), "does not end in"),
        (line("GET / HTTP/2.0"), "does not end in"),
        (line("GET / HTTP/0.9"), "does not end in"),
        (line("GET / http/1.1"), "does not end in"),
        (line("GET / HTTP/1.10"), "does not end in"),
        (line("GET /\tHTTP/1.1"), "does not end in"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "does not end in"),
        (line("G\0T / HTTP/1.1"), "method is not a token"),
        (line("G\u{e9}T / HTTP/1.1"), "method is not a token"),
        (line("G(T / HTTP/1.1"), "method is not a token"),
        (line(" GET / HTTP/1.1"), "method is not a token"),
        ("\u{16}\u{3}\u{1}\u{2}".into(), "speaks TLS"),
        ("\u{16}\u{3}\u{1} \n".into(), "speaks TLS"),
        ("\u{15}\u{3}\u{1}\u{2}".into(), "method is not a token"),
        (
            line(&format!("{} / HTTP/1.1", "M".repeat(MAX_METHOD + 1))),
            "method is too long",
        ),
        ("M".repeat(MAX_REQUEST_LINE + 2), "method is too long"),
    ] {
        match read_in_every_way(head.as_bytes()) {
            Progress::Fault(Fault::Malformed(said)) => {
                assert!(said.contains(why), "{head:?}: {said}");
            }
            other => panic!("{head:?}: {other:?}"),
        }
    }
}

#[test]
fn every_bound_of_a_head_is_reached_and_not_passed() {
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len - 1));
    let fields = |count: usize| {
        let fields = "X: y\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    let bytes = |count: usize| {
        let value = "y".repeat(count - "Host: a\r\nX: \r\n".len());
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n")
    };
    let method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(MAX_METHOD));
    for head in [
        method,
        target(MAX_TARGET),
        fields(MAX_FIELDS),
        bytes(MAX_FIELD_BYTES),
    ] {
        assert_eq!(
            read_in_every_way(head.as_bytes()),
            complete(head.len(), Body::None)
        );
    }
    for (head, fault) in [
        (target(MAX_TARGET + 1), Fault::TargetTooLong),
        (target(MAX_TARGET * 9), Fault::TargetTooLong),
        (fields(MAX_FIELDS + 1), Fault::HeadTooLarge),
        (bytes(MAX_FIELD_BYTES + 3), Fault::HeadTooLarge),
    ] {
        assert_eq!(read_in_every_way(head.as_bytes()), Progress::Fault(fault));
    }
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(MAX_FIELD_BYTES));
    assert_eq!(
        read_in_every_way(endless.as_bytes()),
        Progress::Fault(Fault::HeadTooLarge)
    );
}

#[test]
fn what_waits_for_the_end_of_a_head_is_never_more_than_the_largest_head() {
    let target = "a".repeat(MAX_TARGET - 1);
    let method = "M".repeat(MAX_METHOD);
    let fields = "X: y\r\n".repeat(9);
    let value = "y".repeat(MAX_FIELD_BYTES - fields.len() - "Host: \r\n".len());
    let head = format!("\r\n{method} /{target} HTTP/1.1\r\n{fields}Host: {value}\r\n\r\n");
    assert_eq!(head.len(), MAX_HEAD);
    assert_eq!(read(head.as_bytes(), []), complete(MAX_HEAD, Body::None));
}

proptest! {
    #[test]
    fn a_target_that_passes_is_read_as_it_is_written(target in "/[!-~]{0,12}|[!-~]{1,16}") {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let passes = matches!(read(head.as_bytes(), []), Progress::Complete { .. });
        match target.parse::<http::Uri>() {
            Ok(uri) => {
                let read = uri.to_string();
                prop_assert_eq!(passes, read == target || read.strip_suffix('/') == Some(&target));
            }
            Err(_) => prop_assert!(!passes),
        }
    }

    #[test]
    fn no_bytes_are_read_in_two_ways(
        bytes in proptest::collection::vec(prop_oneof![
            Just(b"GET / HTTP/1.1\r\n".to_vec()),
            Just(b"Host: a\r\n".to_vec()),
            Just(b"Content-Length: 3\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 1..3),
        ], 0..8),
    ) {
        read_in_every_way(&bytes.concat());
    }
}
