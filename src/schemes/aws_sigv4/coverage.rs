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
        demand(Some(Part::Body), BODY, covers_body(presented));
    }
}

fn covers_body(presented: &Presented<'_>) -> bool {
    match presented.payload {
        Payload::Hash(..) | Payload::NotTold => true,
        Payload::Unsigned => false,
        Payload::Chunked(chunked) => chunked.is_signed,
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

/// What a 401 asks for, as `WWW-Authenticate` says it.
pub fn challenge() -> HeaderValue {
    HeaderValue::from_static(
        "AWS4-HMAC-SHA256 realm=\"portcullis\", headers=\"host;x-amz-content-sha256;x-amz-date\"",
    )
}
