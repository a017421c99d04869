//! HTTP/1.1 without a socket: what the guard lets through, in every way it may arrive.

use super::super::framing::{End, Framing};
use super::super::paced::{First, Paced};
use super::super::wire::Wire;
use super::*;
use proptest::prelude::*;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let stream = [
        request("GET /1"),
        request("POST /2|two"),
        b"PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n"
            .to_vec(),
        request("GET /4"),
    ]
    .concat();
    let expected = ["GET /1 []", "POST /2 [two]", "PUT /3 [abc]", "GET /4 []"];
    for size in [1, 2, 3, 7, 40, stream.len()] {
        let answer = exchange(stream.chunks(size)).await;
        assert_eq!(bodies(&answer), expected, "in pieces of {size}");
    }
}

#[tokio::test]
async fn a_malformed_head_is_refused_after_the_requests_before_it_and_nothing_follows() {
    let stream = [
        request("GET /1"),
        request("POST /2|two"),
        b"GET /3#x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        request("GET /4"),
    ]
    .concat();
    for size in [1, 2, 3, 7, 40, stream.len()] {
        let answer = exchange(stream.chunks(size)).await;
        let bodies = bodies(&answer);
        assert_eq!(bodies[..2], ["GET /1 []", "POST /2 [two]"], "by {size}");
        assert_eq!(
            bodies[2..],
            ["Malformed(\"the target holds a `#`\")"],
            "by {size}"
        );
        assert!(answer.contains("connection: close\r\n"), "by {size}");
    }
}

#[tokio::test]
async fn each_smuggling_request_is_refused_by_the_handler_and_the_connection_ends() {
    for (head, why) in [
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "exclude each other",
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            "only transfer coding",
        ),
        (
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "more than one `Content-Length`",
        ),
        ("Content-Length: +3\r\n", "not one number"),
        ("Host: a\r\n", "more than one `Host`"),
        ("X: a\nY: b\r\n", "LF without CR"),
        ("X: a\r\n b\r\n", "folded"),
        ("X : a\r\n", "space before the colon"),
    ] {
        let stream = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        for size in [1, 5, stream.len()] {
            let answer = exchange(stream.as_bytes().chunks(size)).await;
            let answers = answers(&answer);
            assert_eq!(answers.len(), 1, "{head:?} by {size}: {answer}");
            assert!(answers[0].1.contains(why), "{head:?} by {size}: {answer}");
        }
    }
}

fn asking(path: &str) -> Vec<u8> {
    let lines = "Host: a\r\nConnection: upgrade\r\nUpgrade: x";
    format!("GET {path} HTTP/1.1\r\n{lines}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn what_follows_a_101_is_handed_over_byte_for_byte_however_it_arrives() {
    let behind = b"\x81\x05hello GET /x HTTP/1.1\r\n\r\n\xff\x00";
    let stream = [&request("GET /1")[..], &asking("/switch"), behind].concat();
    for size in [1, 2, 3, 7, 40, stream.len()] {
        let answer = exchange_bytes(stream.chunks(size)).await;
        let end = memchr::memmem::rfind(&answer, b"\r\n\r\n\x81\x05");
        let (heads, rest) = match end {
            Some(end) => answer.split_at(end + 4),
            None => panic!("in pieces of {size}: {}", String::from_utf8_lossy(&answer)),
        };
        assert_eq!(rest, behind, "in pieces of {size}");
        let heads = String::from_utf8_lossy(heads);
        assert_eq!(heads.matches("HTTP/1.1 ").count(), 2, "{heads}");
        assert!(heads.contains("HTTP/1.1 101 Switching"), "{heads}");
    }
}

#[tokio::test]
async fn what_follows_another_answer_than_101_is_the_next_request() {
    let stream = [
        asking("/1"),
        asking("/2"),
        request("POST /3|three"),
        b"x\n".to_vec(),
    ]
    .concat();
    for size in [1, 2, 3, 7, 40, stream.len()] {
        let answer = exchange(stream.chunks(size)).await;
        assert_eq!(
            bodies(&answer),
            [
                "GET /1 []",
                "GET /2 []",
                "POST /3 [three]",
                "Malformed(\"a line ends in LF without CR\")"
            ],
            "in pieces of {size}"
        );
    }
}

#[tokio::test]
async fn a_101_without_a_tunnel_ends_the_connection() {
    let stream = [&asking("/unasked")[..], b"behind"].concat();
    let answer = exchange([&stream[..]]).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn oversized_heads_are_told_apart_from_malformed_ones() {
    let target = request(&format!("GET /{}", "a".repeat(9000)));
    let fields = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    let bytes = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    for (stream, why) in [
        (target, "TargetTooLong"),
        (fields.into_bytes(), "HeadTooLarge"),
        (bytes.into_bytes(), "HeadTooLarge"),
    ] {
        for size in [1000, stream.len()] {
            assert_eq!(bodies(&exchange(stream.chunks(size)).await), [why]);
        }
    }
}

#[tokio::test]
async fn the_largest_head_passes() {
    let head = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\n{}X: {}\r\n\r\n",
        "a".repeat(8191),
        "Y: z\r\n".repeat(98),
        "y".repeat(32 * 1024 - 9 - 98 * 6 - 5),
    );
    for size in [1000, head.len()] {
        let answer = exchange(head.as_bytes().chunks(size)).await;
        assert_eq!(answers(&answer)[0].0, 200, "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_sends_the_stand_in_itself_gets_an_ordinary_answer() {
    let stand_in = b"GET / HTTP/1.1\r\nhost: invalid\r\n\r\n".to_vec();
    let stream = [stand_in.clone(), stand_in, b"bad\r\n".to_vec()].concat();
    let answer = exchange([&stream[..]]).await;
    let answers = answers(&answer);
    assert_eq!(answers[0], (200, "GET / []".into()));
    assert_eq!(answers[1], (200, "GET / []".into()));
    assert_eq!(answers[2].0, 400);
}

#[tokio::test]
async fn a_bad_chunk_is_an_error_of_the_body_and_ends_the_connection() {
    for chunk in [
        "3;x=y\r\nabc\r\n",
        "3\nabc\n",
        "3\r\nabcd\r\n",
        "-1\r\n",
        "0\r\nx y\r\n\r\n",
    ] {
        let stream = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{chunk}0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        for size in [1, stream.len()] {
            let answer = exchange(stream.as_bytes().chunks(size)).await;
            assert_eq!(bodies(&answer), ["body: Some(InvalidData)"], "{chunk:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_an_error_of_the_body() {
    let answer =
        exchange([&b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"[..]]).await;
    assert_eq!(bodies(&answer), ["body: Some(UnexpectedEof)"]);
}

#[tokio::test]
async fn half_a_head_gets_no_answer_when_its_client_leaves() {
    assert_eq!(exchange([&b"GET / HTTP/1.1\r\nHo"[..]]).await, "");
    assert_eq!(exchange([&b"PRI * HT"[..]]).await, "");
    assert_eq!(exchange([]).await, "");
}

#[tokio::test]
async fn a_body_that_nobody_reads_ends_the_connection_behind_the_answer() {
    let stream = [
        b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc".to_vec(),
        request("GET /2"),
    ]
    .concat();
    let answer = exchange([&stream[..]]).await;
    assert_eq!(answers(&answer), [(403, "unread".into())]);
}

#[tokio::test]
async fn an_upgrade_to_http_2_is_not_honoured() {
    let stream = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let answer = exchange([&stream[..]]).await;
    assert_eq!(answers(&answer), [(200, "GET / []".into())]);
}

#[tokio::test]
async fn a_client_that_knows_we_speak_http_2_is_served_in_it() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let (client, _worker, served) = connect(&Toy::new());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    for (path, body) in [("/1", ""), ("/2", "two")] {
        let request = Request::post(format!("http://a{path}"))
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let answer = response.collect().await.unwrap().to_bytes();
        assert_eq!(answer, format!("POST http://a{path} [{body}]"));
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    served.await.unwrap();
}

/// A peer that sends pieces, one a read, and takes everything.
struct Pieces(Vec<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop() {
            let here = piece.len().min(buf.remaining());
            let rest = piece.split_off(here);
            if !rest.is_empty() {
                self.0.push(rest);
            }
            buf.put_slice(&piece);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the guard lets through of a stream that arrives in pieces, read with a buffer of `room` bytes.
async fn let_through(stream: &[u8], cuts: &[usize], room: usize) -> Vec<u8> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let pieces = cuts
        .windows(2)
        .map(|ends| stream[ends[0]..ends[1]].to_vec())
        .filter(|piece| !piece.is_empty())
        .rev()
        .collect();
    let line = Arc::default();
    let paced = Paced::new(
        Pieces(pieces),
        First::default(),
        line,
        DEADLINES.write,
        DEADLINES.pace,
    );
    let mut wire = Wire::new(paced, DEADLINES, None);
    let mut through = Vec::new();
    let mut buf = vec![0; room];
    loop {
        match wire.read(&mut buf).await.unwrap() {
            0 => return through,
            read => through.extend_from_slice(&buf[..read]),
        }
    }
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let field = "[a-z]{1,12}: [ -~]{0,40}\r\n".prop_filter("framing is ours", |field| {
        !["host", "content-length", "transfer-encoding"]
            .iter()
            .any(|name| field.starts_with(&format!("{name}:")))
    });
    let fields = proptest::collection::vec(field, 0..6).prop_map(|fields| fields.concat());
    let data = proptest::collection::vec(any::<u8>(), 1..60);
    let body = prop_oneof![
        Just(b"\r\n".to_vec()),
        data.clone().prop_map(|data| {
            [
                format!("Content-Length: {}\r\n\r\n", data.len()).as_bytes(),
                &data,
            ]
            .concat()
        }),
        proptest::collection::vec(data, 0..4).prop_map(|chunks| {
            let mut body = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\nsum: 1\r\n\r\n");
            body
        }),
    ];
    ("(\r\n)?", "X[A-Z]{0,6}", "/[a-z%2?]{0,60}", fields, body).prop_map(
        |(empty_line, method, target, fields, body)| {
            let head = format!("{empty_line}{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}");
            [head.as_bytes(), &body].concat()
        },
    )
}

proptest! {
    #[test]
    fn of_valid_requests_the_guard_lets_every_byte_through_and_no_other(
        requests in proptest::collection::vec(any_request(), 1..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        room in 1_usize..300,
    ) {
        let stream = requests.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let through = runtime.block_on(let_through(&stream, &cuts, room));
        prop_assert_eq!(through, stream);
    }

    #[test]
    fn what_the_guard_lets_through_the_library_reads_as_the_same_requests(
        requests in proptest::collection::vec(any_request(), 1..4),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        instead in any::<bool>(),
    ) {
        let mut stream = requests.concat();
        let at = at.index(stream.len());
        if instead {
            stream[at] = byte;
        } else {
            stream.insert(at, byte);
        }
        let mut framing = Framing::new();
        let verdict = framing.follow(&stream);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let text = runtime.block_on(exchange([&stream[..]]));
        // Answers of the library itself have no body, and none of ours is without.
        let answers = answers(&text);
        prop_assert!(answers.iter().all(|(_, body)| !body.is_empty()), "{text}");
        let good = answers.iter().filter(|(_, body)| body.ends_with(']')).count() as u64;
        let refused = u64::from(matches!(verdict.end, Some(End::Head(_))));
        prop_assert!(good <= framing.heads(), "{text}");
        // HTTP/1.0 and `Connection: close` end a connection early, and so does a bad body.
        let ends_early = text.contains("HTTP/1.0")
            || text.contains("body: ")
            || stream.to_ascii_lowercase().windows(5).any(|word| word == b"close");
        let expected = framing.heads() + refused;
        prop_assert!(answers.len() as u64 == expected || ends_early, "{text}");
        prop_assert!(answers.len() as u64 <= expected, "{text}");
    }
}
