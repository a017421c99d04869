//! What a signature must cover, besides what every one of them does.

use super::payload::Payload;
use super::read::Presented;
use super::{X_AMZ_CONTENT_SHA256, X_AMZ_DATE};
use crate::route::{Part, Route};
use crate::schemes::digest::CONTENT_DIGEST;
use crate::schemes::received::{Field, Received, TargetForm};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use std::borrow::Cow;

/// What every field of AWS's begins with.
const AMZ: &str = "x-amz-";
const DATE_NAME: &str = "date";
/// What the body is called.
pub const BODY: &str = "body";
/// What it is called in pieces of which none is signed.
pub const BODY_IN_PIECES: &str = "body (STREAMING-UNSIGNED-PAYLOAD-TRAILER)";
/// The query of a target that ends in `?`.
pub const LONE_MARK: &str =
    "a `?` with nothing behind it, which no signer of AWS's signs: leave it out";
/// The target of `OPTIONS *`.
pub const ASTERISK: &str = "`*`, which AWS's signers write as `/`: name a path";
const DIGEST: HeaderName = HeaderName::from_static("digest");

/// Something that a signature covers, or must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand<'d> {
    /// The part it is; `None` is what no route waives.
    pub part: Option<Part>,
    /// What it is called in a list of what is missing.
    pub name: &'d str,
    /// Whether it is covered.
    pub is_covered: bool,
}

/// Everything that is in `received` and must be covered.
pub fn demands<'d>(
    presented: &Presented<'_>,
    received: &'d Received<'_>,
    route: &Route,
) -> Vec<Demand<'d>> {
    let mut all = Vec::new();
    each(presented, received, route, |demand| all.push(demand));
    all
}

/// As [`demands`], one after the other.
fn each<'d>(
    presented: &Presented<'_>,
    received: &'d Received<'_>,
    route: &Route,
    mut take: impl FnMut(Demand<'d>),
) {
    let has = |name: &str| presented.signed.has(name);
    let mut demand = |part, name: &'d str, is_covered| {
        take(Demand {
            part,
            name,
            is_covered,
        });
    };
    demand(Some(Part::Method), "method", true);
    demand(Some(Part::Authority), "host", has("host"));
    match received.form() {
        // In what is signed it is no other than `/`.
        TargetForm::Asterisk => demand(None, ASTERISK, false),
        _ => demand(Some(Part::Path), "path", true),
    }
    match received.query() {
        // In what is signed it is no other than none.
        Some("") => demand(Some(Part::Query), LONE_MARK, false),
        Some(_) => demand(Some(Part::Query), "query", true),
        None => {}
    }
    if presented.in_query && received.shows(Field::Authorization) {
        let name = "authorization";
        demand(Some(Part::Authorization), name, has(name));
    }
    let is_told = matches!(presented.payload, Payload::Hash(..));
    let mut has_date = presented.in_query;
    for field in received.fields().keys() {
        let name = field.as_str();
        if name.starts_with(AMZ) {
            has_date |= *field == X_AMZ_DATE;
            // A hash that is told is the last line of what is signed, whether its field is signed or not.
            let is_tolerated = is_told
                && route.sigv4.unsigned_content_sha256
                && name == X_AMZ_CONTENT_SHA256.as_str();
            demand(None, name, is_tolerated || has(name));
        } else if *field == CONTENT_DIGEST || *field == DIGEST {
            demand(Some(Part::Body), name, has(name));
        } else if *field != AUTHORIZATION && route.token_fields.contains(field) {
            demand(None, name, has(name));
        }
    }
    if !has_date {
        demand(None, DATE_NAME, has(DATE_NAME));
    }
    if received.has_body() {
        let (name, is_covered) = body(presented);
        demand(Some(Part::Body), name, is_covered);
    }
}

/// What a body is called, and whether it is covered.
fn body(presented: &Presented<'_>) -> (&'static str, bool) {
    match presented.payload {
        Payload::Hash(..) | Payload::NotTold => (BODY, true),
        Payload::Unsigned => (BODY, false),
        Payload::Chunked(chunked) if chunked.is_signed => (BODY, true),
        Payload::Chunked(_) => (BODY_IN_PIECES, false),
    }
}

/// What must be covered of `received`, is not, and is not waived.
pub fn missing(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    unix_seconds: i64,
) -> Vec<Cow<'static, str>> {
    let mut missing = Vec::new();
    each(presented, received, route, |demand| {
        let waived = |part| route.waives(part, unix_seconds);
        if !demand.is_covered && !demand.part.is_some_and(waived) {
            missing.push(Cow::Owned(demand.name.to_owned()));
        }
    });
    missing
}

/// What to do where a body is missing, by what it is called.
pub fn how_to_sign(name: &str) -> Option<&'static str> {
    match name {
        BODY => {
            Some("sign the SHA-256 of the body in place of `UNSIGNED-PAYLOAD`, or sign its pieces")
        }
        BODY_IN_PIECES => Some(
            "sign the SHA-256 of the body in place of that word, or sign its pieces (botocore and boto3 sign it with `request_checksum_calculation = \"when_required\"`)",
        ),
        _ => None,
    }
}

/// What a 401 asks for, as `WWW-Authenticate` says it.
pub fn challenge() -> HeaderValue {
    HeaderValue::from_static(
        "AWS4-HMAC-SHA256 realm=\"portcullis\", headers=\"host;x-amz-content-sha256;x-amz-date\"",
    )
}
