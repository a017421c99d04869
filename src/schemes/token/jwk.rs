//! A JWK (RFC 7517) as a stranger wrote it.

use super::json::Json;
use crate::crypto::PublicJwk;
use std::borrow::Cow;

/// Members that only whoever signs, or shares a secret, may have.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What the members of an object say about a key.
#[derive(Debug, Default)]
pub(super) struct Jwk<'j> {
    /// Its public members.
    pub(super) key: PublicJwk<'j>,
    /// Its name.
    pub(super) id: Option<&'j str>,
    /// The algorithm that it is for.
    pub(super) algorithm: Option<&'j str>,
    /// Whether it is for something else than to verify signatures.
    pub(super) is_for_others: bool,
    /// Whether its secret half stands there too.
    pub(super) is_private: bool,
}

impl<'j> Jwk<'j> {
    /// Reads the members; `None` where one of those that we look at is of another type.
    pub(super) fn read(members: &'j [(Cow<'j, str>, Json<'j>)]) -> Option<Self> {
        let mut jwk = Self::default();
        for (name, value) in members {
            let member = match &**name {
                "kty" => {
                    jwk.key.kty = text(value)?;
                    continue;
                }
                "crv" => &mut jwk.key.crv,
                "x" => &mut jwk.key.x,
                "y" => &mut jwk.key.y,
                "n" => &mut jwk.key.n,
                "e" => &mut jwk.key.e,
                "kid" => &mut jwk.id,
                "alg" => &mut jwk.algorithm,
                "use" => {
                    jwk.is_for_others |= text(value)? != "sig";
                    continue;
                }
                "key_ops" => {
                    jwk.is_for_others |= !allows_verifying(value)?;
                    continue;
                }
                name => {
                    jwk.is_private |= PRIVATE.contains(&name);
                    continue;
                }
            };
            *member = Some(text(value)?);
        }
        Some(jwk)
    }
}

fn text<'j>(value: &'j Json<'j>) -> Option<&'j str> {
    match value {
        Json::Text(text) => Some(text),
        _ => None,
    }
}

fn allows_verifying(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::List(operations) => operations
            .iter()
            .try_fold(false, |found, one| Some(found | (text(one)? == "verify"))),
        _ => None,
    }
}
