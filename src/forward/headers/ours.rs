//! The fields that we set: who calls, and by which way it came.

use super::sink::{Ours, Sink};
use crate::apps::{Scheme, Scopes};
use crate::forward::Head;
use crate::schemes::Caller;
use crate::schemes::digest::BodyProof;
use bytes::{BufMut as _, BytesMut};
use http::Version;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

const APP: Ours = Ours::new("\r\nportcullis-app: ");
const KEY: Ours = Ours::new("\r\nportcullis-key: ");
const SCHEME: Ours = Ours::new("\r\nportcullis-scheme: ");
const ASSURANCE: Ours = Ours::new("\r\nportcullis-assurance: ");
const SCOPES: Ours = Ours::new("\r\nportcullis-scopes: ");
const WOULD_REFUSE: Ours = Ours::new("\r\nportcullis-would-refuse: ");
const REQUEST_ID: Ours = Ours::new("\r\nportcullis-request-id: ");
const X_FORWARDED_FOR: Ours = Ours::new("\r\nx-forwarded-for: ");
const X_FORWARDED_HOST: Ours = Ours::new("\r\nx-forwarded-host: ");
const X_FORWARDED_PROTO: Ours = Ours::new("\r\nx-forwarded-proto: ");
const FORWARDED: Ours = Ours::new("\r\nforwarded: ");
const VIA: Ours = Ours::new("\r\nvia: ");

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
    sink.names(APP, |text| text.put_slice(identity.app.as_bytes()));
    sink.names(KEY, |text| text.put_slice(identity.key.as_bytes()));
    sink.word(SCHEME, identity.scheme_name);
    sink.names(SCOPES, |text| {
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
    let peer = Address::of(head.peer.map(|address| address.to_canonical()));
    let authority = head.authority.as_bytes();
    sink.text(X_FORWARDED_FOR, |text| {
        text.put_slice(peer.text());
        for proxy in &head.via {
            text.put_slice(b", ");
            text.put_slice(Address::of(Some(*proxy)).text());
        }
    });
    sink.text(X_FORWARDED_HOST, |text| text.put_slice(authority));
    sink.word(X_FORWARDED_PROTO, head.scheme);
    sink.text(FORWARDED, |text| {
        // RFC 7239, sections 4 and 6: what is no token stands in quotes.
        peer.write_for(text);
        text.put_slice(b";host=");
        write_token_or_quoted(text, authority);
        text.put_slice(b";proto=");
        text.put_slice(head.scheme.as_bytes());
        for proxy in &head.via {
            text.put_slice(b", ");
            Address::of(Some(*proxy)).write_for(text);
        }
    });
    let via = match head.parts.version {
        Version::HTTP_10 => "1.0 portcullis",
        Version::HTTP_2 => "2.0 portcullis",
        _ => "1.1 portcullis",
    };
    sink.word(VIA, via);
}

/// An address, written once: it is told twice.
struct Address {
    text: [u8; Self::LONGEST],
    length: usize,
    is_v6: bool,
}

impl Address {
    /// Bytes of an address of IPv6 that ends in one of IPv4.
    const LONGEST: usize = 45;

    fn of(address: Option<IpAddr>) -> Self {
        let mut text = [0; Self::LONGEST];
        let length = match address {
            // By hand in a fraction of the time.
            Some(IpAddr::V4(address)) => write_v4(&mut text, address),
            Some(IpAddr::V6(address)) => {
                let mut left = &mut text[..];
                write!(left, "{address}").expect("there is room for the longest");
                Self::LONGEST - left.len()
            }
            // RFC 7239, section 6.2.
            None => {
                text[..7].copy_from_slice(b"unknown");
                7
            }
        };
        Self {
            text,
            length,
            is_v6: matches!(address, Some(IpAddr::V6(_))),
        }
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    fn write_for(&self, text: &mut BytesMut) {
        if self.is_v6 {
            text.put_slice(b"for=\"[");
            text.put_slice(self.text());
            text.put_slice(b"]\"");
        } else {
            text.put_slice(b"for=");
            text.put_slice(self.text());
        }
    }
}

fn write_v4(text: &mut [u8; Address::LONGEST], address: Ipv4Addr) -> usize {
    let mut length = 0;
    let mut put = |byte| {
        text[length] = byte;
        length += 1;
    };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            put(b'.');
        }
        if octet >= 100 {
            put(b'0' + octet / 100);
        }
        if octet >= 10 {
            put(b'0' + octet / 10 % 10);
        }
        put(b'0' + octet % 10);
    }
    length
}

fn write_token_or_quoted(text: &mut BytesMut, bytes: &[u8]) {
    if !bytes.is_empty() && bytes.iter().all(|byte| OF_HOSTS[usize::from(*byte)]) {
        text.put_slice(bytes);
        return;
    }
    text.put_u8(b'"');
    let mut left = bytes;
    while let Some(at) = memchr::memchr2(b'"', b'\\', left) {
        let (before, from) = left.split_at(at);
        let (special, behind) = from.split_at(1);
        for piece in [before, b"\\", special] {
            text.put_slice(piece);
        }
        left = behind;
    }
    text.put_slice(left);
    text.put_u8(b'"');
}

/// The bytes of a token (RFC 9110, section 5.6.2) that hosts have.
const OF_HOSTS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let one = byte as u8;
        table[byte] = one.is_ascii_alphanumeric() || matches!(one, b'-' | b'.' | b'_');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_the_standard_library_writes_it() {
        for address in [
            "0.0.0.0",
            "127.0.10.100",
            "255.99.9.255",
            "::1",
            "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888",
        ] {
            let address: IpAddr = address.parse().unwrap();
            let written = Address::of(Some(address));
            assert_eq!(written.text(), address.to_string().as_bytes());
        }
        assert_eq!(Address::of(None).text(), b"unknown");
    }

    #[test]
    fn what_is_no_token_stands_in_quotes_and_what_would_end_them_is_escaped() {
        for (bytes, wanted) in [
            ("a-b_c.example", "a-b_c.example"),
            ("a:1", r#""a:1""#),
            ("", r#""""#),
            (r#""a\b""#, r#""\"a\\b\"""#),
        ] {
            let mut text = BytesMut::new();
            write_token_or_quoted(&mut text, bytes.as_bytes());
            assert_eq!(text, wanted);
        }
    }
}
