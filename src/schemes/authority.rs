//! Host and port, as they stand in `Host` and in a target.

use std::borrow::Cow;

/// `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986, section 3.2.2), without user information.
/// No label is empty, the last one neither: servers take `example.com.` for `example.com`.
pub(super) fn is_host(text: &str) -> bool {
    let (name, port) = split_port(text);
    let port_is_good = port.is_none_or(|port| port_number(port).is_some());
    let name_is_good = if let Some(literal) = name.strip_prefix('[') {
        let ip = literal.strip_suffix(']');
        ip.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        is_name(name)
    };
    port_is_good && name_is_good
}

fn is_name(text: &str) -> bool {
    // The first label begins as those behind a dot do.
    let mut before = b'.';
    for byte in text.bytes() {
        let is_good = match byte {
            b'.' => before != b'.',
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
        };
        if !is_good {
            return false;
        }
        before = byte;
    }
    before != b'.' && text.len() <= 255
}

/// The number of a port: `0` is none, and neither are `65536`, `-1`, `+80` and `90O0`.
fn port_number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<u16>()
        .ok()
        .filter(|port| is_number && *port > 0)
}

/// An authority with a port that is none.
#[cfg(feature = "gateway")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has a port that is none")]
pub(crate) struct NoPort;

/// The port that an authority names, if it names one. What stands behind the colon and is no port is never taken for no port at all,
/// as [`http::uri::Authority::port`] takes it: a scheme's usual port is another place than was meant.
///
/// # Errors
/// [`NoPort`].
#[cfg(feature = "gateway")]
pub(crate) fn port_of(authority: &http::uri::Authority) -> Result<Option<u16>, NoPort> {
    let text = authority.as_str();
    let place = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let behind = place.strip_prefix(authority.host()).ok_or(NoPort)?;
    if behind.is_empty() {
        return Ok(None);
    }
    let port = behind.strip_prefix(':').and_then(port_number);
    port.map(Some).ok_or(NoPort)
}

/// The host, and the port if there is one.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    // What ends in no digit has none: most hosts are told by their last byte.
    let name = authority.trim_end_matches(|last: char| last.is_ascii_digit());
    match name.strip_suffix(':') {
        Some(host) => (host, Some(&authority[name.len()..])),
        None => (authority, None),
    }
}

/// Without the port that is the scheme's own.
pub(crate) fn without_own_port<'r>(scheme: &str, authority: &'r str) -> &'r str {
    let own = if scheme == "https" { "443" } else { "80" };
    match split_port(authority) {
        (name, Some(port)) if port == own => name,
        _ => authority,
    }
}

/// The same in lower case.
pub(super) fn normal_authority<'r>(scheme: &str, authority: &'r str) -> Cow<'r, str> {
    let text = without_own_port(scheme, authority);
    if text
        .bytes()
        .fold(false, |any, b| any | b.is_ascii_uppercase())
    {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_of_labels_none_of_which_is_empty() {
        let label = "a".repeat(63);
        let long = [&*label; 4].join(".");
        for good in ["a", "A-1_b.c", "127.0.0.1:80", &long] {
            assert!(super::is_host(good), "{good}");
        }
        for bad in [
            "",
            ".",
            ".a",
            "a.",
            "a..b",
            "a.:80",
            "a b",
            "a/b",
            "é",
            &format!("{long}b"),
        ] {
            assert!(!super::is_host(bad), "{bad}");
        }
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn no_port_and_a_port_that_is_none_are_told_apart() {
        use super::{NoPort, port_of};
        for (text, port) in [
            ("example.com", Ok(None)),
            ("[2001:db8::1]", Ok(None)),
            ("user:80@example.com", Ok(None)),
            ("example.com:8080", Ok(Some(8080))),
            ("[::1]:65535", Ok(Some(65_535))),
            ("user:x@example.com:1", Ok(Some(1))),
            ("example.com:", Err(NoPort)),
            ("example.com:0", Err(NoPort)),
            ("example.com:65536", Err(NoPort)),
            ("127.0.0.1:99999", Err(NoPort)),
            ("127.0.0.1:-1", Err(NoPort)),
            ("127.0.0.1:+80", Err(NoPort)),
            ("127.0.0.1:9000x", Err(NoPort)),
            ("127.0.0.1:90O0", Err(NoPort)),
            ("[::1]80", Err(NoPort)),
        ] {
            assert_eq!(port_of(&text.parse().unwrap()), port, "{text}");
        }
    }
}
