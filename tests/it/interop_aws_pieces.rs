//! AWS's SDK for Rust: its signer and its `aws-chunked` body, unchanged, make uploads whose pieces are signed, and the
//! checksum behind them.

use crate::harness::raw::find;
use crate::harness::setup::SECRET;
use crate::harness::{Gateway, Request, Setup, T0, Upstream};
use aws_credential_types::Credentials;
use aws_runtime::auth::sigv4::SigV4Signer;
use aws_runtime::auth::{PayloadSigningOverride, SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::content_encoding::{AwsChunkedBody, AwsChunkedBodyOptions, DeferredSigner};
use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_runtime_api::client::auth::{AuthSchemeEndpointConfig, Sign as _};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use sha2::{Digest as _, Sha256};

/// Bytes of each piece but the last: the fewest that the SDK makes.
const PIECE: usize = 8 * 1024;
const CHECKSUM: &str = "x-amz-checksum-sha256";
const SIGNATURE: &str = "x-amz-trailer-signature";

fn start(verify: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let route = format!("accept = [\"aws-sigv4\"]\nbody = {{ verify = \"{verify}\" }}");
    let gateway = Setup::before(&upstream).route(&route).start();
    (upstream, gateway)
}

/// What the SDK sends of `body`, with the checksum of `summed`.
fn upload(gateway: &Gateway, target: &str, body: &[u8], summed: &[u8]) -> Request {
    let checksum = BASE64.encode(&Sha256::digest(summed));
    let line = |name: &str, value: usize| (name.len() + 1 + value) as u64;
    let options = AwsChunkedBodyOptions::new(body.len() as u64, Vec::new())
        .with_chunk_size(PIECE)
        .signed_chunked_encoding(true)
        .with_trailer_len(line(CHECKSUM, checksum.len()))
        .with_trailer_len(line(SIGNATURE, 64));
    let mut request = HttpRequest::empty();
    request.set_method("PUT").unwrap();
    let url = format!("http://{}{target}", gateway.address());
    request.set_uri(url).unwrap();
    let length = options.encoded_length();
    for (name, value) in [
        ("content-encoding", "aws-chunked"),
        ("content-length", &length.to_string()),
        ("x-amz-decoded-content-length", &body.len().to_string()),
        ("x-amz-trailer", CHECKSUM),
    ] {
        request.headers_mut().insert(name, value.to_owned());
    }
    let pieces = sign(&mut request);

    let trailer = HeaderValue::try_from(checksum).unwrap();
    let trailer = HeaderMap::from_iter([(CHECKSUM.parse().unwrap(), trailer)]);
    let body = Full::new(Bytes::copy_from_slice(body))
        .map_err(|never| match never {})
        .with_trailers(async { Some(Ok(trailer)) });
    let body = AwsChunkedBody::new(body, options).with_signer(pieces);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let body = runtime.block_on(body.collect()).unwrap().to_bytes();
    assert_eq!(body.len() as u64, length);

    let mut sent = gateway.request("PUT", target).body(body);
    for (name, value) in request.headers() {
        // The framing is the harness's own: the same.
        if name != "content-length" {
            sent = sent.field(name, value);
        }
    }
    sent
}

/// Signs the head, and gives back what goes on to sign the pieces.
fn sign(request: &mut HttpRequest) -> DeferredSigner {
    let mut options = SigningOptions::default();
    // As for S3.
    options.double_uri_encode = false;
    options.normalize_uri_path = false;
    options.content_sha256_header = true;
    let (pieces, sender) = DeferredSigner::new();
    let mut layer = Layer::new("an upload");
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(Region::from_static("us-east-1"))),
        name: Some(SigningName::from_static("s3")),
        signing_options: options,
        ..SigV4OperationSigningConfig::default()
    });
    layer.store_put(PayloadSigningOverride::StreamingSignedPayloadTrailer);
    layer.store_put(sender);
    let time = StaticTimeSource::from_secs(T0.unsigned_abs());
    let components = RuntimeComponentsBuilder::for_tests()
        .with_time_source(Some(time))
        .build()
        .unwrap();
    let secret = std::str::from_utf8(SECRET).unwrap();
    let credentials = Credentials::new("mobile-2026", secret, None, None, "test");
    let none = AuthSchemeEndpointConfig::empty();
    let bag = ConfigBag::of_layers([layer]);
    SigV4Signer::new()
        .sign_http_request(request, &credentials.into(), none, &components, &bag)
        .unwrap();
    pieces
}

/// What is done to a body, and what it is refused with.
type Change<'c> = (&'c str, &'c dyn Fn(&mut [u8]), &'c str);

/// Bytes that are not all alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn an_upload_in_signed_pieces_arrives_whole_and_once() {
    for verify in ["before-forwarding", "while-forwarding"] {
        let (upstream, gateway) = start(verify);
        for (number, length) in [1, PIECE, 2 * PIECE + 100].into_iter().enumerate() {
            let body = bytes(length);
            let signed = upload(&gateway, "/files/a%20b", &body, &body);
            assert_eq!(
                signed.value("X-Amz-Content-Sha256").unwrap(),
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
            );
            gateway.send(&signed).assert_passed();
            gateway.send(&signed).assert_refused(401, "replayed");
            let got = upstream.got(number);
            assert_eq!(got.body, body);
            assert_eq!(got.field("content-length"), Some(&*length.to_string()));
            for name in ["content-encoding", "x-amz-trailer", CHECKSUM] {
                assert_eq!(got.field(name), None, "{name}");
            }
        }
    }
}

#[test]
fn each_change_to_signed_pieces_and_what_comes_behind_them_is_refused() {
    let body = bytes(2 * PIECE + 100);
    let behind = |text: &[u8], what: &str| find(text, what.as_bytes()).unwrap() + what.len();
    let other = |byte: &mut u8| *byte = if *byte == b'a' { b'b' } else { b'a' };
    // The length is signed in the head: each leaves it as it is.
    let changes: [Change<'_>; 8] = [
        ("a piece", &|text| text[PIECE] ^= 1, "digest-mismatch"),
        (
            "a piece's signature",
            &|text| other(&mut text[behind(text, "chunk-signature=")]),
            "digest-mismatch",
        ),
        (
            "the order of pieces",
            &|text| {
                let whole = behind(text, "\r\n") + PIECE + 2;
                text[..2 * whole].rotate_left(whole);
            },
            "digest-mismatch",
        ),
        (
            "the checksum",
            &|text| other(&mut text[behind(text, &format!("{CHECKSUM}:"))]),
            "digest-mismatch",
        ),
        (
            "the checksum's name",
            &|text| other(&mut text[behind(text, CHECKSUM) - 1]),
            "digest-mismatch",
        ),
        (
            "the signature behind",
            &|text| other(&mut text[behind(text, &format!("{SIGNATURE}:"))]),
            "digest-mismatch",
        ),
        (
            "no signature behind",
            &|text| other(&mut text[behind(text, SIGNATURE) - 1]),
            "malformed-request",
        ),
        (
            "nothing behind",
            &|text| {
                let begin = behind(text, CHECKSUM) - CHECKSUM.len();
                text[begin..begin + 2].copy_from_slice(b"\r\n");
            },
            "malformed-request",
        ),
    ];
    for (verify, is_silent) in [("before-forwarding", true), ("while-forwarding", false)] {
        let (upstream, gateway) = start(verify);
        let refused = |what: &str, request: &Request, code: &str| {
            let response = gateway.send(request);
            assert_eq!(
                response.code(),
                code,
                "{verify} {what}: {}",
                response.text()
            );
        };
        for (number, (what, change, code)) in changes.into_iter().enumerate() {
            let mut signed = upload(&gateway, &format!("/files/{number}"), &body, &body);
            change(signed.body.as_mut().unwrap());
            refused(what, &signed, code);
        }
        let wrong = upload(&gateway, "/files/wrong", &body, b"another body");
        refused("the checksum of another", &wrong, "digest-mismatch");
        let elsewhere = upload(&gateway, "/files/here", &body, &body);
        let elsewhere = elsewhere.target(|_| "/files/there".into());
        refused("the target", &elsewhere, "credential-rejected");
        if is_silent {
            upstream.assert_silent();
        } else {
            assert!(
                upstream
                    .heard()
                    .iter()
                    .all(|got| got.body.len() < body.len())
            );
        }
    }
}
