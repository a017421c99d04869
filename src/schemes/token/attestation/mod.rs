//! Attested clients of OAuth (draft-ietf-oauth-attestation-based-client-auth-09): another spelling of a
//! token that is bound to a key, and of the proof of that key.
//!
//! The attestation is a token whose `typ` says so; it names the client (`sub`) and holds its key
//! (`cnf.jwk`). The proof is a JWT by that key for an audience, not for a method and a URL, or a DPoP
//! proof ("combined mode", section 5.2).

pub mod sign;

pub use crate::route::{OAUTH_CLIENT_ATTESTATION, OAUTH_CLIENT_ATTESTATION_POP};
pub use sign::{PopClaims, sign_attestation, sign_pop};

use super::bound::Bound;
use super::claims::{Verified, text, texts, time};
use super::compact;
use super::dpop::{self, DPOP, MAX_JTI, MAX_PROOF, Proven};
use super::json::{Json, member, read_object};
use super::{Settings, rejected};
use crate::clock::whole_seconds;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, PublicKey};
use crate::route::{Bind, ClientAttestation, Route};
use crate::schemes::received::Field;
use crate::schemes::{ProofId, Received, Refused, Timed, Unbound, Why};
use http::HeaderName;

/// The field that tells the challenge to put into the next proof.
pub const OAUTH_CLIENT_ATTESTATION_CHALLENGE: HeaderName =
    HeaderName::from_static("oauth-client-attestation-challenge");

/// `typ` of an attestation.
pub const ATTESTATION_TYPE: &str = "oauth-client-attestation+jwt";
/// `typ` of a proof.
pub const POP_TYPE: &str = "oauth-client-attestation-pop+jwt";

/// What is wrong with a `typ`, where an attestation must stand or must not.
pub(super) const fn typ(is_attestation: bool) -> &'static str {
    if is_attestation {
        "attestation typ"
    } else {
        "typ"
    }
}

/// Whether a token's `typ` is that of an attestation.
pub(super) fn is_typ(media_type: &str) -> bool {
    is(media_type, ATTESTATION_TYPE)
}

/// RFC 7515, section 4.1.9.
fn is(media_type: &str, wanted: &str) -> bool {
    let front = media_type.len().saturating_sub(wanted.len());
    let Some((front, name)) = media_type.split_at_checked(front) else {
        return false;
    };
    name.eq_ignore_ascii_case(wanted)
        && (front.is_empty() || front.eq_ignore_ascii_case("application/"))
}

/// The client that an attestation names; it must have all that one has (section 4).
pub(super) fn client(claims: &[u8], verified: &Verified) -> Result<Box<str>, Refused> {
    let lacks = || rejected(Why::Claim("attestation"));
    let key = verified.bound.as_ref().and_then(|bound| bound.key.as_ref());
    if verified.iat.is_none() || key.and_then(|key| key.public()).is_none() {
        return Err(lacks());
    }
    let claims = read_object(claims).map_err(|_| lacks())?;
    match member(&claims, "sub") {
        Some(Json::Text(sub)) if !sub.is_empty() => Ok(sub.as_ref().into()),
        _ => Err(lacks()),
    }
}

/// An attestation that holds; that its client has its key is still to be shown.
pub(super) struct Shown<'s> {
    pub(super) client: &'s str,
    pub(super) bound: Option<&'s Bound>,
    /// Whether the request is signed as well.
    pub(super) is_signed: bool,
}

/// Checks that the one who shows an attestation has its key (section 7).
pub(super) fn check(
    shown: &Shown<'_>,
    received: &Received<'_>,
    route: &Route,
    settings: &Settings,
    now: i64,
) -> Result<Proven, Refused> {
    let (Some(told), Some(bound)) = (route.client_attestation.as_deref(), shown.bound) else {
        return Err(rejected(Why::Claim("attestation")));
    };
    if shown.is_signed {
        return Err(Refused::Malformed(
            "an attestation stands beside a signature of the request; a token in `Portcullis-Token` may".to_owned(),
        ));
    }
    let mut meant = told.client_ids.iter();
    if !told.client_ids.is_empty() && !meant.any(|client| **client == *shown.client) {
        return Err(rejected(Why::Claim("client")));
    }
    bound.check_certificate(received)?;
    let mut proofs = received
        .fields()
        .get_all(OAUTH_CLIENT_ATTESTATION_POP)
        .iter();
    let proven = match (proofs.next(), proofs.next()) {
        (Some(_), Some(_)) => {
            return Err(malformed("stands there twice"));
        }
        (Some(_), None) if route.bind == Bind::Dpop => {
            return Err(Refused::Binding(Unbound::NoProof));
        }
        (Some(proof), None) => {
            let key = bound.key.as_ref().and_then(|key| key.public());
            let key = key.ok_or_else(|| rejected(Why::Claim("attestation")))?;
            return pop(proof.as_bytes(), key, told, &settings.dpop, now);
        }
        (None, _) if received.shows(Field::Dpop) => {
            let field = received.fields().get(DPOP);
            let field = field.map_or(&[][..], |field| field.as_bytes());
            let asked = dpop::Settings {
                nonce: settings.dpop.nonce || told.challenge,
                ..settings.dpop.clone()
            };
            // It goes with no access token, or with one of the server's.
            dpop::check(field, None, received, &asked, now)?
        }
        (None, _) => return Err(Refused::Binding(Unbound::NoPop)),
    };
    if bound.thumbprint != Some(proven.thumbprint) {
        return Err(Refused::Binding(Unbound::OtherKey));
    }
    Ok(proven)
}

/// Checks a proof of possession by `key` (section 5.1 and 7.2).
fn pop(
    proof: &[u8],
    key: &PublicKey,
    told: &ClientAttestation,
    settings: &dpop::Settings,
    now: i64,
) -> Result<Proven, Refused> {
    let freshness = settings.freshness;
    let proof = compact::parts_of_proof(proof, MAX_PROOF, malformed)?;
    let (header, signature) = (decode(proof.header)?, decode(proof.signature)?);
    check_header(&header, key.algorithm())?;
    if !key.verify(proof.signed.as_bytes(), &signature) {
        return Err(rejected(Why::WrongPop));
    }
    let claims = decode(proof.claims)?;
    let claims = read_object(&claims).map_err(|_| malformed("has no JSON object as payload"))?;
    let aud = member(&claims, "aud").ok_or_else(|| bad("aud"))?;
    let mut names = texts(aud).ok_or_else(|| bad("aud"))?;
    // It is for one audience: who gets it can show it nowhere else.
    let is_ours = |name: &str| told.audiences.iter().any(|ours| **ours == *name);
    match (names.next(), names.next()) {
        (Some(name), None) if is_ours(name) => {}
        _ => return Err(Refused::Binding(Unbound::OtherAudience)),
    }
    let jti = member(&claims, "jti").ok_or_else(|| bad("jti"))?;
    let jti = text("jti", jti).map_err(|_| bad("jti"))?;
    if jti.is_empty() || jti.len() > MAX_JTI {
        return Err(bad("jti"));
    }
    let moment = |name: &'static str| match member(&claims, name) {
        Some(value) => time(name, value).map(Some).map_err(|_| bad(name)),
        None => Ok(None),
    };
    let iat = moment("iat")?.ok_or_else(|| bad("iat missing"))?;
    let expires = moment("exp")?.map(|exp| exp.saturating_sub(1));
    if moment("nbf")?.is_some_and(|nbf| nbf > now.saturating_add(whole_seconds(freshness.skew))) {
        return Err(bad("nbf"));
    }
    let last_second = dpop::last_second(freshness, (Timed::Pop, bad("exp")), iat, expires, now)?;
    if told.challenge {
        let challenge =
            member(&claims, "challenge").and_then(|value| text("challenge", value).ok());
        let holds = |challenge| settings.nonces.hold(challenge, now, freshness);
        if !challenge.is_some_and(holds) {
            return Err(Refused::Binding(Unbound::Challenge));
        }
    }
    let thumbprint = *key.thumbprint();
    Ok(Proven {
        thumbprint,
        id: ProofId::of(&sha256(&[
            b"oauth-client-attestation-pop",
            &thumbprint,
            jti.as_bytes(),
        ])),
        created: iat,
        last_second,
    })
}

fn check_header(header: &[u8], algorithm: Algorithm) -> Result<(), Refused> {
    let header = read_object(header).map_err(|_| malformed("has no JSON object as header"))?;
    let (mut is_pop, mut is_of_key) = (false, false);
    for (name, value) in &header {
        match (&**name, value) {
            ("typ", Json::Text(media_type)) => is_pop = is(media_type, POP_TYPE),
            ("alg", Json::Text(name)) => {
                is_of_key = Algorithm::from_jose_name(name) == Some(algorithm);
            }
            // Where the key is, the attestation tells.
            ("kid", Json::Text(_)) => {}
            ("typ", _) => return Err(bad("typ")),
            ("alg", _) => return Err(bad("alg")),
            _ => return Err(bad("header")),
        }
    }
    match (is_pop, is_of_key) {
        (false, _) => Err(bad("typ")),
        (true, false) => Err(bad("alg")),
        (true, true) => Ok(()),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    compact::decode(part, malformed)
}

const fn bad(what: &'static str) -> Refused {
    rejected(Why::Pop(what))
}

fn malformed(what: &str) -> Refused {
    Refused::Malformed(format!(
        "the proof in `OAuth-Client-Attestation-PoP` {what}"
    ))
}

#[cfg(test)]
mod tests;
