//! `htu`: the URL that a proof is for, without query and fragment.

use crate::schemes::Received;
use crate::schemes::authority::normal_authority;
use std::borrow::Cow;

/// Whether `htu` is where `received` goes, by syntax and by scheme (RFC 9449, section 4.3, step 9;
/// RFC 3986, section 6.2.2 and 6.2.3).
pub(super) fn is_of(htu: &str, received: &Received<'_>) -> bool {
    let end = htu.find(['?', '#']).unwrap_or(htu.len());
    let Some((scheme, rest)) = htu[..end].split_once("://") else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case(received.scheme()) {
        return false;
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let target = received.target();
    let own = target.split_once('?').map_or(target, |(path, _)| path);
    *normal_authority(received.scheme(), authority) == *received.authority()
        && normal_path(path) == normal_path(own)
}

/// The path without `.` and `..`, with `%7E` as `~`, and with `%2f` as `%2F`.
fn normal_path(path: &str) -> Cow<'_, str> {
    let path = if path.is_empty() { "/" } else { path };
    if !path.contains('%') && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let decoded = normal_escapes(path);
    let mut segments: Vec<&str> = Vec::new();
    let all: Vec<&str> = decoded.split('/').skip(1).collect();
    for (at, segment) in all.iter().enumerate() {
        let is_last = at + 1 == all.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            other => segments.push(other),
        }
    }
    Cow::Owned(format!("/{}", segments.join("/")))
}

fn normal_escapes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let Some(hex) = rest.get(at + 1..at + 3) else {
            break;
        };
        match u8::from_str_radix(hex, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                out.push_str(&hex.to_ascii_uppercase());
            }
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::Surroundings;
    use http::Request;

    fn holds(htu: &str, target: &str) -> bool {
        let request = Request::get(target).header("host", "API.example.com:443");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let around = Surroundings {
            http2: false,
            tls: true,
            has_body: false,
            public_url: None,
        };
        let received = Received::read(&head.method, &head.uri, &head.headers, around).unwrap();
        is_of(htu, &received)
    }

    #[test]
    fn what_means_the_same_place_is_the_same() {
        for htu in [
            "https://api.example.com/orders/~7",
            "https://api.example.com:443/orders/~7",
            "HTTPS://API.EXAMPLE.COM/orders/~7",
            "https://api.example.com/orders/~7?x=1#there",
            "https://api.example.com/orders/%7e7",
            "https://api.example.com/./orders/x/../~7",
        ] {
            assert!(holds(htu, "/orders/~7?b=2"), "{htu}");
        }
        assert!(holds("https://api.example.com", "/"));
        assert!(holds("https://api.example.com/a/.", "/a/"));
        assert!(holds("https://api.example.com/a%c3%a4", "/a%C3%A4"));
    }

    #[test]
    fn every_other_place_is_another() {
        for htu in [
            "",
            "/orders/7",
            "api.example.com/orders/7",
            "http://api.example.com/orders/7",
            "https://api.example.com:8443/orders/7",
            "https://other.example.com/orders/7",
            "https://api.example.com.evil.example/orders/7",
            "https://user@api.example.com/orders/7",
            "https://api.example.com/orders/8",
            "https://api.example.com/Orders/7",
            "https://api.example.com/orders/7/",
            "https://api.example.com/orders/%37%",
            "https://api.example.com//orders/7",
            "https://api.example.com/orders%2f7",
            "https:///orders/7",
            "https://",
        ] {
            assert!(!holds(htu, "/orders/7"), "{htu}");
        }
    }
}
