//! `pay`: the token holds for one `Authorization` only.

use crate::crypto::digest::sha256;
use crate::route::{Bind, Route};
use crate::schemes::{Received, Refused, Unbound};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// SHA-256 of the `Authorization` a token is bound to.
pub(super) type Pay = [u8; 32];

/// The value of `pay` for an `Authorization` field.
pub fn pay(authorization: &[u8]) -> String {
    BASE64.encode(&sha256(&[authorization]))
}

/// Reads `pay`: base64 with padding, or base64url without.
pub(super) fn read(claim: &str) -> Result<Pay, Refused> {
    BASE64
        .decode(claim.as_bytes())
        .or_else(|_| BASE64URL_NOPAD.decode(claim.as_bytes()))
        .ok()
        .and_then(|digest| digest.try_into().ok())
        .ok_or(Refused::Binding(Unbound::Authorization))
}

/// Checks the binding where the route asks for one, and wherever a bound token
/// meets an `Authorization` that is not the token itself.
pub(super) fn check(
    pay: Option<&Pay>,
    token_in_authorization: bool,
    received: &Received<'_>,
    route: &Route,
) -> Result<(), Refused> {
    let authorization = match received.fields().get(AUTHORIZATION) {
        Some(field) if !token_in_authorization => Some(field.as_bytes()),
        _ => None,
    };
    match (pay, authorization) {
        (Some(pay), Some(field)) => bool::from(sha256(&[field]).ct_eq(pay))
            .then_some(())
            .ok_or(Refused::Binding(Unbound::Authorization)),
        _ if route.bind == Bind::Authorization => Err(Refused::Binding(Unbound::Authorization)),
        _ => Ok(()),
    }
}
