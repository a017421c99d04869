//! Fields that tell whom a trusted proxy speaks for: whatever a stranger writes, what the proxies between
//! it and us append stands. The first byte of an input says which fields are believed; the rest are lines
//! of them, and one that begins with `=` is of `X-Forwarded-Proto`.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis::server::{Counts, Fields, Forwarders, Networks, Peer};
use std::net::IpAddr;

/// Proxies that one request may have passed.
const MAX_HOPS: usize = 16;
/// Whom the nearest proxy saw, and the nearest proxy itself.
const SEEN: &str = "192.0.2.1";
const NEAREST: &str = "10.0.0.1";

/// What must hold of any bytes.
pub(super) fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let (which, name, appended) = if first % 2 == 0 {
        (Fields::Forwarded, "forwarded", "for=192.0.2.1")
    } else {
        (Fields::XForwardedFor, "x-forwarded-for", SEEN)
    };
    let name = HeaderName::from_static(name);
    let mut fields = HeaderMap::new();
    for line in rest.split(|byte| *byte == b'\n') {
        let (name, line) = match line.strip_prefix(b"=") {
            Some(scheme) => (HeaderName::from_static("x-forwarded-proto"), scheme),
            None => (name.clone(), line),
        };
        if let Ok(line) = HeaderValue::from_bytes(line) {
            fields.append(name, line);
        }
    }
    let (seen, nearest) = (address(SEEN), address(NEAREST));
    let forwarders = Forwarders {
        trusted: Networks(vec!["10.0.0.0/8".parse().expect("a network")]),
        fields: which,
        proxy_protocol: false,
    };
    let told = |fields: &HeaderMap| {
        let peer = Peer {
            is_trusted: true,
            ..Peer::at(Some(nearest))
        };
        let told = forwarders.told_by(&peer, fields, &Counts::default());
        // Each on the way is one that we trust, up to the one that is told, and their number has a bound.
        assert!(told.via.len() <= MAX_HOPS, "{:?}", told.via);
        assert!(
            told.via
                .iter()
                .all(|hop| forwarders.trusted.contain(Some(*hop)))
        );
        assert!(told.address == Some(nearest) || told.via.last() == Some(&nearest));
        told
    };
    told(&fields);

    // A proxy appends a line: what a stranger wrote is not looked at.
    let mut behind = fields.clone();
    behind.append(name.clone(), HeaderValue::from_static(appended));
    let told_behind = told(&behind);
    assert_eq!(told_behind.address, Some(seen));
    assert_eq!(told_behind.via, [nearest]);

    // Or it appends to the last line, where a quote may still be open: then nobody is believed.
    let last = fields.get_all(&name).iter().next_back().cloned();
    if let Some(last) = last {
        for appended in [appended, "for=\"192.0.2.1:80\";proto=https"] {
            if which == Fields::XForwardedFor && appended != SEEN {
                continue;
            }
            let line = [last.as_bytes(), b", ", appended.as_bytes()].concat();
            let line = HeaderValue::from_bytes(&line).expect("both are");
            let mut joined = HeaderMap::new();
            let lines = fields.get_all(&name);
            let count = lines.iter().count();
            joined.extend(
                lines
                    .iter()
                    .take(count - 1)
                    .map(|one| (name.clone(), one.clone())),
            );
            joined.append(name.clone(), line);
            let told = told(&joined);
            assert!(
                told.address == Some(seen) || told.address == Some(nearest) && told.via.is_empty(),
                "{told:?}"
            );
            if which == Fields::XForwardedFor {
                assert_eq!(told.address, Some(seen));
            }
        }
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
