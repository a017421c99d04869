//! What the wire guard refuses of a head, before anything else looks at it.

use crate::server::Fault;
use http::Version;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;

/// What is said of a length that [`is_length_good`] does not take.
const BAD_LENGTH: &str = "`Content-Length` is not one number from 0 to 2^63 - 1";

/// Why the wire guard does not take the head, if it does not.
pub(super) fn fault(parts: &Parts) -> Option<Fault> {
    if !is_length_good(&parts.headers) {
        return Some(Fault::Malformed(BAD_LENGTH));
    }
    if !parts.headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    match parts.version {
        Version::HTTP_10 => Some(Fault::Malformed("HTTP/1.0 has no `Transfer-Encoding`")),
        Version::HTTP_2 => Some(Fault::Malformed("HTTP/2 has no `Transfer-Encoding`")),
        _ => None,
    }
}

/// Whether the length that is announced is taken, if one is.
fn is_length_good(fields: &HeaderMap) -> bool {
    const MAX_DIGITS: usize = 19;
    let is_good = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        let is_number = text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number && text.parse::<i64>().is_ok()
    };
    fields.get(CONTENT_LENGTH).is_none_or(is_good)
}
