//! JSON Web Keys (RFC 7517), one at a time.

use super::Algorithm;
use super::bad_key::BadKey;
use super::encoded::Kind;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// A JWK as it is written, borrowed from its text. No member stands twice.
#[derive(Deserialize)]
pub(super) struct Jwk<'t> {
    kty: &'t str,
    crv: Option<&'t str>,
    pub(super) x: Option<&'t str>,
    pub(super) y: Option<&'t str>,
    pub(super) n: Option<&'t str>,
    pub(super) e: Option<&'t str>,
    pub(super) d: Option<&'t str>,
    pub(super) p: Option<&'t str>,
    pub(super) q: Option<&'t str>,
    pub(super) dp: Option<&'t str>,
    pub(super) dq: Option<&'t str>,
    pub(super) qi: Option<&'t str>,
    alg: Option<&'t str>,
    #[serde(rename = "use")]
    purpose: Option<&'t str>,
    #[serde(borrow)]
    key_ops: Option<Vec<&'t str>>,
}

/// What the key is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Sign,
    Verify,
}

impl<'t> Jwk<'t> {
    /// Reads a key that says nothing against `algorithm` and `operation`.
    pub(super) fn read(
        text: &'t str,
        algorithm: Algorithm,
        operation: Operation,
    ) -> Result<(Kind, Self), BadKey> {
        let jwk: Self = serde_json::from_str(text).map_err(|_| {
            BadKey::Unreadable(if text.contains("\"keys\"") {
                "it is a set of keys; take the one out of it"
            } else {
                "its JSON is not that of a key"
            })
        })?;
        let kind = match (jwk.kty, jwk.crv) {
            ("OKP", Some("Ed25519")) => Kind::Ed25519,
            ("EC", Some("P-256")) => Kind::P256,
            ("EC", Some("P-384")) => Kind::P384,
            ("RSA", None) => Kind::Rsa,
            ("oct", _) => return Err(BadKey::NoPair(algorithm)),
            _ => {
                return Err(BadKey::Unreadable(
                    "its `kty` and `crv` name a kind of key that is not known here",
                ));
            }
        };
        let other_use = |member| Err(BadKey::OtherUse { member, algorithm });
        if jwk
            .alg
            .is_some_and(|name| Algorithm::from_jose_name(name) != Some(algorithm))
        {
            return other_use("alg");
        }
        if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
            return other_use("use");
        }
        let allows = |operations: &Vec<&str>| {
            operations.contains(&match operation {
                Operation::Sign => "sign",
                Operation::Verify => "verify",
            })
        };
        if !jwk.key_ops.as_ref().is_none_or(allows) {
            return other_use("key_ops");
        }
        Ok((kind, jwk))
    }

    /// The point of an elliptic curve, uncompressed (SEC 1, section 2.3.3).
    pub(super) fn point(&self, size: usize) -> Result<Vec<u8>, BadKey> {
        let (x, y) = (bytes(self.x)?, bytes(self.y)?);
        if x.len() != size || y.len() != size {
            return Err(MISSING);
        }
        Ok([&[4][..], &x, &y].concat())
    }
}

/// The bytes of a member that must be there.
pub(super) fn bytes(member: Option<&str>) -> Result<Zeroizing<Vec<u8>>, BadKey> {
    let decoded = BASE64URL_NOPAD.decode(member.ok_or(MISSING)?.as_bytes());
    decoded.map(Zeroizing::new).map_err(|_| MISSING)
}

/// As [`bytes`], for a number: its one spelling has no leading zero.
pub(super) fn natural(member: Option<&str>) -> Result<Zeroizing<Vec<u8>>, BadKey> {
    bytes(member).and_then(|bytes| match bytes.first() {
        Some(1..=0xff) => Ok(bytes),
        _ => Err(MISSING),
    })
}

const MISSING: BadKey =
    BadKey::Unreadable("a member of the JWK is missing, or is not strict base64url of its size");
