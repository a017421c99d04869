//! Host and port, as they stand in `Host` and in a target.

use std::borrow::Cow;

/// `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986, section 3.2.2), without user information.
/// No label is empty, the last one neither: servers take `example.com.` for `example.com`.
pub(super) fn is_host(text: &str) -> bool {
    let (name, port) = split_port(text);
    let port_is_good = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let name_is_good = if let Some(literal) = name.strip_prefix('[') {
        let ip = literal.strip_suffix(']');
        ip.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        let is_good = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b'-' | b'.' | b'_');
        // All of it at a time, without a way out: that is several bytes an instruction.
        let all_good = name.bytes().fold(true, |good, b| good & is_good(b));
        let pairs = name.bytes().zip(name.bytes().skip(1));
        let is_split = pairs.fold(true, |good, pair| good & !matches!(pair, (b'.', b'.')));
        let is_whole = !name.is_empty() && !name.starts_with('.') && !name.ends_with('.');
        is_whole && name.len() <= 255 && all_good && is_split
    };
    port_is_good && name_is_good
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
