//! What a refused caller is told about tokens (RFC 6750, section 3; RFC 9449, sections 7.1 and 9).

use super::refusal::{Refusal, dpop_error, oauth_error};
use crate::apps::Scheme;
use crate::clock::Now;
use crate::route::{Accept, Bind, OAUTH_CLIENT_ATTESTATION, Route};
use crate::schemes::token::attestation::OAUTH_CLIENT_ATTESTATION_CHALLENGE;
use crate::schemes::token::dpop::nonce::Nonces;
use crate::schemes::token::dpop::{ALGORITHMS, DPOP_NONCE};
use crate::schemes::{self, Received, Unbound};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};

/// What an attested client of OAuth is told in one word, in its document and in `WWW-Authenticate`;
/// `None` where none is seen, or where it is not its attestation or its proof that is refused.
pub(super) fn attestation_error(
    route: &Route,
    received: &Received<'_>,
    refusal: &Refusal,
) -> Option<&'static str> {
    let is_attested = route.client_attestation.is_some()
        && received.fields().contains_key(OAUTH_CLIENT_ATTESTATION);
    is_attested.then(|| oauth_error(refusal)).flatten()
}

/// Adds the challenges of a route that takes tokens to those of a 401; `attestation` is the word
/// that an attested client is told.
pub(super) fn ask_for_token(
    fields: &mut HeaderMap,
    route: &Route,
    refusal: &Refusal,
    attestation: Option<&'static str>,
) {
    if let Some(error) = attestation {
        ask_for_attestation(fields, error);
    }
    let takes_tokens = route.pair
        || matches!(route.accept, Accept::Proven(schemes) if schemes.contains(Scheme::Token));
    let refused = match refusal {
        Refusal::Credential(refused) => Some(refused),
        // Of the body: the token is as good as it was.
        Refusal::Forward(_) => None,
        _ => return,
    };
    if !takes_tokens {
        return;
    }
    if route.token_fields.contains(&AUTHORIZATION) {
        let challenge = match refused {
            Some(schemes::Refused::Rejected { .. } | schemes::Refused::Expired { .. })
                if attestation.is_none() =>
            {
                "Bearer error=\"invalid_token\""
            }
            _ => "Bearer",
        };
        fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    let error = refused.and_then(dpop_error);
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
}

/// The field in which a nonce is given that a proof lacks, where that is what is wrong.
pub(super) const fn nonce_field(refusal: &Refusal) -> Option<HeaderName> {
    match refusal {
        Refusal::Credential(schemes::Refused::Binding(Unbound::Nonce)) => Some(DPOP_NONCE),
        Refusal::Credential(schemes::Refused::Binding(Unbound::Challenge)) => {
            Some(OAUTH_CLIENT_ATTESTATION_CHALLENGE)
        }
        _ => None,
    }
}

/// Gives a nonce for proofs that are made from now on, in this field.
pub(super) fn give_nonce(fields: &mut HeaderMap, field: HeaderName, nonces: &Nonces, now: Now) {
    if let Ok(nonce) = HeaderValue::try_from(nonces.fresh(now.unix_seconds())) {
        fields.insert(field, nonce);
    }
}

/// What attested clients of OAuth are told (draft-ietf-oauth-attestation-based-client-auth-09, section 7.4).
fn ask_for_attestation(fields: &mut HeaderMap, error: &str) {
    let challenge = match error {
        "use_attestation_challenge" => "Bearer error=\"use_attestation_challenge\"",
        "use_fresh_attestation" => "Bearer error=\"use_fresh_attestation\"",
        "invalid_client_attestation" => "Bearer error=\"invalid_client_attestation\"",
        // Of a DPoP proof, whose own challenge says it.
        _ => return,
    };
    fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
}
