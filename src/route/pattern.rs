//! Patterns of hosts and paths, and which of two is more specific.

use std::cmp::Ordering;
use std::fmt;
use std::net::Ipv6Addr;

/// `/orders`, `/orders/*` (one segment) or `/orders/**` (the prefix itself and all below it).
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

/// However they are spelled.
impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.segments == other.segments
    }
}

impl Eq for PathPattern {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exact(String),
    One,
    Rest,
}

/// `api.example.com`, or `*.example.com` for one label more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: String,
    wildcard: bool,
    /// What `text` is, where it is an IPv6 address: those have many spellings.
    address: Option<Ipv6Addr>,
}

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It does not start with `/`.
    #[error("a path pattern starts with `/`")]
    NoSlash,
    /// `**` stands before the end.
    #[error("`**` can only be the last segment")]
    RestNotLast,
    /// A segment mixes `*` with other characters.
    #[error("`*` stands for a whole segment")]
    PartialWildcard,
    /// It escapes a `;`: requests that have it plain would pass by it.
    #[error("it holds an escape of `;`")]
    Escaped,
    /// Its text is a path we would refuse.
    #[error("no request can have this path")]
    NoSuchPath,
    /// It is not a host name.
    #[error("not a host name; `api.example.com` and `*.example.com` are")]
    NotAHost,
}

impl PathPattern {
    /// `/**`: every path.
    pub fn any() -> Self {
        Self {
            text: "/**".to_owned(),
            segments: vec![Segment::Rest],
        }
    }

    /// Reads a pattern. Its literal segments are compared with the canonical path.
    ///
    /// # Errors
    /// [`BadPattern`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        let rest = text.strip_prefix('/').ok_or(BadPattern::NoSlash)?;
        let mut segments = Vec::new();
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            segments.push(match part {
                "**" if parts.peek().is_some() => return Err(BadPattern::RestNotLast),
                "**" => Segment::Rest,
                "*" => Segment::One,
                _ if part.contains('*') => return Err(BadPattern::PartialWildcard),
                _ => Segment::Exact(canonical_segment(part)?),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// Whether the canonical path `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        let is_end = |rest: &str| rest.is_empty() || rest.starts_with('/');
        let mut rest = path;
        for segment in &self.segments {
            let part = rest.strip_prefix('/');
            let behind = match segment {
                Segment::Rest => return true,
                Segment::One => part
                    .filter(|part| !is_end(part))
                    .map(|part| part.trim_start_matches(|sign| sign != '/')),
                Segment::Exact(name) => part.and_then(|part| part.strip_prefix(&**name)),
            };
            match behind {
                Some(behind) if is_end(behind) => rest = behind,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// Greater is more specific: a literal before `*` before the end before
    /// `**`, left to right.
    pub fn specificity(&self, other: &Self) -> Ordering {
        // The end of a pattern ranks above `**`: `/a` goes before `/a/**`.
        const END: u8 = 1;
        let rank = |segment: &Segment| match segment {
            Segment::Exact(_) => 3,
            Segment::One => 2,
            Segment::Rest => 0,
        };
        let ranks = self.segments.iter().map(rank).chain([END]);
        ranks.cmp(other.segments.iter().map(rank).chain([END]))
    }

    /// A path that both match, if there is one, and as few others as can be: where both leave it open, it is of
    /// segments that no pattern names.
    pub(super) fn shared(&self, other: &Self) -> Option<String> {
        let mut path = String::new();
        for place in 0.. {
            let segment = match (self.segment(place), other.segment(place)) {
                (Some(Segment::Rest), Some(Segment::Rest)) => {
                    // `*` takes no empty segment.
                    path.push_str("//");
                    path.push_str(UNNAMED);
                    break;
                }
                (None | Some(Segment::Rest), None | Some(Segment::Rest)) => break,
                (Some(Segment::Exact(name)), Some(Segment::Exact(same))) if name == same => name,
                (Some(Segment::Exact(name)), Some(Segment::One))
                | (Some(Segment::One), Some(Segment::Exact(name)))
                    if !name.is_empty() =>
                {
                    name
                }
                (Some(Segment::Exact(name)), Some(Segment::Rest))
                | (Some(Segment::Rest), Some(Segment::Exact(name))) => name,
                (Some(Segment::One), Some(Segment::One | Segment::Rest))
                | (Some(Segment::Rest), Some(Segment::One)) => UNNAMED,
                _ => return None,
            };
            path.push('/');
            path.push_str(segment);
        }
        Some(path)
    }

    /// What it asks of a segment; `None` behind its end.
    fn segment(&self, place: usize) -> Option<&Segment> {
        let rest = || self.segments.last().filter(|last| **last == Segment::Rest);
        self.segments.get(place).or_else(rest)
    }
}

/// A segment that no request can have, so that no pattern names it.
const UNNAMED: &str = "\0";

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HostPattern {
    /// Reads a pattern; case does not matter.
    ///
    /// # Errors
    /// [`BadPattern::NotAHost`].
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        let lower = text.to_ascii_lowercase();
        let (wildcard, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        let address = ipv6(name);
        let good = (address.is_some() && !wildcard)
            || name.split('.').all(|label| {
                let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                !label.is_empty() && label.bytes().all(is_good)
            });
        if !good {
            return Err(BadPattern::NotAHost);
        }
        Ok(Self {
            text: address.map_or_else(|| name.to_owned(), |address| format!("[{address}]")),
            wildcard,
            address,
        })
    }

    /// Whether `host`, lower case and without a port, matches.
    pub fn matches(&self, host: &str) -> bool {
        if self.address.is_some() {
            return self.address == ipv6(host);
        }
        if !self.wildcard {
            return host == self.text;
        }
        host.strip_suffix(self.text.as_str())
            .and_then(|front| front.strip_suffix('.'))
            .is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }

    /// A host that it matches, and no other wildcard or name does but one that has all of its hosts.
    pub(super) fn example(&self) -> String {
        if self.wildcard {
            format!("{UNNAMED}.{}", self.text)
        } else {
            self.text.clone()
        }
    }

    /// Greater is more specific: a full name before a wildcard.
    pub const fn rank(&self) -> u8 {
        if self.wildcard { 1 } else { 2 }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.text)
    }
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn canonical_segment(part: &str) -> Result<String, BadPattern> {
    let text = format!("/{part}");
    let path = super::Path::read(&text).map_err(|_| BadPattern::NoSuchPath)?;
    if path.escapes_semicolon() {
        return Err(BadPattern::Escaped);
    }
    Ok(path.canonical()[1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_matches_whole_segments() {
        for (pattern, path, yes) in [
            ("/orders", "/orders", true),
            ("/orders", "/orders/", false),
            ("/orders/**", "/orders", true),
            ("/orders/**", "/orders/", true),
            ("/orders/**", "/orders/a/b", true),
            ("/orders/**", "/ordersx", false),
            ("/orders/*", "/orders/7", true),
            ("/orders/*", "/orders/", false),
            ("/orders/*", "/orders/7/8", false),
            ("/**", "/", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/%7euser", "/~user", true),
            ("/a%2A/%2a/%20", "/a*/*/%20", true),
            ("/jobs:cancel/@me", "/jobs:cancel/@me", true),
            ("/jobs%3acancel/%40me", "/jobs:cancel/@me", true),
        ] {
            let pattern = PathPattern::new(pattern).unwrap();
            assert_eq!(pattern.matches(path), yes, "{pattern} {path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_matches_segment_by_segment(
            pattern in "(/(a|ab|\\*|)){1,4}(/\\*\\*)?",
            path in "(/(a|ab|abc|)){1,5}",
        ) {
            let mut parts = path.split('/').skip(1);
            let mut wanted = pattern.split('/').skip(1);
            let matches = loop {
                match (wanted.next(), parts.next()) {
                    (Some("**"), _) | (None, None) => break true,
                    (Some("*"), Some(part)) if !part.is_empty() => {}
                    (Some(name), Some(part)) if name == part => {}
                    _ => break false,
                }
            };
            prop_assert_eq!(PathPattern::new(&pattern).unwrap().matches(&path), matches);
        }
    }

    #[test]
    fn a_pattern_that_no_request_can_match_is_refused() {
        for (text, why) in [
            ("orders", BadPattern::NoSlash),
            ("/**/x", BadPattern::RestNotLast),
            ("/a*", BadPattern::PartialWildcard),
            ("/a/../b", BadPattern::NoSuchPath),
            // Its plain spelling would be another path to it.
            ("/a%3bb/*", BadPattern::Escaped),
        ] {
            assert_eq!(PathPattern::new(text).unwrap_err(), why);
        }
        for text in [
            "a b",
            "a.example.com.",
            ".example.com",
            "a..b",
            "*.",
            "[::1",
            "*.[::1]",
            "a:80",
            "",
        ] {
            assert_eq!(
                HostPattern::new(text).unwrap_err(),
                BadPattern::NotAHost,
                "{text}"
            );
        }
    }

    #[test]
    fn two_patterns_overlap_where_a_path_matches_both() {
        for (one, other, shared) in [
            ("/a", "/a", Some("/a")),
            ("/a", "/b", None),
            ("/a", "/a/", None),
            ("/a/*", "/a/", None),
            ("/*/b", "/a/*", Some("/a/b")),
            ("/a/**", "/a", Some("/a")),
            ("/a/**", "/*/b/*", Some("/a/b/\0")),
            ("/a/**", "/**", Some("/a//\0")),
            ("/**", "/**", Some("//\0")),
            ("/**", "/", Some("/")),
            ("/a/*/c", "/a/*", None),
        ] {
            let [one, other] = [one, other].map(|text| PathPattern::new(text).unwrap());
            assert_eq!(one.shared(&other).as_deref(), shared, "{one} {other}");
            assert_eq!(other.shared(&one).as_deref(), shared, "{other} {one}");
            if let Some(path) = shared {
                assert!(one.matches(path) && other.matches(path), "{one} {other}");
            }
        }
    }

    #[test]
    fn an_address_is_the_same_in_every_spelling() {
        let pattern = HostPattern::new("[0:0:0:0:0:0:0:1]").unwrap();
        assert_eq!(pattern, HostPattern::new("[::1]").unwrap());
        for host in ["[::1]", "[0::1]", "[0:0:0:0:0:0:0:1]"] {
            assert!(pattern.matches(host), "{host}");
        }
        assert!(!pattern.matches("[::2]"));
        assert!(!pattern.matches("::1"));
    }

    #[test]
    fn a_wildcard_host_stands_for_one_label() {
        let pattern = HostPattern::new("*.Example.com").unwrap();
        assert!(pattern.matches("api.example.com"));
        assert!(!pattern.matches("example.com"));
        assert!(!pattern.matches("a.b.example.com"));
    }
}
