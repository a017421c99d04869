//! What a refused caller is told about tokens (RFC 6750, section 3; RFC 9449, sections 7.1 and 9).

use super::refusal::{Refusal, oauth_error};
use crate::apps::Scheme;
use crate::clock::Now;
use crate::route::{Accept, Bind, Route};
use crate::schemes::token::attestation::OAUTH_CLIENT_ATTESTATION_CHALLENGE;
use crate::schemes::token::dpop::{ALGORITHMS, DPOP_NONCE, nonce};
use crate::schemes::{self, Unbound, Why};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};

/// Adds the challenges of a route that takes tokens to those of a 401.
pub(super) fn ask_for_token(fields: &mut HeaderMap, route: &Route, refusal: &Refusal, now: Now) {
    let takes_tokens = route.pair
        || matches!(route.accept, Accept::Proven(schemes) if schemes.contains(Scheme::Token));
    let Refusal::Credential(refused) = refusal else {
        return;
    };
    if !takes_tokens {
        return;
    }
    if route.token_fields.contains(&AUTHORIZATION) {
        let challenge = match refused {
            schemes::Refused::Rejected { .. } | schemes::Refused::Expired { .. } => {
                "Bearer error=\"invalid_token\""
            }
            _ => "Bearer",
        };
        fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if route.client_attestation.is_some() {
        ask_for_attestation(fields, refused, now);
    }
    let error = match refused {
        schemes::Refused::Binding(Unbound::Nonce) => Some("use_dpop_nonce"),
        schemes::Refused::Binding(
            Unbound::OtherToken
            | Unbound::OtherMethod
            | Unbound::OtherUrl
            | Unbound::NoProof
            | Unbound::NoProofOrSignature,
        )
        | schemes::Refused::Rejected {
            why: Why::WrongProof | Why::Proof(_),
            ..
        } => Some("invalid_dpop_proof"),
        schemes::Refused::Binding(Unbound::OtherKey | Unbound::AsBearer | Unbound::NotBound) => {
            Some("invalid_token")
        }
        _ => None,
    };
    if error.is_none() && route.bind != Bind::Dpop {
        return;
    }
    let challenge = match error {
        Some(error) => format!("DPoP error=\"{error}\", algs=\"{ALGORITHMS}\""),
        None => format!("DPoP algs=\"{ALGORITHMS}\""),
    };
    if let Ok(value) = HeaderValue::try_from(challenge) {
        fields.append(WWW_AUTHENTICATE, value);
    }
    if error == Some("use_dpop_nonce")
        && let Ok(value) = HeaderValue::try_from(nonce::fresh(now.unix_seconds()))
    {
        fields.insert(DPOP_NONCE, value);
    }
}

/// What attested clients of OAuth are told (draft-ietf-oauth-attestation-based-client-auth-09, section 7.4).
fn ask_for_attestation(fields: &mut HeaderMap, refused: &schemes::Refused, now: Now) {
    let error = match refused {
        schemes::Refused::Expired { .. } => Some("use_fresh_attestation"),
        _ => oauth_error(refused),
    };
    let challenge = match error {
        Some("use_attestation_challenge") => "Bearer error=\"use_attestation_challenge\"",
        Some("use_fresh_attestation") => "Bearer error=\"use_fresh_attestation\"",
        Some(_) => "Bearer error=\"invalid_client_attestation\"",
        None => return,
    };
    fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    if error == Some("use_attestation_challenge")
        && let Ok(value) = HeaderValue::try_from(nonce::fresh(now.unix_seconds()))
    {
        fields.insert(OAUTH_CLIENT_ATTESTATION_CHALLENGE, value);
    }
}
