//! Making an attestation, and the proof of its key.

use super::{ATTESTATION_TYPE, POP_TYPE};
use crate::crypto::{PrivateKey, SigningKey};
use crate::schemes::token::NotForTokens;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// What a proof says.
#[derive(Clone, Copy, Debug)]
pub struct PopClaims<'c> {
    /// The issuer identifier of the authorization server, or the resource identifier.
    pub audience: &'c str,
    /// When it is made, Unix seconds.
    pub iat: i64,
    /// Its own name, another for every proof.
    pub jti: &'c str,
    /// The challenge that the server gave, if it did.
    pub challenge: Option<&'c str>,
}

/// The value of `OAuth-Client-Attestation-PoP`. Where `key` is none that tokens are signed with,
/// no gateway takes it.
pub fn sign_pop(key: &PrivateKey, claims: &PopClaims<'_>) -> String {
    let header = json!({ "typ": POP_TYPE, "alg": key.algorithm().jose_name() });
    let mut payload = json!({ "aud": claims.audience, "jti": claims.jti, "iat": claims.iat });
    if let Some(challenge) = claims.challenge {
        payload["challenge"] = challenge.into();
    }
    let mut text = unsigned(&header, &payload);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut text);
    text
}

/// An attestation by `key` of the client `client_id`, whose key is `client`, from `iat` until `exp`.
///
/// # Errors
/// [`NotForTokens`].
pub fn sign_attestation(
    (key_id, key): (&str, &SigningKey),
    client_id: &str,
    client: &PrivateKey,
    (iat, exp): (i64, i64),
) -> Result<String, NotForTokens> {
    let algorithm = key.algorithm();
    if !algorithm.is_for_tokens() {
        return Err(NotForTokens(algorithm));
    }
    let header = json!({ "typ": ATTESTATION_TYPE, "alg": algorithm.jose_name(), "kid": key_id });
    let mut jwk: Value = serde_json::from_str(&client.public_jwk()).unwrap_or_default();
    jwk["alg"] = client.algorithm().jose_name().into();
    let payload = json!({ "sub": client_id, "iat": iat, "exp": exp, "cnf": { "jwk": jwk } });
    let mut text = unsigned(&header, &payload);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(signature.as_bytes(), &mut text);
    Ok(text)
}

fn unsigned(header: &Value, payload: &Value) -> String {
    let mut text = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(payload.to_string().as_bytes(), &mut text);
    text
}
