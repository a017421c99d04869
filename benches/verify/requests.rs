//! Requests that show a credential, one function for each kind.

use crate::gate::{DAY, HOST, Message, NOW, Pair, TARGET};
use data_encoding::HEXLOWER;
use http::Request;
use portcullis::client::{AwsSigner, HmacSigner, Signer};
use portcullis::clock::Clock;
use portcullis::crypto::aws4::Scope;
use portcullis::crypto::digest::sha256;
use portcullis::crypto::{Algorithm, HmacKey, PrivateKey, SigningKey};
use portcullis::route::{Dialect, Sender};
use portcullis::schemes::aws_sigv4::EMPTY_SHA256;
use portcullis::schemes::token::dpop::{ProofClaims, sign_proof};
use portcullis::schemes::token::{self, Claims, Confirmation};
use portcullis::schemes::webhook;
use portcullis::secret::Secret;
use std::time::Duration;

pub(crate) const SERVICE: &str = "api";

pub(crate) fn signed(algorithm: Algorithm, key_id: &str, key: &Secret) -> Message {
    let mut message = Message::get(TARGET);
    let mut request = Request::get(message.absolute())
        .body(Vec::new())
        .expect("a request");
    *request.headers_mut() = message.fields;
    Signer::new(key_id, algorithm, key)
        .expect("it is a key")
        .clock(Clock::by_hand(NOW).0)
        .sign(&mut request)
        .expect("it is plain");
    message.fields = request.into_parts().0.headers;
    message
}

pub(crate) fn signed_as(dialect: Dialect, key_id: &str, secret: &Secret) -> Message {
    let mut message = Message::get(TARGET);
    let made = HmacSigner::new(dialect, key_id, Algorithm::HmacSha256, secret)
        .expect("long enough")
        .clock(Clock::by_hand(NOW).0)
        .sign(&message.method, &message.absolute(), &message.fields, b"")
        .expect("it is plain");
    message.fields.extend(made.fields);
    message
}

fn aws(key_id: &str, secret: &Secret, region: &str) -> AwsSigner {
    AwsSigner::new(key_id, secret, region, SERVICE)
        .expect("long enough")
        .clock(Clock::by_hand(NOW).0)
}

pub(crate) fn signed_for_aws(target: &str, key_id: &str, secret: &Secret, region: &str) -> Message {
    let mut message = Message::get(target);
    let made = aws(key_id, secret, region)
        .sign(&message.method, &message.absolute(), &message.fields, b"")
        .expect("it is plain");
    message.fields.extend(made.fields);
    message
}

pub(crate) fn presigned(key_id: &str, secret: &Secret, region: &str) -> Message {
    let mut message = Message::get(TARGET);
    message.fields.remove("accept");
    let (method, uri) = (&message.method, message.absolute());
    let made = aws(key_id, secret, region)
        .presign(method, &uri, &message.fields, b"", Duration::from_mins(5))
        .expect("it is plain");
    let target = made.uri.path_and_query().expect("it has one");
    message.uri = target.as_str().parse().expect("a target");
    message
}

/// The signature that a body in pieces goes on from, of a request that was signed for it.
pub(crate) const PIECES: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

/// A request with a body in pieces of `size` bytes, and that body as it is sent.
pub(crate) fn in_pieces(pair: &Pair, pieces: usize, size: usize) -> (Message, Vec<u8>) {
    let length = (pieces * size).to_string();
    let mut message = Message::post("/files/1", b"framed".to_vec())
        .with("x-amz-content-sha256", PIECES)
        .with("x-amz-decoded-content-length", &length);
    let made = aws(pair.id(), &pair.key, REGION)
        .sign(&message.method, &message.absolute(), &message.fields, b"")
        .expect("it is plain");
    message.fields.extend(made.fields);
    let value = message.fields["authorization"].to_str().expect("text");
    let (_, seed) = value.rsplit_once('=').expect("it ends with the signature");
    let mut previous = seed.to_owned();
    let mut body = Vec::new();
    let mut push = |data: &[u8]| {
        let (text, signature) = piece_text(pair, &previous, data);
        debug_assert!(!text.is_empty());
        body.extend_from_slice(
            format!("{:x};chunk-signature={signature}\r\n", data.len()).as_bytes(),
        );
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
        previous = signature;
    };
    for _ in 0..pieces {
        push(&vec![b'x'; size]);
    }
    push(b"");
    (message, body)
}

/// What is signed of a piece, and the signature.
pub(crate) fn piece_text(pair: &Pair, previous: &str, data: &[u8]) -> (String, String) {
    let key = HmacKey::new(pair.algorithm, &pair.key).expect("long enough");
    let day = key
        .aws()
        .expect("it is of HMAC with SHA-256")
        .derive(scope(REGION));
    let hash = HEXLOWER.encode(&sha256(&[data]));
    let text = format!(
        "AWS4-HMAC-SHA256-PAYLOAD\n{DAY}T120000Z\n{DAY}/{REGION}/{SERVICE}/aws4_request\n{previous}\n{EMPTY_SHA256}\n{hash}"
    );
    let signature = HEXLOWER.encode(day.sign(text.as_bytes()).as_bytes());
    (text, signature)
}

/// The one that callers use.
pub(crate) const REGION: &str = "us-east-1";

pub(crate) const fn scope(region: &str) -> Scope<'_> {
    Scope {
        date: DAY,
        region,
        service: SERVICE,
    }
}

/// A token of `number` in the field of tokens.
pub(crate) fn with_token(key_id: &str, key: &SigningKey, number: usize) -> Message {
    let jti = number.to_string();
    let claims = Claims {
        jti: Some(&jti),
        ..claims()
    };
    let text = token::sign(key_id, key, &claims).expect("it signs tokens");
    Message::get(TARGET).with("portcullis-token", &text)
}

const fn claims() -> Claims<'static> {
    Claims {
        iat: NOW as i64,
        exp: NOW as i64 + 300,
        scope: Some("orders"),
        aud: None,
        pay: None,
        jti: None,
        sub: None,
        cnf: None,
    }
}

/// A token that is bound to `holder`, with a proof that `prover` has made.
pub(crate) fn with_dpop(key_id: &str, key: &SigningKey, holder: &Pair, prover: &Secret) -> Message {
    let read = |key| PrivateKey::read(holder.algorithm, key).expect("it is a key");
    let public = read(prover).public().expect("it is a key");
    let jkt = data_encoding::BASE64URL_NOPAD.encode(public.thumbprint());
    let claims = Claims {
        cnf: Some(Confirmation { jkt: &jkt }),
        ..claims()
    };
    let text = token::sign(key_id, key, &claims).expect("it signs tokens");
    let claims = ProofClaims {
        method: "GET",
        url: &format!("http://{HOST}{TARGET}"),
        token: &text,
        iat: NOW as i64,
        jti: "bDk2Y2U4NzQtNTk3",
        nonce: None,
    };
    let proof = sign_proof(&read(prover), &claims);
    Message::get(TARGET)
        .with("portcullis-token", &text)
        .with("dpop", &proof)
}

/// A webhook with a body of `size` bytes.
pub(crate) fn hook(sender: Sender, key: &SigningKey, size: usize) -> Message {
    let body = vec![b'x'; size];
    let parameters = webhook::sign::Parameters {
        sender,
        id: "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj",
        time: NOW as i64,
    };
    let made = webhook::sign::sign(&body, &parameters, key).expect("it signs so");
    let mut message = Message::post("/hooks", body);
    message.fields.extend(made.fields);
    message
}
