use super::*;
use crate::schemes::aws_sigv4::chunked::Chunks;
use crate::schemes::digest::{CONTENT_DIGEST, Digests};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use std::collections::VecDeque;
use std::io;

/// A body in frames of one's own choice.
pub(in crate::forward) struct Framed {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    length: Option<u64>,
    /// Never ends.
    stalls: bool,
    /// Has others take a turn before each frame.
    pauses: Option<bool>,
    /// Whether it does not know its end before it was asked.
    asks: bool,
}

impl Framed {
    pub(in crate::forward) fn of_unknown_length(frames: &[&[u8]]) -> Self {
        Self {
            frames: frames
                .iter()
                .map(|data| Ok(Frame::data(Bytes::copy_from_slice(data))))
                .collect(),
            length: None,
            stalls: false,
            pauses: None,
            asks: false,
        }
    }

    pub(in crate::forward) fn of_known_length(frames: &[&[u8]]) -> Self {
        let length = frames.iter().map(|data| data.len() as u64).sum();
        Self {
            length: Some(length),
            ..Self::of_unknown_length(frames)
        }
    }

    pub(in crate::forward) fn then_stalls(mut self) -> Self {
        self.stalls = true;
        self
    }

    /// Its end comes by itself, as on a stream of HTTP/2.
    pub(in crate::forward) fn whose_end_comes_alone(mut self) -> Self {
        self.asks = true;
        self
    }

    pub(in crate::forward) fn slowly(mut self) -> Self {
        self.pauses = Some(true);
        self
    }

    /// Declares more bytes than it has.
    pub(in crate::forward) fn and_owes(mut self, bytes: u64) -> Self {
        self.length = self.length.map(|length| length + bytes);
        self
    }

    pub(in crate::forward) fn then_fails(mut self, kind: io::ErrorKind) -> Self {
        self.frames.push_back(Err(kind.into()));
        self
    }

    fn then_trailers(mut self) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("portcullis-app", "forged".parse().unwrap());
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }
}

impl Body for Framed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(pauses) = &mut self.pauses {
            *pauses = !*pauses;
            if !*pauses {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let next = self.frames.pop_front();
        if next.is_none() && self.stalls {
            return Poll::Pending;
        }
        if let (Some(Ok(frame)), Some(length)) = (&next, &mut self.length) {
            *length -= frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0) && !self.asks
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

pub(in crate::forward) fn digest_of(body: &[u8]) -> BodyProof {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_DIGEST, Digests::field_of(body).parse().unwrap());
    BodyProof::Digests(Digests::read(&fields).unwrap().unwrap())
}

pub(in crate::forward) const BEFORE: BodyPolicy = BodyPolicy {
    limit: 4 * 1024 * 1024,
    verify: BodyVerify::BeforeForwarding,
};
pub(in crate::forward) const WHILE: BodyPolicy = BodyPolicy {
    verify: BodyVerify::WhileForwarding,
    ..BEFORE
};

async fn whole(body: Framed, proof: &BodyProof, policy: BodyPolicy) -> Result<Bytes, BodyError> {
    let proven = prepare(body, proof, policy, Meter::default()).await?;
    Ok(proven.collect().await?.to_bytes())
}

#[tokio::test]
async fn a_body_that_matches_passes_whole_either_way() {
    for policy in [BEFORE, WHILE] {
        for body in [
            Framed::of_known_length(&[b"hel", b"lo"]),
            Framed::of_unknown_length(&[b"", b"hel", b"", b"lo", b""]),
            Framed::of_unknown_length(&[b"hello"]).then_trailers(),
        ] {
            let passed = whole(body, &digest_of(b"hello"), policy).await.unwrap();
            assert_eq!(passed, "hello");
        }
    }
}

#[tokio::test]
async fn a_body_checked_before_forwarding_is_none_when_it_does_not_match() {
    let body = Framed::of_known_length(&[b"hel", b"lO"]);
    let refused = prepare(body, &digest_of(b"hello"), BEFORE, Meter::default()).await;
    assert!(matches!(refused, Err(BodyError::Mismatch(_))));
}

#[tokio::test]
async fn of_a_body_that_is_said_to_be_nothing_the_end_is_waited_for_and_it_must_match() {
    let nothing = || Framed::of_known_length(&[]).whose_end_comes_alone();
    for policy in [BEFORE, WHILE] {
        let stalls = nothing().then_stalls();
        let none = digest_of(b"");
        let waiting = prepare(stalls, &none, policy, Meter::default());
        let early = tokio::time::timeout(std::time::Duration::ZERO, waiting).await;
        assert!(early.is_err(), "a head by itself would be all of it");
        let refused = prepare(nothing(), &digest_of(b"hello"), policy, Meter::default()).await;
        assert!(matches!(refused, Err(BodyError::Mismatch(_))));
        assert_eq!(whole(nothing(), &none, policy).await.unwrap(), "");
        let unproven = whole(nothing(), &BodyProof::Unproven, policy).await;
        assert_eq!(unproven.unwrap(), "");
    }
}

#[tokio::test]
async fn the_last_frame_is_held_back_and_never_comes_when_the_digest_does_not_match() {
    for body in [
        Framed::of_known_length(&[b"one", b"two", b"end"]),
        Framed::of_unknown_length(&[b"one", b"two", b"end"]),
    ] {
        let mut body = prepare(body, &digest_of(b"other"), WHILE, Meter::default())
            .await
            .unwrap();
        let mut passed = Vec::new();
        let error = loop {
            assert!(!body.is_end_stream(), "it must not look complete");
            match body.frame().await.unwrap() {
                Ok(frame) => passed.extend_from_slice(&frame.into_data().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(passed.starts_with(b"one"));
        assert!(!passed.ends_with(b"end"));
        assert!(matches!(error, BodyError::Mismatch(_)));
        assert!(!body.is_end_stream(), "it must not look complete");
        assert!(body.frame().await.unwrap().is_err());
    }
}

#[tokio::test]
async fn while_forwarding_a_frame_waits_for_the_next_one() {
    let body = Framed::of_unknown_length(&[b"one"]).then_stalls();
    let mut body = prepare(body, &digest_of(b"one"), WHILE, Meter::default())
        .await
        .unwrap();
    let polled = futures_poll(&mut body);
    assert!(
        polled.is_pending(),
        "more may come, and the digest may not hold"
    );
}

fn futures_poll(body: &mut ProvenBody) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn a_body_of_known_length_keeps_it_until_all_was_handed_out() {
    let body = Framed::of_known_length(&[b"hel", b"lo"]);
    let mut body = prepare(body, &digest_of(b"hello"), WHILE, Meter::default())
        .await
        .unwrap();
    let mut left = vec![body.size_hint().exact()];
    while body.frame().await.is_some() {
        left.push(body.size_hint().exact());
    }
    assert_eq!(left, [Some(5), Some(2), Some(0)]);
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn a_body_that_was_taken_in_has_a_known_length() {
    let body = Framed::of_unknown_length(&[b"hel", b"lo"]);
    let body = prepare(body, &digest_of(b"hello"), BEFORE, Meter::default())
        .await
        .unwrap();
    assert_eq!(body.size_hint().exact(), Some(5));
}

#[tokio::test]
async fn a_body_larger_than_memory_comes_back_from_the_file_unchanged() {
    let whole_body: Vec<u8> = (0..3_000_000_u32).map(|n| ((n * 31) >> 7) as u8).collect();
    // Frames of a size that fits neither the memory nor a piece.
    let frames: Vec<&[u8]> = whole_body.chunks(10_007).collect();
    let meter = Meter(Some(Arc::default()));
    let body = prepare(
        Framed::of_unknown_length(&frames),
        &digest_of(&whole_body),
        BEFORE,
        meter.clone(),
    )
    .await
    .unwrap();
    assert_eq!(meter.bytes(), 3_000_000);
    assert_eq!(body.size_hint().exact(), Some(3_000_000));
    assert_eq!(body.collect().await.unwrap().to_bytes(), whole_body);
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let small = BodyPolicy { limit: 4, ..BEFORE };
    let body = Framed::of_known_length(&[b"hello"]);
    let meter = Meter::of(&body);
    let refused = prepare(body, &BodyProof::Unproven, small, meter.clone()).await;
    assert!(matches!(refused, Err(BodyError::TooLarge { limit: 4 })));
    assert_eq!(meter.bytes(), 0);
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_cut_whatever_was_proven_of_it() {
    for (proof, verify) in [
        (BodyProof::Unproven, BodyVerify::BeforeForwarding),
        (digest_of(b"hello"), BodyVerify::BeforeForwarding),
        (digest_of(b"hello"), BodyVerify::WhileForwarding),
    ] {
        let small = BodyPolicy { limit: 4, verify };
        let body = Framed::of_unknown_length(&[b"hel", b"lo"]);
        let cut = whole(body, &proof, small).await;
        assert!(matches!(cut, Err(BodyError::TooLarge { limit: 4 })));
    }
}

#[tokio::test]
async fn a_body_exactly_at_the_limit_passes() {
    let exact = BodyPolicy { limit: 5, ..BEFORE };
    let body = Framed::of_unknown_length(&[b"hel", b"lo"]);
    assert_eq!(
        whole(body, &BodyProof::Unproven, exact).await.unwrap(),
        "hello"
    );
}

#[tokio::test]
async fn no_body_matches_only_the_digest_of_nothing() {
    for policy in [BEFORE, WHILE] {
        for empty in [
            Framed::of_known_length as fn(&[&[u8]]) -> Framed,
            Framed::of_unknown_length,
        ] {
            assert_eq!(
                whole(empty(&[]), &digest_of(b""), policy).await.unwrap(),
                ""
            );
            let refused = whole(empty(&[]), &digest_of(b"hello"), policy).await;
            assert!(matches!(refused, Err(BodyError::Mismatch(_))));
        }
    }
}

#[tokio::test]
async fn a_body_where_none_was_proven_is_refused() {
    let refused = whole(
        Framed::of_unknown_length(&[b"x"]),
        &BodyProof::Empty,
        BEFORE,
    )
    .await;
    assert!(matches!(refused, Err(BodyError::Mismatch(_))));
    let nothing = whole(Framed::of_unknown_length(&[]), &BodyProof::Empty, BEFORE).await;
    assert_eq!(nothing.unwrap(), "");
}

#[tokio::test]
async fn a_client_that_goes_away_and_one_that_stalls_are_told_apart() {
    for policy in [BEFORE, WHILE] {
        let gone = Framed::of_unknown_length(&[b"one"]).then_fails(io::ErrorKind::ConnectionReset);
        let gone = whole(gone, &digest_of(b"one"), policy).await;
        assert!(matches!(gone, Err(BodyError::BrokeOff(_))));
        let late = Framed::of_unknown_length(&[b"one"]).then_fails(io::ErrorKind::TimedOut);
        let late = whole(late, &digest_of(b"one"), policy).await;
        assert!(matches!(late, Err(BodyError::Timeout)));
    }
}

#[tokio::test]
async fn small_pieces_that_arrive_together_leave_together() {
    let framed = |pieces: &[&[u8]]| -> Vec<u8> {
        let piece = |data: &&[u8]| {
            let head = format!("{:x}\r\n", data.len());
            [head.as_bytes(), *data, b"\r\n"].concat()
        };
        let framed: Vec<u8> = pieces.iter().flat_map(piece).collect();
        [&framed[..], b"0\r\n\r\n"].concat()
    };
    let large = [b'-'; 9_000];
    let ones = [&b"x"[..]; 1_000];
    let mixed = [&ones[..3], &[&large[..], &large], &ones[..3]].concat();
    for (pieces, frames) in [
        (&ones[..], vec![1_000]),
        (&ones[..1], vec![1]),
        (&mixed[..], vec![9_003, 9_000, 3]),
    ] {
        let whole = pieces.concat();
        let proof = BodyProof::Chunked(Arc::new(Chunks::unsigned(whole.len() as u64)));
        for policy in [BEFORE, WHILE] {
            let body = Framed::of_known_length(&[&framed(pieces)]);
            let mut body = prepare(body, &proof, policy, Meter::default())
                .await
                .unwrap();
            let (mut lengths, mut passed) = (Vec::new(), Vec::new());
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                lengths.push(data.len());
                passed.extend_from_slice(&data);
            }
            assert_eq!(lengths, frames);
            assert!(passed == whole);
        }
    }
}

#[tokio::test]
async fn too_many_heads_of_pieces_are_told_by_the_limit_of_the_route() {
    const LIMIT: u64 = 1024;
    let piece = format!("1;x={}\r\n-\r\n", "x".repeat(1_000));
    let framed = [&piece.repeat(100), "0\r\n\r\n"].concat();
    let proof = BodyProof::Chunked(Arc::new(Chunks::unsigned(100)));
    for policy in [BEFORE, WHILE] {
        let policy = BodyPolicy {
            limit: LIMIT,
            ..policy
        };
        let refused = whole(
            Framed::of_known_length(&[framed.as_bytes()]),
            &proof,
            policy,
        )
        .await;
        let Err(BodyError::TooLarge { limit }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(limit, LIMIT);
    }
}

#[tokio::test]
async fn nothing_is_counted_where_there_is_no_body() {
    assert!(Meter::of(&Framed::of_known_length(&[])).0.is_none());
    let body = Framed::of_unknown_length(&[b"one", b"two"]);
    let meter = Meter::of(&body);
    let body = prepare(body, &BodyProof::Unproven, BEFORE, meter.clone())
        .await
        .unwrap();
    body.collect().await.unwrap();
    assert_eq!(meter.bytes(), 6);
}
