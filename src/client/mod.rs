//! For those who call: [`Signer`] adds to a request what a gateway asks for, and
//! [`HmacSigner`] what the callers of other gateways do, [`AwsSigner`] what those of AWS do.
//! [`DpopKey`] proves the key that a token is bound to, [`AttestedClient`] that of an attested client of OAuth.
//!
//! [`token::Tokens`] gets tokens of a key service, and renews them.
//!
//! In: a request as it will be sent, and a key. Out: the same request with
//! `Content-Digest`, `Signature-Input` and `Signature`. This room never:
//! sends anything, or keeps a request.
//!
//! ```
//! use portcullis::client::Signer;
//! use portcullis::crypto::Algorithm;
//! use portcullis::secret::Secret;
//!
//! let secret = Secret::new(vec![7; 32]);
//! let signer = Signer::new("mobile-2026", Algorithm::HmacSha256, &secret)?;
//! let mut request = http::Request::post("https://api.example.com/orders?dry=1")
//!     .body(r#"{"item": 7}"#)?;
//! signer.sign(&mut request)?;
//! assert!(request.headers().contains_key("signature"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attested;
mod aws;
mod dpop;
mod hmac_auth;
pub mod token;

mod webhook;

pub use attested::AttestedClient;
pub use aws::{AwsPresigned, AwsSignError, AwsSigned, AwsSigner};
pub use dpop::DpopKey;
pub use hmac_auth::{HmacSignError, HmacSigned, HmacSigner};
pub use webhook::WebhookSigner;

use crate::clock::Clock;
use crate::crypto::{Algorithm, BadKey, PrivateKey, SigningKey};
use crate::schemes::authority::without_own_port;
use crate::schemes::digest::{CONTENT_DIGEST, Digests};
use crate::schemes::http_signature::sign::{CannotSign, Parameters, Signed, sign};
use crate::schemes::http_signature::{SIGNATURE, SIGNATURE_INPUT};
use crate::schemes::received::{Malformed, Received, Surroundings};
use crate::schemes::token::PORTCULLIS_TOKEN;
use crate::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use std::borrow::Cow;
use std::time::Duration;

/// Signs requests with one key (RFC 9421).
#[derive(Clone, Debug)]
pub struct Signer {
    key_id: String,
    key: SigningKey,
    label: String,
    more: Vec<String>,
    lifetime: Option<Duration>,
    tag: Option<String>,
    single_use: bool,
    clock: Clock,
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError<C = CannotSign> {
    /// The URL has no scheme and host.
    #[error("the URL must be absolute, as in `https://api.example.com/orders`")]
    NotAbsolute,
    /// A gateway would refuse the request itself, however signed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It cannot be signed so.
    #[error(transparent)]
    CannotSign(C),
}

impl Signer {
    /// A signer that covers method, authority, path, query, `Authorization`,
    /// `Portcullis-Token` and body, each if there is one, with the time and a fresh nonce. The
    /// secret is that of an HMAC, or a private key in PEM or as a JWK.
    ///
    /// # Errors
    /// [`BadKey`], such as when an HMAC's secret has fewer than 32 bytes.
    pub fn new(key_id: &str, algorithm: Algorithm, secret: &Secret) -> Result<Self, BadKey> {
        if !algorithm.is_for_requests() {
            return Err(BadKey::ForTokens(algorithm));
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            key: SigningKey::new(algorithm, secret)?,
            label: "sig1".to_owned(),
            more: Vec::new(),
            lifetime: None,
            tag: None,
            single_use: true,
            clock: Clock::system(),
        })
    }

    /// Covers one component more, written as in `Signature-Input`: a field
    /// name, or with parameters `"example";sf`.
    #[must_use]
    pub fn cover(mut self, component: &str) -> Self {
        self.more.push(if component.starts_with('"') {
            component.to_owned()
        } else {
            format!("\"{}\"", component.to_ascii_lowercase())
        });
        self
    }

    /// Says when the signature ends: so long after it is made.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The label that joins both fields; `sig1` unless told otherwise.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Says what the signature is for.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self
    }

    /// Sends no nonce: a request with a safe method may then pass more than once.
    #[must_use]
    pub const fn reusable(mut self) -> Self {
        self.single_use = false;
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds the fields to `request`, which needs an absolute URL. Gives back
    /// the text that was signed, for whoever wants to see it.
    ///
    /// # Errors
    /// [`SignError`]; the request is then as it was.
    pub fn sign<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<Signed, SignError> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let body = request.body().as_ref();
        let digest = (!body.is_empty()).then(|| Digests::field_of(body));
        self.sign_head(&method, &uri, request.headers_mut(), digest.as_deref())
    }

    /// Adds the fields to `fields`. `digest` is the value of `Content-Digest`
    /// of the body; without it the request has none.
    ///
    /// # Errors
    /// [`SignError`]; the fields are then as they were.
    pub fn sign_head(
        &self,
        method: &Method,
        uri: &Uri,
        fields: &mut HeaderMap,
        digest: Option<&str>,
    ) -> Result<Signed, SignError> {
        let mut all = with_host(fields, uri)?;
        if let Some(digest) = digest {
            let value = HeaderValue::from_str(digest).map_err(|_| {
                let why = format!("`{}` cannot stand in a field", digest.escape_debug());
                SignError::CannotSign(CannotSign::Unreadable(why))
            })?;
            all.insert(CONTENT_DIGEST, value);
        }
        let now = self.clock.now().unix_seconds();
        let nonce = self.single_use.then(fresh_nonce);
        let parameters = Parameters {
            created: now,
            expires: self
                .lifetime
                .map(|lifetime| now.saturating_add(lifetime.as_secs() as i64)),
            key_id: &self.key_id,
            algorithm: Some(self.key.algorithm()),
            nonce: nonce.as_deref(),
            tag: self.tag.as_deref(),
        };
        let signed = received(
            method,
            uri,
            &target_of(uri),
            &all,
            digest.is_some(),
            |received| {
                let components = self.components(received);
                sign(received, &self.label, &components, &parameters, &self.key)
            },
        )?;
        if let Some(digest) = all.remove(CONTENT_DIGEST) {
            fields.insert(CONTENT_DIGEST, digest);
        }
        fields.insert(SIGNATURE_INPUT, ascii(&signed.input));
        fields.insert(SIGNATURE, ascii(&signed.signature));
        Ok(signed)
    }

    fn components(&self, received: &Received<'_>) -> Vec<String> {
        let has = |name: HeaderName| received.fields().contains_key(name);
        let parts = [
            ("\"@method\"", true),
            ("\"@authority\"", true),
            ("\"@path\"", true),
            (
                "\"@query\"",
                received.query().is_some_and(|query| !query.is_empty()),
            ),
            // `@query` does not tell a lone `?` from none.
            ("\"@target-uri\"", received.query() == Some("")),
            ("\"authorization\"", has(AUTHORIZATION)),
            ("\"content-digest\"", has(CONTENT_DIGEST)),
            // Where a route asks for both, nobody must be able to exchange it.
            ("\"portcullis-token\"", has(PORTCULLIS_TOKEN)),
        ];
        let mut components: Vec<String> = parts
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| name.to_owned())
            .collect();
        for more in &self.more {
            if !components.contains(more) {
                components.push(more.clone());
            }
        }
        components
    }
}

/// `fields` with a `Host`.
fn with_host<C>(fields: &HeaderMap, uri: &Uri) -> Result<HeaderMap, SignError<C>> {
    let host = host_of(uri).ok_or(SignError::NotAbsolute)?;
    let mut all = fields.clone();
    all.entry(HOST).or_insert_with(|| ascii(host));
    Ok(all)
}

/// What a client says in `Host` for a URL: no port that is the scheme's own.
pub(crate) fn host_of(uri: &Uri) -> Option<&str> {
    let scheme = uri.scheme_str().unwrap_or_default();
    Some(without_own_port(scheme, uri.authority()?.as_str()))
}

/// What stands in the request line: a URL may have a query without a path.
pub(crate) fn target_of(uri: &Uri) -> Cow<'_, str> {
    match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        None => Cow::Borrowed("/"),
        Some(target) if target.starts_with('?') => Cow::Owned(format!("/{target}")),
        Some(target) => Cow::Borrowed(target),
    }
}

/// Signs the request as the gateway will read it.
fn received<T, C>(
    method: &Method,
    uri: &Uri,
    target: &str,
    fields: &HeaderMap,
    has_body: bool,
    sign: impl FnOnce(&Received<'_>) -> Result<T, C>,
) -> Result<T, SignError<C>> {
    let scheme = uri.scheme_str().ok_or(SignError::NotAbsolute)?;
    let origin: Uri = target.parse().map_err(|_| SignError::NotAbsolute)?;
    let around = Surroundings {
        tls: scheme == "https",
        http2: false,
        has_body,
        public_url: None,
    };
    let received = Received::read(method, &origin, fields, around)?;
    sign(&received).map_err(SignError::CannotSign)
}

/// A private key that tokens are signed with, in PEM or as a JWK.
fn pair_for_tokens(algorithm: Algorithm, key: &Secret) -> Result<PrivateKey, BadKey> {
    if !algorithm.is_for_tokens() {
        return Err(BadKey::NoPair(algorithm));
    }
    PrivateKey::read(algorithm, key)
}

fn fresh_nonce() -> String {
    let mut bytes = [0; 16];
    crate::crypto::random(&mut bytes);
    BASE64URL_NOPAD.encode(&bytes)
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("what was read as a field is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_what_clients_send_for_a_url() {
        for (url, host, target) in [
            ("http://h", "h", "/"),
            ("http://h?a", "h", "/?a"),
            ("https://h:443/p?a", "h", "/p?a"),
            ("http://h:80/", "h", "/"),
            ("http://h:443/", "h:443", "/"),
            ("http://[::80]/", "[::80]", "/"),
            ("http://[::1]:80/", "[::1]", "/"),
        ] {
            let uri: Uri = url.parse().unwrap();
            assert_eq!(host_of(&uri), Some(host), "{url}");
            assert_eq!(target_of(&uri), target, "{url}");
        }
    }

    #[test]
    fn a_digest_that_cannot_stand_in_a_field_is_refused_and_changes_nothing() {
        let caller = Signer::new("k", Algorithm::HmacSha256, &Secret::new(vec![7; 32])).unwrap();
        let uri = "https://api.example.com/p".parse().unwrap();
        let mut fields = HeaderMap::new();
        fields.insert("x-a", HeaderValue::from_static("1"));
        let before = fields.clone();
        for digest in ["sha-256=:AAAA:\n", "sha-256=:\u{7f}:"] {
            let refused = caller.sign_head(&Method::POST, &uri, &mut fields, Some(digest));
            let unreadable = SignError::CannotSign(CannotSign::Unreadable(format!(
                "`{}` cannot stand in a field",
                digest.escape_debug()
            )));
            assert_eq!(refused, Err(unreadable));
            assert_eq!(fields, before);
        }
    }

    #[test]
    fn a_query_is_covered_even_where_it_is_empty() {
        let caller = Signer::new("k", Algorithm::HmacSha256, &Secret::new(vec![7; 32])).unwrap();
        for (target, covered) in [
            ("/p", "(\"@method\" \"@authority\" \"@path\")"),
            ("/p?a", "(\"@method\" \"@authority\" \"@path\" \"@query\")"),
            (
                "/p?",
                "(\"@method\" \"@authority\" \"@path\" \"@target-uri\")",
            ),
        ] {
            let uri = format!("https://api.example.com{target}").parse().unwrap();
            let signed = caller
                .sign_head(&Method::GET, &uri, &mut HeaderMap::new(), None)
                .unwrap();
            assert!(signed.input.contains(covered), "{}", signed.input);
        }
    }
}
