//! Reading and verifying a JWT: compact, signed with an algorithm that its key knows, and nothing else.

use super::binding::{self, Pay};
use super::json::{BadJson, Json, read_object};
use super::{Settings, check_key, rejected};
use crate::apps::{Key, Registry, Scheme, Scopes};
use crate::crypto::{Algorithm, Tag, VerifyingKey};
use crate::schemes::doctor::Sample;
use crate::schemes::{ProofId, Refused, Why};
use data_encoding::BASE64URL_NOPAD;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Bytes a token may have.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Bytes a key id may have.
pub const MAX_KEY_ID: usize = 256;
/// The last time a claim may name: beyond it lies no time but a mistake of units.
const MAX_TIME: i64 = 100_000_000_000;

/// A token whose signature held and whose claims are well formed. What time
/// can change is still to be checked, at every request.
#[derive(Debug)]
pub(super) struct Verified {
    /// What it may do: its app's scopes, or fewer.
    pub(super) scopes: Scopes,
    /// First second at which it is over.
    pub(super) exp: i64,
    /// When it says it was made.
    pub(super) iat: Option<i64>,
    /// First second at which it holds.
    pub(super) nbf: Option<i64>,
    /// What it is bound to.
    pub(super) pay: Option<Pay>,
    /// How to recognise it.
    pub(super) id: ProofId,
}

/// Verifies the signature of a token, that its key may be used, and what of
/// its claims never changes.
pub(super) fn open(
    text: &str,
    registry: &Registry,
    settings: &Settings,
    now: i64,
) -> Result<(Arc<Verified>, Arc<Key>), Refused> {
    let token = Compact::read(text)?;
    let key = registry.key(&token.key_id);
    let verifying = match key {
        Some(key) => &key.verifying,
        // Neither answer nor time tells that no key has this id.
        None => registry.double(&token.key_id),
    };
    let verified = token.verify(verifying);
    let key = key.ok_or_else(|| rejected(Why::UnknownKey))?;
    let tag = verified.map_err(rejected)?;
    // Before the claims: who holds a key that is no longer in force learns nothing of them.
    check_key(key, now)?;
    let claims = token.claims()?;
    let verified = Verified::read(&claims, key, &tag, settings)?;
    Ok((Arc::new(verified), key.clone()))
}

/// The key id in the header of a token, if that can be read.
pub(super) fn claimed_key(text: &str) -> Option<String> {
    Compact::read(text).ok().map(|token| token.key_id)
}

/// A token as the doctor takes it, if it can be read.
pub(super) fn sample(text: &str) -> Option<Sample<'_>> {
    let token = Compact::read(text).ok()?;
    Some(Sample {
        scheme: Scheme::Token,
        key_id: token.key_id.into(),
        text: token.signed.as_bytes().to_vec(),
        signature: token.signature.into(),
        offer: None,
    })
}

/// A compact JWS (RFC 7515, section 3.1) with a header we accept.
pub(super) struct Compact<'t> {
    /// Header and claims as they were signed.
    signed: &'t str,
    claims: &'t str,
    signature: Vec<u8>,
    /// What its header names; `None` is none that we know.
    algorithm: Option<Algorithm>,
    key_id: String,
}

impl<'t> Compact<'t> {
    pub(super) fn read(text: &'t str) -> Result<Self, Refused> {
        let not_compact = || malformed("is not three parts in base64url joined by `.`");
        if text.len() > MAX_TOKEN {
            return Err(malformed("is too long"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_compact)?;
        let (header, claims) = signed.split_once('.').ok_or_else(not_compact)?;
        if claims.contains('.') {
            return Err(not_compact());
        }
        let header = decode(header)?;
        let (algorithm, key_id) = read_header(&header)?;
        Ok(Self {
            signed,
            claims,
            signature: decode(signature)?,
            algorithm,
            key_id,
        })
    }

    /// Checks the signature by the key's own algorithm, which the header must name. What
    /// it names instead changes nothing: neither answer nor time tells the cases apart.
    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<Tag, Why> {
        let tag = key.verify(self.signed.as_bytes(), &self.signature);
        let algorithm = key.algorithm();
        if self.algorithm != Some(algorithm) || !algorithm.is_for_tokens() {
            return Err(Why::WrongAlgorithm);
        }
        tag.ok_or(Why::WrongSignature)
    }

    /// The claims' bytes: to be read only once the signature holds.
    pub(super) fn claims(&self) -> Result<Vec<u8>, Refused> {
        decode(self.claims)
    }
}

/// Parameters that would have us take a key, or another form of token, from a
/// stranger. Named for the log; every other unknown one is refused as well.
const DANGEROUS: [&str; 9] = [
    "crit", "jku", "jwk", "x5u", "x5c", "x5t", "zip", "b64", "enc",
];

/// The algorithm, if we know it, and the key id.
fn read_header(bytes: &[u8]) -> Result<(Option<Algorithm>, String), Refused> {
    let (mut algorithm, mut key_id) = (None, None);
    for (name, value) in read_object(bytes).map_err(|why| no_object("header", why))? {
        match (&*name, value) {
            ("alg", Json::Text(name)) => algorithm = Some(Algorithm::from_jose_name(&name)),
            ("kid", Json::Text(id)) if is_key_id(&id) => key_id = Some(id.into_owned()),
            ("typ", Json::Text(media_type)) if is_jwt(&media_type) => {}
            ("typ", _) => return Err(rejected(Why::Claim("typ"))),
            ("alg" | "kid", _) => {
                return Err(malformed("has an `alg` or `kid` that is no such name"));
            }
            (name, _) => {
                let known = DANGEROUS.into_iter().find(|dangerous| *dangerous == name);
                return Err(rejected(Why::Claim(known.unwrap_or("header"))));
            }
        }
    }
    match (algorithm, key_id) {
        (Some(algorithm), Some(key_id)) => Ok((algorithm, key_id)),
        (None, _) => Err(malformed("has no `alg` in its header")),
        (_, None) => Err(malformed("has no `kid` in its header to name the key")),
    }
}

fn is_key_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_KEY_ID && !id.chars().any(char::is_control)
}

/// `JWT`, or `at+jwt` of RFC 9068, with or without `application/` (RFC 7515, section 4.1.9).
fn is_jwt(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    let media_type = media_type
        .strip_prefix("application/")
        .unwrap_or(&media_type);
    matches!(media_type, "jwt" | "at+jwt")
}

impl Verified {
    /// Reads the claims of a token whose signature holds.
    fn read(claims: &[u8], key: &Key, tag: &Tag, settings: &Settings) -> Result<Self, Refused> {
        let (mut exp, mut iat, mut nbf, mut pay) = (None, None, None, None);
        let mut scopes = None;
        let mut is_for_us = settings.audience.is_none();
        for (name, value) in read_object(claims).map_err(|why| no_object("payload", why))? {
            match &*name {
                "exp" => exp = Some(time("exp", &value)?),
                "iat" => iat = Some(time("iat", &value)?),
                "nbf" => nbf = Some(time("nbf", &value)?),
                "aud" => is_for_us = names_us(&value, settings.audience.as_deref())?,
                "scope" => {
                    let asked = text("scope", &value)?;
                    scopes = Some(key.app.scopes.narrowed(asked.split(' ')));
                }
                "pay" => pay = Some(binding::read(text("pay", &value)?)?),
                "iss" => text("iss", &value).map(drop)?,
                "sub" => text("sub", &value).map(drop)?,
                "jti" => text("jti", &value).map(drop)?,
                // Bound to a key whose proof we cannot check: not to be taken as unbound.
                "cnf" => return Err(rejected(Why::Claim("cnf"))),
                _ => {}
            }
        }
        if !is_for_us {
            return Err(rejected(Why::Claim("aud")));
        }
        Ok(Self {
            scopes: scopes.unwrap_or_else(|| key.app.scopes.clone()),
            exp: exp.ok_or_else(|| rejected(Why::Claim("exp")))?,
            iat,
            nbf,
            pay,
            id: ProofId::of(tag.as_bytes()),
        })
    }

    /// Whether the token holds at `now`, and for no longer than a token may.
    pub(super) fn check_times(&self, settings: &Settings, now: i64) -> Result<(), Refused> {
        if now >= self.exp {
            return Err(Refused::Expired { at: self.exp });
        }
        let skew = seconds(settings.skew);
        let newest = now.saturating_add(skew);
        for claimed in [self.nbf, self.iat].into_iter().flatten() {
            if claimed > newest {
                return Err(Refused::Skew {
                    ours: now,
                    theirs: claimed,
                });
            }
        }
        let start = self.iat.or(self.nbf).unwrap_or(newest);
        if self.exp.saturating_sub(start) > seconds(settings.max_lifetime) {
            return Err(rejected(Why::Claim("lifetime")));
        }
        Ok(())
    }
}

/// Whole seconds of a setting.
pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn time(name: &'static str, value: &Json<'_>) -> Result<i64, Refused> {
    match value {
        Json::Integer(time @ 0..=MAX_TIME) => Ok(*time),
        _ => Err(rejected(Why::Claim(name))),
    }
}

fn text<'v>(name: &'static str, value: &'v Json<'_>) -> Result<&'v Cow<'v, str>, Refused> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err(rejected(Why::Claim(name))),
    }
}

/// Whether `aud` is, or lists, our name; true where we have none.
fn names_us(value: &Json<'_>, audience: Option<&str>) -> Result<bool, Refused> {
    let is_us = |name: &str| audience.is_none_or(|audience| audience == name);
    match value {
        Json::Text(name) => Ok(is_us(name)),
        Json::List(names) => names.iter().try_fold(audience.is_none(), |found, name| {
            Ok(is_us(text("aud", name)?) || found)
        }),
        _ => Err(rejected(Why::Claim("aud"))),
    }
}

/// Strict: no padding, no other alphabet, no bits left over (RFC 7515, section 2).
fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| malformed("has a part that is not strict base64url without padding"))
}

fn no_object(part: &str, why: BadJson) -> Refused {
    malformed(&format!("has a {part} that is {why}"))
}

fn malformed(what: &str) -> Refused {
    Refused::Malformed(format!("the token {what}"))
}
