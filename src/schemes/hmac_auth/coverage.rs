//! What a signature must cover, in the words of its dialect.

use super::read::{self, Input, Item, Presented};
use crate::route::{Dialect, Part, Route};
use crate::schemes::received::{Field, Received};
use http::header::{HeaderName, HeaderValue};

/// Where Kong's callers say the time that cannot set `Date`.
pub const X_DATE: HeaderName = HeaderName::from_static("x-date");

/// What a signature covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub struct Covered {
    target: bool,
    host: bool,
    authorization: bool,
    /// `Digest`.
    pub digest: bool,
    /// `Content-Digest`.
    pub content_digest: bool,
    time: bool,
}

/// Something that a signature covers, or must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The part it is; `None` is the time, which no route waives.
    pub part: Option<Part>,
    /// What to put into the list for it.
    pub name: &'static str,
    /// Whether this request has it.
    pub is_present: bool,
    /// Whether it is covered.
    pub is_covered: bool,
}

impl Covered {
    /// What the list of `input` covers.
    pub fn of(input: &Input<'_>) -> Self {
        let mut covered = Self::default();
        for item in input.items() {
            let name = match item {
                Item::RequestLine | Item::Target => {
                    covered.target = true;
                    continue;
                }
                Item::Created => {
                    covered.time = true;
                    continue;
                }
                Item::Expires => continue,
                Item::Field(name) => name,
            };
            let is = |field: &str| name.eq_ignore_ascii_case(field);
            covered.host |= is("host");
            covered.authorization |= is("authorization");
            covered.digest |= is("digest");
            covered.content_digest |= is("content-digest");
            covered.time |= is("date") || input.dialect == Dialect::Kong && is("x-date");
        }
        covered
    }

    /// Everything that must be covered, and whether it is. `in_authorization`
    /// says that `Authorization` is the proof itself.
    pub fn demands(
        self,
        dialect: Dialect,
        in_authorization: bool,
        received: &Received<'_>,
        route: &Route,
    ) -> [Demand; 8] {
        let target = target_name(dialect, received);
        let demand = |part, name, is_present, is_covered| Demand {
            part,
            name,
            is_present,
            is_covered,
        };
        [
            demand(None, "date", true, self.time),
            demand(Some(Part::Method), target, true, self.target),
            demand(Some(Part::Path), target, true, self.target),
            demand(
                Some(Part::Query),
                target,
                received.query().is_some(),
                self.target,
            ),
            demand(
                Some(Part::Authority),
                "host",
                self.host || dialect == Dialect::Cavage12 || route.host.is_some(),
                self.host,
            ),
            demand(
                Some(Part::Authorization),
                "authorization",
                received.shows(Field::Authorization) && !in_authorization,
                self.authorization,
            ),
            demand(
                Some(Part::Body),
                "digest",
                received.shows(Field::Digest) || received.has_body() && !self.content_digest,
                self.digest,
            ),
            demand(
                Some(Part::Body),
                "content-digest",
                received.shows(Field::ContentDigest),
                self.content_digest,
            ),
        ]
    }
}

/// What must be covered of `received`, is not, and is not waived.
pub fn missing(
    presented: &Presented<'_>,
    covered: Covered,
    received: &Received<'_>,
    route: &Route,
    unix_seconds: i64,
) -> Vec<&'static str> {
    let dialect = presented.input.dialect;
    let demands = covered.demands(dialect, presented.in_authorization, received, route);
    names(&demands, |demand| {
        !demand.is_covered
            && !demand
                .part
                .is_some_and(|part| route.waives(part, unix_seconds))
    })
}

/// What a 401 asks for, as `WWW-Authenticate` says it; `None` where the route has no dialect.
pub fn challenge(received: &Received<'_>, route: &Route) -> Option<HeaderValue> {
    let dialect = route.dialect?;
    let proof = received.first(Field::Authorization);
    let in_authorization = proof.is_some_and(|value| read::is_proof(dialect, value));
    let demands = Covered::default().demands(dialect, in_authorization, received, route);
    let list = names(&demands, |_| true).join(" ");
    let word = read::word(dialect);
    HeaderValue::try_from(format!("{word} realm=\"portcullis\", headers=\"{list}\"")).ok()
}

/// Each name once: one item covers method, path and query.
fn names(demands: &[Demand], wanted: impl Fn(&Demand) -> bool) -> Vec<&'static str> {
    let mut names = Vec::new();
    for demand in demands.iter().filter(|one| one.is_present && wanted(one)) {
        if !names.contains(&demand.name) {
            names.push(demand.name);
        }
    }
    names
}

/// Kong's first line holds the version, which over HTTP/2 few callers know.
fn target_name(dialect: Dialect, received: &Received<'_>) -> &'static str {
    match dialect {
        Dialect::Kong if !received.is_http2() => "request-line",
        Dialect::Kong | Dialect::Apisix => "@request-target",
        Dialect::Cavage12 => "(request-target)",
    }
}
