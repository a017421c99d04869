//! Answers however they arrive, and requests however they are taken.

use super::answer::{Part, Reading};
use super::out::Out;
use super::*;
use crate::forward::body::tests::{BEFORE, Framed};
use crate::forward::body::{Meter, prepare};
use crate::route::{BodyPolicy, BodyVerify};
use crate::schemes::digest::BodyProof;
use http::HeaderMap;
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::io::IoSlice;
use std::iter::repeat;

/// What an answer may cost whoever reads one that does not end.
const MAX_ANSWER: usize = 1024 * 1024;

/// What was read of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    heads: usize,
    body: Vec<u8>,
    trailers: HeaderMap,
    is_over: bool,
    fault: Option<&'static str>,
}

impl Read {
    fn take(&mut self, reading: &mut Reading) {
        while !self.is_over && self.fault.is_none() {
            match reading.read() {
                Ok(None) => return,
                Ok(Some(Part::Head { .. })) => self.heads += 1,
                Ok(Some(Part::Data(data))) => self.body.extend_from_slice(&data),
                Ok(Some(Part::Trailers(fields))) => {
                    self.trailers = fields;
                    self.is_over = true;
                }
                Ok(Some(Part::End)) => self.is_over = true,
                Err(fault) => self.fault = Some(fault),
            }
        }
    }
}

/// Reads what arrives in pieces of these sizes, over and over.
fn read(bytes: &[u8], sizes: &[usize]) -> Read {
    let mut reading = Reading::answer_to(Method::GET);
    let (mut read, mut rest) = (Read::default(), bytes);
    for size in sizes.iter().cycle() {
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        reading.bring(piece);
        read.take(&mut reading);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    read
}

/// An answer in chunks with extensions, and trailers.
fn chunked(pieces: &[Vec<u8>], extension: &str, trailers: usize) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
    bytes.extend(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in pieces {
        bytes.extend(format!("{:X}{extension}\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"00\r\n");
    for number in 0..trailers {
        bytes.extend(format!("x-{number}: {number}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}

proptest! {
    #[test]
    fn any_split_of_a_chunked_answer_gives_the_same_body(
        pieces in vec(vec(any::<u8>(), 1..80), 0..8),
        extension in "( ?;[ -~]{0,20})?",
        trailers in 0_usize..4,
        sizes in vec(1_usize..40, 1..12),
    ) {
        let bytes = chunked(&pieces, &extension, trailers);
        let split = read(&bytes, &sizes);
        prop_assert_eq!(&split, &read(&bytes, &[bytes.len()]));
        prop_assert_eq!(split.body, pieces.concat());
        prop_assert_eq!(split.trailers.len(), trailers);
        prop_assert!(split.is_over);
    }

    #[test]
    fn any_split_of_a_damaged_answer_gives_the_same_verdict(
        pieces in vec(vec(any::<u8>(), 1..20), 0..4),
        trailers in 0_usize..3,
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"\r\n\0:;0f x".to_vec()),
        sizes in vec(1_usize..10, 1..12),
    ) {
        let mut bytes = chunked(&pieces, "", trailers);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (split, whole) = (read(&bytes, &sizes), read(&bytes, &[bytes.len()]));
        prop_assert_eq!(split.fault.is_some(), whole.fault.is_some());
        prop_assert_eq!((split.body, split.is_over), (whole.body, whole.is_over));
    }

    #[test]
    fn any_split_of_an_answer_under_a_length_gives_the_same_body(
        body in vec(any::<u8>(), 0..200),
        behind in vec(any::<u8>(), 0..20),
        sizes in vec(1_usize..40, 1..12),
    ) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let split = read(&[head.as_bytes(), &body, &behind].concat(), &sizes);
        prop_assert!(split.is_over);
        prop_assert_eq!(split.body, body);
    }

    #[test]
    fn a_request_is_the_same_however_it_comes_and_however_it_is_taken(
        pieces in vec(vec(any::<u8>(), 0..40), 0..8),
        is_counted in any::<bool>(),
        takes in vec(0_usize..30, 1..12).prop_filter("it takes some", |takes| takes.iter().any(|n| *n > 0)),
    ) {
        let frames: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let all = pieces.concat();
        let sent = sent(&frames, is_counted, takes);
        if is_counted {
            prop_assert_eq!(sent, [&b"head"[..], &all].concat());
        } else {
            // Our own reader is the judge of the chunks.
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let body = sent.strip_prefix(b"head").unwrap();
            let read = read(&[head, body].concat(), &[7]);
            prop_assert_eq!((read.body, read.is_over), (all, true));
            let last = if body.len() > 5 { &b"\r\n0\r\n\r\n"[..] } else { b"0\r\n\r\n" };
            prop_assert!(body.ends_with(last));
        }
    }
}

/// A server that takes so many bytes at a time; with 0 it takes them later.
struct Narrow {
    takes: std::iter::Cycle<std::vec::IntoIter<usize>>,
    got: Vec<u8>,
    /// Writes of which it took any.
    writes: usize,
}

impl Narrow {
    fn new(takes: Vec<usize>) -> Self {
        Self {
            takes: takes.into_iter().cycle(),
            got: Vec::new(),
            writes: 0,
        }
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let most = self.takes.next().unwrap();
        let all = slices.iter().flat_map(|slice| slice.iter());
        let before = self.got.len();
        self.got.extend(all.take(most));
        match self.got.len() - before {
            0 => Poll::Pending,
            some => {
                self.writes += 1;
                Poll::Ready(Ok(some))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a server gets that takes a request so.
fn sent(frames: &[&[u8]], is_counted: bool, takes: Vec<usize>) -> Vec<u8> {
    let body = if is_counted {
        Framed::of_known_length(frames)
    } else {
        Framed::of_unknown_length(frames)
    };
    let mut out = out(body.slowly());
    let mut server = Narrow::new(takes);
    while is_still_sending(&mut out, &mut server) {}
    assert!(out.has_ended());
    server.got
}

fn out(body: Framed) -> Out {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let policy = BodyPolicy {
        verify: BodyVerify::WhileForwarding,
        ..BEFORE
    };
    let body = prepare(body, &BodyProof::Unproven, policy, Meter::default());
    Out::of(runtime.block_on(body).unwrap())
}

fn is_still_sending(out: &mut Out, server: &mut Narrow) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    out.poll_send(&mut cx, server, Instant::now()).is_pending()
}

#[test]
fn pieces_that_are_there_together_leave_in_one_write() {
    let piece = vec![7; 16 * 1024];
    let frames = [&piece[..]; 6];
    let mut server = Narrow::new(vec![usize::MAX]);
    let mut out = out(Framed::of_known_length(&frames));
    while is_still_sending(&mut out, &mut server) {}
    // As many as are enough, then the rest.
    assert_eq!(server.writes, 2);
    assert_eq!(server.got, [b"head", &frames.concat()[..]].concat());
}

#[test]
fn of_a_request_of_which_nothing_was_taken_all_pieces_are_given_back() {
    let frames: [&[u8]; 3] = [b"a", b"bc", b"d"];
    let mut first = out(Framed::of_known_length(&frames));
    assert!(is_still_sending(&mut first, &mut Narrow::new(vec![0])));
    let body = first.into_unsent().unwrap();
    let mut second = Out::of(body);
    let mut server = Narrow::new(vec![usize::MAX]);
    while is_still_sending(&mut second, &mut server) {}
    assert_eq!(server.got, b"headabcd");
}

/// Bytes that were brought until they were refused.
fn refused_after(start: &str, more: &[u8]) -> (usize, &'static str) {
    let mut reading = Reading::answer_to(Method::GET);
    let mut read = Read::default();
    let mut brought = 0;
    for piece in std::iter::once(start.as_bytes()).chain(repeat(more)) {
        reading.bring(piece);
        brought += piece.len();
        read.take(&mut reading);
        if let Some(fault) = read.fault {
            return (brought, fault);
        }
        assert!(brought < MAX_ANSWER && !read.is_over, "{start}");
    }
    unreachable!("it has no end")
}

#[test]
fn what_does_not_end_is_refused_within_its_bound() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const KIB: usize = 1024;
    let interim = format!(
        "HTTP/1.1 103 Early Hints\r\nx: {}\r\n\r\n",
        "x".repeat(60 * KIB)
    );
    for (start, more, most, wanted) in [
        ("", "x", 65 * KIB, "64 KiB"),
        ("", "\r\n", 4, "not valid HTTP"),
        (OK, "x: y\r\n", 65 * KIB, "64 KiB"),
        (&format!("{OK}x: "), "y", 65 * KIB, "64 KiB"),
        ("", &interim, 9 * 65 * KIB, "8 interim"),
        (&format!("{CHUNKED}1;"), "x", 5 * KIB, "4 KiB"),
        (
            CHUNKED,
            &format!("1;{}\r\nx\r\n", "x".repeat(4000)),
            70 * KIB,
            "extensions",
        ),
        (&format!("{CHUNKED}0\r\nx: "), "y", 17 * KIB, "16 KiB"),
        (&format!("{CHUNKED}0\r\n"), "x: y\r\n", 2 * KIB, "64 trail"),
        (CHUNKED, "0", 5 * KIB, "4 KiB"),
    ] {
        let (brought, fault) = refused_after(start, more.as_bytes());
        assert!(brought <= most, "{start:?}: {brought}");
        assert!(fault.contains(wanted), "{start:?}: {fault}");
    }
}

#[test]
fn the_longest_head_and_the_most_fields_pass_and_one_more_does_not() {
    let of = |length: usize| {
        let rest = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: \r\n\r\n".len();
        let x = "x".repeat(length - rest);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: {x}\r\n\r\n")
    };
    let with = |fields: usize| {
        let mut head = String::from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for number in 1..fields {
            let _ = write!(head, "x-{number}: y\r\n");
        }
        head + "\r\n"
    };
    for (head, passes) in [
        (of(head::MAX_HEAD), true),
        (of(head::MAX_HEAD + 1), false),
        (with(200), true),
        (with(201), false),
    ] {
        for size in [head.len(), 1000] {
            let read = read(head.as_bytes(), &[size]);
            assert_eq!((read.is_over, read.fault.is_none()), (passes, passes));
        }
    }
}

#[test]
fn a_name_that_most_answers_have_is_the_same_however_it_is_written() {
    for name in [
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "Server",
    ] {
        for written in [name.into(), name.to_lowercase(), name.to_uppercase()] {
            let mut reading = Reading::answer_to(Method::HEAD);
            reading.bring(format!("HTTP/1.1 200 OK\r\n{written}: 0\r\n\r\n").as_bytes());
            let Ok(Some(Part::Head { fields, .. })) = reading.read() else {
                panic!("{written} is refused");
            };
            assert_eq!(fields.get(name).unwrap(), "0", "{written}");
        }
    }
}
