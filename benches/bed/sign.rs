//! What is sent, signed by hand ahead of time: the same bytes to each kind of proxy.

use super::http2;
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use portcullis::clock::Clock;
use portcullis::crypto::{Algorithm, DigestAlgorithm, Hasher, HmacKey};
use portcullis::schemes::token;
use portcullis::secret::Secret;
use std::fmt::Write;

/// The key's secret, as its file holds it.
pub(crate) const SECRET: &str = "a-secret-of-the-benches-only-32-bytes";
pub(crate) const KEY_ID: &str = "bench";
pub(crate) const AUTHORITY: &str = "api.example.com";
/// What clients send besides.
const PLAIN: [(&str, &str); 2] = [("user-agent", "bench/1.0"), ("accept", "application/json")];
const QUERY: &str = "page=2";

/// How a request proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    None,
    Signature,
    /// Of the right form, by another key.
    WrongSignature,
    /// By a key id that nobody has, a new one each time.
    UnknownKey,
    Token,
}

/// A request ready to be sent.
pub(crate) struct Prepared {
    /// All before the body; for HTTP/2 the block of fields.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
}

/// A body and its digest, computed once.
#[derive(Clone)]
pub(crate) struct Body {
    bytes: Bytes,
    digest: String,
}

impl Body {
    pub(crate) fn new(length: usize) -> Self {
        let bytes = vec![b'x'; length];
        let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
        hasher.update(&bytes);
        Self {
            digest: format!("sha-256=:{}:", BASE64.encode(&hasher.finish())),
            bytes: bytes.into(),
        }
    }
}

/// Who signs.
pub(crate) struct Caller {
    key: HmacKey,
    other: HmacKey,
    now: i64,
    token: String,
}

impl Caller {
    /// Signs as of now.
    pub(crate) fn new() -> Self {
        let secret = Secret::new(SECRET.as_bytes().to_vec());
        let other = Secret::new(vec![b'x'; 32]);
        let now = Clock::system().now().unix_seconds();
        let claims = token::Claims {
            iat: now,
            exp: now + 600,
            ..token::Claims::default()
        };
        let key = |secret| HmacKey::new(Algorithm::HmacSha256, secret).expect("it is long enough");
        Self {
            key: key(&secret),
            other: key(&other),
            now,
            token: token::sign(KEY_ID, &key(&secret).into(), &claims).expect("it signs tokens"),
        }
    }

    /// The proof of [`Proof::Token`].
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// `GET`, or `POST` with a body; each with a proof of its own, where it has one.
    pub(crate) fn request(
        &self,
        proof: Proof,
        path: &str,
        body: Option<&Body>,
        http2: bool,
    ) -> Prepared {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut fields: Vec<(&str, String)> = Vec::new();
        if let Some(body) = body {
            fields.push(("content-length", body.bytes.len().to_string()));
        }
        match proof {
            Proof::None => {}
            Proof::Token => fields.push(("portcullis-token", self.token.clone())),
            Proof::Signature => self.sign(&self.key, KEY_ID, method, path, body, &mut fields),
            Proof::WrongSignature => {
                self.sign(&self.other, KEY_ID, method, path, body, &mut fields);
            }
            Proof::UnknownKey => {
                let id = nonce();
                self.sign(&self.other, &id, method, path, body, &mut fields);
            }
        }
        let target = format!("{path}?{QUERY}");
        let head = if http2 {
            head_of_http2(method, &target, &fields)
        } else {
            head_of_http1(method, &target, &fields)
        };
        Prepared {
            head,
            body: body.map_or_else(Bytes::new, |body| body.bytes.clone()),
        }
    }

    fn sign(
        &self,
        key: &HmacKey,
        key_id: &str,
        method: &str,
        path: &str,
        body: Option<&Body>,
        fields: &mut Vec<(&str, String)>,
    ) {
        let mut base = format!(
            "\"@method\": {method}\n\"@authority\": {AUTHORITY}\n\"@path\": {path}\n\"@query\": ?{QUERY}\n"
        );
        let mut covered = String::from(r#""@method" "@authority" "@path" "@query""#);
        if let Some(Body { digest, .. }) = body {
            covered.push_str(r#" "content-digest""#);
            writeln!(base, "\"content-digest\": {digest}").expect("a String takes all");
            fields.push(("content-digest", digest.clone()));
        }
        let params = format!(
            r#"({covered});created={};keyid="{key_id}";nonce="{}""#,
            self.now,
            nonce()
        );
        write!(base, "\"@signature-params\": {params}").expect("a String takes all");
        let tag = BASE64.encode(key.sign(base.as_bytes()).as_bytes());
        fields.push(("signature-input", format!("sig={params}")));
        fields.push(("signature", format!("sig=:{tag}:")));
    }
}

fn nonce() -> String {
    let mut nonce = [0; 16];
    portcullis::crypto::random(&mut nonce);
    HEXLOWER.encode(&nonce)
}

fn head_of_http1(method: &str, target: &str, fields: &[(&str, String)]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {AUTHORITY}\r\n");
    let plain = PLAIN.iter().copied();
    let ours = fields.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in plain.chain(ours) {
        write!(head, "{name}: {value}\r\n").expect("a String takes all");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn head_of_http2(method: &str, target: &str, fields: &[(&str, String)]) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let start = [
        (":method", method),
        (":scheme", "https"),
        (":authority", AUTHORITY),
        (":path", target),
    ];
    let plain = PLAIN.iter().copied();
    let ours = fields.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in start.into_iter().chain(plain).chain(ours) {
        http2::encode(&mut head, name, value);
    }
    head
}
