//! Making a proof, for those who call.

use crate::crypto::PrivateKey;
use crate::crypto::digest::sha256;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

/// What a proof is for.
#[derive(Clone, Copy, Debug)]
pub struct ProofClaims<'c> {
    /// The request's method.
    pub method: &'c str,
    /// Its URL; query and fragment are left out of the proof.
    pub url: &'c str,
    /// The token that goes with it.
    pub token: &'c str,
    /// When it is made, Unix seconds.
    pub iat: i64,
    /// Its own name, another for every proof.
    pub jti: &'c str,
    /// The nonce that the gateway asked for, if it did.
    pub nonce: Option<&'c str>,
}

/// The value of `DPoP` (RFC 9449, section 4.2). Where `key` is none that tokens are signed with,
/// no gateway takes it.
pub fn sign_proof(key: &PrivateKey, claims: &ProofClaims<'_>) -> String {
    let header = format!(
        r#"{{"typ":"dpop+jwt","alg":"{}","jwk":{}}}"#,
        key.algorithm().jose_name(),
        key.public_jwk()
    );
    let end = claims.url.find(['?', '#']).unwrap_or(claims.url.len());
    let mut payload = json!({
        "jti": claims.jti,
        "htm": claims.method,
        "htu": &claims.url[..end],
        "iat": claims.iat,
        "ath": BASE64URL_NOPAD.encode(&sha256(&[claims.token.as_bytes()])),
    });
    if let Some(nonce) = claims.nonce {
        payload["nonce"] = nonce.into();
    }
    let mut text = BASE64URL_NOPAD.encode(header.as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(payload.to_string().as_bytes(), &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut text);
    text
}
