//! What to change, for each reason why a caller would break.

use super::tally::{Reason, Who};
use crate::gateway::refusal::NONCE_MISSING;
use crate::schemes::doctor::Mistake;

/// What to change for `reason` of `who`.
pub(super) fn of(who: &Who, reason: &Reason) -> &'static str {
    // Of a clock there is more to say.
    let mistake = reason.mistake.filter(|one| *one != Mistake::ClockOffset);
    if let Some(mistake) = mistake {
        return mistake.says();
    }
    match (reason.code.as_str(), reason.word.as_deref()) {
        ("credential-missing", Some(NONCE_MISSING)) => {
            "its proof lacks the nonce that the answer gives: have the caller take it up and prove the next request with it, as RFC 9449 says"
        }
        ("credential-missing", _) => {
            "the caller shows nothing: give it a key, and have it sign or show a token; or leave these requests a public route"
        }
        ("credential-rejected", Some("unknown-key")) => {
            "no app has the key that it names: add the key, or mend the id in the caller"
        }
        ("credential-rejected", Some("wrong-signature")) => {
            "the secret differs, or another text is signed: where `explain` is on for the app, records name the mistake if it is a known one; `portcullis explain` with one of these requests tells more"
        }
        ("credential-rejected", Some("key-not-active")) => {
            "the key is over, not in force yet, or switched off: give the caller the current one"
        }
        ("credential-rejected", Some("key-not-for-scheme")) => {
            "`schemes` of the key leaves this scheme out, or its secret of fewer than 32 bytes is too short for it: add it, or give the caller another key"
        }
        ("credential-rejected", Some("wrong-algorithm")) => {
            "the caller names another algorithm than the key has: change one of them"
        }
        ("credential-rejected", _) => {
            "the credential does not hold: `portcullis explain` with one of these requests tells why"
        }
        ("malformed-credential", _) => {
            "the credential cannot be read, or there are two: the record's `would_reason` names the place"
        }
        ("coverage-missing", _) => {
            "the caller must sign what is named as well; or `waive` it on the route until it can"
        }
        ("clock-skew", _) => {
            "set the caller's clock, and sign when it sends; or widen `[freshness] window` – for a clock that is ahead, `skew`"
        }
        ("credential-expired", _) => "the caller must get or make a new credential in time",
        ("replayed", _) => {
            "the caller sends one signature again, most likely when it retries: it must sign each attempt anew, with a fresh `nonce`"
        }
        ("digest-mismatch", _) => {
            "the body is changed after it is signed, by the caller or something on the way: sign the bytes that are sent"
        }
        ("binding-mismatch", _) => {
            "the token is for another `Authorization`, or another app than the signature: get one for this request"
        }
        ("scheme-not-accepted", _) => {
            "add the scheme to `accept` of the route, or have the caller prove itself in another way"
        }
        ("scope-missing", _) => "give the app the scope, or send it elsewhere",
        ("assurance-too-low", _) => {
            "prove it better – sign it – or ask for less: `assurance` of route or plan, `downgrade` of the app"
        }
        ("origin-not-allowed", _) => {
            "a page of another origin asks for a protocol of `upgrade`: add its origin to `cors` of the route, if it may"
        }
        ("app-disabled", _) => "the app has `enabled = false`: switch it on, or stop the caller",
        ("rate-exceeded" | "concurrency-exceeded", _) => {
            "its plan is too small for what it asks: another plan, or a slower caller"
        }
        ("replay-store-full", _) => "raise `[freshness] proofs`",
        _ if matches!(who, Who::Nobody(_)) => "docs/refusals.md has the code",
        _ => "docs/refusals.md has the code; the record's `would_reason` says more",
    }
}
