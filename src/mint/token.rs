//! The token itself, and one that opens nothing: made of the same claims, signed at the same cost.

use super::ask::{Bound, Typ};
use crate::apps::{Key, Scopes, Signer};
use crate::crypto::{digest::sha256, random};
use crate::schemes::token::sign::sign_as;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Serialize;

/// What a token says. Every member is as long in a decoy as in a token, but for a `scope` that the
/// app does not have: of what it may do a guesser learns nothing.
#[derive(Debug, Serialize)]
pub(super) struct Claims<'c> {
    pub(super) jti: String,
    pub(super) iss: &'c str,
    pub(super) sub: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aud: Option<&'c str>,
    pub(super) iat: i64,
    pub(super) exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pay: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cnf: Option<&'c Bound<'c>>,
}

/// 128 random bits: no two tokens have the same.
pub(super) fn fresh_name() -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    BASE64URL_NOPAD.encode(&bytes)
}

/// What a token may do of all that its app may: what was asked for, or nothing said, which is all of it.
pub(super) fn narrowed(all: &Scopes, asked: Option<&str>) -> Option<String> {
    let asked = asked?;
    let names: Vec<&str> = asked.split(' ').filter(|name| all.contains(name)).collect();
    Some(names.join(" "))
}

/// Signs a token with an app's key.
pub(super) fn real(key: &Key, signer: &Signer, typ: Typ, claims: &Claims<'_>) -> Option<String> {
    sign_as(typ.name(), &key.id, signer.signs(), claims).ok()
}

/// The same with nobody's key.
pub(super) fn decoy(
    key_id: &str,
    signer: &Signer,
    typ: Typ,
    claims: &Claims<'_>,
) -> Option<String> {
    sign_as(typ.name(), key_id, signer.decoy(), claims).ok()
}

/// What a key of an app is called that is not there: always the same.
pub(super) fn key_id_of_nobody(app: &str, secret: &[u8]) -> String {
    let digest = sha256(&[b"portcullis key of nobody", secret, app.as_bytes()]);
    format!("{app}-{}", HEXLOWER.encode(&digest[..4]))
}
