//! AWS Signature Version 4, and bodies in pieces. In: a head, and behind an
//! empty line a body. What the head shows is verified as it came, and once more
//! with the signature that our key makes of it; the body is taken apart in
//! pieces of any length, which must not matter.

use super::{gate, head};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::crypto::aws4::DayKey;
use portcullis::crypto::digest::sha256;
use portcullis::route::{Bind, Part, Route, SigV4, Waiver};
use portcullis::schemes::aws_sigv4::chunked::{BadChunks, Chunks, Decoder};
use portcullis::schemes::aws_sigv4::forms::Forms;
use portcullis::schemes::aws_sigv4::verify::payloads;
use portcullis::schemes::aws_sigv4::{Presented, Rules, text, verify};
use portcullis::schemes::digest::BodyProof;
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::{Caller, Received, Refused, Why, date};
use std::sync::Arc;

/// What must hold of any head and body.
pub(super) fn check(bytes: &[u8]) {
    let (front, body) = match bytes.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[][..]),
    };
    let Some((method, uri, mut fields)) = head::read(front) else {
        return;
    };
    let request = |fields: &HeaderMap, method: &Method, uri: &Uri| {
        let route = route();
        let hash = sha256(&[body]);
        let received = received(method, uri, fields, body)?.with_body_hash(Some(&hash));
        let presented = Presented::read(&received, &route).ok()??;
        let registry = gate::registry();
        let rules = Rules {
            registry: &registry,
            freshness: Freshness::USUAL,
            explain: true,
        };
        Some(verify(&presented, &received, &route, rules, gate::now()))
    };
    if let Some(text) = fields
        .get("x-amz-date")
        .and_then(|value| value.to_str().ok())
        && let Some(at) = date::read_basic(text)
        && at >= 0
    {
        assert_eq!(date::write_basic(at), text);
    }
    assert!(
        !matches!(request(&fields, &method, &uri), Some(Ok(_))),
        "a signature that nobody made passed"
    );
    let Some((uri, authorization)) = signed(&method, &uri, &fields, body) else {
        return;
    };
    if let Some(authorization) = authorization {
        fields.insert("authorization", authorization);
    }
    match request(&fields, &method, &uri) {
        Some(Ok(caller)) => passed(&caller, body, || {
            let other = if method == Method::PUT {
                Method::PATCH
            } else {
                Method::PUT
            };
            !matches!(request(&fields, &other, &uri), Some(Ok(_)))
        }),
        Some(Err(Refused::Rejected { why, .. })) => assert_ne!(why, Why::WrongSignature),
        Some(Err(_)) | None => {}
    }
}

/// What must hold of a proof.
fn passed(caller: &Caller, body: &[u8], another_method_does_not: impl Fn() -> bool) {
    let proof = caller.proof().expect("a signature is a proof");
    assert!(proof.last_second >= gate::NOW);
    assert!(another_method_does_not());
    if let BodyProof::Chunked(chunks) = caller.body() {
        let whole = decode(chunks, body, body.len());
        for step in [1, 2, 7, 64] {
            assert_eq!(decode(chunks, body, step), whole, "in pieces of {step}");
        }
        if let Ok(data) = whole {
            assert_eq!(data.len() as u64, chunks.length());
        }
    }
}

fn decode(chunks: &Arc<Chunks>, body: &[u8], step: usize) -> Result<Vec<u8>, BadChunks> {
    let mut decoder = Decoder::new(chunks.clone());
    let mut out = Vec::new();
    for part in body.chunks(step.max(1)) {
        let mut part = Bytes::copy_from_slice(part);
        while let Some(data) = decoder.next(&mut part)? {
            assert!(!data.is_empty());
            out.extend_from_slice(&data);
        }
    }
    decoder.finish()?;
    Ok(out)
}

/// A route that takes all that any route can.
fn route() -> Route {
    Route {
        sigv4: SigV4 {
            plus_is_space: true,
            presigned: SigV4::MAX_PRESIGNED,
            unsigned_content_sha256: true,
            ..SigV4::default()
        },
        waivers: vec![Waiver {
            part: Part::Body,
            until: i64::MAX,
            reason: "fuzzing".to_owned(),
        }],
        ..gate::route(Bind::None)
    }
}

fn received<'r>(
    method: &'r Method,
    uri: &'r Uri,
    fields: &'r HeaderMap,
    body: &[u8],
) -> Option<Received<'r>> {
    Received::read(method, uri, fields, gate::around(!body.is_empty())).ok()
}

/// The proof anew, with what our key makes of its text in place of its signature: the target
/// where that holds it, else what stands in `Authorization`.
fn signed(
    method: &Method,
    uri: &Uri,
    fields: &HeaderMap,
    body: &[u8],
) -> Option<(Uri, Option<HeaderValue>)> {
    let route = route();
    let hash = sha256(&[body]);
    let received = received(method, uri, fields, body)?.with_body_hash(Some(&hash));
    let presented = Presented::read(&received, &route).ok()??;
    let mut canonical = Vec::new();
    let forms = Forms::of(&received, presented.in_query, &route.sigv4);
    let (path, query) = forms.all().last()?;
    text::write_front(&mut canonical, &received, path, query);
    text::write_fields(&mut canonical, &received, &presented.signed).ok()?;
    // Nothing in a request can add a line.
    let lines = canonical.split(|byte| *byte == b'\n').count();
    assert_eq!(lines, presented.signed.names().count() + 6);
    let payload = payloads(&presented, &received, true).ok()?;
    canonical.extend_from_slice(payload.last().as_bytes());
    let day: DayKey = gate::key().aws()?.derive(presented.credential.scope());
    let scope = presented.credential.scope_text();
    let text = text::string_to_sign(&presented.time.text, scope, &[&canonical]);
    let old = HEXLOWER.encode(&presented.signature);
    let new = HEXLOWER.encode(day.sign(&text).as_bytes());
    if presented.in_query {
        let target = uri.to_string();
        let (front, rest) = target.split_once(&format!("X-Amz-Signature={old}"))?;
        let target = format!("{front}X-Amz-Signature={new}{rest}");
        return Some((target.parse().ok()?, None));
    }
    let value = fields.get("authorization")?.to_str().ok()?;
    let (front, rest) = value.rsplit_once(&old)?;
    let value = HeaderValue::try_from(format!("{front}{new}{rest}")).ok()?;
    Some((uri.clone(), Some(value)))
}
