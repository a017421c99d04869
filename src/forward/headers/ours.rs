//! The fields that we set: who calls, and by which way it came.

use super::sink::Sink;
use crate::apps::{Scheme, Scopes};
use crate::forward::Head;
use crate::schemes::Caller;
use crate::schemes::digest::BodyProof;
use bytes::{BufMut as _, BytesMut};
use http::Version;
use http::header::{FORWARDED, HeaderName, VIA};
use std::fmt::Write as _;
use std::net::IpAddr;

const APP: HeaderName = HeaderName::from_static("portcullis-app");
const KEY: HeaderName = HeaderName::from_static("portcullis-key");
const SCHEME: HeaderName = HeaderName::from_static("portcullis-scheme");
const ASSURANCE: HeaderName = HeaderName::from_static("portcullis-assurance");
const SCOPES: HeaderName = HeaderName::from_static("portcullis-scopes");
const WOULD_REFUSE: HeaderName = HeaderName::from_static("portcullis-would-refuse");
const REQUEST_ID: HeaderName = HeaderName::from_static("portcullis-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields that we set, at most.
pub(super) const MAX_FIELDS: usize = 15;

/// What the backend is told of the caller.
#[derive(Clone, Copy, Debug)]
pub(in crate::forward) struct Told<'c> {
    pub(super) assurance: &'static str,
    /// `None` for an anonymous caller.
    pub(super) identity: Option<Identity<'c>>,
    /// Whether the body came in pieces, whose heads end here.
    pub(in crate::forward) is_unframed: bool,
}

/// Who the caller was found to be.
#[derive(Clone, Copy, Debug)]
pub(in crate::forward) struct Identity<'c> {
    pub(super) app: &'c str,
    pub(super) key: &'c str,
    pub(super) scheme: Scheme,
    pub(super) scheme_name: &'static str,
    /// Whether a token was part of its proof.
    pub(super) shows_token: bool,
    pub(super) scopes: &'c Scopes,
}

impl<'c> Told<'c> {
    /// Whether the caller is proven to be somebody.
    pub(in crate::forward) const fn is_anyone(&self) -> bool {
        self.identity.is_some()
    }

    pub(in crate::forward) fn of(caller: &'c Caller) -> Self {
        let scheme = caller.scheme().zip(caller.scheme_name());
        let identity = match (caller.app(), caller.key_id(), scheme) {
            (Some(app), Some(key), Some((scheme, scheme_name))) => Some(Identity {
                app: &app.name,
                key,
                scheme,
                scheme_name,
                shows_token: caller.shows_token(),
                scopes: caller.scopes(),
            }),
            _ => None,
        };
        Self {
            assurance: caller.assurance().name(),
            identity,
            is_unframed: matches!(caller.body(), BodyProof::Chunked(_)),
        }
    }
}

/// Who calls.
pub(super) fn tell_who(sink: &mut impl Sink, told: &Told<'_>, head: &Head) {
    sink.text(REQUEST_ID, |text| text.put_slice(&head.request_id));
    if let Some(code) = head.would_refuse {
        sink.word(WOULD_REFUSE, code);
    }
    sink.word(ASSURANCE, told.assurance);
    let Some(identity) = told.identity else {
        return;
    };
    sink.text(APP, |text| text.put_slice(identity.app.as_bytes()));
    sink.text(KEY, |text| text.put_slice(identity.key.as_bytes()));
    sink.word(SCHEME, identity.scheme_name);
    sink.text(SCOPES, |text| {
        for (at, scope) in identity.scopes.iter().enumerate() {
            if at > 0 {
                text.put_u8(b' ');
            }
            text.put_slice(scope.as_bytes());
        }
    });
}

/// Where the request came from, and by way of whom.
pub(super) fn tell_way(sink: &mut impl Sink, head: &Head) {
    let peer = head.peer.map(|address| address.to_canonical());
    let authority = head.authority.as_bytes();
    sink.text(X_FORWARDED_FOR, |text| {
        write_address(text, peer);
        for proxy in &head.via {
            text.put_slice(b", ");
            write_address(text, Some(*proxy));
        }
    });
    sink.text(X_FORWARDED_HOST, |text| text.put_slice(authority));
    sink.word(X_FORWARDED_PROTO, head.scheme);
    sink.text(FORWARDED, |text| {
        // RFC 7239, sections 4 and 6: what is no token stands in quotes.
        write_for(text, peer);
        text.put_slice(b";host=");
        write_token_or_quoted(text, authority);
        text.put_slice(b";proto=");
        text.put_slice(head.scheme.as_bytes());
        for proxy in &head.via {
            text.put_slice(b", ");
            write_for(text, Some(*proxy));
        }
    });
    let via = match head.parts.version {
        Version::HTTP_10 => "1.0 portcullis",
        Version::HTTP_2 => "2.0 portcullis",
        _ => "1.1 portcullis",
    };
    sink.word(VIA, via);
}

fn write_for(text: &mut BytesMut, address: Option<IpAddr>) {
    text.put_slice(b"for=");
    let quotes: [&[u8]; 2] = match address {
        Some(IpAddr::V6(_)) => [b"\"[", b"]\""],
        _ => [b"", b""],
    };
    text.put_slice(quotes[0]);
    write_address(text, address);
    text.put_slice(quotes[1]);
}

fn write_address(text: &mut BytesMut, address: Option<IpAddr>) {
    let address = match address {
        Some(IpAddr::V4(address)) => address,
        Some(IpAddr::V6(address)) => {
            return write!(text, "{address}").expect("a buffer that grows takes any text");
        }
        // RFC 7239, section 6.2.
        None => return text.put_slice(b"unknown"),
    };
    // Twice a request: by hand in a fraction of the time.
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.put_u8(b'.');
        }
        if octet >= 100 {
            text.put_u8(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.put_u8(b'0' + octet / 10 % 10);
        }
        text.put_u8(b'0' + octet % 10);
    }
}

fn write_token_or_quoted(text: &mut BytesMut, bytes: &[u8]) {
    let is_token = bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_token && !bytes.is_empty() {
        text.put_slice(bytes);
        return;
    }
    text.put_u8(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            text.put_u8(b'\\');
        }
        text.put_u8(*byte);
    }
    text.put_u8(b'"');
}
