//! Fields that go on as they came, but for those of one connection: nobody's identity is told.

use super::rule;
use super::sink::{Lines, Ours, Sink as _};
use crate::forward::body::ProvenBody;
use bytes::{BufMut as _, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

/// Takes off what belongs to the connection that `fields` came over.
pub(in crate::forward) fn without_connection(fields: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    let nominated = rule::nominated(fields);
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in nominated.into_iter().chain(always) {
        fields.remove(name);
    }
}

/// Writes a head of HTTP/1.1.
pub(in crate::forward) fn write(
    text: &mut BytesMut,
    (method, target, authority): (&Method, &str, &str),
    fields: &HeaderMap,
    body: &ProvenBody,
    is_last: bool,
) {
    text.reserve(super::USUAL_HEAD);
    for piece in [method.as_str(), " ", target, " HTTP/1.1"] {
        text.put_slice(piece.as_bytes());
    }
    let sink = &mut Lines(text);
    sink.names(Ours::HOST, |text| text.put_slice(authority.as_bytes()));
    for (name, value) in fields {
        if *name != HOST && *name != CONTENT_LENGTH {
            sink.pass(name, value);
        }
    }
    super::put_connection(sink, false, is_last);
    super::frame(sink, method, fields.contains_key(CONTENT_LENGTH), body);
    text.put_slice(b"\r\n\r\n");
}
