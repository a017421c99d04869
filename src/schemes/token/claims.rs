//! The claims of a token whose signature holds.

use super::binding::{self, Pay};
use super::bound::Bound;
use super::issuer::Issuer;
use super::json::{Json, read_object};
use super::jwt::no_object;
use super::{Settings, rejected};
use crate::apps::{App, Key, Registry, Scopes};
use crate::clock::whole_seconds;
use crate::crypto::Tag;
use crate::route::IssuerSet;
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::{ProofId, Refused, Timed, Why};
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
    /// The instance of the app that it was made for, where that is known here.
    pub(super) instance: Option<Arc<str>>,
    /// How to recognise it.
    pub(super) id: ProofId,
    /// The issuer it is of; `None` where an app has made it.
    pub(super) outside: Option<Origin>,
}

/// The issuer that a token is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// Its place.
    pub(super) place: usize,
    /// The number of the keys that the token was verified with.
    pub(super) number: u64,
    /// Those that were not asked, and whose `iss` and `aud` the token has too: where they are taken
    /// it may be theirs.
    pub(super) rivals: IssuerSet,
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
        let read = Read::of(&claims)?;
        let is_named = names_audience || read.aud.is_some();
        if is_named && !read.is_for(settings.audience.as_slice()) {
            return Err(rejected(Why::Claim("aud")));
        }
        let instance = still_made(&claims, key, registry)?;
        let scopes = match read.scope {
            Some(asked) => key.app.scopes.narrowed(text("scope", asked)?.split(' ')),
            None => key.app.scopes.clone(),
        };
        Ok(Self {
            instance,
            ..read.verified(scopes, settings.max_lifetime, tag, None)
        })
    }

    /// Finds whose a token of `issuer` is, of whose claims these were `read`.
    pub(super) fn of_issuer(
        claims: &[(Cow<'_, str>, Json<'_>)],
        read: Read<'_>,
        issuer: &Issuer,
        origin: Origin,
        tag: &Tag,
    ) -> Result<(Self, Arc<App>), Refused> {
        let app = issuer.app(claims)?;
        let scopes = issuer.scopes(app, claims)?;
        let own = match read.bound {
            None => issuer.binding(claims)?,
            Some(_) => None,
        };
        let mut verified = read.verified(scopes, issuer.max_lifetime, tag, Some(origin));
        verified.bound = verified.bound.or(own.map(Box::new));
        Ok((verified, app.clone()))
    }

    /// Whether the token holds at `now`, and for no longer than a token may.
    pub(super) fn check_times(&self, settings: &Settings, now: i64) -> Result<(), Refused> {
        if now >= self.exp {
            return Err(Refused::Expired { at: self.exp });
        }
        let skew = whole_seconds(settings.skew);
        let newest = now.saturating_add(skew);
        for claimed in [self.nbf, self.iat].into_iter().flatten() {
            if claimed > newest {
                return Err(Refused::Skew {
                    of: Timed::Credential,
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
/// what changes: an app whose policy changes is another app, and its tokens are read again. A key that
/// signs no tokens here any more, as one that was demoted, brings no instance and no build back.
/// The instance that it is of, where that is known.
fn still_made(
    claims: &[(Cow<'_, str>, Json<'_>)],
    key: &Key,
    registry: &Registry,
) -> Result<Option<Arc<str>>, Refused> {
    let named = claims
        .iter()
        .find_map(|(name, value)| match (&**name, value) {
            ("instance", Json::Text(id)) => registry.instance(id),
            _ => None,
        });
    // None is guessed: one of this app that is known here is that very instance.
    let known = named.filter(|known| *known.app == *key.app.name);
    let policy = key.app.tokens.as_deref();
    // Else others make its tokens, and may call their instances what they like.
    let is_ours = policy.is_some() && key.signer.is_some();
    for (name, value) in claims {
        let (claim, holds) = match (&**name, value, policy) {
            ("build", Json::Text(build), Some(policy)) => {
                let is_held = is_ours || known.is_some();
                ("build", !is_held || policy.takes_build(Some(build)))
            }
            ("build", _, Some(_)) => ("build", !is_ours),
            ("instance", Json::Text(_), _) => {
                let holds = known.as_ref().map_or(!is_ours, |known| known.enabled);
                ("instance", holds)
            }
            ("instance", ..) => ("instance", !is_ours),
            _ => continue,
        };
        if !holds {
            return Err(rejected(Why::Claim(claim)));
        }
    }
    Ok(known.map(|known| (*known.id).into()))
}

/// What every token may say, each claim of its type.
pub(super) struct Read<'c> {
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
    iss: Option<&'c str>,
    /// A text, or a list of texts.
    aud: Option<&'c Json<'c>>,
    /// Of what type it is, whoever has made the token says.
    scope: Option<&'c Json<'c>>,
    pay: Option<Pay>,
    bound: Option<Bound>,
}

impl<'c> Read<'c> {
    pub(super) fn of(claims: &'c [(Cow<'c, str>, Json<'c>)]) -> Result<Self, Refused> {
        let (mut exp, mut iat, mut nbf) = (None, None, None);
        let (mut iss, mut aud) = (None, None);
        let (mut scope, mut pay, mut bound) = (None, None, None);
        for (name, value) in claims {
            match &**name {
                "exp" => exp = Some(time("exp", value)?),
                "iat" => iat = Some(time("iat", value)?),
                "nbf" => nbf = Some(time("nbf", value)?),
                "aud" if texts(value).is_none() => return Err(rejected(Why::Claim("aud"))),
                "aud" => aud = Some(value),
                "scope" => scope = Some(value),
                "pay" => pay = Some(binding::read(text("pay", value)?)?),
                "iss" => iss = Some(text("iss", value)?),
                "sub" => text("sub", value).map(drop)?,
                "jti" => text("jti", value).map(drop)?,
                "cnf" => bound = Some(Bound::read(value)?),
                _ => {}
            }
        }
        Ok(Self {
            exp: exp.ok_or_else(|| rejected(Why::Claim("exp")))?,
            iat,
            nbf,
            iss,
            aud,
            scope,
            pay,
            bound,
        })
    }

    /// Whether `aud` is, or lists, one of these; so it is where there are none.
    fn is_for(&self, audiences: &[Box<str>]) -> bool {
        let mut named = self.aud.and_then(texts).into_iter().flatten();
        let is_us = |name: &str| audiences.iter().any(|audience| **audience == *name);
        audiences.is_empty() || named.any(is_us)
    }

    /// Whether `iss` is that of this issuer, or may be any.
    fn is_of(&self, issuer: &Issuer) -> bool {
        issuer.iss.is_none() || issuer.iss.as_deref() == self.iss
    }

    /// Whether `iss` and `aud` are what they must be in tokens of this issuer.
    pub(super) fn fits(&self, issuer: &Issuer) -> bool {
        self.is_of(issuer) && self.is_for(&issuer.audiences)
    }

    /// Why it is of none of these: `iss`, or `aud` where one of them has that.
    pub(super) fn misfit<'i>(&self, mut issuers: impl Iterator<Item = &'i Issuer>) -> Refused {
        let is_of_one = issuers.any(|issuer| self.is_of(issuer));
        rejected(Why::Claim(if is_of_one { "aud" } else { "iss" }))
    }

    pub(super) fn verified(
        self,
        scopes: Scopes,
        max_lifetime: Duration,
        tag: &Tag,
        outside: Option<Origin>,
    ) -> Verified {
        Verified {
            scopes,
            exp: self.exp,
            iat: self.iat,
            nbf: self.nbf,
            max_life: whole_seconds(max_lifetime),
            pay: self.pay,
            bound: self.bound.map(Box::new),
            signing: None,
            client: None,
            instance: None,
            id: ProofId::of(tag.as_bytes()),
            outside,
        }
    }
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
