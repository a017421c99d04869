//! Header fields: what belongs to one hop off, what could be taken for ours
//! off, the caller's identity on.
//!
//! Names are compared with `_` and `.` read as `-`: backends that hand fields
//! on as variables do the same (safety, 20–25).

mod ours;
pub(super) mod plain;
mod rule;
mod sink;
#[cfg(test)]
mod tests;

use super::Prepared;
use super::body::ProvenBody;
use crate::apps::Scheme;
use crate::route::OAUTH_CLIENT_ATTESTATION;
use crate::schemes::{aws_sigv4, hmac_auth};
use bytes::{BufMut as _, BytesMut};
use http::Method;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http_body::Body as _;
pub(super) use ours::Told;
use rule::Rule;
pub use rule::is_ours_to_say;
use sink::{Lines, Map, Ours, Sink};
use std::fmt::Write as _;

/// Bytes that most heads have room in.
const USUAL_HEAD: usize = 1024;

/// Writes the head of a request of HTTP/1.1 into `text`.
/// With `is_last` the server is told that its connection ends behind the answer.
pub(super) fn write_head(
    text: &mut BytesMut,
    prepared: &Prepared<'_>,
    body: &ProvenBody,
    is_last: bool,
) {
    let head = prepared.head;
    let target = head.target.as_str();
    text.reserve(USUAL_HEAD);
    text.put_slice(head.parts.method.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(target.as_bytes());
    text.put_slice(b" HTTP/1.1");
    put_fields(&mut Lines(text), prepared, body, is_last);
    text.put_slice(b"\r\n\r\n");
}

/// The fields that go to the upstream, of those that came in `head`, for a
/// server that does not get them as bytes of HTTP/1.1.
pub(super) fn request(prepared: &Prepared<'_>, body: &ProvenBody) -> HeaderMap {
    let mut map = Map::with_capacity(prepared.head.parts.headers.len() + ours::MAX_FIELDS);
    put_fields(&mut map, prepared, body, false);
    map.fields
}

fn put_fields<S: Sink>(sink: &mut S, prepared: &Prepared<'_>, body: &ProvenBody, is_last: bool) {
    let Prepared {
        told, route, head, ..
    } = prepared;
    let injected = prepared.inject.map_or(&[][..], |inject| &inject.fields);
    let came = &head.parts.headers;
    sink.text(Ours::HOST, |text| text.put_slice(head.authority.as_bytes()));
    let places = route.key_places.as_deref();
    let is_sigv4 = told
        .identity
        .is_some_and(|identity| identity.scheme == Scheme::AwsSigv4);
    let is_attested =
        route.client_attestation.is_some() && came.contains_key(OAUTH_CLIENT_ATTESTATION);
    let rule = Rule {
        nominated: rule::nominated(came),
        injected,
        body_is_longer: prepared.is_longer,
        keep_proof: route.keep_proof,
        token_fields: &route.token_fields,
        foreign_token_fields: &route.foreign_token_fields,
        webhook_fields: route
            .webhooks
            .as_ref()
            .map_or(&[], |webhooks| webhooks.sender.proof_fields()),
        key_fields: places
            .filter(|_| head.drops_keys)
            .map_or(&[], |places| &places.fields),
        authorization_is_key: told
            .identity
            .is_some_and(|identity| identity.scheme == Scheme::ApiKey)
            && came.get(AUTHORIZATION).is_some_and(|value| {
                places.is_some_and(|places| places.may_be_in(value.as_bytes()))
            }),
        sigv4: is_sigv4.then_some(rule::SigV4 {
            is_unframed: told.is_unframed,
        }),
        // Beside an attestation it is for the server, too (its draft, section 5.2).
        dpop_is_proof: told.identity.is_some_and(|identity| identity.shows_token) && !is_attested,
        pop_is_proof: is_attested,
        authorization_is_signature: is_sigv4
            && came.get(AUTHORIZATION).is_some_and(aws_sigv4::is_proof)
            || route.dialect.is_some_and(|dialect| {
                told.identity
                    .is_some_and(|identity| identity.scheme == Scheme::HmacAuth)
                    && came
                        .get(AUTHORIZATION)
                        .is_some_and(|value| hmac_auth::is_proof(dialect, value))
            }),
        authorization_is_proof: told.identity.is_some_and(|identity| {
            identity.shows_token
                && !route
                    .token_fields
                    .iter()
                    .any(|name| *name != AUTHORIZATION && came.contains_key(name))
        }),
    };
    let mut wants_trailers = false;
    let mut was_counted = false;
    let mut has_cookies = false;
    for (name, value) in came {
        if rule.drops(name) {
            was_counted |= *name == CONTENT_LENGTH;
            wants_trailers |= *name == TE && accepts_trailers(value);
        } else if told.is_unframed && *name == CONTENT_ENCODING {
            pass_encoding(sink, value);
        } else if *name != COOKIE {
            sink.pass(name, value);
        } else if !std::mem::replace(&mut has_cookies, true) {
            pass_cookies(sink, came);
        }
    }
    if let Some(protocol) = &head.upgrade
        && S::IS_HTTP_1
    {
        sink.pass(&UPGRADE, protocol);
        sink.word(Ours::CONNECTION, "upgrade");
    } else {
        // Python's `http.server` knows `close` only where it stands alone.
        let has_te = wants_trailers && !(is_last && S::IS_HTTP_1);
        if has_te {
            sink.word(Ours::TE, "trailers");
        }
        put_connection(sink, has_te, is_last);
    }
    for one in injected {
        sink.secret(&one.name, one.value.expose());
    }
    frame(sink, &head.parts.method, was_counted, body);
    ours::tell_who(sink, told, head);
    ours::tell_way(sink, head);
}

/// Takes off what an answer must not carry on to the client.
pub(super) fn answer(fields: &mut HeaderMap) {
    let is_of_one_hop = |name: &HeaderName| rule::is_of_one_hop(name.as_str());
    // Most have none, and then none is nominated either, since `Connection` is one of them.
    if !fields.keys().any(is_of_one_hop) {
        return;
    }
    let nominated = rule::nominated(fields);
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| is_of_one_hop(name) || nominated.contains(name))
        .cloned()
        .collect();
    for name in dropped {
        fields.remove(name);
    }
}

/// Takes off what belongs into a head (RFC 9110, section 6.5.1), or is of the connection.
pub(super) fn trailers(fields: &mut HeaderMap) {
    const NEVER: [HeaderName; 12] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TRAILER,
        TRANSFER_ENCODING,
        TE,
    ];
    let is_of_head = |name: &HeaderName| NEVER.contains(name) || rule::is_of_one_hop(name.as_str());
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| is_of_head(name))
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

/// What is left of the codings when the body's pieces are taken apart.
fn pass_encoding(sink: &mut impl Sink, value: &HeaderValue) {
    let codings = value.as_bytes().split(|byte| *byte == b',');
    let codings = codings.map(<[u8]>::trim_ascii).filter(|coding| {
        !coding.is_empty() && !coding.eq_ignore_ascii_case(aws_sigv4::AWS_CHUNKED.as_bytes())
    });
    let left = codings.collect::<Vec<_>>().join(&b", "[..]);
    if !left.is_empty() {
        sink.text(Ours::CONTENT_ENCODING, |text| text.put_slice(&left));
    }
}

/// HTTP/2 may split cookies over several fields; HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn pass_cookies(sink: &mut impl Sink, came: &HeaderMap) {
    let all = came.get_all(COOKIE);
    let mut some = all.iter();
    if let (Some(one), None) = (some.next(), some.next()) {
        return sink.pass(&COOKIE, one);
    }
    sink.text(Ours::COOKIE, |text| {
        for (at, one) in all.iter().enumerate() {
            if at > 0 {
                text.put_slice(b"; ");
            }
            text.put_slice(one.as_bytes());
        }
    });
}

/// What becomes of the connection. It would be kept unsaid, but Apache and Tomcat tell how long they
/// wait only to who asks for it.
fn put_connection<S: Sink>(sink: &mut S, has_te: bool, is_last: bool) {
    if S::IS_HTTP_1 {
        let word = match (has_te, is_last) {
            (_, true) => "close",
            (false, false) => "keep-alive",
            (true, false) => "te, keep-alive",
        };
        sink.word(Ours::CONNECTION, word);
    }
}

/// The one framing field.
fn frame<S: Sink>(sink: &mut S, method: &Method, was_counted: bool, body: &ProvenBody) {
    if body.is_end_stream() {
        let has_meaning = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        if was_counted || has_meaning {
            sink.word(Ours::CONTENT_LENGTH, "0");
        }
        return;
    }
    match body.size_hint().exact() {
        Some(length) => sink.text(Ours::CONTENT_LENGTH, |text| {
            write!(text, "{length}").expect("a buffer that grows takes any text");
        }),
        None if S::IS_HTTP_1 => sink.word(Ours::TRANSFER_ENCODING, "chunked"),
        None => {}
    }
}
