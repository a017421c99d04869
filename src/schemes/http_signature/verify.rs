//! Verifying: policy first, since it needs no key; then time; then the
//! signature; then what only a proven caller may learn.

use super::base::{self, NoBase};
use super::read::{Candidate, Component, Input, Presented};
use crate::apps::{Key, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::digest::sha256;
use crate::crypto::{Tag, VerifyingKey};
use crate::route::{Part, Route};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::coverage::{self, Covered};
use crate::schemes::digest::{BodyCheck, BodyProof, Digests};
use crate::schemes::freshness::Freshness;
use crate::schemes::received::{Field, Received};
use crate::schemes::{Explained, Refused, Why};
use http::header::CONNECTION;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

/// What every request of a configuration is verified by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// Every key.
    pub registry: &'s Registry,
    /// The window of time.
    pub freshness: Freshness,
    /// Whether anyone may see the text that was verified against.
    pub explain: bool,
}

/// The caller that the request's signatures prove: exactly one of them must
/// satisfy the policy.
///
/// # Errors
/// The reason of the signature that came furthest.
pub fn verify(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    let mut best: Result<Caller, Refused> = Err(Refused::Missing);
    for candidate in presented.candidates() {
        match (verify_one(candidate, received, route, rules, now), &best) {
            (Ok(_), Ok(_)) => {
                return Err(Refused::Malformed(
                    "more than one signature satisfies the policy; send one".to_owned(),
                ));
            }
            (Ok(caller), _) => best = Ok(caller),
            (Err(why), Err(before)) if progress(&why) > progress(before) => best = Err(why),
            (Err(_), _) => {}
        }
    }
    best
}

/// How far a refused signature came: the furthest one is the one that was meant.
const fn progress(refused: &Refused) -> u8 {
    match refused {
        Refused::Missing => 0,
        Refused::Malformed(_) => 1,
        Refused::Coverage(_) | Refused::Absent(_) => 2,
        Refused::Skew { .. } | Refused::Expired { .. } => 3,
        Refused::Rejected { .. } => 4,
        _ => 5,
    }
}

fn verify_one(
    candidate: &Candidate<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    let input = &candidate.input;
    let seconds = now.unix_seconds();
    let Some(key_id) = input.key_id else {
        return Err(parameter_missing(candidate.label, "keyid=\"…\""));
    };
    let Some(created) = input.created else {
        return Err(parameter_missing(candidate.label, "created"));
    };
    let covered = covered(&input.components, received);
    check_coverage(covered, received, route, seconds)?;
    check_connection(&input.components, received)?;
    let digests = if received.shows(Field::ContentDigest) {
        Digests::read(received.fields()).map_err(|bad| Refused::Malformed(bad.to_string()))?
    } else {
        None
    };
    let last_second = rules.freshness.check(created, input.expires, seconds)?;

    let key_id = if key_id.contains('\\') {
        Cow::Owned(base::unescaped(key_id))
    } else {
        Cow::Borrowed(key_id)
    };
    let key = rules.registry.key(&key_id);
    let verifying = match key {
        Some(key) => &key.verifying,
        None => rules.registry.double(&key_id),
    };
    let tag = check_signature(candidate, received, key, verifying, rules)?;
    // Only the owner of the key comes this far.
    let (Some(key), Some(tag)) = (key, tag) else {
        return Err(rejected(Why::UnknownKey));
    };
    check_key(key, input, seconds)?;
    let body = body_proof(received, digests, covered)?;
    let proof = Proof {
        nonce: input.nonce.map(|nonce| nonce_id(&key.id, nonce)),
        // The tag is a function of the signed text and the key, whose id the text holds, and
        // we computed it ourselves.
        text: ProofId::of(tag.as_bytes()),
        last_second,
        created,
        reusable: false,
    };
    Ok(Caller::proven(
        key.clone(),
        Scheme::HttpSignature,
        Assurance::Signed,
        key.app.scopes.clone(),
        proof,
        body,
    ))
}

fn parameter_missing(label: &str, what: &str) -> Refused {
    Refused::Malformed(format!(
        "`Signature-Input`, label `{label}`: the parameter `{what}` is needed"
    ))
}

const fn rejected(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

/// The parts of `received` that these components cover.
pub fn covered(components: &[Component<'_>], received: &Received<'_>) -> Covered {
    let mut covered = Covered::nothing();
    for component in components.iter().filter(|component| component.is_whole()) {
        match component.name {
            "@method" => covered.add(Part::Method),
            "@authority" => covered.add(Part::Authority),
            "@path" => covered.add(Part::Path),
            "@query" if !has_empty_query(received) => covered.add(Part::Query),
            "@request-target" => {
                covered.add(Part::Path);
                covered.add(Part::Query);
            }
            "@target-uri" => {
                covered.add(Part::Authority);
                covered.add(Part::Path);
                covered.add(Part::Query);
            }
            "authorization" => covered.add(Part::Authorization),
            "content-digest" => covered.add(Part::Body),
            _ => {}
        }
    }
    covered
}

/// Whether there is a `?` and nothing behind it. `@query` reads the same
/// without the `?` (RFC 9421, section 2.2.7), so it does not tell that it is there.
fn has_empty_query(received: &Received<'_>) -> bool {
    received.query() == Some("")
}

/// The component to cover for a part of `received`, as `Signature-Input` names it.
pub fn component_for(part: Part, received: &Received<'_>) -> &'static str {
    match part {
        Part::Query if has_empty_query(received) => "@target-uri",
        Part::Method => "@method",
        Part::Authority => "@authority",
        Part::Path => "@path",
        Part::Query => "@query",
        Part::Authorization => "authorization",
        Part::Body => "content-digest",
    }
}

fn check_coverage(
    covered: Covered,
    received: &Received<'_>,
    route: &Route,
    seconds: i64,
) -> Result<(), Refused> {
    let mut missing = coverage::missing(covered, received, route, seconds).peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    Err(Refused::Coverage(
        missing.map(|part| component_for(part, received)).collect(),
    ))
}

/// A field that `Connection` names ends here: none that was proven may be among them.
fn check_connection(components: &[Component<'_>], received: &Received<'_>) -> Result<(), Refused> {
    if !received.shows(Field::Connection) {
        return Ok(());
    }
    for value in received.fields().get_all(CONNECTION) {
        let named = value.to_str().unwrap_or_default().split(',').map(str::trim);
        for name in named {
            if components
                .iter()
                .any(|component| component.name.eq_ignore_ascii_case(name))
            {
                return Err(Refused::Malformed(format!(
                    "`Connection` names the covered field `{name}`, which would not reach the upstream"
                )));
            }
        }
    }
    Ok(())
}

/// Our tag, when the signature is the key's. An unknown key is checked against
/// its double, which nobody has: it costs what a known one costs and never matches.
fn check_signature(
    candidate: &Candidate<'_>,
    received: &Received<'_>,
    key: Option<&Arc<Key>>,
    verifying: &VerifyingKey,
    rules: Rules<'_>,
) -> Result<Option<Tag>, Refused> {
    thread_local! {
        /// One base at a time; the buffer is as large as the largest head.
        static BASE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BASE.with_borrow_mut(|text| {
        text.clear();
        base::write(text, received, &candidate.input).map_err(|why| match why {
            NoBase::Absent(component) => Refused::Absent(component),
            NoBase::Unsupported(why) => Refused::Malformed(why),
        })?;
        let tag = verifying.verify(text, &candidate.signature);
        if tag.is_some() && key.is_some() {
            return Ok(tag);
        }
        let why = match key {
            Some(_) => Why::WrongSignature,
            None => Why::UnknownKey,
        };
        let open = rules.explain || key.is_some_and(|key| key.app.explain);
        Err(Refused::Rejected {
            why,
            explained: open.then(|| Box::new(Explained::new(text, received))),
        })
    })
}

fn check_key(key: &Key, input: &Input<'_>, seconds: i64) -> Result<(), Refused> {
    match input.named_algorithm() {
        Ok(None) => {}
        Ok(Some(algorithm)) if algorithm == key.algorithm() => {}
        _ => return Err(rejected(Why::WrongAlgorithm)),
    }
    if !key.schemes.contains(Scheme::HttpSignature) || !key.algorithm().is_for_requests() {
        return Err(rejected(Why::KeyNotForScheme));
    }
    if !key.is_active(seconds) {
        return Err(rejected(Why::KeyNotActive));
    }
    if !key.app.enabled {
        return Err(Refused::AppDisabled);
    }
    Ok(())
}

/// What the signature says of the body. A digest of nothing is checked at once.
fn body_proof(
    received: &Received<'_>,
    digests: Option<Digests>,
    covered: Covered,
) -> Result<BodyProof, Refused> {
    match digests.filter(|_| covered.has(Part::Body)) {
        Some(digests) if received.has_body() => Ok(BodyProof::Digests(digests)),
        Some(digests) => {
            BodyCheck::new(&BodyProof::Digests(digests))
                .finish()
                .map_err(|_| Refused::Digest)?;
            Ok(BodyProof::Empty)
        }
        None if received.has_body() => Ok(BodyProof::Unproven),
        None => Ok(BodyProof::Empty),
    }
}

fn nonce_id(key_id: &str, nonce: &str) -> ProofId {
    let length = (key_id.len() as u64).to_be_bytes();
    ProofId::of(&sha256(&[&length, key_id.as_bytes(), nonce.as_bytes()]))
}
