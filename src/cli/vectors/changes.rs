//! What is changed in a request that was rightly made, and how.

use super::cases::Way;
use crate::apps::Scheme;
use crate::route::{Route, Sender};
use crate::schemes::token::dpop::DPOP;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The `Authorization` of a user, on routes whose tokens are bound to it. Its word is none that a token,
/// a static key or a signature may stand behind, or it would be a credential more.
pub(super) const OF_USER: HeaderValue = HeaderValue::from_static("Negotiate b2YtYS11c2Vy");

/// What is changed in a request that was rightly made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Method,
    Query,
    Path,
    Body,
    Signature,
    Secret,
    KeyId,
    Old,
    Ahead,
    LeftOut,
    Added,
    NoProof,
    NoScope,
}

/// Each with what is said of it, and whether the request has a body.
pub(super) const CHANGES: [(Change, &str, bool); 14] = [
    (Change::None, "as it is signed", false),
    (Change::None, "as it is signed, with a body", true),
    (Change::Method, "sent with another method", false),
    (Change::Query, "with another query", false),
    (Change::Path, "to another path", false),
    (Change::Body, "with another body", true),
    (Change::Signature, "with another signature", false),
    (Change::Secret, "signed with another secret", false),
    (Change::KeyId, "by a key that nobody has", false),
    (Change::Old, "made too long ago", false),
    (Change::Ahead, "made in the future", false),
    (Change::LeftOut, "with less covered", false),
    (
        Change::Added,
        "with a field added that must be covered",
        false,
    ),
    (Change::NoProof, "without any proof", false),
];

impl Change {
    /// Whether it says something of a webhook: that always has a body, names no key, and is not of its path.
    pub(super) const fn is_of_webhooks(self, has_body: bool) -> bool {
        match self {
            Self::None => has_body,
            Self::KeyId | Self::LeftOut | Self::Path => false,
            _ => true,
        }
    }
}

/// A request in the making.
pub(super) struct Draft {
    pub(super) method: Method,
    pub(super) authority: String,
    pub(super) target: String,
    pub(super) fields: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) text: Option<String>,
}

/// What stands for a part of the path that may be any, and may become another.
pub(super) const NUMBER: &str = "42";

/// An id that no key has.
pub(super) const NOBODY: &str = "of-nobody-at-all";

/// Changes a request that is proven; false where there is nothing of the kind to change.
pub(super) fn alter(draft: &mut Draft, route: &Route, way: Way, change: Change) -> bool {
    match change {
        Change::Method => {
            draft.method = match draft.method {
                Method::GET => Method::DELETE,
                Method::POST => Method::PUT,
                _ => Method::POST,
            };
        }
        Change::Query => {
            let mark = if draft.target.contains('?') { '&' } else { '?' };
            draft.target.extend([mark]);
            draft.target.push_str("more=1");
        }
        Change::Path => draft.target = draft.target.replacen(NUMBER, "43", 1),
        Change::Body => {
            draft.body = draft
                .body
                .take()
                .map(|body| body.replace('{', "[").replace('}', "]"));
        }
        Change::Signature => return alter_proof(draft, route, another_signature),
        Change::LeftOut => {
            return way != Way::One(Scheme::Token) && alter_proof(draft, route, less_covered);
        }
        Change::Added => {
            let is_taken =
                way == Way::One(Scheme::Token) || draft.fields.contains_key(AUTHORIZATION);
            if !is_taken {
                draft.fields.insert(AUTHORIZATION, OF_USER);
            }
            return !is_taken;
        }
        Change::NoProof => {
            for name in proofs(route) {
                draft.fields.remove(name);
            }
            draft.fields.remove(DPOP);
        }
        Change::None
        | Change::Secret
        | Change::KeyId
        | Change::Old
        | Change::Ahead
        | Change::NoScope => {}
    }
    true
}

/// Fields in which a signature of the request stands.
const SIGNATURES: [HeaderName; 4] = [
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
];

/// Those, the ones in which `route` takes tokens, and the ones of webhooks.
fn proofs(route: &Route) -> impl Iterator<Item = HeaderName> {
    let of_senders = Sender::ALL.into_iter().flat_map(Sender::proof_fields);
    SIGNATURES
        .into_iter()
        .chain(route.token_fields.iter().cloned())
        .chain(of_senders.copied().map(HeaderName::from_static))
}

/// What stands before a signature, and two letters that it may begin with.
const MARKS: [(&str, [char; 2]); 7] = [
    ("=:", ['A', 'B']),
    ("signature=\"", ['A', 'B']),
    ("v1,", ['A', 'B']),
    ("v1a,", ['A', 'B']),
    ("v0=", ['0', '1']),
    ("sha256=", ['0', '1']),
    (",v1=", ['0', '1']),
];

/// Changes the first field of a proof that `make` can change.
fn alter_proof(draft: &mut Draft, route: &Route, make: fn(&str) -> Option<String>) -> bool {
    for name in proofs(route) {
        let Some(value) = draft
            .fields
            .get(&name)
            .and_then(|value| value.to_str().ok())
        else {
            continue;
        };
        if let Some(value) = make(value).and_then(|value| HeaderValue::try_from(value).ok()) {
            draft.fields.insert(name, value);
            return true;
        }
    }
    false
}

/// A proof with the first letter of its signature changed.
fn another_signature(value: &str) -> Option<String> {
    // AWS's is in hexadecimal digits.
    if let Some((front, rest)) = value.split_once("Signature=") {
        let other = if rest.starts_with('0') { '1' } else { '0' };
        return Some(format!("{front}Signature={other}{}", rest.get(1..)?));
    }
    let mut marks = MARKS.iter();
    // The first one: base64 that ends in `=` makes another of the colon behind it.
    let start = marks.find_map(|(mark, letters)| Some((value.find(mark)? + mark.len(), letters)));
    let (start, [one, another]) = start.or_else(|| {
        let is_token = value.split('.').count() == 3;
        let dot = value.rfind('.').filter(|_| is_token)?;
        Some((dot + 1, &['A', 'B']))
    })?;
    let (front, rest) = value.split_at(start);
    let other = if rest.starts_with(*one) { another } else { one };
    Some(format!("{front}{other}{}", rest.get(1..)?))
}

/// A signature that covers one thing less.
fn less_covered(value: &str) -> Option<String> {
    let names = ["\"@method\" ", "(created) ", " date", "date ", "host;"].iter();
    let name = { names }.find(|name| value.contains(**name))?;
    Some(value.replacen(name, "", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_letter_of_a_signature_that_is_changed() {
        for (value, other) in [
            ("sig1=:QUJD:", "sig1=:AUJD:"),
            ("sig1=:AUI=:", "sig1=:BUI=:"),
            ("sig1=:QQ==:", "sig1=:AQ==:"),
            ("hmac signature=\"QQ==\"", "hmac signature=\"AQ==\""),
            ("AWS4 Signature=0f", "AWS4 Signature=1f"),
            ("v1,QQ==", "v1,AQ=="),
            ("t=1,v1=0f", "t=1,v1=1f"),
            ("Bearer a.b.cd", "Bearer a.b.Ad"),
        ] {
            assert_eq!(another_signature(value).as_deref(), Some(other), "{value}");
        }
        assert_eq!(another_signature("Negotiate b2YtYS11c2Vy"), None);
    }
}
