//! The last step: whether the body is the one that was proven.

use super::judge::{Stopped, pass, refuse};
use super::report::{Outcome, Report, Step};
use crate::apps::Scheme;
use crate::cli::pasted::Body;
use crate::forward::body::BodyError;
use crate::gateway::refusal::Refusal;
use crate::route::Route;
use crate::schemes::aws_sigv4::chunked::{Chunks, Decoder};
use crate::schemes::digest::{BodyCheck, BodyProof, Digests, Mismatch};
use bytes::Bytes;
use std::sync::Arc;

/// How many bytes `body` has, or will have by the length that is announced: the gateway refuses by that.
pub(super) fn length(body: &Body, announced: Option<usize>) -> u64 {
    let given = body.bytes().map_or(0, <[u8]>::len);
    given.max(announced.unwrap_or_default()) as u64
}

/// Judges `body`, of `length` bytes, by what was proven of it, and by which scheme.
pub(super) fn judge(
    (body, length): (&Body, u64),
    (scheme, proof): (Option<Scheme>, &BodyProof),
    route: &Route,
    report: &mut Report,
) -> Result<(), Stopped> {
    // Of a body in pieces it is what they hold that counts, and not what is around them.
    let length = match proof {
        BodyProof::Chunked(chunks) => chunks.length(),
        _ => length,
    };
    let limit = route.body.limit;
    if length > limit {
        let refusal = Refusal::from(BodyError::TooLarge { limit });
        let change = format!(
            "this one has {length} bytes; `body.limit` of the route says how many it takes"
        );
        return Err(refuse(report, "body", &refusal, Some(change)));
    }
    let bytes = match body {
        Body::None => {
            pass(report, "body", "there is none");
            return Ok(());
        }
        Body::Broken(fault) => return Err(broken(fault, report)),
        Body::NotGiven => {
            report.steps.push(Step {
                name: "body",
                outcome: Outcome::NotChecked,
                note: "the text does not have it".to_owned(),
            });
            return Ok(());
        }
        Body::Whole(bytes) | Body::Rest(bytes) => bytes,
    };
    let hold = route.hold(true);
    if scheme == Some(Scheme::Webhook) && length > hold {
        let refusal = Refusal::from(BodyError::NotHeld { limit: hold });
        let change = format!(
            "this one has {length} bytes; `webhook.hold` of the route says how many are read"
        );
        return Err(refuse(report, "body", &refusal, Some(change)));
    }
    if let BodyProof::Chunked(chunks) = proof {
        return chunked(chunks, bytes, report);
    }
    let BodyProof::Digests(_) = proof else {
        // A sender of webhooks signs the body itself: it was looked at with the credential.
        report.proves_body = scheme == Some(Scheme::Webhook);
        let note = if report.proves_body {
            "is what the sender has signed"
        } else {
            "not covered by the proof"
        };
        pass(report, "body", note);
        return Ok(());
    };
    if matches(proof, bytes) {
        report.proves_body = true;
        pass(report, "body", "matches its digest");
        return Ok(());
    }
    let change = format!(
        "the digest of this body is `{}`; sign the bytes that are sent, and send the bytes that are signed",
        Digests::field_of(bytes)
    );
    let refusal = Refusal::from(BodyError::Mismatch(Mismatch));
    Err(refuse(report, "body", &refusal, Some(change)))
}

/// Refuses a body that ends in the middle, or in what is none, for `fault`.
pub(super) fn broken(fault: &str, report: &mut Report) -> Stopped {
    let refusal = Refusal::from(BodyError::BrokeOff(fault.to_owned()));
    refuse(report, "body", &refusal, None)
}

/// Whether the pieces of a body hold.
fn chunked(chunks: &Arc<Chunks>, bytes: &[u8], report: &mut Report) -> Result<(), Stopped> {
    let mut decoder = Decoder::new(chunks.clone());
    let mut rest = Bytes::copy_from_slice(bytes);
    let bad = loop {
        match decoder.next(&mut rest) {
            Ok(Some(_)) => {}
            Ok(None) => break decoder.finish().err(),
            Err(bad) => break Some(bad),
        }
    };
    let Some(bad) = bad else {
        report.proves_body = true;
        pass(report, "body", "its pieces hold");
        return Ok(());
    };
    let refusal = Refusal::from(BodyError::Chunks(bad));
    Err(refuse(report, "body", &refusal, None))
}

fn matches(proof: &BodyProof, bytes: &[u8]) -> bool {
    let mut check = BodyCheck::new(proof);
    check.update(bytes);
    check.finish().is_ok()
}
