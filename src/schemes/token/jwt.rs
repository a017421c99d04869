//! Reading and verifying a JWT: compact, signed with an algorithm that its key knows, and nothing else.

use super::attestation;
use super::claims::{Origin, Read, Verified, time};
use super::compact;
use super::json::{BadJson, Json, member, read_object};
use super::outside::{Outside, Signed};
use super::{Presented, Settings, check_key, rejected};
use crate::apps::{Key, Registry, Scheme};
use crate::crypto::{Algorithm, Tag, VerifyingKey};
use crate::route::{IssuerSet, Takers};
use crate::schemes::doctor::Sample;
use crate::schemes::{Refused, Why};
use std::sync::Arc;

/// Bytes a token may have.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Bytes a key id may have.
pub const MAX_KEY_ID: usize = 256;

/// A token that was opened, and the key that its signature is of.
pub(super) type Opened = (Arc<Verified>, Arc<Key>);

/// Verifies the signature of a token, that its key may be used, and what of
/// its claims never changes.
pub(super) fn open(
    presented: &Presented<'_>,
    registry: &Registry,
    settings: &Settings,
    now: i64,
) -> Result<Opened, Refused> {
    let token = Compact::read(presented.text)?;
    if token.is_attestation != presented.is_attestation {
        return Err(rejected(Why::Claim(attestation::typ(
            presented.is_attestation,
        ))));
    }
    if !presented.takers.issuers.is_empty() {
        return token.of_any(presented.takers, registry, settings, now);
    }
    let key_id = token.own_key_id()?;
    let key = registry.key(key_id);
    let Some(key) = key else {
        // Neither answer nor time tells that no key has this id.
        let _ = token.verify(&registry.double(key_id));
        return Err(rejected(Why::UnknownKey));
    };
    let verified = token.verify(&key.verifying);
    token.of_app(&key, &verified.map_err(rejected)?, settings, registry, now)
}

/// The key id in the header of a token, if that can be read.
pub(super) fn claimed_key(text: &str) -> Option<String> {
    Compact::read(text).ok()?.key_id
}

/// A token as the doctor takes it, if it can be read.
pub(super) fn sample(text: &str) -> Option<Sample<'_>> {
    let token = Compact::read(text).ok()?;
    let (algorithm, claims) = (token.algorithm, token.claims);
    let meant = move |refused: &Refused, key: &VerifyingKey| match refused {
        // It is asked of a token that holds.
        Refused::Skew { theirs, .. } => says(claims, *theirs),
        Refused::Rejected {
            why: Why::WrongAlgorithm,
            ..
        } => !is_for(algorithm, key),
        _ => true,
    };
    Some(Sample {
        scheme: Scheme::Token,
        key_id: token.key_id?.into(),
        text: token.signed.as_bytes().to_vec(),
        signature: token.signature.into(),
        offer: None,
        also: Vec::new(),
        by: None,
        meant: Some(Box::new(meant)),
    })
}

/// A compact JWS (RFC 7515, section 3.1) with a header we accept.
pub(super) struct Compact<'t> {
    /// Header and claims as they were signed.
    pub(super) signed: &'t str,
    claims: &'t str,
    pub(super) signature: Vec<u8>,
    /// What its header names; `None` is none that we know.
    algorithm: Option<Algorithm>,
    pub(super) key_id: Option<String>,
    /// What else stands in its header, which tokens of apps must not have.
    more: Option<&'static str>,
    /// Whether its `typ` is that of an attestation.
    pub(super) is_attestation: bool,
}

impl<'t> Compact<'t> {
    pub(super) fn read(text: &'t str) -> Result<Self, Refused> {
        if text.len() > MAX_TOKEN {
            return Err(malformed("is too long"));
        }
        let parts = compact::parts(text, malformed)?;
        let header = decode(parts.header)?;
        let (algorithm, key_id, more, is_attestation) = read_header(&header)?;
        Ok(Self {
            signed: parts.signed,
            claims: parts.claims,
            signature: decode(parts.signature)?,
            algorithm,
            key_id,
            more,
            is_attestation,
        })
    }

    /// The key id, which tokens of apps must have, and nothing strange beside it.
    fn own_key_id(&self) -> Result<&str, Refused> {
        if let Some(more) = self.more {
            return Err(rejected(Why::Claim(more)));
        }
        self.key_id.as_deref().ok_or_else(no_key_id)
    }

    /// What comes of a token whose signature is that of an app's key.
    fn of_app(
        &self,
        key: &Arc<Key>,
        tag: &Tag,
        settings: &Settings,
        registry: &Registry,
        now: i64,
    ) -> Result<Opened, Refused> {
        // Before the claims: who holds a key that is no longer in force learns nothing of them.
        check_key(key, now)?;
        let claims = self.claims()?;
        let verified =
            Verified::of_app(&claims, key, tag, settings, registry, !self.is_attestation)?;
        let mut verified = with_signing_key(verified, key);
        if self.is_attestation {
            verified.client = Some(attestation::client(&claims, &verified)?);
        }
        Ok((Arc::new(verified), key.clone()))
    }

    /// What comes of a token that may be of an issuer outside. Which one is said by its field and
    /// its `kid`: no claim is looked at before the signature holds.
    fn of_any(
        &self,
        takers: Takers,
        registry: &Registry,
        settings: &Settings,
        now: i64,
    ) -> Result<Opened, Refused> {
        let id = self.key_id.as_deref();
        let own_id = id.filter(|_| takers.own);
        let mut why = Why::UnknownKey;
        let own = own_id.and_then(|id| registry.key(id));
        if let Some(key) = &own {
            match self.verify(&key.verifying) {
                Ok(tag) => {
                    self.own_key_id()?;
                    return self.of_app(key, &tag, settings, registry, now);
                }
                Err(other) => why = other,
            }
        }
        let outside = Outside::of(settings.taken(takers.issuers), now);
        let unsigned = match outside.signed(self) {
            Ok(signed) => return self.of_issuer(&signed, &outside, settings, takers),
            Err(unsigned) => unsigned,
        };
        // No note for what an app's key is known by.
        outside.ask_for(id.filter(|_| own.is_none()));
        // It costs what a key costs. That an issuer has no key of a name is no secret: anyone
        // can fetch its keys. Whether we have one is told by nothing.
        if let (Some(id), None) = (own_id, &own) {
            let _ = self.verify(&registry.double(id));
        } else if own.is_none() && !unsigned.was_tried {
            if id.is_none() && unsigned.why == Why::UnknownKey {
                return Err(no_key_id());
            }
            let _ = self.verify(&settings.double);
        }
        if own.is_none() || unsigned.was_tried {
            why = unsigned.why;
        }
        Err(rejected(why))
    }

    /// What comes of a token whose signature is that of a key which an issuer has, or several.
    fn of_issuer(
        &self,
        signed: &Signed<'_, '_>,
        outside: &Outside<'_>,
        settings: &Settings,
        takers: Takers,
    ) -> Result<Opened, Refused> {
        let bytes = self.claims()?;
        let claims = read_object(&bytes).map_err(|why| no_object("payload", why))?;
        let read = Read::of(&claims)?;
        let (set, key) = signed
            .by(&read)
            .inspect_err(|_| outside.ask_of(&read, self.key_id.as_deref()))?;
        let issuer = set.issuer;
        let origin = Origin {
            place: set.place,
            number: set.keys.number(),
            rivals: rivals(&read, settings, takers),
        };
        let (verified, app) = Verified::of_issuer(&claims, read, issuer, origin, &signed.tag)?;
        let id = match &key.id {
            Some(id) => format!("{}/{id}", issuer.name).into(),
            None => issuer.name.clone(),
        };
        let key = Key {
            id,
            app,
            verifying: key.verifying.clone(),
            not_before: None,
            not_after: None,
            enabled: true,
            schemes: [Scheme::Token].into_iter().collect(),
            attests: issuer.attests,
            signer: None,
            made: None,
        };
        let mut verified = with_signing_key(verified, &key);
        if self.is_attestation {
            verified.client = Some(attestation::client(&bytes, &verified)?);
        }
        Ok((Arc::new(verified), Arc::new(key)))
    }

    /// Checks the signature by the key's own algorithm, which the header must name. What
    /// it names instead changes nothing: neither answer nor time tells the cases apart.
    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<Tag, Why> {
        let tag = key.verify(self.signed.as_bytes(), &self.signature);
        if !self.is_for(key) {
            return Err(Why::WrongAlgorithm);
        }
        tag.ok_or(Why::WrongSignature)
    }

    /// Whether the header names the key's own algorithm, and it is one of tokens.
    pub(super) fn is_for(&self, key: &VerifyingKey) -> bool {
        is_for(self.algorithm, key)
    }

    /// The claims' bytes: to be read only once the signature holds.
    pub(super) fn claims(&self) -> Result<Vec<u8>, Refused> {
        decode(self.claims)
    }
}

/// Whether `named` is the key's own algorithm, and one of tokens.
fn is_for(named: Option<Algorithm>, key: &VerifyingKey) -> bool {
    let algorithm = key.algorithm();
    named == Some(algorithm) && algorithm.is_for_tokens()
}

/// Whether these claims have `time` as a moment from which on they hold.
fn says(claims: &str, moment: i64) -> bool {
    let bytes = decode(claims).unwrap_or_default();
    let claims = read_object(&bytes).unwrap_or_default();
    let mut told = ["iat", "nbf"].into_iter();
    told.any(|name| member(&claims, name).is_some_and(|at| time(name, at) == Ok(moment)))
}

/// The issuers which are not taken where a token is shown, and whose it would be by its claims.
fn rivals(read: &Read<'_>, settings: &Settings, takers: Takers) -> IssuerSet {
    let issuers = settings.issuers().iter().enumerate();
    issuers
        .filter(|(place, issuer)| !takers.issuers.has(*place) && read.fits(issuer))
        .fold(IssuerSet::NONE, |rivals, (place, _)| rivals.with(place))
}

/// Where a token names the key that it is bound to, requests are signed with that one.
fn with_signing_key(mut verified: Verified, key: &Key) -> Verified {
    let named = verified.bound.as_ref().and_then(|bound| bound.key.clone());
    verified.signing = named.map(|verifying| {
        Arc::new(Key {
            id: key.id.clone(),
            app: key.app.clone(),
            verifying,
            not_before: None,
            not_after: None,
            enabled: true,
            schemes: [Scheme::HttpSignature].into_iter().collect(),
            attests: false,
            signer: None,
            made: None,
        })
    });
    verified
}

/// Parameters that would have us take a key, or another form of token, from a
/// stranger. Named for the log. Every other unknown one is refused too where an app has made the
/// token; issuers outside may say there what they like.
const DANGEROUS: [&str; 8] = ["crit", "jku", "jwk", "x5u", "x5c", "zip", "b64", "enc"];

/// The algorithm, if we know it, the key id, what else there is, and whether it is an attestation.
type Header = (
    Option<Algorithm>,
    Option<String>,
    Option<&'static str>,
    bool,
);

fn read_header(bytes: &[u8]) -> Result<Header, Refused> {
    let (mut algorithm, mut key_id, mut more) = (None, None, None);
    let mut is_attestation = false;
    for (name, value) in read_object(bytes).map_err(|why| no_object("header", why))? {
        match (&*name, value) {
            ("alg", Json::Text(name)) => algorithm = Some(Algorithm::from_jose_name(&name)),
            ("kid", Json::Text(id)) if is_key_id(&id) => key_id = Some(id.into_owned()),
            ("typ", Json::Text(media_type)) if is_jwt(&media_type) => {}
            // What SPIFFE's issuers may say: no word of ours.
            ("typ", Json::Text(media_type)) if media_type == "JOSE" => more = Some("typ"),
            ("typ", Json::Text(media_type)) if attestation::is_typ(&media_type) => {
                is_attestation = true;
            }
            ("typ", _) => return Err(rejected(Why::Claim("typ"))),
            ("alg" | "kid", _) => {
                return Err(malformed("has an `alg` or `kid` that is no such name"));
            }
            (name, _) => {
                if let Some(name) = DANGEROUS.into_iter().find(|dangerous| *dangerous == name) {
                    return Err(rejected(Why::Claim(name)));
                }
                more = Some(if name == "x5t" { "x5t" } else { "header" });
            }
        }
    }
    let algorithm = algorithm.ok_or_else(|| malformed("has no `alg` in its header"))?;
    Ok((algorithm, key_id, more, is_attestation))
}

fn no_key_id() -> Refused {
    malformed("has no `kid` in its header to name the key")
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

/// Strict: no padding, no other alphabet, no bits left over (RFC 7515, section 2).
fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    compact::decode(part, malformed)
}

pub(super) fn no_object(part: &str, why: BadJson) -> Refused {
    malformed(&format!("has a {part} that is {why}"))
}

fn malformed(what: &str) -> Refused {
    Refused::Malformed(format!("the token {what}"))
}
