//! For those who call in the dialect of Kong, of Apache APISIX or of draft-cavage-12.

use super::{SignError, ascii, received, target_of, with_host};
use crate::clock::Clock;
use crate::crypto::{Algorithm, BadKey, SigningKey};
use crate::schemes::digest::CONTENT_DIGEST;
use crate::schemes::hmac_auth::digest::DIGEST;
use crate::schemes::hmac_auth::sign::{CannotSign, Parameters, sign};
use crate::schemes::hmac_auth::verify::is_of;
use crate::schemes::hmac_auth::{self, Dialect, date};
use crate::schemes::received::Received;
use crate::secret::Secret;
use http::header::{AUTHORIZATION, DATE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// Signs requests with one key, as callers of another gateway do.
#[derive(Clone, Debug)]
pub struct HmacSigner {
    dialect: Dialect,
    key_id: String,
    key: SigningKey,
    more: Vec<String>,
    clock: Clock,
}

/// What to add to a request, and the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacSigned {
    /// The fields, in the order to send them.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The text.
    pub text: String,
}

/// Why a request cannot be signed.
pub type HmacSignError = SignError<CannotSign>;

impl HmacSigner {
    /// A signer that covers time, target, host, `Authorization` and body, each if there is one.
    ///
    /// # Errors
    /// [`BadKey`], such as when an HMAC's secret has fewer than 8 bytes.
    pub fn new(
        dialect: Dialect,
        key_id: &str,
        algorithm: Algorithm,
        secret: &Secret,
    ) -> Result<Self, BadKey> {
        if !is_of(dialect, algorithm) {
            return Err(BadKey::OfAnotherDialect(algorithm));
        }
        Ok(Self {
            dialect,
            key_id: key_id.to_owned(),
            key: SigningKey::taken_over(algorithm, secret)?,
            more: Vec::new(),
            clock: Clock::system(),
        })
    }

    /// Covers one field more.
    #[must_use]
    pub fn cover(mut self, field: &str) -> Self {
        self.more.push(field.to_ascii_lowercase());
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What to add to a request of these fields and this body, empty for none.
    /// A `Date` or `Digest` that is there already is signed as it stands.
    ///
    /// # Errors
    /// [`HmacSignError`].
    pub fn sign(
        &self,
        method: &Method,
        uri: &Uri,
        fields: &HeaderMap,
        body: &[u8],
    ) -> Result<HmacSigned, HmacSignError> {
        let now = self.clock.now().unix_seconds();
        let mut all = with_host(fields, uri)?;
        let mut added = Vec::with_capacity(3);
        let mut add = |name: HeaderName, value: String| {
            if !all.contains_key(&name) {
                all.insert(name.clone(), ascii(&value));
                added.push((name, ascii(&value)));
            }
        };
        if self.dialect != Dialect::Cavage12 {
            add(DATE, date::write(now));
        }
        if !body.is_empty() {
            add(DIGEST, hmac_auth::digest::field_of(body));
        }
        let place = self.place(&all).map_err(SignError::CannotSign)?;
        let has_body = !body.is_empty();
        let signed = received(method, uri, &target_of(uri), &all, has_body, |received| {
            let parameters = Parameters {
                dialect: self.dialect,
                key_id: &self.key_id,
                covered: &self.covered(received),
                created: (self.dialect == Dialect::Cavage12).then_some(now),
            };
            sign(received, &parameters, &self.key)
        })?;
        let value = match signed.value.split_once(' ') {
            // There the word is the field's name.
            Some((_, parameters)) if place == SIGNATURE => parameters,
            _ => &signed.value,
        };
        added.push((place, ascii(value)));
        Ok(HmacSigned {
            fields: added,
            text: signed.text,
        })
    }

    /// The list, names with one space between.
    fn covered(&self, received: &Received<'_>) -> String {
        let (time, target) = match self.dialect {
            // Whatever HTTP it goes over: `request-line` would hold the version.
            Dialect::Kong | Dialect::Apisix => ("date", "@request-target"),
            Dialect::Cavage12 => ("(created)", "(request-target)"),
        };
        let has = |name: HeaderName| received.fields().contains_key(name);
        let parts = [
            (target, true),
            (time, true),
            ("host", true),
            ("date", time != "date" && has(DATE)),
            ("authorization", has(AUTHORIZATION)),
            ("digest", has(DIGEST)),
            ("content-digest", has(CONTENT_DIGEST)),
        ];
        let there = parts.into_iter().filter(|(_, there)| *there);
        let mut list: Vec<&str> = there.map(|(name, _)| name).collect();
        for more in &self.more {
            if !list.contains(&more.as_str()) {
                list.push(more);
            }
        }
        list.join(" ")
    }

    /// Where the proof stands: beside an `Authorization` that is there already, in the dialect's other field.
    fn place(&self, fields: &HeaderMap) -> Result<HeaderName, CannotSign> {
        if !fields.contains_key(AUTHORIZATION) {
            return Ok(AUTHORIZATION);
        }
        match self.dialect {
            Dialect::Kong => Ok(PROXY_AUTHORIZATION),
            Dialect::Apisix => Err(CannotSign::Taken),
            Dialect::Cavage12 => Ok(SIGNATURE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(dialect: Dialect, fields: &[(&'static str, &str)], body: &[u8]) -> HmacSigned {
        let secret = Secret::new(vec![7; 32]);
        let signer = HmacSigner::new(dialect, "k", Algorithm::HmacSha256, &secret)
            .unwrap()
            .clock(Clock::by_hand(1_800_000_000).0)
            .cover("X-A");
        let mut map = HeaderMap::new();
        map.insert("x-a", HeaderValue::from_static("1"));
        for (name, value) in fields {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let uri = "https://api.example.com/o?a=1".parse().unwrap();
        signer.sign(&Method::POST, &uri, &map, body).unwrap()
    }

    #[test]
    fn all_that_is_there_is_covered() {
        let date = "date: Fri, 15 Jan 2027 08:00:00 GMT";
        let host = "host: api.example.com";
        let digest = "digest: SHA-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";
        for (dialect, lines) in [
            (
                Dialect::Kong,
                vec!["@request-target: post /o?a=1", date, host, digest, "x-a: 1"],
            ),
            (
                Dialect::Apisix,
                vec!["k", "POST /o?a=1", date, host, digest, "x-a: 1", ""],
            ),
            (
                Dialect::Cavage12,
                vec![
                    "(request-target): post /o?a=1",
                    "(created): 1800000000",
                    host,
                    digest,
                    "x-a: 1",
                ],
            ),
        ] {
            let signed = signed(dialect, &[], b"{}");
            assert_eq!(signed.text, lines.join("\n"));
            assert_eq!(signed.fields.last().unwrap().0, AUTHORIZATION);
        }
    }

    #[test]
    fn a_proof_makes_room_for_another_authorization() {
        let other = [("authorization", "Bearer x")];
        for (dialect, place, word) in [
            (Dialect::Kong, PROXY_AUTHORIZATION, "hmac username="),
            (Dialect::Cavage12, SIGNATURE, "keyId="),
        ] {
            let signed = signed(dialect, &other, b"");
            assert!(signed.text.contains("\nauthorization: Bearer x\n"));
            let (name, value) = signed.fields.last().unwrap();
            assert_eq!(*name, place);
            assert!(value.to_str().unwrap().starts_with(word));
        }
        let secret = Secret::new(vec![7; 32]);
        let signer = HmacSigner::new(Dialect::Apisix, "k", Algorithm::HmacSha256, &secret);
        let mut fields = HeaderMap::new();
        fields.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        let uri = "https://api.example.com/".parse().unwrap();
        let refused = signer.unwrap().sign(&Method::GET, &uri, &fields, b"");
        assert_eq!(refused, Err(SignError::CannotSign(CannotSign::Taken)));
    }
}
