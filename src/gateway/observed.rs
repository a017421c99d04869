//! What is only observed: noted in the record, where it would have been refused.

use super::challenge;
use super::outcome;
use super::refusal::{Code, Refusal};
use crate::apps::Registry;
use crate::clock::Now;
use crate::forward::body::BodyError;
use crate::limit::Charged;
use crate::observe::{self, Record};
use crate::schemes::Observed;
use crate::schemes::digest::Mismatch;
use crate::schemes::doctor::Finding;
use crate::schemes::token::dpop::nonce::Nonces;
use http::HeaderMap;

/// The word for a body that is not the one that was proven.
pub(super) const ANOTHER_BODY: &str = Code::DigestMismatch.word();

/// Notes that a request is observed, what `refusal` would have been, and the mistake that was found.
/// Whatever comes first counts: the request would not have come further.
fn note<'r>(
    record: &'r mut Record,
    by: Observed,
    refusal: Option<&Refusal>,
    finding: Option<&Finding>,
) -> &'r mut observe::Observed {
    let observed = record.observed.get_or_insert_with(|| {
        Box::new(observe::Observed {
            by: by.name(),
            would_refuse: None,
            reason: None,
            claimed_app: None,
            nonce_in: None,
        })
    });
    if let (None, Some(refusal)) = (observed.would_refuse, refusal) {
        observed.would_refuse = Some(refusal.code().word());
        observed.reason = Some(outcome::reason(refusal, finding));
    }
    observed
}

/// Notes that a request is not proven, on a route that only observes, and what its caller did wrong.
pub(super) fn note_unproven(
    record: &mut Record,
    refusal: &Refusal,
    finding: Option<&Finding>,
    registry: &Registry,
) {
    // It passes as nobody's, also where it was seen whose it is.
    let known = record.app.take();
    let claimed = || {
        let id = record.claimed_key.as_deref()?;
        let of_key = registry.key(id).map(|key| key.app.name.clone());
        of_key.or_else(|| Some(registry.static_key_of(id)?.app.name.clone()))
    };
    let app = known.or_else(claimed);
    let observed = note(record, Observed::Route, Some(refusal), finding);
    observed.claimed_app = app;
    observed.nonce_in = challenge::nonce_field(refusal);
}

/// Gives the nonce that the proof of an observed request lacks: who is never asked for one would lack it on the day
/// of enforcement, and until then.
pub(super) fn give_nonce(fields: &mut HeaderMap, record: &Record, nonces: &Nonces, now: Now) {
    let observed = record.observed.as_deref();
    let field = observed.and_then(|observed| observed.nonce_in.clone());
    // One that is there is the backend's own, for proofs that are meant for it.
    if let Some(field) = field.filter(|field| !fields.contains_key(field)) {
        challenge::give_nonce(fields, field, nonces, now);
    }
}

/// Notes that a page of an origin that may not call asks to switch protocols.
pub(super) fn note_origin(record: &mut Record, by: Observed) {
    note(record, by, Some(&Refusal::Origin), None);
}

/// Notes where a request would have been stopped that has come so far.
pub(super) fn note_steps(record: &mut Record, charged: &Charged) {
    let permit = charged.permit();
    let Some(by) = permit.observed() else {
        return;
    };
    let denied = || permit.would_refuse().cloned().map(Refusal::Denied);
    let limited = || charged.would_refuse().cloned().map(Refusal::Limit);
    let refusal = permit.would_replay().map(Refusal::Replay);
    let refusal = refusal.or_else(denied).or_else(limited);
    note(record, by, refusal.as_ref(), None);
}

/// Notes that the body was not the one that was proven: only routes let such a one pass.
pub(super) fn note_body(record: &mut Record) {
    let refusal = Refusal::from(BodyError::Mismatch(Mismatch));
    note(record, Observed::Route, Some(&refusal), None);
}
