//! Refusals as gRPC clients read them: status 200 and nothing but a head,
//! which holds what gRPC has in trailers (gRPC over HTTP/2, "Responses"). And
//! how long its streams are waited for, and how they break off.

use super::refusal::{Blame, Code, Refusal};
use crate::forward::Failed;
use crate::forward::upstream::{Protocol, Settings};
use crate::schemes::doctor::Finding;
use crate::server::{BoxError, Reins, RequestBody};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use std::fmt::Write as _;
use std::time::Duration;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const CODE: HeaderName = HeaderName::from_static("portcullis-code");
const REQUEST_ID: HeaderName = HeaderName::from_static("portcullis-request-id");

/// What every media type of gRPC begins with.
const MEDIA_TYPE: &[u8] = b"application/grpc";
/// Bytes of a detail that are told.
const MAX_MESSAGE: usize = 1024;

/// What a caller is told of a backend that did not go on: the record has more.
const BROKE_OFF: &str =
    "The call broke off: the server behind the gateway was silent for too long, or went away.";

/// Whether a request is a call of gRPC, which is always a `POST`.
pub(super) fn is_call(method: &Method, fields: &HeaderMap) -> bool {
    *method == Method::POST && behind_media_type(fields).is_some()
}

/// Whether what has these fields may be a stream of messages: it is gRPC itself, and not gRPC-Web,
/// whose requests are over before their answers.
pub(super) fn may_stream(fields: &HeaderMap) -> bool {
    let behind = behind_media_type(fields);
    behind.is_some_and(|behind| matches!(behind, [] | [b'+' | b';' | b' ' | b'\t', ..]))
}

/// The messages that a call sends. They come when there is something to say, not at a rate.
pub(super) struct Messages(Option<Reins>);

impl Messages {
    /// Those that come as `body`; of another request, and over HTTP/1.1, it has none.
    pub(super) fn of(method: &Method, fields: &HeaderMap, body: &RequestBody) -> Self {
        let is_call = *method == Method::POST && may_stream(fields);
        Self(is_call.then(|| body.reins()).flatten())
    }

    /// They go, from a proven caller, to servers that may not answer before the last of them. Only
    /// those that are said to be of this kind are made to wait for it.
    pub(super) fn go_to(&self, servers: &Settings) {
        if let Some(reins) = &self.0
            && servers.protocol == Protocol::Http2
        {
            reins.slacken(servers.idle);
        }
    }

    /// What answers them has begun: how long that may be silent holds for both ways together.
    pub(super) fn meet(self, answer: &HeaderMap) {
        if let Some(reins) = self.0
            && may_stream(answer)
        {
            reins.slacken(Duration::MAX);
        }
    }
}

/// What stands behind the front that every media type of gRPC has.
fn behind_media_type(fields: &HeaderMap) -> Option<&[u8]> {
    let media_type = fields.get(CONTENT_TYPE)?.as_bytes();
    let (front, behind) = media_type.split_at_checked(MEDIA_TYPE.len())?;
    front.eq_ignore_ascii_case(MEDIA_TYPE).then_some(behind)
}

/// Makes the answer that refuses a request one that refuses a call. Other fields stay.
pub(super) fn reword(
    response: Response<Bytes>,
    refusal: &Refusal,
    finding: Option<&Finding>,
    request_id: &str,
) -> Response<Bytes> {
    let (mut parts, _) = response.into_parts();
    let code = refusal.code();
    parts.status = StatusCode::OK;
    let fields = &mut parts.headers;
    fields.remove(CONTENT_LENGTH);
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut detail = refusal.detail();
    if let Some(finding) = finding {
        detail = format!(
            "{detail} Most likely ({}): {}.",
            finding.mistake.word(),
            finding.hint()
        );
    }
    tell(fields, code, &detail, request_id);
    Response::from_parts(parts, Bytes::new())
}

/// The trailers of a call whose answer broke off.
///
/// # Errors
/// The error again, where its client broke it off, who hears nothing more, or we panicked.
pub(super) fn trailers(why: BoxError, request_id: &str) -> Result<HeaderMap, BoxError> {
    let failed = why.downcast::<Failed>()?;
    let refusal = Refusal::Forward(*failed);
    if refusal.is_of_an_unfinished_body() {
        return Err(refusal.reason().into());
    }
    let detail = match refusal.blame() {
        Blame::Upstream => BROKE_OFF.to_owned(),
        _ => refusal.detail(),
    };
    let mut trailers = HeaderMap::new();
    tell(&mut trailers, refusal.code(), &detail, request_id);
    Ok(trailers)
}

fn tell(fields: &mut HeaderMap, code: Code, detail: &str, request_id: &str) {
    fields.insert(GRPC_STATUS, HeaderValue::from(status(code)));
    fields.insert(CODE, HeaderValue::from_static(code.word()));
    for (name, text) in [
        (GRPC_MESSAGE, encoded(detail)),
        (REQUEST_ID, request_id.to_owned()),
    ] {
        if let Ok(value) = HeaderValue::try_from(text) {
            fields.insert(name, value);
        }
    }
}

/// The status of gRPC for a refusal: gRPC's own for an HTTP status where that
/// is as exact as what we know.
fn status(code: Code) -> u16 {
    const INVALID_ARGUMENT: u16 = 3;
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match code.status() {
        StatusCode::BAD_REQUEST => INTERNAL,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
        StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        status if status.is_client_error() => INVALID_ARGUMENT,
        _ => INTERNAL,
    }
}

/// A message with everything but printable ASCII, and `%`, percent-encoded.
fn encoded(message: &str) -> String {
    let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(byte as char),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_status_that_grpc_clients_act_upon() {
        for code in Code::ALL {
            let wanted = match code.status().as_u16() {
                400 | 500 => 13,
                401 => 16,
                403 => 7,
                404 | 405 => 12,
                408 | 504 => 4,
                413 | 414 | 417 | 431 => 3,
                429 => 8,
                502 | 503 => 14,
                other => panic!("say what {other} is in gRPC"),
            };
            assert_eq!(status(*code), wanted, "{}", code.word());
        }
    }

    #[test]
    fn a_message_is_percent_encoded() {
        assert_eq!(encoded("100 % of ä\n"), "100 %25 of %C3%A4%0A");
        let long = "ä".repeat(MAX_MESSAGE);
        assert_eq!(encoded(&long).len(), MAX_MESSAGE * 3);
    }

    #[test]
    fn grpc_web_and_what_only_begins_like_grpc_may_not_stream() {
        for (media_type, may) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcurl", false),
            ("application/json", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            assert_eq!(may_stream(&fields), may, "{media_type}");
        }
        assert!(!may_stream(&HeaderMap::new()));
    }

    #[test]
    fn only_a_post_with_a_media_type_of_grpc_is_a_call() {
        let asked = |method: Method, media_type: &'static str| {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            is_call(&method, &fields)
        };
        assert!(asked(Method::POST, "application/grpc"));
        assert!(asked(Method::POST, "Application/gRPC-web+proto"));
        assert!(!asked(Method::GET, "application/grpc"));
        assert!(!asked(Method::POST, "application/json"));
        assert!(!is_call(&Method::POST, &HeaderMap::new()));
    }
}
