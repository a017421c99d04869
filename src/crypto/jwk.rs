//! JSON Web Keys (RFC 7517), one at a time.

use super::bad_key::BadKey;
use super::encoded::Kind;
use super::public_key::check_kind;
use super::{Algorithm, PssSalt, PublicKey};
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
        let kind = match kind(jwk.kty, jwk.crv) {
            Some(kind) => kind,
            None if jwk.kty == "oct" => return Err(BadKey::NoPair(algorithm)),
            None => return Err(UNKNOWN_KIND),
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

/// The public members of a JWK, by whoever has read its JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicJwk<'t> {
    /// The kind of key.
    pub kty: &'t str,
    /// The curve, of kinds that have one.
    pub crv: Option<&'t str>,
    /// The point, or its first half.
    pub x: Option<&'t str>,
    /// Its second half.
    pub y: Option<&'t str>,
    /// The modulus of RSA.
    pub n: Option<&'t str>,
    /// Its exponent.
    pub e: Option<&'t str>,
}

impl PublicJwk<'_> {
    /// Whether keys of this kind are used with `algorithm`.
    pub fn suits(&self, algorithm: Algorithm) -> bool {
        kind(self.kty, self.crv).is_some_and(|kind| check_kind(kind, algorithm).is_ok())
    }

    /// The key, bound to `algorithm`. The numbers of an RSA key may begin with zeros, against RFC 7518
    /// (section 6.3.1.1), as those of Firebase App Check do: it is the same key, with the same thumbprint.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn key(&self, algorithm: Algorithm) -> Result<PublicKey, BadKey> {
        let kind = kind(self.kty, self.crv).ok_or(UNKNOWN_KIND)?;
        check_kind(kind, algorithm)?;
        if kind == Kind::Rsa {
            let (modulus, exponent) = (bytes(self.n)?, bytes(self.e)?);
            let (modulus, exponent) = (without_zeros(&modulus), without_zeros(&exponent));
            return PublicKey::rsa(algorithm, modulus, exponent, PssSalt::Digest);
        }
        let jwk = Jwk {
            kty: self.kty,
            crv: self.crv,
            x: self.x,
            y: self.y,
            n: self.n,
            e: self.e,
            d: None,
            p: None,
            q: None,
            dp: None,
            dq: None,
            qi: None,
            alg: None,
            purpose: None,
            key_ops: None,
        };
        PublicKey::of_members(algorithm, kind, &jwk, PssSalt::Digest)
    }
}

fn kind(kty: &str, crv: Option<&str>) -> Option<Kind> {
    Some(match (kty, crv) {
        ("OKP", Some("Ed25519")) => Kind::Ed25519,
        ("EC", Some("P-256")) => Kind::P256,
        ("EC", Some("P-384")) => Kind::P384,
        ("RSA", None) => Kind::Rsa,
        _ => return None,
    })
}

const UNKNOWN_KIND: BadKey =
    BadKey::Unreadable("its `kty` and `crv` name a kind of key that is not known here");

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

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

const MISSING: BadKey =
    BadKey::Unreadable("a member of the JWK is missing, or is not strict base64url of its size");
