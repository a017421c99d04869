//! Header fields: what belongs to one hop off, what could be taken for ours
//! off, the caller's identity on.
//!
//! Names are compared with `_` and `.` read as `-`: backends that hand fields
//! on as variables do the same (safety, 20–25).

mod ours;
mod rule;
#[cfg(test)]
mod tests;

use super::Head;
use super::body::ProvenBody;
use crate::apps::Scheme;
use crate::route::Route;
use bytes::{BufMut as _, BytesMut};
use http::Method;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    TE, TRANSFER_ENCODING, UPGRADE,
};
use http_body::Body as _;
use ours::Ours;
pub(super) use ours::Told;
use rule::Rule;

/// The fields that go to the upstream, of those that came in `head`.
pub(super) fn request(
    head: &mut Head,
    route: &Route,
    told: &Told<'_>,
    body: &ProvenBody,
) -> HeaderMap {
    let mut came = std::mem::take(&mut head.fields);
    let mut fields = HeaderMap::with_capacity(came.len() + ours::MAX_FIELDS);
    let mut ours = Ours::new(&mut fields);
    ours.text(HOST, |text| text.put_slice(head.authority.as_bytes()));

    let rule = Rule {
        nominated: rule::nominated(&came),
        keep_proof: route.keep_proof,
        token_fields: &route.token_fields,
        authorization_is_proof: told.identity.is_some_and(|identity| {
            identity.scheme == Scheme::Token
                && !route
                    .token_fields
                    .iter()
                    .any(|name| *name != AUTHORIZATION && came.contains_key(name))
        }),
    };
    let wants_trailers = came.get_all(TE).iter().any(accepts_trailers);
    let was_counted = came.contains_key(CONTENT_LENGTH);
    let is_split = came.get_all(COOKIE).iter().nth(1).is_some();
    let mut came = came.drain().peekable();
    while let Some((name, mut value)) = came.next() {
        let Some(name) = name else {
            continue;
        };
        let passes = !rule.drops(&name);
        // Values of a repeated name follow it without one.
        while let Some((_, next)) = came.next_if(|(name, _)| name.is_none()) {
            if passes {
                ours.fields
                    .append(&name, std::mem::replace(&mut value, next));
            }
        }
        if passes {
            ours.fields.append(name, value);
        }
    }
    if is_split {
        join_cookies(ours.fields);
    }
    if let Some(protocol) = &head.upgrade {
        ours.fields.insert(UPGRADE, protocol.clone());
        ours.word(CONNECTION, "upgrade");
    } else if wants_trailers {
        ours.word(TE, "trailers");
        ours.word(CONNECTION, "te");
    }
    frame(ours.fields, &head.method, was_counted, body);
    ours.tell_who(told, &head.request_id);
    ours.tell_way(head);
    fields
}

/// Takes off what an answer, or its trailers, must not carry on to the client.
pub(super) fn answer(fields: &mut HeaderMap) {
    let nominated = rule::nominated(fields);
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| rule::is_of_one_hop(name.as_str()) || rule::names(&nominated, name))
        .cloned()
        .collect();
    for name in dropped {
        fields.remove(name);
    }
}

/// As [`answer`], of a 101: it goes on to say what it switches to.
pub(super) fn switching(fields: &mut HeaderMap) {
    let protocol = fields.remove(UPGRADE);
    answer(fields);
    if let Some(protocol) = protocol {
        fields.insert(UPGRADE, protocol);
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

fn accepts_trailers(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// HTTP/2 may split cookies over several fields; HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let mut all = BytesMut::new();
    for one in fields.get_all(COOKIE) {
        if !all.is_empty() {
            all.put_slice(b"; ");
        }
        all.put_slice(one.as_bytes());
    }
    let all = HeaderValue::from_maybe_shared(all.freeze());
    fields.insert(
        COOKIE,
        all.expect("field values, joined by what may stand in one"),
    );
}

/// The one framing field. Where the length of a body is known the HTTP
/// library writes it; left alone, it would send a body of unknown length
/// with GET as none.
fn frame(fields: &mut HeaderMap, method: &Method, was_counted: bool, body: &ProvenBody) {
    if body.is_end_stream() {
        let has_meaning = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        if was_counted || has_meaning {
            fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if body.size_hint().exact().is_none() {
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}
