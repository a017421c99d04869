//! DPoP (RFC 9449): who shows a token that is bound to a key proves, for this
//! method and URL, that it has the key.
//!
//! A proof says nothing of the query and the body: what is proven is the
//! possession of a key, not the request.

pub mod nonce;
mod place;
pub mod sign;

pub use sign::{ProofClaims, sign_proof};

use super::claims::{text, time};
use super::compact;
use super::json::{Json, member, read_object};
use super::jwk::Jwk;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, PublicKey};
use crate::schemes::freshness::Freshness;
use crate::schemes::{Proof, ProofId, Received, Refused, Timed, Unbound, Why};
use data_encoding::BASE64URL_NOPAD;
use http::HeaderName;
use nonce::Nonces;
use subtle::ConstantTimeEq;

/// The field that a proof stands in.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The field that tells the nonce to put into the next proof.
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Bytes a proof may have: an RSA key of 4096 bits and its signature fit.
pub const MAX_PROOF: usize = 4 * 1024;
/// Bytes that `jti` may have.
pub const MAX_JTI: usize = 256;
/// What proofs are signed with, as challenges tell it.
pub const ALGORITHMS: &str = "ES256 ES384 EdDSA Ed25519 PS256 RS256";

/// What is asked of proofs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The window of time, as for every scheme.
    pub freshness: Freshness,
    /// Whether a proof must hold a nonce of ours.
    pub nonce: bool,
    /// Who makes nonces.
    pub nonces: Nonces,
}

/// A proof that holds for this request and this token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proven {
    /// Of the key that made it.
    pub(super) thumbprint: [u8; 32],
    /// Its key and `jti`: it passes once.
    pub(super) id: ProofId,
    pub(super) created: i64,
    pub(super) last_second: i64,
}

impl Proven {
    /// It is what passes once: the token beside it is for many requests.
    pub(super) const fn proof(self) -> Proof {
        Proof {
            nonce: Some(self.id),
            text: self.id,
            last_second: self.last_second,
            says_its_end: false,
            created: self.created,
            reusable: false,
        }
    }
}

/// Checks a proof for `received` (RFC 9449, section 4.3), shown beside `token` if that is what it
/// goes with. By whom it must be made is still to be checked.
pub(super) fn check(
    proof: &[u8],
    token: Option<&str>,
    received: &Received<'_>,
    settings: &Settings,
    now: i64,
) -> Result<Proven, Refused> {
    let proof = compact::parts_of_proof(proof, MAX_PROOF, malformed)?;
    let (header, signature) = (decode(proof.header)?, decode(proof.signature)?);
    let key = read_key(&header)?;
    if !key.verify(proof.signed.as_bytes(), &signature) {
        return Err(bad(Why::WrongProof));
    }
    let claims = decode(proof.claims)?;
    let claims = read_object(&claims).map_err(|_| malformed("has no JSON object as payload"))?;
    let find = |name: &str| member(&claims, name);
    let named = |name, why| match find(name) {
        Some(value) => text(why, value).map_err(|_| bad(Why::Proof(why))),
        None => Err(bad(Why::Proof(why))),
    };
    if named("htm", "htm")? != received.method().as_str() {
        return Err(Refused::Binding(Unbound::OtherMethod));
    }
    if !place::is_of(named("htu", "htu")?, received) {
        return Err(Refused::Binding(Unbound::OtherUrl));
    }
    if let Some(token) = token {
        let hash = BASE64URL_NOPAD.encode(&sha256(&[token.as_bytes()]));
        if !bool::from(named("ath", "ath")?.as_bytes().ct_eq(hash.as_bytes())) {
            return Err(Refused::Binding(Unbound::OtherToken));
        }
    }
    let iat = find("iat").ok_or_else(|| bad(Why::Proof("iat missing")))?;
    let iat = time("iat", iat).map_err(|_| bad(Why::Proof("iat")))?;
    let jti = named("jti", "jti")?;
    if jti.is_empty() || jti.len() > MAX_JTI {
        return Err(bad(Why::Proof("jti")));
    }
    // Nobody asks for them, and nobody may rely on them in vain.
    let unasked = |name| match find(name) {
        Some(value) => time("exp", value)
            .map(Some)
            .map_err(|_| bad(Why::Proof("exp"))),
        None => Ok(None),
    };
    unasked("nbf")?;
    let expires = unasked("exp")?.map(|exp| exp.saturating_sub(1));
    let own = (Timed::DpopProof, bad(Why::Proof("exp")));
    let last_second = last_second(settings.freshness, own, iat, expires, now)?;
    if settings.nonce {
        let nonce = find("nonce").and_then(|value| text("nonce", value).ok());
        let holds = |nonce| settings.nonces.hold(nonce, now, settings.freshness);
        if !nonce.is_some_and(holds) {
            return Err(Refused::Binding(Unbound::Nonce));
        }
    }
    let thumbprint = *key.thumbprint();
    Ok(Proven {
        thumbprint,
        id: ProofId::of(&sha256(&[b"dpop", &thumbprint, jti.as_bytes()])),
        created: iat,
        last_second,
    })
}

/// The last second at which a proof, which is `of` this kind, would be taken. One that says that it is over is
/// refused as `over`: what it proves may hold all the same, and nobody needs a new one of that.
pub(super) fn last_second(
    freshness: Freshness,
    (of, over): (Timed, Refused),
    created: i64,
    expires: Option<i64>,
    now: i64,
) -> Result<i64, Refused> {
    match freshness.check(created, expires, now) {
        Err(Refused::Expired { .. }) => Err(over),
        Err(Refused::Skew { ours, theirs, .. }) => Err(Refused::Skew { of, ours, theirs }),
        checked => checked,
    }
}

/// The key that a proof's header holds, bound to the algorithm that stands beside it.
fn read_key(header: &[u8]) -> Result<PublicKey, Refused> {
    let header = read_object(header).map_err(|_| malformed("has no JSON object as header"))?;
    let (mut algorithm, mut key, mut is_proof) = (None, None, false);
    for (name, value) in &header {
        match (&**name, value) {
            ("typ", Json::Text(word)) => is_proof = word.eq_ignore_ascii_case("dpop+jwt"),
            ("alg", Json::Text(name)) => algorithm = Algorithm::from_jose_name(name),
            ("jwk", Json::Object(members)) => key = Some(members),
            ("kid", Json::Text(_)) => {}
            ("typ", _) => return Err(bad(Why::Proof("typ"))),
            ("alg", _) => return Err(bad(Why::Proof("alg"))),
            ("jwk", _) => return Err(bad(Why::Proof("jwk"))),
            _ => return Err(bad(Why::Proof("header"))),
        }
    }
    if !is_proof {
        return Err(bad(Why::Proof("typ")));
    }
    let algorithm = algorithm
        .filter(|algorithm| algorithm.is_for_tokens() && !algorithm.is_mac())
        .ok_or_else(|| bad(Why::Proof("alg")))?;
    let no_key = || bad(Why::Proof("jwk"));
    let jwk = key
        .and_then(|members| Jwk::read(members))
        .ok_or_else(no_key)?;
    let of_another = jwk
        .algorithm
        .is_some_and(|name| Algorithm::from_jose_name(name) != Some(algorithm));
    if jwk.is_private || jwk.is_for_others || of_another {
        return Err(no_key());
    }
    jwk.key.key(algorithm).map_err(|_| no_key())
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    compact::decode(part, malformed)
}

const fn bad(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

fn malformed(what: &str) -> Refused {
    Refused::Malformed(format!("the DPoP proof {what}"))
}

#[cfg(test)]
mod tests;
