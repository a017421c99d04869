//! The claims of a token whose signature holds.

use super::binding::{self, Pay};
use super::bound::Bound;
use super::issuer::Issuer;
use super::json::{Json, read_object};
use super::jwt::no_object;
use super::{Settings, rejected};
use crate::apps::{App, Key, Registry, Scopes, TokenPolicy};
use crate::crypto::Tag;
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::{ProofId, Refused, Why};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

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
    /// How long such a token may live, in seconds.
    pub(super) max_life: i64,
    /// The `Authorization` it is bound to.
    pub(super) pay: Option<Pay>,
    /// The key or certificate it is bound to.
    pub(super) bound: Option<Box<Bound>>,
    /// The key it is bound to, where that signs requests and is none of the registry.
    pub(super) signing: Option<Arc<Key>>,
    /// The client of OAuth that it attests, where it is such a token.
    pub(super) client: Option<Box<str>>,
    /// How to recognise it.
    pub(super) id: ProofId,
    /// The issuer it is of, by its place and the number of the keys it was verified with;
    /// `None` where an app has made it.
    pub(super) outside: Option<(usize, u64)>,
}

impl Verified {
    /// Reads the claims of a token that an app has made.
    pub(super) fn of_app(
        claims: &[u8],
        key: &Key,
        tag: &Tag,
        settings: &Settings,
        registry: &Registry,
        names_audience: bool,
    ) -> Result<Self, Refused> {
        let claims = read_object(claims).map_err(|why| no_object("payload", why))?;
        let is_named = names_audience || claims.iter().any(|(name, _)| name == "aud");
        let audiences = settings.audience.as_slice();
        let read = Read::of(&claims, if is_named { audiences } else { &[] })?;
        if key.signer.is_some() {
            still_made(&claims, key.app.tokens.as_deref(), registry)?;
        }
        let scopes = match read.scope {
            Some(asked) => key.app.scopes.narrowed(text("scope", asked)?.split(' ')),
            None => key.app.scopes.clone(),
        };
        Ok(read.verified(scopes, settings.max_lifetime, tag, None))
    }

    /// Reads the claims of a token of the issuer at `place`, and finds whose it is.
    pub(super) fn of_issuer(
        claims: &[u8],
        issuer: &Issuer,
        (place, number): (usize, u64),
        tag: &Tag,
    ) -> Result<(Self, Arc<App>), Refused> {
        let claims = read_object(claims).map_err(|why| no_object("payload", why))?;
        let read = Read::of(&claims, &issuer.audiences)?;
        if let Some(wanted) = &issuer.iss
            && read.iss != Some(&**wanted)
        {
            return Err(rejected(Why::Claim("iss")));
        }
        let app = issuer.app(&claims)?;
        let scopes = issuer.scopes(app, &claims)?;
        let own = match read.bound {
            None => issuer.binding(&claims)?,
            Some(_) => None,
        };
        let mut verified = read.verified(scopes, issuer.max_lifetime, tag, Some((place, number)));
        verified.bound = verified.bound.or(own.map(Box::new));
        Ok((verified, app.clone()))
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
        if self.exp.saturating_sub(start) > self.max_life {
            return Err(rejected(Why::Claim("lifetime")));
        }
        Ok(())
    }
}

/// Whether the key service would make a token with these claims now as well. What it made is held to
/// what changes: an app whose policy changes is another app, and its tokens are read again.
fn still_made(
    claims: &[(Cow<'_, str>, Json<'_>)],
    policy: Option<&TokenPolicy>,
    registry: &Registry,
) -> Result<(), Refused> {
    for (name, value) in claims {
        let holds = match (&**name, value, policy) {
            ("build", _, Some(policy)) => policy.takes_build(Some(text("build", value)?)),
            // Without a policy others make its tokens, and may call their instances what they like.
            ("instance", Json::Text(id), _) => registry
                .instance(id)
                .map_or(policy.is_none(), |known| known.enabled),
            ("instance", ..) => policy.is_none(),
            _ => true,
        };
        if !holds {
            let claim = if &**name == "build" {
                "build"
            } else {
                "instance"
            };
            return Err(rejected(Why::Claim(claim)));
        }
    }
    Ok(())
}

/// What every token may say, each claim of its type.
pub(super) struct Read<'c> {
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
    pub(super) iss: Option<&'c str>,
    /// Of what type it is, whoever has made the token says.
    scope: Option<&'c Json<'c>>,
    pay: Option<Pay>,
    bound: Option<Bound>,
}

impl<'c> Read<'c> {
    pub(super) fn of(
        claims: &'c [(Cow<'c, str>, Json<'c>)],
        audiences: &[Box<str>],
    ) -> Result<Self, Refused> {
        let (mut exp, mut iat, mut nbf) = (None, None, None);
        let (mut iss, mut scope, mut pay, mut bound) = (None, None, None, None);
        let mut is_for_us = audiences.is_empty();
        for (name, value) in claims {
            match &**name {
                "exp" => exp = Some(time("exp", value)?),
                "iat" => iat = Some(time("iat", value)?),
                "nbf" => nbf = Some(time("nbf", value)?),
                "aud" => is_for_us = names_us(value, audiences)?,
                "scope" => scope = Some(value),
                "pay" => pay = Some(binding::read(text("pay", value)?)?),
                "iss" => iss = Some(text("iss", value)?),
                "sub" => text("sub", value).map(drop)?,
                "jti" => text("jti", value).map(drop)?,
                "cnf" => bound = Some(Bound::read(value)?),
                _ => {}
            }
        }
        if !is_for_us {
            return Err(rejected(Why::Claim("aud")));
        }
        Ok(Self {
            exp: exp.ok_or_else(|| rejected(Why::Claim("exp")))?,
            iat,
            nbf,
            iss,
            scope,
            pay,
            bound,
        })
    }

    pub(super) fn verified(
        self,
        scopes: Scopes,
        max_lifetime: Duration,
        tag: &Tag,
        outside: Option<(usize, u64)>,
    ) -> Verified {
        Verified {
            scopes,
            exp: self.exp,
            iat: self.iat,
            nbf: self.nbf,
            max_life: seconds(max_lifetime),
            pay: self.pay,
            bound: self.bound.map(Box::new),
            signing: None,
            client: None,
            id: ProofId::of(tag.as_bytes()),
            outside,
        }
    }
}

/// Whole seconds of a setting.
pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// A moment, in whole seconds. What a fraction (RFC 7519, section 2) adds to them is left out: of `exp`, so
/// that no token lives longer for it, and of `iat` and `nbf`, since our clock tells no fractions either.
pub(super) fn time(name: &'static str, value: &Json<'_>) -> Result<i64, Refused> {
    let time = match value {
        Json::Integer(time) => Some(*time),
        // Of one that is too large the conversion makes the largest there is.
        Json::Fraction(time) => Some(time.floor() as i64),
        _ => None,
    };
    // In milliseconds it is a mistake of units.
    time.filter(|time| *time >= 0 && !is_in_milliseconds(*time))
        .ok_or_else(|| rejected(Why::Claim(name)))
}

pub(super) fn text<'v>(name: &'static str, value: &'v Json<'_>) -> Result<&'v str, Refused> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err(rejected(Why::Claim(name))),
    }
}

/// The one text, or those of a list of nothing else.
pub(super) fn texts<'v>(value: &'v Json<'v>) -> Option<impl Iterator<Item = &'v str>> {
    let list = match value {
        Json::Text(_) => std::slice::from_ref(value),
        Json::List(list) if list.iter().all(|one| matches!(one, Json::Text(_))) => list,
        _ => return None,
    };
    Some(list.iter().filter_map(|one| match one {
        Json::Text(text) => Some(&**text),
        _ => None,
    }))
}

/// Whether `aud` is, or lists, one of our names; true where we have none.
fn names_us(value: &Json<'_>, audiences: &[Box<str>]) -> Result<bool, Refused> {
    let mut names = texts(value).ok_or_else(|| rejected(Why::Claim("aud")))?;
    let is_us = |name: &str| audiences.iter().any(|audience| **audience == *name);
    Ok(audiences.is_empty() || names.any(is_us))
}
