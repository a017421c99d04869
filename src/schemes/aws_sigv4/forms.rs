//! The ways in which signers write path and query of one and the same request.
//!
//! What is verified is always the target as it was sent: each form is made of
//! it and of nothing else. There are few of them, most requests have one, and
//! how many bytes may be hashed for one request has a bound ([`MAX_TRIED`]).

use super::read::pairs;
use crate::route::{SigV4, SignedPath};
use crate::schemes::received::Received;
use crate::schemes::words::{halves, words};
use std::borrow::Cow;

/// Bytes of text that are hashed before no further form is tried.
pub const MAX_TRIED: usize = 64 * 1024;

/// What stands in place of the path and of the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms<'r> {
    /// The path's, at most two.
    pub paths: Vec<Cow<'r, str>>,
    /// The query's, at most four.
    pub queries: Vec<Cow<'r, str>>,
}

/// One of them: path and query.
pub(super) type Form<'r> = (Cow<'r, str>, Cow<'r, str>);

impl<'r> Forms<'r> {
    /// Every form that signers give the target of `received`, the likeliest first.
    pub fn of(received: &Received<'r>, in_query: bool, settings: &SigV4) -> Self {
        let mut forms = Self::default();
        let path = received.path().raw();
        if settings.path != SignedPath::AsSent {
            forms.add_path(again(path, settings));
        }
        // What could be another path's escaped form is not taken as it stands besides: it would let
        // the signature for one path stand for another.
        let is_ambiguous = settings.path == SignedPath::Any && stands_for_another(path);
        if settings.path != SignedPath::EncodedAgain && !is_ambiguous {
            forms.add_path(Cow::Borrowed(path));
        }
        let query = received.query().unwrap_or_default();
        let query = if in_query {
            without_signature(query)
        } else {
            Cow::Borrowed(query)
        };
        forms.add_query(Some(sorted_of(&query)));
        // Some servers part a query at `;`: what was signed for an escaped one is no signature for a plain one.
        if !is_encoded(&query) && !query.contains(';') {
            forms.add_query(encoded(&query, *b"%2B").map(Cow::Owned));
            if settings.plus_is_space && query.contains('+') {
                forms.add_query(encoded(&query, *b"%20").map(Cow::Owned));
            }
        }
        // Whoever puts the signature there sorts what he signs.
        if !in_query {
            forms.add_query(Some(query));
        }
        forms
    }

    /// Whether there is no other than this, which [`Forms::first`] has given.
    pub(super) fn is_only(in_query: bool, settings: &SigV4, (path, query): &Form<'_>) -> bool {
        let is_as_sent = |one: &Cow<'_, str>| matches!(one, Cow::Borrowed(_));
        let has_one_path = settings.path != SignedPath::Any || is_as_sent(path);
        has_one_path && (in_query || is_as_sent(query)) && is_encoded(query)
    }

    /// The first of them, made without the others.
    pub(super) fn first(received: &Received<'r>, in_query: bool, settings: &SigV4) -> Form<'r> {
        let path = received.path().raw();
        let path = match settings.path {
            SignedPath::AsSent => Cow::Borrowed(path),
            SignedPath::Any | SignedPath::EncodedAgain => again(path, settings),
        };
        let query = received.query().unwrap_or_default();
        let query = if in_query {
            without_signature(query)
        } else {
            Cow::Borrowed(query)
        };
        (path, sorted_of(&query))
    }

    fn add_path(&mut self, path: Cow<'r, str>) {
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    fn add_query(&mut self, query: Option<Cow<'r, str>>) {
        if let Some(query) = query
            && !self.queries.contains(&query)
        {
            self.queries.push(query);
        }
    }

    /// Each path with each query.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.paths
            .iter()
            .flat_map(|path| self.queries.iter().map(move |query| (&**path, &**query)))
    }
}

/// Percent-encoded once more, and with the empty segments merged that a route may let pass.
pub(super) fn encoded_again(path: &str) -> Cow<'_, str> {
    encoded_once_more(path, true)
}

/// As those who sign so write it where the route takes them alone. Where it takes others besides, nothing
/// is merged: the signature for one object's path would stand for that of another.
fn again<'p>(path: &'p str, settings: &SigV4) -> Cow<'p, str> {
    encoded_once_more(path, settings.path == SignedPath::EncodedAgain)
}

fn encoded_once_more(path: &str, merges: bool) -> Cow<'_, str> {
    let is_plain = |byte: u8| is_unreserved(byte) || byte == b'/';
    let has_empty = merges && path.contains("//");
    if path.bytes().all(is_plain) && !has_empty {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        match byte {
            b'/' if merges && out.ends_with('/') => {}
            _ if is_plain(byte) => out.push(byte as char),
            _ => push_encoded(&mut out, byte),
        }
    }
    Cow::Owned(out)
}

/// Whether a path, taken as it stands, is how signers write another one that is served otherwise: it
/// holds an escape that is escaped itself, or a `;` that is, of which a plain one cuts a path off.
fn stands_for_another(path: &str) -> bool {
    path.match_indices('%').any(|(at, _)| {
        let behind = path.as_bytes().get(at + 1..).unwrap_or_default();
        match behind {
            [b'3', b'b' | b'B', ..] => true,
            [b'2', b'5', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
            _ => false,
        }
    })
}

/// The query of a presigned URL without its signature, which cannot sign itself.
fn without_signature(query: &str) -> Cow<'_, str> {
    const SIGNATURE: &str = "X-Amz-Signature=";
    // Where signers put it.
    if let Some((front, last)) = query.rsplit_once('&')
        && last.starts_with(SIGNATURE)
    {
        return Cow::Borrowed(front);
    }
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with(SIGNATURE))
        .collect();
    Cow::Owned(kept.join("&"))
}

/// As [`sorted`], of what may be borrowed from the request.
fn sorted_of<'r>(query: &Cow<'r, str>) -> Cow<'r, str> {
    match query {
        Cow::Borrowed(query) => sorted(query),
        Cow::Owned(query) => Cow::Owned(sorted(query).into_owned()),
    }
}

/// Sorted by name and value as they were sent.
pub(super) fn sorted(query: &str) -> Cow<'_, str> {
    if query.is_empty() || is_sorted(query) {
        return Cow::Borrowed(query);
    }
    let mut all: Vec<(&str, &str)> = pairs(query).collect();
    all.sort_unstable();
    let mut out = String::with_capacity(query.len() + 8);
    for (at, (name, value)) in all.into_iter().enumerate() {
        if at > 0 {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
    Cow::Owned(out)
}

/// Whether it is so already, and each name has its `=`.
fn is_sorted(query: &str) -> bool {
    let mut before = None;
    words(query, b'&').all(|pair| {
        let pair = halves(pair, b'=');
        let is_next = pair.is_some() && before <= pair;
        before = pair;
        is_next
    })
}

/// Whether encoding it anew changes nothing but the order.
pub(super) fn is_encoded(query: &str) -> bool {
    let is_plain = |byte: u8| is_unreserved(byte) | matches!(byte, b'=' | b'&');
    // All of it at a time, without a way out: that is several bytes an instruction.
    let all_plain = |text: &[u8]| text.iter().fold(true, |all, byte| all & is_plain(*byte));
    let mut parts = words(query, b'%');
    let front = parts.next().unwrap_or_default();
    let are_escapes_good = parts.all(|behind| match behind.as_bytes() {
        [
            high @ (b'0'..=b'9' | b'A'..=b'F'),
            low @ (b'0'..=b'9' | b'A'..=b'F'),
            rest @ ..,
        ] => !is_unreserved(digit(*high) << 4 | digit(*low)) && all_plain(rest),
        _ => false,
    });
    // A second `=` is a part of the value, and is encoded there.
    let mut marks = memchr::memchr2_iter(b'=', b'&', query.as_bytes());
    let mut was_sign = false;
    let has_no_second = marks.all(|at| {
        let is_sign = query.as_bytes().get(at) == Some(&b'=');
        !(std::mem::replace(&mut was_sign, is_sign) && is_sign)
    });
    all_plain(front.as_bytes()) && are_escapes_good && has_no_second
}

fn digit(byte: u8) -> u8 {
    (byte as char).to_digit(16).unwrap_or_default() as u8
}

/// Decoded, encoded anew, and then sorted; `None` where an escape is broken. `plus` stands for `+`.
pub(super) fn encoded(query: &str, plus: [u8; 3]) -> Option<String> {
    let recode = |text: &str| {
        let mut out = String::with_capacity(text.len() + 8);
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => out.extend(plus.map(char::from)),
                b'%' => push_plain(&mut out, escape(&mut bytes)?),
                _ => push_plain(&mut out, byte),
            }
        }
        Some(out)
    };
    if query.is_empty() {
        return Some(String::new());
    }
    let mut all = Vec::new();
    for (name, value) in pairs(query) {
        all.push((recode(name)?, recode(value)?));
    }
    all.sort_unstable();
    let all: Vec<String> = all
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(all.join("&"))
}

/// `text` without its escapes; `None` where one is broken.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => escape(&mut bytes)?,
            _ => byte,
        });
    }
    Some(out)
}

/// The byte whose two digits come next.
fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    Some(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?)
}

fn push_plain(out: &mut String, byte: u8) {
    if is_unreserved(byte) {
        out.push(byte as char);
    } else {
        push_encoded(out, byte);
    }
}

fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[(byte >> 4) as usize] as char);
    out.push(DIGITS[(byte & 15) as usize] as char);
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
