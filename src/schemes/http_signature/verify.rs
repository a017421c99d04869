//! Verifying: policy first, since it needs no key; then time; then the
//! signature; then what only a proven caller may learn.

use super::base::{self, NoBase};
use super::component::{Component, Kind};
use super::read::{Candidate, Input, Presented};
use crate::apps::{Key, Scheme};
use crate::clock::Now;
use crate::route::{Part, Route};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::coverage::{self, Covered};
use crate::schemes::digest::Digests;
use crate::schemes::received::{Field, Received, TargetForm};
use crate::schemes::signed::{self, Rules, rejected};
use crate::schemes::{Refused, Why};
use http::HeaderName;
use std::borrow::Cow;
use std::sync::Arc;

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
    verify_by(None, presented, received, route, rules, now)
}

/// As [`verify`], by the key that the token beside the signature is bound to, where it names one:
/// whatever `keyid` says, and without one.
///
/// # Errors
/// As [`verify`].
pub fn verify_by(
    own: Option<&Arc<Key>>,
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    if let [alone] = presented.candidates() {
        return verify_one(own, alone, received, route, rules, now);
    }
    let mut best: Result<Caller, Refused> = Err(Refused::Missing);
    for candidate in presented.candidates() {
        match (
            verify_one(own, candidate, received, route, rules, now),
            &best,
        ) {
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
        Refused::Coverage(_) | Refused::TokenNotCovered(_) | Refused::Absent(_) => 2,
        Refused::Skew { .. } | Refused::Expired { .. } => 3,
        Refused::Rejected { .. } => 4,
        _ => 5,
    }
}

fn verify_one(
    own: Option<&Arc<Key>>,
    candidate: &Candidate<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    let input = &candidate.input;
    let seconds = now.unix_seconds();
    let key_id = match (input.key_id, own) {
        (Some(key_id), _) => key_id,
        (None, Some(_)) => "",
        (None, None) => return Err(parameter_missing(candidate.label(), "keyid=\"…\"")),
    };
    let Some(created) = input.created else {
        return Err(parameter_missing(candidate.label(), "created"));
    };
    let covered = covered(&input.components, received);
    check_coverage(covered, received, route, seconds)?;
    if route.pair {
        check_token_is_covered(input, received, route)?;
    }
    signed::check_connection(received, |name| {
        let mut components = input.components.iter();
        components.any(|component| component.name().eq_ignore_ascii_case(name))
    })?;
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
    let signature = &candidate.signature;
    let write = |text: &mut Vec<u8>| {
        base::write(text, received, input).map_err(|why| match why {
            NoBase::Absent(component) => Refused::Absent(component),
            NoBase::Unsupported(why) => Refused::Malformed(why),
        })
    };
    let (key, tag) = match own {
        None => signed::check_signature(rules, received, &key_id, signature, write)?,
        Some(key) => {
            let both = (Some(key), &key.verifying);
            let tag = signed::check_by(rules, received, both, signature, write)?;
            (key.clone(), tag)
        }
    };
    // Only the owner of the key comes this far.
    check_key(&key, input, seconds)?;
    let body = signed::body_proof(received, digests.filter(|_| covered.has(Part::Body)))?;
    let proof = Proof {
        nonce: input.nonce_of(owner(own, &key)),
        // The tag is a function of the signed text and the key, whose id the text holds, and
        // we computed it ourselves.
        text: ProofId::of(tag.as_bytes()),
        last_second,
        says_its_end: false,
        created,
        reusable: false,
    };
    let scopes = key.app.scopes.clone();
    Ok(Caller::proven(
        key,
        Scheme::HttpSignature,
        Assurance::Signed,
        scopes,
        proof,
        body,
    ))
}

/// Whose nonces are used up. A key that a token brings has the id of the token's, as do all others that come so:
/// it is known by itself.
fn owner<'k>(own: Option<&'k Arc<Key>>, key: &'k Key) -> &'k [u8] {
    match own.and_then(|own| own.verifying.public()) {
        Some(public) => public.thumbprint(),
        None => key.id.as_bytes(),
    }
}

fn parameter_missing(label: &str, what: &str) -> Refused {
    Refused::Malformed(format!(
        "`Signature-Input`, label `{label}`: the parameter `{what}` is needed"
    ))
}

/// The parts of `received` that these components cover.
pub fn covered(components: &[Component<'_>], received: &Received<'_>) -> Covered {
    let mut covered = Covered::nothing();
    for component in components.iter().filter(|component| component.is_whole()) {
        match component.kind {
            Kind::Method => covered.add(Part::Method),
            Kind::Authority => covered.add(Part::Authority),
            Kind::Path => covered.add(Part::Path),
            Kind::Query if !has_empty_query(received) => covered.add(Part::Query),
            Kind::RequestTarget => {
                covered.add(Part::Path);
                covered.add(Part::Query);
            }
            // As a URL `*` is the host alone.
            Kind::TargetUri if is_asterisk(received) => covered.add(Part::Authority),
            Kind::TargetUri => {
                covered.add(Part::Authority);
                covered.add(Part::Path);
                covered.add(Part::Query);
            }
            Kind::Field if component.name() == "authorization" => covered.add(Part::Authorization),
            Kind::Field if component.name() == "content-digest" => covered.add(Part::Body),
            Kind::Field | Kind::Query | Kind::QueryParam | Kind::Scheme => {}
        }
    }
    covered
}

/// Whether there is a `?` and nothing behind it. `@query` reads the same
/// without the `?` (RFC 9421, section 2.2.7), so it does not tell that it is there.
fn has_empty_query(received: &Received<'_>) -> bool {
    received.query() == Some("")
}

/// Whether the target is the `*` of `OPTIONS`, which has no path.
fn is_asterisk(received: &Received<'_>) -> bool {
    received.form() == TargetForm::Asterisk
}

/// The component to cover for a part of `received`, as `Signature-Input` names it.
pub fn component_for(part: Part, received: &Received<'_>) -> &'static str {
    match part {
        Part::Query if has_empty_query(received) => "@target-uri",
        Part::Path if is_asterisk(received) => "@request-target",
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
    Err(Refused::coverage(
        missing.map(|part| component_for(part, received)),
    ))
}

/// Whatever stands in a field for tokens is covered, so that nobody puts another's there.
fn check_token_is_covered(
    input: &Input<'_>,
    received: &Received<'_>,
    route: &Route,
) -> Result<(), Refused> {
    let covers = |name: &HeaderName| {
        let mut whole = input.components.iter().filter(|one| one.is_whole());
        whole.any(|one| one.name() == name.as_str())
    };
    let fields = received.fields();
    let mut open = route.token_fields.iter();
    let open = open.find(|name| fields.contains_key(*name) && !covers(name));
    open.map_or(Ok(()), |name| Err(Refused::TokenNotCovered(name.clone())))
}

fn check_key(key: &Key, input: &Input<'_>, seconds: i64) -> Result<(), Refused> {
    let name = key.algorithm().name().as_bytes();
    if input.algorithm.is_some_and(|named| named != name) {
        return Err(rejected(Why::WrongAlgorithm));
    }
    if !key.algorithm().is_for_requests() {
        return Err(rejected(Why::KeyNotForScheme));
    }
    signed::check_key(key, Scheme::HttpSignature, seconds)
}
