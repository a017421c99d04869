//! HTTP/1.1 without a socket: what is read, in every way it may arrive.

use super::super::http1::reader::{Reader, Step};
use super::*;
use proptest::prelude::*;

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

/// What is read of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Method, target and body of each request, as far as it came.
    requests: Vec<(String, String, Vec<u8>)>,
    /// Why nothing more is read.
    end: Option<String>,
    left: usize,
}

/// What is read of a stream that arrives in pieces.
fn read(stream: &[u8], cuts: &[usize]) -> Found {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut reader = Reader::default();
    let mut found = Found::default();
    let mut in_body = false;
    for ends in cuts.windows(2) {
        reader.bring(&stream[ends[0]..ends[1]]);
        while found.end.is_none() {
            if in_body {
                match reader.step() {
                    Ok(Step::Data(data)) => found.requests.last_mut().unwrap().2.extend(data),
                    Ok(Step::End) => in_body = false,
                    Ok(Step::More) => break,
                    Err(why) => {
                        found.end = Some(why.to_owned());
                        // How much of it has gone through depends on how it arrived.
                        found.requests.last_mut().unwrap().2.clear();
                    }
                }
                continue;
            }
            match reader.head() {
                Ok(Some(asked)) => {
                    let (method, target) = (asked.parts.method, asked.parts.uri);
                    found
                        .requests
                        .push((method.to_string(), target.to_string(), Vec::new()));
                    in_body = true;
                }
                Ok(None) => break,
                Err(fault) => found.end = Some(format!("{fault:?}")),
            }
        }
    }
    found.left = reader.held();
    found
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
    fn of_valid_requests_every_byte_is_read_however_they_arrive(
        requests in proptest::collection::vec(any_request(), 1..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let stream = requests.concat();
        let whole = read(&stream, &[]);
        prop_assert_eq!(&whole.end, &None);
        prop_assert_eq!((whole.requests.len(), whole.left), (requests.len(), 0));
        prop_assert_eq!(read(&stream, &cuts), whole);
    }

    #[test]
    fn what_is_no_request_is_told_however_it_arrives(
        requests in proptest::collection::vec(any_request(), 1..4),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        instead in any::<bool>(),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut stream = requests.concat();
        let at = at.index(stream.len());
        if instead {
            stream[at] = byte;
        } else {
            stream.insert(at, byte);
        }
        let whole = read(&stream, &[]);
        let pieces = read(&stream, &cuts);
        prop_assert_eq!(&pieces.requests, &whole.requests);
        prop_assert_eq!(&pieces.end, &whole.end);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let text = runtime.block_on(exchange([&stream[..]]));
        let answers = answers(&text);
        prop_assert!(answers.iter().all(|(_, body)| !body.is_empty()), "{text}");
        let good = answers.iter().filter(|(_, body)| body.ends_with(']')).count();
        let heads = whole.requests.len();
        prop_assert!(good <= heads, "{text}");
        // HTTP/1.0 and `Connection: close` end a connection early, and so does a bad body.
        let ends_early = text.contains("HTTP/1.0")
            || text.contains("body: ")
            || stream.to_ascii_lowercase().windows(5).any(|word| word == b"close");
        let refused = usize::from(whole.end.is_some());
        prop_assert!(answers.len() == heads + refused || ends_early, "{text}");
        prop_assert!(answers.len() <= heads + refused, "{text}");
    }
}
