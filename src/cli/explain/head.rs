//! What the wire guard refuses of a head, before anything else looks at it.

use crate::server::Fault;
use crate::server::http1::says::content_length;
use http::Version;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;

/// Why the wire guard does not take the head, if it does not.
pub(super) fn fault(parts: &Parts) -> Option<Fault> {
    let length = parts.headers.get(CONTENT_LENGTH);
    if let Some(Err(fault)) = length.map(|value| content_length(value.as_bytes())) {
        return Some(fault);
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
