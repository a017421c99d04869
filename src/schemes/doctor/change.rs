//! What signers get wrong about a request itself, apart from any scheme: each
//! change says what they took in its place, and each scheme writes its text with it.

use super::Mistake;
use crate::crypto::DigestAlgorithm;
use crate::schemes::received::Received;
use data_encoding::{BASE64, HEXLOWER};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Pairs of a query that are sorted; one with more is left as it is.
const MAX_PAIRS: usize = 128;

/// In which case the method stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `get`.
    Lower,
    /// `GET`.
    Upper,
}

/// How the digest of a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestForm {
    /// As in its field, in hexadecimal.
    Hex,
    /// As in its field, without the colons.
    Plain,
    /// Base64, without the algorithm's name.
    Bare,
    /// Hexadecimal digits alone.
    BareHex,
}

/// What a signer took in place of what was sent: `None` is what is right.
#[derive(Clone, Debug, Default)]
pub struct Change<'r> {
    /// The method.
    pub method: Option<Case>,
    /// The scheme.
    pub scheme: Option<&'static str>,
    /// Host and port.
    pub authority: Option<Cow<'r, str>>,
    /// The path.
    pub path: Option<Cow<'r, str>>,
    /// The query, without `?`; or that there is none.
    pub query: Option<Option<Cow<'r, str>>>,
    /// The body's digest.
    pub digest: Option<DigestForm>,
}

impl Change<'_> {
    /// The method, which by its scheme's rule stands in the case of `usual`.
    pub fn method<'m>(&self, received: &'m Received<'_>, usual: Case) -> Cow<'m, str> {
        let method = received.method().as_str();
        match self.method.unwrap_or(usual) {
            Case::Upper => Cow::Borrowed(method),
            Case::Lower => Cow::Owned(method.to_ascii_lowercase()),
        }
    }

    /// `http` or `https`.
    pub fn scheme<'m>(&self, received: &Received<'m>) -> &'m str {
        self.scheme.unwrap_or_else(|| received.scheme())
    }

    /// Host and port; `right` is what stands there without a mistake.
    pub fn authority<'m>(&'m self, right: &'m str) -> &'m str {
        self.authority.as_deref().unwrap_or(right)
    }

    /// The path.
    pub fn path<'m>(&'m self, received: &'m Received<'_>) -> &'m str {
        let right = || received.path().raw();
        self.path.as_deref().unwrap_or_else(right)
    }

    /// The query.
    pub fn query<'m>(&'m self, received: &'m Received<'_>) -> Option<&'m str> {
        match &self.query {
            Some(query) => query.as_deref(),
            None => received.query(),
        }
    }

    /// Path and query.
    pub fn target(&self, received: &Received<'_>) -> String {
        if self.path.is_none() && self.query.is_none() {
            return received.target().to_owned();
        }
        let path = self.path(received);
        match self.query(received) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// The value of the field that holds the body's digest.
    pub fn digest<'m>(&self, value: &'m str) -> Cow<'m, str> {
        let changed = self.digest.and_then(|form| {
            let (name, rest) = value.split_once('=')?;
            let (open, text) = match rest.strip_prefix(':') {
                Some(rest) => (":", rest.strip_suffix(':')?),
                None => ("", rest),
            };
            let bytes = BASE64.decode(text.as_bytes()).ok()?;
            let is_one = DigestAlgorithm::ALL
                .iter()
                .any(|known| known.size() == bytes.len());
            let hex = HEXLOWER.encode(&bytes);
            is_one.then(|| match form {
                DigestForm::Hex => format!("{name}={open}{hex}{open}"),
                DigestForm::Plain => format!("{name}={text}"),
                DigestForm::Bare => text.to_owned(),
                DigestForm::BareHex => hex,
            })
        });
        changed.map_or(Cow::Borrowed(value), Cow::Owned)
    }
}

/// Every change that is tried, the likeliest first.
pub(super) fn changes<'r>(received: &'r Received<'_>) -> Vec<(Mistake, Change<'r>)> {
    let mut all = vec![
        (Mistake::MethodLower, method(Case::Lower)),
        (Mistake::MethodUpper, method(Case::Upper)),
    ];
    queries(received, &mut all);
    paths(received, &mut all);
    places(received, &mut all);
    let forms = [
        (Mistake::DigestInHex, DigestForm::Hex),
        (Mistake::DigestBare, DigestForm::Bare),
        (Mistake::DigestBare, DigestForm::Plain),
        (Mistake::DigestInHex, DigestForm::BareHex),
    ];
    all.extend(forms.map(|(mistake, form)| {
        let digest = Some(form);
        let change = Change {
            digest,
            ..Change::default()
        };
        (mistake, change)
    }));
    all
}

fn method<'r>(case: Case) -> Change<'r> {
    Change {
        method: Some(case),
        ..Change::default()
    }
}

fn queries<'r>(received: &'r Received<'_>, all: &mut Vec<(Mistake, Change<'r>)>) {
    let mut push = |mistake, query: Option<Cow<'r, str>>| {
        if query.as_deref() != received.query() {
            let query = Some(query);
            let change = Change {
                query,
                ..Change::default()
            };
            all.push((mistake, change));
        }
    };
    let Some(query) = received.query() else {
        return push(Mistake::EmptyQuery, Some("".into()));
    };
    if query.is_empty() {
        return push(Mistake::EmptyQuery, None);
    }
    let sorted = sorted(query);
    if let Some(sorted) = &sorted {
        push(Mistake::QuerySorted, Some(sorted.clone().into()));
    }
    push(Mistake::QueryMissing, None);
    let spaced = query.replace('+', "%20");
    push(Mistake::QueryDecoded, Some(decoded(query).into()));
    push(Mistake::QueryDecoded, Some(decoded(&spaced).into()));
    push(Mistake::QueryEncoded, Some(spaced.clone().into()));
    push(
        Mistake::QueryEncoded,
        Some(query.replace("%20", "+").into()),
    );
    push(Mistake::QueryEncoded, Some(encoded(query, b"=&%").into()));
    push(Mistake::QueryEncoded, Some(encoded(query, b"=&").into()));
    push(Mistake::EscapeCase, Some(cased(query, true).into()));
    push(Mistake::EscapeCase, Some(cased(query, false).into()));
    // What AWS's signers make of a query, and those who learnt from them.
    if let Some(sorted) = sorted {
        let anew = encoded(&sorted.replace('+', "%20"), b"=&%");
        push(Mistake::QuerySorted, Some(anew.into()));
    }
}

fn paths<'r>(received: &'r Received<'_>, all: &mut Vec<(Mistake, Change<'r>)>) {
    let path = received.path();
    let raw = path.raw();
    let mut push = |mistake, other: Cow<'r, str>| {
        if *other != *raw {
            let path = Some(other);
            let change = Change {
                path,
                ..Change::default()
            };
            all.push((mistake, change));
        }
    };
    // Before what decodes, which writes the rest in one case.
    push(Mistake::EscapeCase, cased(raw, true).into());
    push(Mistake::EscapeCase, cased(raw, false).into());
    push(Mistake::PathDecoded, path.canonical().into());
    push(Mistake::PathDecoded, decoded(raw).into());
    push(Mistake::PathEncodedTwice, raw.replace('%', "%25").into());
    push(Mistake::PathEncoded, encoded(raw, b"/%").into());
    // Of `/` nothing is left: some take a URL without a path as it is written.
    push(
        Mistake::PathSlash,
        match raw.strip_suffix('/') {
            Some(without) => without.into(),
            None => format!("{raw}/").into(),
        },
    );
}

/// Scheme and host.
fn places<'r>(received: &'r Received<'_>, all: &mut Vec<(Mistake, Change<'r>)>) {
    let ours = received.authority();
    let (name, port) = crate::schemes::authority::split_port(ours);
    let as_sent = received.sent_authority();
    let other = if received.scheme() == "https" {
        "http"
    } else {
        "https"
    };
    let ports = |scheme| if scheme == "https" { 443 } else { 80 };
    let mut push = |mistake, scheme: Option<&'static str>, authority: Option<Cow<'r, str>>| {
        let is_other = |one: &str| one != ours || one != as_sent;
        if scheme.is_some() || authority.as_deref().is_some_and(is_other) {
            let change = Change {
                scheme,
                authority,
                ..Change::default()
            };
            all.push((mistake, change));
        }
    };
    push(Mistake::SchemeDiffers, Some(other), None);
    push(Mistake::HostAsSent, None, Some(as_sent.into()));
    // Right where it is signed in one form whichever it is sent in.
    push(Mistake::HostNotAsSent, None, Some(ours.into()));
    if port.is_some() {
        push(Mistake::HostWithoutPort, None, Some(name.into()));
    } else {
        let with = |scheme| Some(format!("{ours}:{}", ports(scheme)).into());
        push(Mistake::HostWithPort, None, with(received.scheme()));
        push(Mistake::HostWithPort, None, with(other));
        push(Mistake::HostWithPort, Some(other), with(other));
    }
    if as_sent != ours {
        push(Mistake::SchemeDiffers, Some(other), Some(as_sent.into()));
    }
    let url = format!("{}://{ours}", received.scheme());
    push(Mistake::HostWithScheme, None, Some(url.into()));
}

/// The name of a field as many write it, `content-type` as `Content-Type`, in quotes or bare.
pub fn capitalized(name: &str) -> String {
    let mut upper = true;
    let written = name.chars().map(|c| {
        let shown = if upper { c.to_ascii_uppercase() } else { c };
        upper = matches!(c, '"' | '-');
        shown
    });
    written.collect()
}

/// The pairs of a query in order, by name and then by value.
fn sorted(query: &str) -> Option<String> {
    let mut pairs: Vec<&str> = query.split('&').take(MAX_PAIRS + 1).collect();
    if pairs.len() > MAX_PAIRS {
        return None;
    }
    pairs.sort_by_key(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Some(pairs.join("&"))
}

/// `text` with its escapes decoded.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let value = escape(bytes, at);
        out.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that the escape at this place stands for.
fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    if bytes.get(at) != Some(&b'%') {
        return None;
    }
    let digit = |at: usize| (*bytes.get(at)? as char).to_digit(16);
    Some((digit(at + 1)? * 16 + digit(at + 2)?) as u8)
}

/// `text` with everything encoded that is not unreserved, but for `kept`.
fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `text` with the digits of its escapes in one case.
fn cased(text: &str, upper: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (place, c) in text.char_indices() {
        if escape(bytes, place).is_some() {
            at = place + 3;
        }
        out.push(match (place < at, upper) {
            (false, _) => c,
            (true, true) => c.to_ascii_uppercase(),
            (true, false) => c.to_ascii_lowercase(),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_changed_as_signers_change_them() {
        assert_eq!(decoded("/a%2Fb%zz%4"), "/a/b%zz%4");
        assert_eq!(encoded("/a:b@c%20", b"/%"), "/a%3Ab%40c%20");
        assert_eq!(cased("/%c3%A9c3", true), "/%C3%A9c3");
        assert_eq!(cased("/%c3%A9C3", false), "/%c3%a9C3");
        assert_eq!(capitalized("x-amz-date"), "X-Amz-Date");
        assert_eq!(capitalized("\"x-amz-date\""), "\"X-Amz-Date\"");
        assert_eq!(sorted("b=2&a=2&a=1&c").unwrap(), "a=1&a=2&b=2&c");
        assert_eq!(sorted(&"a&".repeat(MAX_PAIRS)), None);
    }

    #[test]
    fn a_digest_is_written_in_each_form() {
        let told = |form, value| {
            let digest = Some(form);
            Change {
                digest,
                ..Change::default()
            }
            .digest(value)
            .into_owned()
        };
        let base64 = "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
        let hex = "5f8f04f6a3a892aaabbddb6cf273894493773960d4a325b105fee46eef4304f1";
        let field = format!("sha-256=:{base64}:");
        assert_eq!(told(DigestForm::Hex, &field), format!("sha-256=:{hex}:"));
        assert_eq!(told(DigestForm::Bare, &field), base64);
        let plain = format!("sha-256={base64}");
        assert_eq!(told(DigestForm::Plain, &field), plain);
        let older = format!("SHA-256={base64}");
        assert_eq!(told(DigestForm::Hex, &older), format!("SHA-256={hex}"));
        assert_eq!(told(DigestForm::BareHex, &older), hex);
        for other in ["x", "x=y", "sha-256=:AAAA:", ""] {
            assert_eq!(told(DigestForm::Hex, other), other);
        }
    }
}
