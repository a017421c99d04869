//! The header of the PROXY protocol, versions 1 and 2: whom a proxy speaks for.

use super::socket::Stream;
use bytes::BufMut as _;
use ppp::{v1, v2};
use std::io;
use std::net::IpAddr;
use tokio::io::AsyncReadExt as _;

/// Bytes that a header may have: of version 2 with its longest addresses, 232,
/// and room for what else proxies tell.
const MAX_HEADER: usize = 536;
/// Bytes that a header of version 1 may have, with its line end.
const MAX_LINE: usize = 107;
/// Bytes of version 2 before its addresses.
const FIXED: usize = 16;
/// Of the first byte that version 2 has of TLS: the caller speaks it with the proxy (`PP2_CLIENT_SSL`).
const CLIENT_SSL: u8 = 1;
const PREFIX: &[u8] = b"PROXY ";

/// Whom a proxy speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpokenFor {
    /// Itself: it looks whether we live.
    Itself,
    /// Somebody at this address.
    Address(IpAddr),
    /// Somebody of whom it tells nothing that we know.
    Somebody,
}

/// What a header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whom the proxy speaks for.
    pub spoken_for: SpokenFor,
    /// Whether that one speaks TLS with the proxy, which version 1 does not tell.
    pub tls: bool,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ended, or broke, before its first byte.
    Silent,
    /// It ended within the header.
    CutShort,
    /// What stands there is none.
    NoHeader,
    /// It has more bytes than any that a proxy needs: 536.
    TooLong,
}

impl Fault {
    /// In a word or two, for the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::CutShort => "cut short",
            Self::NoHeader => "no header",
            Self::TooLong => "too long",
        }
    }
}

/// Reads the header at the start of `bytes`, behind its length; `None` when it goes on.
///
/// # Errors
/// [`Fault`] as soon as it can be none.
pub fn read(bytes: &[u8]) -> Result<Option<(usize, Told)>, Fault> {
    if starts_as(bytes, v2::PROTOCOL_PREFIX) {
        read_binary(bytes)
    } else if starts_as(bytes, PREFIX) {
        read_line(bytes)
    } else {
        Err(Fault::NoHeader)
    }
}

/// Whether `bytes` begin with `start`, or may when they go on.
fn starts_as(bytes: &[u8], start: &[u8]) -> bool {
    bytes.starts_with(start) || start.starts_with(bytes)
}

fn read_binary(bytes: &[u8]) -> Result<Option<(usize, Told)>, Fault> {
    let Some((_, [high, low])) = bytes.get(..FIXED).and_then(<[u8]>::split_last_chunk) else {
        return Ok(None);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if length > MAX_HEADER {
        return Err(Fault::TooLong);
    }
    let Some(whole) = bytes.get(..length) else {
        return Ok(None);
    };
    let header = v2::Header::try_from(whole).map_err(|_| Fault::NoHeader)?;
    let spoken_for = match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, ..) => SpokenFor::Itself,
        (_, v2::Protocol::Datagram, _) => return Err(Fault::NoHeader),
        (_, _, v2::Addresses::IPv4(told)) => address(told.source_address),
        (_, _, v2::Addresses::IPv6(told)) => address(told.source_address),
        (_, _, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => SpokenFor::Somebody,
    };
    // What one that speaks for itself adds is of nobody, and to be passed over.
    let tls = spoken_for != SpokenFor::Itself && tells_tls(&header);
    Ok(Some((length, Told { spoken_for, tls })))
}

/// Whether what stands behind the addresses tells that the caller speaks TLS with the proxy (`PP2_TYPE_SSL`).
/// Where there are no addresses that we know, nobody can say where they end: nothing is told then, nor by what
/// cannot be read.
fn tells_tls(header: &v2::Header<'_>) -> bool {
    let fields = header.tlvs().map_while(Result::ok);
    let mut told = fields.filter(|field| field.kind == u8::from(v2::Type::SSL));
    // Flags, and four bytes of how the caller's certificate was verified, are always there.
    told.any(|field| matches!(*field.value, [flags, _, _, _, _, ..] if flags & CLIENT_SSL != 0))
}

fn read_line(bytes: &[u8]) -> Result<Option<(usize, Told)>, Fault> {
    let line = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = memchr::memmem::find(line, b"\r\n").map(|at| at + 2) else {
        return if line.len() == MAX_LINE {
            Err(Fault::TooLong)
        } else {
            Ok(None)
        };
    };
    let whole = line.get(..end).unwrap_or_default();
    let header = v1::Header::try_from(whole).map_err(|_| Fault::NoHeader)?;
    let spoken_for = match header.addresses {
        v1::Addresses::Tcp4(told) => address(told.source_address),
        v1::Addresses::Tcp6(told) => address(told.source_address),
        v1::Addresses::Unknown => SpokenFor::Somebody,
    };
    let told = Told {
        spoken_for,
        tls: false,
    };
    Ok(Some((end, told)))
}

fn address(told: impl Into<IpAddr>) -> SpokenFor {
    SpokenFor::Address(told.into().to_canonical())
}

/// Takes the header off the start of a connection. What was read behind it
/// is put back.
pub(super) async fn take(stream: &mut Stream) -> Result<Told, Fault> {
    let mut bytes = Vec::with_capacity(MAX_HEADER);
    loop {
        let room = MAX_HEADER - bytes.len();
        let read_now: io::Result<usize> = stream.read_buf(&mut (&mut bytes).limit(room)).await;
        match read_now {
            Ok(1..) => {}
            _ if bytes.is_empty() => return Err(Fault::Silent),
            _ => return Err(Fault::CutShort),
        }
        if let Some((length, told)) = read(&bytes)? {
            bytes.drain(..length);
            stream.put_back(bytes);
            return Ok(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const SIGNATURE: &[u8] = v2::PROTOCOL_PREFIX;

    fn binary(kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &kind, &length, rest].concat()
    }

    fn ipv4(more: usize) -> Vec<u8> {
        let mut rest = vec![192, 0, 2, 1, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
        rest.resize(rest.len() + more, 0);
        rest
    }

    fn ipv6(source: Ipv6Addr) -> Vec<u8> {
        let mut rest = source.octets().to_vec();
        rest.extend(Ipv6Addr::LOCALHOST.octets());
        rest.extend([0, 1, 0, 2]);
        rest
    }

    fn at(text: &str) -> SpokenFor {
        SpokenFor::Address(text.parse().unwrap())
    }

    #[test]
    fn every_way_to_speak_for_somebody_is_read() {
        let mapped = Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped();
        for (bytes, expected) in [
            (
                b"PROXY TCP4 192.0.2.1 10.0.0.1 8080 80\r\n".to_vec(),
                at("192.0.2.1"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 8080 80\r\n".to_vec(),
                at("2001:db8::1"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n".to_vec(),
                at("192.0.2.9"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), SpokenFor::Somebody),
            (
                b"PROXY UNKNOWN what ever it says\r\n".to_vec(),
                SpokenFor::Somebody,
            ),
            (binary([0x21, 0x11], &ipv4(0)), at("192.0.2.1")),
            // Fields of the type 0 without a byte: three each.
            (binary([0x21, 0x11], &ipv4(501)), at("192.0.2.1")),
            (
                binary([0x21, 0x21], &ipv6("2001:db8::2".parse().unwrap())),
                at("2001:db8::2"),
            ),
            (binary([0x21, 0x21], &ipv6(mapped)), at("192.0.2.9")),
            (binary([0x20, 0x00], &[]), SpokenFor::Itself),
            (binary([0x20, 0x11], &ipv4(0)), SpokenFor::Itself),
            (binary([0x21, 0x00], &[]), SpokenFor::Somebody),
            (binary([0x21, 0x00], &[1, 2, 3]), SpokenFor::Somebody),
            (binary([0x21, 0x31], &[b'a'; 216]), SpokenFor::Somebody),
        ] {
            let length = bytes.len();
            for end in 0..length {
                assert_eq!(read(&bytes[..end]), Ok(None), "{end} of {bytes:?}");
            }
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            let told = Told {
                spoken_for: expected,
                tls: false,
            };
            assert_eq!(read(&bytes), Ok(Some((length, told))), "{bytes:?}");
            assert_eq!(read(&followed), Ok(Some((length, told))), "{bytes:?}");
        }
    }

    /// A field behind the addresses.
    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind][..], &length, value].concat()
    }

    const SSL: u8 = 0x20;

    #[test]
    fn the_second_version_tells_whether_the_caller_speaks_tls() {
        let version = field(0x21, b"TLSv1.3");
        let with_more = [&[0b111_u8, 0, 0, 0, 1][..], &version].concat();
        for (fields, tls) in [
            (vec![], false),
            (field(SSL, &[1, 0, 0, 0, 0]), true),
            (field(SSL, &with_more), true),
            (field(SSL, &[0, 0, 0, 0, 0]), false),
            // Flags of a certificate, and those that nobody has given a meaning.
            (field(SSL, &[0b1111_1110, 0, 0, 0, 0]), false),
            (field(0x21, &[1, 0, 0, 0, 0]), false),
            (field(0x04, &field(SSL, &[1, 0, 0, 0, 0])), false),
            (
                [
                    field(0x01, b"h2"),
                    field(SSL, &[1, 0, 0, 0, 0]),
                    field(0x04, b""),
                ]
                .concat(),
                true,
            ),
        ] {
            for (kind, addresses) in [
                (0x11, ipv4(0)),
                (0x21, ipv6(Ipv6Addr::LOCALHOST)),
                (0x31, vec![b'a'; 216]),
            ] {
                let header = binary([0x21, kind], &[&addresses[..], &fields].concat());
                let (_, told) = read(&header).unwrap().unwrap();
                assert_eq!(told.tls, tls, "{fields:?}");
            }
        }
    }

    #[test]
    fn nothing_of_tls_is_told_of_a_proxy_itself_or_where_no_addresses_are() {
        let fields = field(SSL, &[1, 0, 0, 0, 0]);
        for (kind, rest) in [
            ([0x20, 0x11], [&ipv4(0)[..], &fields].concat()),
            ([0x20, 0x00], fields.clone()),
            ([0x21, 0x00], fields.clone()),
            // Nor is it read what they add.
            ([0x20, 0x11], ipv4(2)),
            ([0x21, 0x00], vec![SSL, 0xff]),
        ] {
            let (_, told) = read(&binary(kind, &rest)).unwrap().unwrap();
            assert!(!told.tls, "{kind:?} {rest:?}");
        }
    }

    #[test]
    fn fields_that_cannot_be_read_tell_nothing() {
        for fields in [
            vec![SSL],
            vec![SSL, 0],
            vec![SSL, 0, 5, 1, 0, 0, 0],
            vec![0xee, 0, 1],
            field(SSL, b""),
            field(SSL, &[1, 0, 0, 0]),
        ] {
            let header = binary([0x21, 0x11], &[&ipv4(0)[..], &fields].concat());
            // Also when bytes stand behind it that it could take for its own.
            for header in [header.clone(), [&header[..], &[0; 64]].concat()] {
                let (_, told) = read(&header).unwrap().unwrap();
                assert!(!told.tls, "{fields:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_shows() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(100)).into_bytes();
        for (bytes, why) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), Fault::NoHeader),
            (b"G".to_vec(), Fault::NoHeader),
            (b"\x16\x03\x01".to_vec(), Fault::NoHeader),
            (
                b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
                Fault::NoHeader,
            ),
            (
                b"PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n".to_vec(),
                Fault::NoHeader,
            ),
            (
                b"PROXY TCP4 1.1.1.1 1.1.1.1 1 99999\r\n".to_vec(),
                Fault::NoHeader,
            ),
            (b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(), Fault::NoHeader),
            (b"PROXY \xff\r\n".to_vec(), Fault::NoHeader),
            (long, Fault::TooLong),
            (binary([0x11, 0x11], &ipv4(0)), Fault::NoHeader),
            (binary([0x22, 0x11], &ipv4(0)), Fault::NoHeader),
            (binary([0x21, 0x12], &ipv4(0)), Fault::NoHeader),
            (binary([0x21, 0x41], &ipv4(0)), Fault::NoHeader),
            (binary([0x21, 0x11], &[1, 2, 3]), Fault::NoHeader),
            (binary([0x21, 0x11], &ipv4(510)), Fault::TooLong),
            (
                binary([0x21, 0x11], &ipv4(60_000))[..16].to_vec(),
                Fault::TooLong,
            ),
        ] {
            assert_eq!(read(&bytes), Err(why), "{bytes:?}");
        }
    }
}
