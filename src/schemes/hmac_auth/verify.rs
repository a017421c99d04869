//! Verifying: policy first, since it needs no key; then time; then the
//! signature; then what only a proven caller may learn.

use super::coverage::{self, Covered, X_DATE};
use super::read::{Input, Item, Presented};
use super::{date, digest, text};
use crate::apps::{Key, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::{Algorithm, Tag, VerifyingKey};
use crate::route::{Dialect, Route};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::digest::{BodyCheck, BodyProof, Digests};
use crate::schemes::freshness::Freshness;
use crate::schemes::received::Received;
use crate::schemes::{Explained, Refused, Why};
use http::header::{CONNECTION, DATE, HeaderName};
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

/// The caller that the request's signature proves.
///
/// # Errors
/// [`Refused`] says why it proves none.
pub fn verify(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    let input = &presented.input;
    let seconds = now.unix_seconds();
    let covered = Covered::of(input);
    let missing = coverage::missing(presented, covered, received, route, seconds);
    if !missing.is_empty() {
        return Err(Refused::Coverage(missing));
    }
    check_connection(input, received)?;
    let digests = digests(covered, received)?;
    let (created, last_second) = check_times(input, received, rules.freshness, seconds)?;

    let key = rules.registry.key(input.key_id);
    let verifying = match key {
        Some(key) => &key.verifying,
        None => rules.registry.double(input.key_id),
    };
    let tag = check_signature(presented, received, key, verifying, rules)?;
    // Only the owner of the key comes this far.
    let (Some(key), Some(tag)) = (key, tag) else {
        return Err(rejected(Why::UnknownKey));
    };
    check_key(key, presented, seconds)?;
    let body = body_proof(received, digests)?;
    let proof = Proof {
        nonce: None,
        // The tag is a function of the signed text and the key, and we computed it ourselves.
        text: ProofId::of(tag.as_bytes()),
        last_second,
        created,
        reusable: false,
    };
    Ok(Caller::proven(
        key.clone(),
        Scheme::HmacAuth,
        Assurance::Signed,
        key.app.scopes.clone(),
        proof,
        body,
    ))
}

const fn rejected(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

/// A field that `Connection` names ends here: none that was proven may be among them.
fn check_connection(input: &Input<'_>, received: &Received<'_>) -> Result<(), Refused> {
    for value in received.fields().get_all(CONNECTION) {
        let named = value.to_str().unwrap_or_default().split(',').map(str::trim);
        for name in named {
            if input.covers(name) {
                return Err(Refused::Malformed(format!(
                    "`Connection` names the covered field `{name}`, which would not reach the upstream"
                )));
            }
        }
    }
    Ok(())
}

/// The digests that are covered.
fn digests(covered: Covered, received: &Received<'_>) -> Result<Option<Digests>, Refused> {
    let fields = received.fields();
    let mut all = None;
    if covered.digest {
        all = digest::read(fields).map_err(Refused::Malformed)?;
    }
    if covered.content_digest {
        let more = Digests::read(fields).map_err(|bad| Refused::Malformed(bad.to_string()))?;
        all = match (all, more) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(all)
}

/// When it was made, and the last second at which it would be accepted. Every
/// time that is shown must be in the window; one at least is covered.
fn check_times(
    input: &Input<'_>,
    received: &Received<'_>,
    freshness: Freshness,
    now: i64,
) -> Result<(i64, i64), Refused> {
    let expires = input.expires.map(|time| time.value);
    let mut times = (i64::MAX, i64::MAX);
    let mut take = |at: i64| -> Result<(), Refused> {
        let last_second = freshness.check(at, expires, now)?;
        times = (times.0.min(at), times.1.min(last_second));
        Ok(())
    };
    for item in input.items() {
        match item {
            Item::Field(name) if is_time(input.dialect, name) => {
                let value = text::field(received, name)?;
                take(date::read(value).ok_or_else(|| {
                    Refused::Malformed(format!(
                        "`{name}` is not a date like `Sun, 06 Nov 1994 08:49:37 GMT`"
                    ))
                })?)?;
            }
            _ => {}
        }
    }
    if let Some(created) = input.created {
        take(created.value)?;
    }
    Ok(times)
}

fn is_time(dialect: Dialect, name: &str) -> bool {
    let is = |field: HeaderName| name.eq_ignore_ascii_case(field.as_str());
    is(DATE) || dialect == Dialect::Kong && is(X_DATE)
}

/// Our tag, when the signature is the key's. An unknown key is checked against
/// its double, which nobody has: it costs what a known one costs and never matches.
fn check_signature(
    presented: &Presented<'_>,
    received: &Received<'_>,
    key: Option<&Arc<Key>>,
    verifying: &VerifyingKey,
    rules: Rules<'_>,
) -> Result<Option<Tag>, Refused> {
    thread_local! {
        /// One text at a time; the buffer is as large as the largest head.
        static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    TEXT.with_borrow_mut(|text| {
        text.clear();
        text::write(text, received, &presented.input)?;
        let tag = verifying.verify(text, &presented.signature);
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

/// Whether callers of `dialect` sign with `algorithm`.
pub const fn is_of(dialect: Dialect, algorithm: Algorithm) -> bool {
    algorithm.is_mac()
        || matches!(
            (dialect, algorithm),
            (
                Dialect::Cavage12,
                Algorithm::Ed25519 | Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256
            )
        )
}

fn check_key(key: &Key, presented: &Presented<'_>, seconds: i64) -> Result<(), Refused> {
    if !is_of(presented.input.dialect, key.algorithm())
        || presented
            .algorithm
            .is_some_and(|named| named != key.algorithm())
    {
        return Err(rejected(Why::WrongAlgorithm));
    }
    if !key.schemes.contains(Scheme::HmacAuth) {
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
fn body_proof(received: &Received<'_>, digests: Option<Digests>) -> Result<BodyProof, Refused> {
    match digests {
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
