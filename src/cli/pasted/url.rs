//! What curl makes of a URL, and what of one is told.

use crate::admin::api::operations::decoded;
use crate::cli::message::without_user;
use data_encoding::BASE64;
use std::net::Ipv6Addr;

/// What curl sends `url` as, where `-g` is not there: a `\` before a bracket or a brace makes it stand for itself,
/// and is taken off. `None` where one stands bare, since it begins a pattern, or ends one that is none.
pub(super) fn globbed(url: &str) -> Option<String> {
    const SIGNS: [char; 4] = ['[', ']', '{', '}'];
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find(['\\', '[', ']', '{', '}']) {
        let (front, behind) = rest.split_at(at);
        out.push_str(front);
        let (sent, left) = match behind.strip_prefix('\\') {
            Some(escaped) if escaped.starts_with(SIGNS) => escaped.split_at(1),
            Some(_) => behind.split_at(1),
            None => behind.split_at(kept_brackets(behind)?),
        };
        out.push_str(sent);
        rest = left;
    }
    out.push_str(rest);
    Some(out)
}

/// The bytes of the brackets that `text` begins with, where they are no pattern: around nothing, or around an address.
fn kept_brackets(text: &str) -> Option<usize> {
    let (inner, _) = text.strip_prefix('[')?.split_once(']')?;
    let (address, _) = inner.split_once('%').unwrap_or((inner, ""));
    let is_kept = inner.is_empty() || address.parse::<Ipv6Addr>().is_ok();
    is_kept.then_some("[]".len() + inner.len())
}

/// `url` without its fragment, which is not sent.
pub(super) fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

/// `url` with the dot segments taken out of its path (RFC 3986, section 5.2.4).
pub(super) fn without_dots(url: &str) -> String {
    let Some(start) = url.find("://").map(|at| at + 3) else {
        return url.to_owned();
    };
    let (front, rest) = url.split_at(start);
    let Some(slash) = rest
        .find(['/', '?'])
        .filter(|at| rest[*at..].starts_with('/'))
    else {
        return url.to_owned();
    };
    let (host, target) = rest.split_at(slash);
    let (path, query) = match target.find('?') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("{front}{host}/{}{query}", kept.join("/"))
}

/// `url` with `data` behind its query, as `-G` puts it there.
pub(super) fn with_query(url: &str, data: &str) -> String {
    let sign = match url.split_once('?') {
        _ if data.is_empty() => "",
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{url}{sign}{data}")
}

/// Whether `text` has an escape whose digits are in one case or the other.
pub(super) fn has_letters_in_escapes(text: &str) -> bool {
    text.split('%').skip(1).any(|behind| {
        let digits = behind.get(..2).unwrap_or_default();
        let is_escape = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_escape && digits.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// The user, the host and the port of `url`.
pub(super) fn authority(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.split(['/', '?', '#']).next().unwrap_or_default()
}

/// `url` as a message may tell it: without its user, and without its query and its fragment, which
/// may hold a credential.
pub(super) fn told(url: &str) -> String {
    let shown = without_user(url);
    let end = shown.find(['?', '#']).unwrap_or(shown.len());
    let (front, rest) = shown.split_at(end);
    // Of the rest there is the sign alone.
    let (sign, rest) = rest.split_at(rest.len().min(1));
    let left_out = if rest.is_empty() { "" } else { "…" };
    format!("{front}{sign}{left_out}")
}

/// What curl makes of `user:password`.
pub(super) fn basic(user: &[u8]) -> String {
    format!("Basic {}", BASE64.encode(user))
}

/// What curl makes of `user:password@` in a URL.
pub(super) fn user_of(url: &str) -> Option<String> {
    let (user, _) = authority(url).rsplit_once('@')?;
    let mut text = decoded(user)?;
    if !user.contains(':') {
        text.push(':');
    }
    Some(basic(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_braces_are_sent_as_curl_sends_them() {
        for (url, sent) in [
            (r"/a?f\[a\]=\{b\}", Some("/a?f[a]={b}")),
            (r"/a?\\\[\x\", Some(r"/a?\\[\x\")),
            ("http://[::1]:80/", Some("http://[::1]:80/")),
            (
                "[fe80::1%25eth0][::ffff:1.2.3.4]",
                Some("[fe80::1%25eth0][::ffff:1.2.3.4]"),
            ),
            ("f[]=é&f[]=2", Some("f[]=é&f[]=2")),
            (r"\é[]", Some(r"\é[]")),
            ("/a", Some("/a")),
            ("", Some("")),
            ("{a}", None),
            ("{}", None),
            ("[1-3]", None),
            ("[a]", None),
            ("[1.2.3.4]", None),
            ("[::g]", None),
            (r"\\[1-2]", None),
            ("[", None),
            ("]", None),
            ("}", None),
            ("#[1-2]", None),
        ] {
            assert_eq!(globbed(url).as_deref(), sent, "{url}");
        }
    }

    #[test]
    fn a_url_is_told_without_what_may_open_something() {
        for (url, wanted) in [
            ("http://h/a?b=1", "http://h/a?…"),
            ("http://h/a b?api_key=canary#c", "http://h/a b?…"),
            ("http://h/#token=canary", "http://h/#…"),
            ("http://me:ca?nary@h/a", "http://…@h/a"),
            ("http://h/a?mail=a@b?c", "http://…@b?…"),
            ("http://h/a?", "http://h/a?"),
            ("/x?k=canary&n=https://h/", "/x?…"),
            ("/x?k=canary-x://me:pw@h/", "…@h/"),
            ("h/a", "h/a"),
            ("", ""),
        ] {
            assert_eq!(told(url), wanted, "{url}");
        }
    }
}
