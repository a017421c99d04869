//! Verifying: policy first, since it needs no key; then time; then the
//! signature; then what only a proven caller may learn.

use super::coverage::{self, Covered, X_DATE};
use super::read::{Input, Item, Presented, Seconds};
use super::{date, digest, text};
use crate::apps::{Key, Scheme};
use crate::clock::Now;
use crate::crypto::Algorithm;
use crate::route::{Dialect, Route};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::digest::Digests;
use crate::schemes::freshness::Freshness;
use crate::schemes::received::Received;
use crate::schemes::signed::{self, Rules, rejected};
use crate::schemes::{Refused, Why};
use http::header::{DATE, HeaderName};

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
        return Err(Refused::coverage(missing));
    }
    signed::check_connection(received, |name| input.covers(name))?;
    let digests = digests(covered, received)?;
    let (created, last_second) = check_times(input, received, rules.freshness, seconds)?;

    let signature = &presented.signature;
    let (key, tag) = signed::check_signature(rules, received, input.key_id, signature, |text| {
        text::write(text, received, input).map_err(Refused::from)
    })?;
    // Only the owner of the key comes this far.
    check_key(&key, presented, seconds)?;
    let body = signed::body_proof(received, digests)?;
    let proof = Proof {
        nonce: None,
        // The tag is a function of the signed text and the key, and we computed it ourselves.
        text: ProofId::of(tag.as_bytes()),
        last_second,
        says_its_end: false,
        created,
        reusable: false,
    };
    let scopes = key.app.scopes.clone();
    Ok(Caller::proven(
        key,
        Scheme::HmacAuth,
        Assurance::Signed,
        scopes,
        proof,
        body,
    ))
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
/// time that is covered must be in the window, one at least, and so must those
/// that the signature shows beside its list. Only the covered ones tell how long
/// it could be accepted: the others can be taken away, or put there by anyone,
/// and a date that is not covered is not looked at.
fn check_times(
    input: &Input<'_>,
    received: &Received<'_>,
    freshness: Freshness,
    now: i64,
) -> Result<(i64, i64), Refused> {
    let signed = |time: Option<Seconds<'_>>, item| {
        let is_signed = input.items().any(|one| one == item);
        time.filter(|_| is_signed).map(|time| time.value)
    };
    let expires = signed(input.expires, Item::Expires);
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
                take(date::read_of_any_library(value).ok_or_else(|| {
                    Refused::Malformed(format!(
                        "`{name}` is not a date in GMT like `Sun, 06 Nov 1994 08:49:37 GMT`"
                    ))
                })?)?;
            }
            _ => {}
        }
    }
    if let Some(created) = signed(input.created, Item::Created) {
        take(created)?;
    }
    let shown = |time: Option<Seconds<'_>>| time.map(|time| time.value);
    freshness.check(
        shown(input.created).unwrap_or(now),
        shown(input.expires),
        now,
    )?;
    Ok(times)
}

fn is_time(dialect: Dialect, name: &str) -> bool {
    let is = |field: HeaderName| name.eq_ignore_ascii_case(field.as_str());
    is(DATE) || dialect == Dialect::Kong && is(X_DATE)
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
    signed::check_key(key, Scheme::HmacAuth, seconds)
}
