//! A JWT of an issuer outside as evidence: what a platform says of the workload that asks.
//!
//! It is held to the same rules as a token of that issuer, and it lets nobody in: whoever asked for it decides
//! by its claims.

use super::claims::{Read, text, texts};
use super::issuer::{Issuer, find};
use super::json::read_object;
use super::jwt::{Compact, no_object};
use super::outside::{Outside, Signed};
use super::{Settings, rejected};
use crate::apps::{ClaimRule, Scopes, Workload};
use crate::crypto::digest::sha256;
use crate::crypto::{Tag, VerifyingKey};
use crate::schemes::{ProofId, Refused, Why};

/// What is known of a workload whose assertion holds.
#[derive(Debug)]
pub struct Assertion<'w> {
    /// The first of the workloads that it is.
    pub workload: Option<&'w Workload>,
    /// Its `nonce`.
    pub nonce: Option<Box<str>>,
    /// By what it is known again.
    pub id: ProofId,
    /// When it says it was made; the earliest it may have been where it does not.
    pub made: i64,
    /// First second at which it is over.
    pub exp: i64,
}

/// Verifies `assertion`, which must be of an issuer of one of `workloads`. It costs one signature whatever it is.
///
/// # Errors
/// [`Refused`], for whoever keeps the log.
pub fn open<'w>(
    assertion: &str,
    workloads: &'w [Workload],
    settings: &Settings,
    now: i64,
) -> Result<Assertion<'w>, Refused> {
    let token = match Compact::read(assertion) {
        Ok(token) => token,
        Err(refused) => {
            let _ = settings.double.verify(assertion.as_bytes(), &[0; 64]);
            return Err(refused);
        }
    };
    let outside = of_workloads(workloads, settings, now);
    let signed = signed_by(&token, &outside, settings)?;
    if token.is_attestation {
        return Err(rejected(Why::Claim("typ")));
    }
    let claims = token.claims()?;
    let claims = read_object(&claims).map_err(|why| no_object("payload", why))?;
    let read = Read::of(&claims)?;
    let (set, _) = signed
        .by(&read)
        .inspect_err(|_| outside.ask_of(&read, token.key_id.as_deref()))?;
    let issuer = set.issuer;
    let verified = read.verified(Scopes::none(), issuer.max_lifetime, &signed.tag, None);
    verified.check_times(settings, now)?;
    let member = |wanted: &'static str| {
        let found = claims.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| text(wanted, value)).transpose()
    };
    let holds = |rule: &ClaimRule| {
        let value = find(&rule.claim, &claims).and_then(texts);
        value.is_some_and(|mut texts| texts.any(|text| rule.value.iter().any(|one| **one == *text)))
    };
    let mut own = workloads.iter().filter(|one| *one.issuer == *issuer.name);
    Ok(Assertion {
        workload: own.find(|one| one.claims.iter().all(holds)),
        nonce: member("nonce")?.map(Box::from),
        id: id(issuer, member("jti")?, &signed.tag),
        made: verified
            .iat
            .or(verified.nbf)
            .unwrap_or_else(|| verified.exp.saturating_sub(verified.max_life)),
        exp: verified.exp,
    })
}

/// The subject that an assertion names, whether it holds or not.
pub fn claimed_subject(assertion: &str) -> Option<Box<str>> {
    let claims = Compact::read(assertion).ok()?.claims().ok()?;
    let claims = read_object(&claims).ok()?;
    let (_, subject) = claims.iter().find(|(name, _)| name == "sub")?;
    text("sub", subject).ok().map(Box::from)
}

/// The issuers of `workloads`.
fn of_workloads<'s>(workloads: &[Workload], settings: &'s Settings, now: i64) -> Outside<'s> {
    let is_named = |issuer: &Issuer| workloads.iter().any(|one| *one.issuer == *issuer.name);
    let issuers = settings.issuers().iter().enumerate();
    Outside::of(issuers.filter(|(_, issuer)| is_named(issuer)), now)
}

/// Those among `outside` whose key has signed it. No claim is looked at before.
fn signed_by<'o, 's>(
    token: &'o Compact<'_>,
    outside: &'o Outside<'s>,
    settings: &Settings,
) -> Result<Signed<'o, 's>, Refused> {
    let unsigned = match outside.signed(token) {
        Ok(signed) => return Ok(signed),
        Err(unsigned) => unsigned,
    };
    if !unsigned.was_tried {
        let _ = token.verify(double(settings));
    }
    // As for tokens: keys that are not here may be there by now.
    outside.ask_for(token.key_id.as_deref());
    Err(rejected(unsigned.why))
}

const fn double(settings: &Settings) -> &VerifyingKey {
    &settings.double
}

/// By its own name, under its issuer's, or by what was signed.
fn id(issuer: &Issuer, name: Option<&str>, tag: &Tag) -> ProofId {
    let (kind, own) = match name {
        Some(name) => (&b"jti"[..], name.as_bytes()),
        None => (&b"text"[..], tag.as_bytes()),
    };
    let length = (issuer.name.len() as u64).to_be_bytes();
    let parts: [&[u8]; 5] = [
        b"portcullis assertion",
        &length,
        issuer.name.as_bytes(),
        kind,
        own,
    ];
    ProofId::of(&sha256(&parts))
}
