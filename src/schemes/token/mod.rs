//! Tokens: short-lived JWTs signed with an app's key.
//!
//! In: the field a route takes tokens from. Out: a [`Caller`] of assurance `key`, or `attested` where the token's
//! key says so, for as long as the token lives. This scheme never: takes an algorithm, a key or a place to fetch one
//! from the token; looks at a claim before the signature holds; lets a token do more than its app may; waits for the
//! keys of an issuer.

pub mod assertion;
pub mod attestation;
pub mod binding;
pub mod cache;
pub mod dpop;
pub mod issuer;
pub mod jwt;
pub mod key_set;
pub mod keys;
pub mod sign;

mod bound;
mod claims;
mod compact;
pub(crate) mod json;
mod jwk;
mod outside;

pub use cache::Cache;
pub use issuer::{ClaimPath, Issuer, Whose};
pub use jwt::MAX_TOKEN;
pub use key_set::{BadKeySet, KeySet};
pub use keys::Keys;
pub use outside::{MAX_TRIED, never_tried};
pub use sign::{Claims, Confirmation, NotForTokens, sign, sign_claims};

use super::digest::BodyProof;
use super::doctor::Sample;
use super::freshness::Freshness;
use super::{Assurance, Caller, Proof, Received, Refused, Why};
use crate::apps::{Key, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use crate::route::{IssuerSet, OAUTH_CLIENT_ATTESTATION, Route, Takers};
use claims::Verified;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The field a token stands in unless `gateway.toml` names others.
pub const PORTCULLIS_TOKEN: HeaderName = HeaderName::from_static("portcullis-token");

/// How old a DPoP proof may be, unless told otherwise.
const DPOP_WINDOW: Duration = Duration::from_mins(5);

/// `[tokens]` and `[issuers]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What `aud` must hold, when set.
    pub audience: Option<Box<str>>,
    /// The longest life a token may have.
    pub max_lifetime: Duration,
    /// How far ahead a caller's clock may be.
    pub skew: Duration,
    /// What is asked of DPoP proofs.
    pub dpop: dpop::Settings,
    /// Issuers outside, by the places that routes know them by.
    issuers: Vec<Issuer>,
    /// What to verify with where none of their keys has the name that a token gives.
    double: VerifyingKey,
}

impl Settings {
    /// What is asked of tokens of apps, and no issuer outside.
    pub fn new(audience: Option<Box<str>>, max_lifetime: Duration, skew: Duration) -> Self {
        Self {
            audience,
            max_lifetime,
            skew,
            dpop: dpop::Settings {
                freshness: Freshness {
                    window: DPOP_WINDOW,
                    skew,
                },
                nonce: false,
                nonces: dpop::nonce::Nonces::own(),
            },
            issuers: Vec::new(),
            double: HmacKey::dummy(Algorithm::HmacSha256).into(),
        }
    }

    /// With these issuers, and a key for what none of them has: one nobody has, of the kind that
    /// most of theirs are.
    #[must_use]
    pub fn with_issuers(self, issuers: Vec<Issuer>, double: VerifyingKey) -> Self {
        Self {
            issuers,
            double,
            ..self
        }
    }

    /// Issuers outside.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// As [`Settings::issuers`], to put what is known of their keys in place.
    pub fn issuers_mut(&mut self) -> &mut [Issuer] {
        &mut self.issuers
    }

    fn taken(&self, some: IssuerSet) -> impl Iterator<Item = (usize, &Issuer)> {
        let all = self.issuers.iter().enumerate();
        all.filter(move |(place, _)| some.has(*place))
    }

    /// Whether what was found out about a token still holds, where it is shown now.
    fn still_takes(&self, token: &Verified, takers: Takers, now: i64) -> bool {
        match token.outside {
            None => takers.own,
            Some(origin) => {
                takers.issuers.has(origin.place)
                    && !takers.issuers.meets(origin.rivals)
                    && self
                        .issuers
                        .get(origin.place)
                        .is_some_and(|issuer| issuer.keys.are_still(origin.number, now))
            }
        }
    }
}

/// A token as it stands in a request, unproven. Does not print.
#[derive(Clone, Copy)]
pub struct Presented<'r> {
    text: &'r str,
    in_authorization: bool,
    /// Whether it stands behind `DPoP` there.
    as_dpop: bool,
    /// Whose tokens may stand there.
    takers: Takers,
    /// Whether it stands where clients of OAuth show that they are attested.
    is_attestation: bool,
}

impl<'r> Presented<'r> {
    /// The token as the doctor takes it: its text arrives as it was signed.
    pub fn sample(&self) -> Option<Sample<'r>> {
        jwt::sample(self.text)
    }

    /// The key id the token claims: for the log, when it is refused.
    pub fn claimed_key(&self) -> Option<Cow<'static, str>> {
        jwt::claimed_key(self.text).map(Cow::Owned)
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({} bytes)", self.text.len())
    }
}

/// The token a request shows in one of the route's token fields; `None` when
/// it shows none. An `Authorization` of another kind than `Bearer` is no token.
///
/// # Errors
/// [`Refused::Malformed`] when there is more than one, or one that is no text
/// of at most [`MAX_TOKEN`] bytes.
pub fn read<'r>(received: &Received<'r>, route: &Route) -> Result<Option<Presented<'r>>, Refused> {
    let mut found = None;
    for (place, name) in route.token_fields.iter().enumerate() {
        for value in received.lines_of(name) {
            let Some(presented) = token_in(name, value, route.takers(place))? else {
                continue;
            };
            let presented = Presented {
                is_attestation: route.client_attestation.is_some()
                    && *name == OAUTH_CLIENT_ATTESTATION,
                ..presented
            };
            if found.replace(presented).is_some() {
                return Err(Refused::Malformed(format!(
                    "there is more than one token; send one, in `{name}`"
                )));
            }
        }
    }
    Ok(found)
}

fn token_in<'r>(
    name: &HeaderName,
    value: &'r HeaderValue,
    takers: Takers,
) -> Result<Option<Presented<'r>>, Refused> {
    let in_authorization = name == AUTHORIZATION;
    let (bytes, as_dpop) = match after_scheme(value.as_bytes()) {
        Some(found) if in_authorization => found,
        None if in_authorization => return Ok(None),
        None => (value.as_bytes(), false),
        Some(_) => {
            return Err(Refused::Malformed(format!(
                "`{name}` holds the token alone: no `Bearer` or `DPoP` stands before it there, as in `Authorization`"
            )));
        }
    };
    if bytes.len() > MAX_TOKEN {
        return Err(Refused::Malformed(format!(
            "the token in `{name}` has {} bytes; at most {MAX_TOKEN} are accepted",
            bytes.len()
        )));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() => Ok(Some(Presented {
            text,
            in_authorization,
            as_dpop,
            takers,
            is_attestation: false,
        })),
        _ => Err(Refused::Malformed(format!("`{name}` holds no token"))),
    }
}

/// What stands behind `Bearer` (RFC 6750, section 2.1) or `DPoP` (RFC 9449, section 7.1), and
/// whether it is the latter; `None` for another word.
fn after_scheme(value: &[u8]) -> Option<(&[u8], bool)> {
    let after = |word: &[u8]| {
        let (front, rest) = value.split_at_checked(word.len())?;
        match rest {
            [] | [b' ', ..] if front.eq_ignore_ascii_case(word) => Some(rest.trim_ascii_start()),
            _ => None,
        }
    };
    match after(b"bearer") {
        Some(rest) => Some((rest, false)),
        None => after(b"dpop").map(|rest| (rest, true)),
    }
}

/// Verifies a token. `settings` and `registry` belong to one configuration,
/// told from others by [`Registry::generation`]: what `cache` holds was
/// verified under both.
///
/// # Errors
/// [`Refused`]. What depends on the key is told as [`Refused::Rejected`] only;
/// that a token is over, early, not bound, or its app switched off, is told to
/// those whose signature holds.
pub fn verify(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    registry: &Registry,
    settings: &Settings,
    cache: &Cache,
    now: Now,
) -> Result<Caller, Refused> {
    let held = open(presented, registry, settings, cache, now)?;
    held.caller(presented, None, received, route, settings, now)
}

/// A token that holds; what it is bound to is still to be checked.
#[derive(Debug)]
pub struct Held {
    token: Arc<Verified>,
    pub(super) key: Arc<Key>,
}

/// As far as a token is verified without the request that it stands in.
///
/// # Errors
/// As [`verify`].
pub fn open(
    presented: &Presented<'_>,
    registry: &Registry,
    settings: &Settings,
    cache: &Cache,
    now: Now,
) -> Result<Held, Refused> {
    let seconds = now.unix_seconds();
    let generation = registry.generation();
    let held = cache
        .find(presented.text, generation)
        .filter(|(token, _)| settings.still_takes(token, presented.takers, seconds))
        .filter(|(token, _)| token.client.is_some() == presented.is_attestation);
    let is_new = held.is_none();
    let (token, key) = match held {
        Some(held) => held,
        None => jwt::open(presented, registry, settings, seconds)?,
    };
    // Whether found or opened: what time can change is checked at every request.
    check_key(&key, seconds)?;
    token.check_times(settings, seconds)?;
    if !key.app.is_enabled() {
        return Err(Refused::AppDisabled);
    }
    if is_new {
        cache.keep(presented.text, generation, &token, &key, seconds);
    }
    Ok(Held { token, key })
}

impl Held {
    /// The key that must have signed the request, where the token names one that is in no registry.
    pub fn signing_key(&self) -> Option<&Arc<Key>> {
        self.token.signing.as_ref()
    }

    /// The caller that it proves. `signer` is who has signed the request beside it.
    ///
    /// # Errors
    /// [`Refused`]: it is bound to something else, or to nothing where it must be bound.
    pub fn caller(
        self,
        presented: &Presented<'_>,
        signer: Option<&Caller>,
        received: &Received<'_>,
        route: &Route,
        settings: &Settings,
        now: Now,
    ) -> Result<Caller, Refused> {
        let Self { token, key } = self;
        binding::check(
            token.pay.as_ref(),
            presented.in_authorization,
            received,
            route,
        )?;
        let bound = token.bound.as_deref();
        let seconds = now.unix_seconds();
        let proven = match &token.client {
            None => bound::check(bound, presented, signer, received, route, settings, seconds)?,
            Some(client) => {
                let shown = attestation::Shown {
                    client,
                    bound,
                    is_signed: signer.is_some(),
                };
                Some(attestation::check(
                    &shown, received, route, settings, seconds,
                )?)
            }
        };
        let proof = match proven {
            None => proof(&token),
            Some(proven) => proven.proof(),
        };
        // The one place that says what a token is worth: who signed it tells.
        let assurance = if key.attests {
            Assurance::Attested
        } else {
            Assurance::Key
        };
        let (scopes, body) = (token.scopes.clone(), BodyProof::Unproven);
        let caller = Caller::proven(key, Scheme::Token, assurance, scopes, proof, body);
        Ok(caller.of_instance(token.instance.clone()))
    }
}

/// Whether a key whose signature holds may be used for a token now.
fn check_key(key: &Key, now: i64) -> Result<(), Refused> {
    if !key.is_active(now) {
        return Err(rejected(Why::KeyNotActive));
    }
    if !key.schemes.contains(Scheme::Token) {
        return Err(rejected(Why::KeyNotForScheme));
    }
    Ok(())
}

fn proof(token: &Verified) -> Proof {
    // A token that does not say when it was made may be as old as the longest
    // life allows: whoever asks for its age must not take it for younger.
    let earliest = token.exp.saturating_sub(token.max_life);
    Proof {
        nonce: None,
        text: token.id,
        last_second: token.exp.saturating_sub(1),
        says_its_end: true,
        created: token.iat.or(token.nbf).unwrap_or(earliest),
        reusable: true,
    }
}

const fn rejected(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

#[cfg(test)]
mod tests;
