//! Whom a trusted proxy speaks for, by the fields of a request.
//!
//! Addresses are counted from the right, where the nearest proxy wrote: the
//! first that is no trusted proxy is the client. What stands left of it, the
//! client may have written, and nobody reads it.

use super::network::Networks;
use super::{Counts, Peer};
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Trusted proxies that a request may have passed.
const MAX_HOPS: usize = 16;

/// Which fields are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// None.
    Off,
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Fields {
    /// The name in `gateway.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// Who may speak for others, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarders {
    /// Who is believed.
    pub trusted: Networks,
    /// Which fields of theirs.
    pub fields: Fields,
    /// Whether each of their connections begins with a PROXY header. Others are then not served.
    pub proxy_protocol: bool,
}

/// What the fields tell of one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    from: From,
    proto: Proto,
}

impl Hop {
    const NOTHING: Self = Self {
        from: From::Hidden,
        proto: Proto::Silent,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Address(IpAddr),
    /// Told to be hidden, or not known.
    Hidden,
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proto {
    Silent,
    Is { https: bool },
    Unreadable,
}

impl Forwarders {
    /// Whom `peer`, a trusted proxy, speaks for. What it does not tell, or
    /// what cannot be read, leaves the nearest address that can be trusted.
    ///
    /// Open to other crates so that it can be fuzzed.
    pub fn told_by(&self, peer: &Peer, fields: &HeaderMap, counts: &Counts) -> Peer {
        let (name, hops) = match self.fields {
            Fields::Off => return peer.clone(),
            Fields::XForwardedFor => (X_FORWARDED_FOR, x_forwarded(fields)),
            Fields::Forwarded => (FORWARDED, forwarded(fields)),
        };
        let mut told = peer.clone();
        let mut lines = fields.get_all(name).iter();
        if lines.any(|line| !line.as_bytes().trim_ascii().is_empty()) {
            // It is the proxy's, and proves nothing of somebody behind it.
            told.certificate = None;
        }
        // Between here and there, the nearest first.
        let mut passed = Vec::new();
        let mut is_readable = true;
        for (number, hop) in hops.into_iter().enumerate() {
            match hop.proto {
                Proto::Silent => {}
                Proto::Is { https } => told.tls = https,
                Proto::Unreadable => is_readable = false,
            }
            match hop.from {
                From::Address(address) if number < MAX_HOPS => {
                    passed.extend(told.address);
                    told.address = Some(address);
                    if !self.trusted.contain(told.address) {
                        break;
                    }
                }
                From::Hidden => break,
                From::Address(_) | From::Unreadable => {
                    is_readable = false;
                    break;
                }
            }
        }
        if !is_readable {
            counts.unreadable_forwarded(peer.address);
        }
        passed.reverse();
        told.via.splice(0..0, passed);
        told
    }
}

/// The hops of `X-Forwarded-For`, the nearest first. A list of schemes as long as that
/// of addresses tells one for each; else the last one is told by the nearest proxy.
fn x_forwarded(fields: &HeaderMap) -> Vec<Hop> {
    let mut hops: Vec<_> = from_the_right(fields, &X_FORWARDED_FOR)
        .take(MAX_HOPS + 1)
        .map(|text| Hop {
            from: node(text),
            proto: Proto::Silent,
        })
        .collect();
    if hops.is_empty() {
        hops.push(Hop::NOTHING);
    }
    let count = from_the_right(fields, &X_FORWARDED_PROTO).count();
    let told = if count == hops.len() { count } else { 1 };
    let schemes = from_the_right(fields, &X_FORWARDED_PROTO).take(told);
    for (hop, text) in hops.iter_mut().zip(schemes) {
        hop.proto = scheme(text);
    }
    hops
}

/// The members of a list that may stand on several lines, the last first.
fn from_the_right<'f>(
    fields: &'f HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'f [u8]> + use<'f> {
    let lines = fields.get_all(name).iter().rev();
    lines
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

fn scheme(text: &[u8]) -> Proto {
    if text.eq_ignore_ascii_case(b"https") {
        Proto::Is { https: true }
    } else if text.eq_ignore_ascii_case(b"http") {
        Proto::Is { https: false }
    } else {
        Proto::Unreadable
    }
}

/// An address with or without a port, `unknown`, or a name that hides it (RFC 7239, section 6).
fn node(text: &[u8]) -> From {
    let Ok(text) = std::str::from_utf8(text) else {
        return From::Unreadable;
    };
    if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        return From::Hidden;
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|at| at.ip()));
    match address {
        Ok(address) => From::Address(address.to_canonical()),
        Err(_) => From::Unreadable,
    }
}

/// The hops of `Forwarded`, the nearest first, up to the first line that cannot be read.
fn forwarded(fields: &HeaderMap) -> Vec<Hop> {
    let mut hops = Vec::new();
    for line in fields.get_all(FORWARDED).iter().rev() {
        let Some(elements) = elements(line) else {
            hops.push(Hop {
                from: From::Unreadable,
                proto: Proto::Silent,
            });
            break;
        };
        hops.extend(elements.into_iter().rev());
    }
    hops
}

/// Reads a line from its left, where quotes open. A stranger's quote that is
/// open when a proxy appends makes the line unreadable, since what follows
/// its end is no delimiter.
fn elements(line: &HeaderValue) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut rest = line.as_bytes().trim_ascii();
    let mut hop = None;
    while !rest.is_empty() {
        match rest.split_first() {
            Some((b',', after)) => {
                hops.extend(hop.take());
                rest = after.trim_ascii_start();
                continue;
            }
            Some((b';', after)) => rest = after.trim_ascii_start(),
            _ => {}
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (name, after) = (rest.get(..equals)?, rest.get(equals + 1..)?);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return None;
        }
        let (value, after) = value(after)?;
        let hop = hop.get_or_insert(Hop::NOTHING);
        if name.eq_ignore_ascii_case(b"for") {
            hop.from = node(&value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            hop.proto = scheme(&value);
        }
        rest = after.trim_ascii_start();
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            return None;
        }
    }
    hops.extend(hop);
    Some(hops)
}

/// A token or a quoted text, and what stands behind it.
fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        // Proxies leave out the quotes that `:` and brackets ask for.
        let is_bare = |byte: &u8| is_token(*byte) || matches!(byte, b':' | b'[' | b']');
        let end = text.iter().position(|byte| !is_bare(byte));
        let (value, after) = text.split_at(end.unwrap_or(text.len()));
        return (!value.is_empty()).then(|| (value.to_vec(), after));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((value, bytes.as_slice())),
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
            && byte != b'"'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::certificate::Certificate;
    use std::sync::Arc;

    fn forwarders(fields: Fields) -> Forwarders {
        let trusted = ["10.0.0.0/8", "2001:db8:f::/48", "unix"];
        Forwarders {
            trusted: Networks(trusted.iter().map(|text| text.parse().unwrap()).collect()),
            fields,
            proxy_protocol: false,
        }
    }

    fn fields(list: &[(&str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    /// Address, scheme, the way, and whether all of it could be read.
    fn told(which: Fields, list: &[(&str, &str)]) -> (String, bool, String, bool) {
        let peer = Peer {
            is_trusted: true,
            ..Peer::at(Some("10.0.0.1".parse().unwrap()))
        };
        let counts = Counts::default();
        let told = forwarders(which).told_by(&peer, &fields(list), &counts);
        let via: Vec<_> = told.via.iter().map(ToString::to_string).collect();
        (
            told.address.unwrap().to_string(),
            told.tls,
            via.join(" "),
            counts.forwarded() == 0,
        )
    }

    fn expect(which: Fields, list: &[(&str, &str)], expected: (&str, bool, &str, bool)) {
        let (address, tls, via, is_readable) = told(which, list);
        assert_eq!((&*address, tls, &*via, is_readable), expected, "{list:?}");
    }

    #[test]
    fn a_proxys_certificate_is_not_that_of_those_it_speaks_for() {
        let certificate = Certificate::new(b"", Vec::new(), 0, 1);
        let peer = Peer {
            is_trusted: true,
            certificate: Some(Arc::new(certificate)),
            ..Peer::at(Some("10.0.0.1".parse().unwrap()))
        };
        let keeps = |which, list: &[(&str, &str)]| {
            let told = forwarders(which).told_by(&peer, &fields(list), &Counts::default());
            told.certificate.is_some()
        };
        let own = [("x-forwarded-proto", "https"), ("x-forwarded-for", " ")];
        assert!(keeps(Fields::XForwardedFor, &own));
        assert!(keeps(
            Fields::Forwarded,
            &[("x-forwarded-for", "192.0.2.1")]
        ));
        assert!(keeps(Fields::Off, &[("x-forwarded-for", "192.0.2.1")]));
        for somebody in ["192.0.2.1", "10.0.0.2", "unknown", "nonsense"] {
            assert!(!keeps(
                Fields::XForwardedFor,
                &[("x-forwarded-for", somebody)]
            ));
        }
        for somebody in ["for=192.0.2.1", "for=_hidden", "proto=https", "nonsense"] {
            assert!(!keeps(Fields::Forwarded, &[("forwarded", somebody)]));
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_trusted_proxy() {
        let way = |list: &[&str], expected| {
            let list: Vec<_> = list.iter().map(|line| ("x-forwarded-for", *line)).collect();
            expect(Fields::XForwardedFor, &list, expected);
        };
        let own = ("10.0.0.1", false, "", true);
        way(&[], own);
        way(&[""], own);
        way(&["192.0.2.1"], ("192.0.2.1", false, "10.0.0.1", true));
        way(
            &["6.6.6.6, 192.0.2.1"],
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        way(
            &["6.6.6.6", "192.0.2.1"],
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        way(
            &["6.6.6.6, 192.0.2.1 ,10.9.9.9", "2001:db8:f::7"],
            ("192.0.2.1", false, "10.9.9.9 2001:db8:f::7 10.0.0.1", true),
        );
        // Nobody but proxies: the farthest.
        way(
            &["10.0.0.3, 10.0.0.2"],
            ("10.0.0.3", false, "10.0.0.2 10.0.0.1", true),
        );
        way(&["192.0.2.1:4711"], ("192.0.2.1", false, "10.0.0.1", true));
        way(
            &["[2001:db8::1]:4711"],
            ("2001:db8::1", false, "10.0.0.1", true),
        );
        way(&["[2001:db8::1]"], ("2001:db8::1", false, "10.0.0.1", true));
        way(
            &["::ffff:192.0.2.1"],
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        way(&["::ffff:10.2.2.2"], ("10.2.2.2", false, "10.0.0.1", true));
        way(&["192.0.2.1, unknown"], own);
        way(
            &["192.0.2.1, unknown, 10.0.0.2"],
            ("10.0.0.2", false, "10.0.0.1", true),
        );
    }

    #[test]
    fn what_cannot_be_read_leaves_the_nearest_that_can() {
        let way = |line: &str, expected| {
            expect(
                Fields::XForwardedFor,
                &[("x-forwarded-for", line)],
                expected,
            );
        };
        for line in [
            "192.0.2.1, evil",
            "192.0.2.1; 7",
            "192.0.2.1 10.0.0.2",
            "192.0.2.999",
            "\"192.0.2.1\"",
        ] {
            way(line, ("10.0.0.1", false, "", false));
        }
        way(
            "192.0.2.1, junk, 10.0.0.2",
            ("10.0.0.2", false, "10.0.0.1", false),
        );
        // Left of the client nobody looks.
        way("junk, 192.0.2.1", ("192.0.2.1", false, "10.0.0.1", true));
        let passed = format!("{}10.0.0.1", "10.0.0.2 ".repeat(15));
        let many = vec!["10.0.0.2"; 15].join(",");
        way(
            &format!("192.0.2.1,{many}"),
            ("192.0.2.1", false, &passed, true),
        );
        let too_many = vec!["10.0.0.2"; 16].join(",");
        way(
            &format!("192.0.2.1,{too_many}"),
            ("10.0.0.2", false, &passed, false),
        );
    }

    #[test]
    fn the_scheme_is_that_of_the_clients_hop() {
        let way = |addresses: &str, schemes: &str, expected| {
            let list = [
                ("x-forwarded-for", addresses),
                ("x-forwarded-proto", schemes),
            ];
            expect(Fields::XForwardedFor, &list, expected);
        };
        way("192.0.2.1", "https", ("192.0.2.1", true, "10.0.0.1", true));
        way("192.0.2.1", "HTTP", ("192.0.2.1", false, "10.0.0.1", true));
        way(
            "192.0.2.1, 10.0.0.2",
            "https, http",
            ("192.0.2.1", true, "10.0.0.2 10.0.0.1", true),
        );
        way(
            "192.0.2.1, 10.0.0.2",
            "https",
            ("192.0.2.1", true, "10.0.0.2 10.0.0.1", true),
        );
        // A client's own claim stands left of what the proxy appends.
        way(
            "6.6.6.6, 192.0.2.1",
            "https, http",
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        way(
            "192.0.2.1",
            "https, http",
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        way(
            "192.0.2.1",
            "gopher",
            ("192.0.2.1", false, "10.0.0.1", false),
        );
        way("", "https", ("10.0.0.1", true, "", true));
    }

    #[test]
    fn forwarded_is_read_with_its_quotes() {
        let way = |lines: &[&str], expected| {
            let list: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            expect(Fields::Forwarded, &list, expected);
        };
        way(&["for=192.0.2.1"], ("192.0.2.1", false, "10.0.0.1", true));
        way(
            &["For=6.6.6.6, FOR=\"192.0.2.1:80\"; Proto=HTTPS;by=_x, for=10.0.0.2;proto=http"],
            ("192.0.2.1", true, "10.0.0.2 10.0.0.1", true),
        );
        way(
            &["for=\"[2001:db8::1]:4711\";host=\"a, b;for=6.6.6.6\\\"\";proto=https"],
            ("2001:db8::1", true, "10.0.0.1", true),
        );
        way(
            &["for=6.6.6.6", "for=192.0.2.1"],
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        way(
            &["for=_hidden, for=10.0.0.2"],
            ("10.0.0.2", false, "10.0.0.1", true),
        );
        way(&["proto=https"], ("10.0.0.1", true, "", true));
        way(
            &[", ,for=192.0.2.1,"],
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        // A stranger's line that nobody needs to read.
        way(
            &["\"", "for=192.0.2.1"],
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        // A stranger's quote, left open before what the proxy appends.
        for line in [
            "for=6.6.6.6, x=\", for=192.0.2.1",
            "for=6.6.6.6, x=\", for=\"[2001:db8::1]\";proto=https",
            "for=6.6.6.6;x=\"\\, for=192.0.2.1",
            "for",
            "for=",
            "for=192.0.2.1 proto=https",
            "=192.0.2.1",
            "for=192.0.2.1;;",
        ] {
            way(&[line], ("10.0.0.1", false, "", false));
        }
        way(
            &["for=192.0.2.1;proto=gopher"],
            ("192.0.2.1", false, "10.0.0.1", false),
        );
    }

    #[test]
    fn other_fields_are_not_believed() {
        let both = [
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.2;proto=https"),
        ];
        expect(Fields::Off, &both, ("10.0.0.1", false, "", true));
        expect(
            Fields::XForwardedFor,
            &both,
            ("192.0.2.1", false, "10.0.0.1", true),
        );
        expect(
            Fields::Forwarded,
            &both,
            ("192.0.2.2", true, "10.0.0.1", true),
        );
    }
}
