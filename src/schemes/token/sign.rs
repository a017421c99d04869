//! Making a token, for those who call.

use crate::crypto::{Algorithm, SigningKey};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Header;
use serde::Serialize;

/// `typ` of a token.
pub const TYPE: &str = "JWT";

/// What a token says. `exp` and `iat` are seconds of Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims<'c> {
    /// First second at which it is over.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// Whom it is for: `[tokens] audience`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<&'c str>,
    /// What it may be used for, names joined by spaces; `None` is all its app may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'c str>,
    /// The `Authorization` it is bound to, by [`pay`](super::binding::pay).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pay: Option<&'c str>,
    /// Its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<&'c str>,
    /// On whose behalf it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<&'c str>,
    /// The key it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation<'c>>,
}

/// `cnf`: whoever shows the token must prove to have this key (RFC 9449, section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmation<'c> {
    /// Its thumbprint (RFC 7638).
    pub jkt: &'c str,
}

/// The key's algorithm signs requests only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` signs requests, but no tokens")]
pub struct NotForTokens(pub Algorithm);

/// Signs a token with `key`.
///
/// # Errors
/// [`NotForTokens`].
///
/// # Panics
/// Never: header and claims are JSON.
pub fn sign(key_id: &str, key: &SigningKey, claims: &Claims<'_>) -> Result<String, NotForTokens> {
    sign_claims(key_id, key, claims)
}

/// As [`sign`], with claims of any kind.
///
/// # Errors
/// [`NotForTokens`].
///
/// # Panics
/// When `claims` cannot be written as JSON.
pub fn sign_claims(
    key_id: &str,
    key: &SigningKey,
    claims: &impl Serialize,
) -> Result<String, NotForTokens> {
    sign_as(TYPE, key_id, key, claims)
}

/// As [`sign_claims`], as a token of another kind than the usual.
///
/// # Errors
/// [`NotForTokens`].
///
/// # Panics
/// When `claims` cannot be written as JSON.
pub fn sign_as(
    typ: &str,
    key_id: &str,
    key: &SigningKey,
    claims: &impl Serialize,
) -> Result<String, NotForTokens> {
    let algorithm = key.algorithm();
    let name = name_of(algorithm).ok_or(NotForTokens(algorithm))?;
    let mut header = Header::new(name);
    header.typ = Some(typ.to_owned());
    header.kid = Some(key_id.to_owned());
    let mut text = part(&header);
    text.push('.');
    text.push_str(&part(claims));
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(signature.as_bytes(), &mut text);
    Ok(text)
}

const fn name_of(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    use jsonwebtoken::Algorithm as Name;
    match algorithm {
        Algorithm::HmacSha256 => Some(Name::HS256),
        Algorithm::Ed25519 => Some(Name::EdDSA),
        Algorithm::EcdsaP256Sha256 => Some(Name::ES256),
        Algorithm::EcdsaP384Sha384 => Some(Name::ES384),
        Algorithm::RsaPssSha256 => Some(Name::PS256),
        Algorithm::RsaV15Sha256 => Some(Name::RS256),
        Algorithm::HmacSha512 | Algorithm::RsaPssSha512 => None,
    }
}

fn part(content: &impl Serialize) -> String {
    let json = serde_json::to_vec(content).expect("names and numbers are JSON");
    BASE64URL_NOPAD.encode(&json)
}
