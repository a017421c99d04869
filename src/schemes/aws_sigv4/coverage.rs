//! What a signature must cover, besides what every one of them does.

use super::payload::Payload;
use super::read::Presented;
use super::{X_AMZ_CONTENT_SHA256, X_AMZ_DATE};
use crate::route::{Part, Route};
use crate::schemes::digest::CONTENT_DIGEST;
use crate::schemes::received::{Field, Received};
use http::header::{AUTHORIZATION, DATE, HOST, HeaderName, HeaderValue};
use std::borrow::Cow;

/// What every field of AWS's begins with.
const AMZ: &str = "x-amz-";
const DIGEST: HeaderName = HeaderName::from_static("digest");

/// Something that a signature covers, or must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The part it is; `None` is what no route waives.
    pub part: Option<Part>,
    /// What it is called in a list of what is missing.
    pub name: Cow<'static, str>,
    /// Whether it is covered.
    pub is_covered: bool,
}

/// Everything that is in `received` and must be covered.
pub fn demands(presented: &Presented<'_>, received: &Received<'_>, route: &Route) -> Vec<Demand> {
    let fields = received.fields();
    let has = |name: &str| presented.signed.has(name);
    let demand = |part, name: &'static str, is_covered| Demand {
        part,
        name: Cow::Borrowed(name),
        is_covered,
    };
    let mut all = vec![
        demand(Some(Part::Method), "method", true),
        demand(Some(Part::Authority), HOST.as_str(), has("host")),
        demand(Some(Part::Path), "path", true),
    ];
    if received.query().is_some() {
        all.push(demand(Some(Part::Query), "query", true));
    }
    if !presented.in_query && !fields.contains_key(X_AMZ_DATE) {
        all.push(demand(None, DATE.as_str(), has("date")));
    }
    if presented.in_query && received.shows(Field::Authorization) {
        let name = AUTHORIZATION.as_str();
        all.push(demand(
            Some(Part::Authorization),
            "authorization",
            has(name),
        ));
    }
    let is_told = matches!(presented.payload, Payload::Hash(..));
    for name in fields.keys().map(HeaderName::as_str) {
        if !name.starts_with(AMZ) {
            continue;
        }
        // A hash that is told is the last line of what is signed, whether its field is signed or not.
        let is_tolerated =
            is_told && route.sigv4.unsigned_content_sha256 && name == X_AMZ_CONTENT_SHA256.as_str();
        all.push(Demand {
            part: None,
            name: Cow::Owned(name.to_owned()),
            is_covered: is_tolerated || has(name),
        });
    }
    for name in &route.token_fields {
        if *name != AUTHORIZATION && fields.contains_key(name) {
            all.push(Demand {
                part: None,
                name: Cow::Owned(name.as_str().to_owned()),
                is_covered: has(name.as_str()),
            });
        }
    }
    for name in [CONTENT_DIGEST, DIGEST] {
        if fields.contains_key(&name) {
            all.push(Demand {
                part: Some(Part::Body),
                is_covered: has(name.as_str()),
                name: Cow::Owned(name.as_str().to_owned()),
            });
        }
    }
    if received.has_body() {
        all.push(demand(Some(Part::Body), "body", covers_body(presented)));
    }
    all
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
    let is_missing = |demand: &Demand| {
        let waived = |part| route.waives(part, unix_seconds);
        !demand.is_covered && !demand.part.is_some_and(waived)
    };
    let demands = demands(presented, received, route);
    demands
        .into_iter()
        .filter(is_missing)
        .map(|demand| demand.name)
        .collect()
}

/// What a 401 asks for, as `WWW-Authenticate` says it.
pub fn challenge() -> HeaderValue {
    HeaderValue::from_static(
        "AWS4-HMAC-SHA256 realm=\"portcullis\", headers=\"host;x-amz-content-sha256;x-amz-date\"",
    )
}
