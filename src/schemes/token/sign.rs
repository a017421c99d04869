//! Making a token, for those who call.

use crate::crypto::WeakSecret;
use crate::crypto::hmac::MIN_SECRET;
use crate::secret::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

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
}

/// Signs a token with `HS256`.
///
/// # Errors
/// [`WeakSecret`]: the library below would sign with an empty one.
///
/// # Panics
/// Never: a key of that kind signs every text, and the claims are JSON.
pub fn sign(key_id: &str, secret: &Secret, claims: &Claims<'_>) -> Result<String, WeakSecret> {
    if secret.len() < MIN_SECRET {
        return Err(WeakSecret {
            found: secret.len(),
        });
    }
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key_id.to_owned());
    let key = EncodingKey::from_secret(secret.expose());
    Ok(encode(&header, claims, &key).expect("HS256 signs whatever is JSON"))
}
