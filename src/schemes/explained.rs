//! The text we verified against, as an honest caller may see it.

use super::received::Received;
use crate::crypto::digest::sha256;
use crate::route::Route;
use data_encoding::{BASE64, HEXLOWER};
use http::HeaderName;

/// `Signature-Base-Digest: sha-256=:BASE64:`, by which a caller tells what it signed.
pub const SIGNATURE_BASE_DIGEST: HeaderName = HeaderName::from_static("signature-base-digest");

/// Fields whose value is a credential: shown as a digest.
const VEILED: [&str; 8] = [
    "authorization",
    "cookie",
    "dpop",
    "oauth-client-attestation",
    "oauth-client-attestation-pop",
    "portcullis-token",
    "proxy-authorization",
    "x-amz-security-token",
];

/// What a caller that may see it learns about a rejected signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The signature base as we see it; credentials within are digested.
    pub base: Box<str>,
    /// Whether the caller signed the same text, if it sent the digest of its
    /// own: then the secret differs, else the text does.
    pub same_text: Option<bool>,
    /// How many other texts would do as well.
    pub others: usize,
}

impl Explained {
    /// Takes down the text that was verified against.
    pub(super) fn new(base: &[u8], received: &Received<'_>) -> Self {
        Self {
            base: veiled(&String::from_utf8_lossy(base)),
            same_text: is_told(received, base),
            others: 0,
        }
    }
}

/// Whether the digest that a caller tells is that of `text`, if it tells one.
pub(super) fn is_told(received: &Received<'_>, text: &[u8]) -> Option<bool> {
    let field = received.fields().get(SIGNATURE_BASE_DIGEST)?;
    Some(field.as_bytes() == digest_field(text).as_bytes())
}

/// The value of `Signature-Base-Digest` for a signature base.
pub fn digest_field(base: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&sha256(&[base])))
}

/// `base` with the values of credentials digested.
pub fn veiled(base: &str) -> Box<str> {
    with_veils(base, |line| VEILED.iter().any(|name| begins(line, name)))
}

/// As [`veiled`], and with it whatever stands in a field that `route` takes tokens or static keys from.
pub fn veiled_on(base: &str, route: &Route) -> Box<str> {
    let places = route.key_places.as_deref();
    let fields = places.map_or(&[][..], |places| &places.fields);
    let all = || route.token_fields.iter().chain(fields);
    with_veils(&veiled(base), |line| {
        all().any(|name| begins(line, name.as_str()))
    })
}

/// Whether what stands in the field `name` is a credential on `route`.
pub fn is_credential(name: &HeaderName, route: &Route) -> bool {
    let places = route.key_places.as_deref();
    VEILED.contains(&name.as_str())
        || route.token_fields.contains(name)
        || places.is_some_and(|places| places.fields.contains(name))
}

fn with_veils(base: &str, is_credential: impl Fn(&str) -> bool) -> Box<str> {
    const VEIL: &str = "<sha-256 of the value: ";
    let lines: Vec<String> = base
        .split('\n')
        .map(|line| match parted(line) {
            Some((name, value)) if !value.starts_with(VEIL) && is_credential(line) => {
                let digest = HEXLOWER.encode(&sha256(&[value.as_bytes()]));
                format!("{name}: {VEIL}{digest}>")
            }
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\n").into()
}

/// Name and value. A name in quotes may have parameters behind it, which hold a colon of
/// their own; a bare one ends at the first, whether a space follows it or not.
fn parted(line: &str) -> Option<(&str, &str)> {
    if line.starts_with('"')
        && let Some(parts) = line.split_once(": ")
    {
        return Some(parts);
    }
    let (name, value) = line.split_once(':')?;
    Some((name, value.trim()))
}

/// Whether `line` is of the field `name`: in quotes, as RFC 9421 writes it, or bare.
fn begins(line: &str, name: &str) -> bool {
    let bare = line.strip_prefix('"').unwrap_or(line);
    bare.split_at_checked(name.len())
        .is_some_and(|(front, rest)| {
            front.eq_ignore_ascii_case(name) && rest.starts_with(['"', ':'])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_digested_however_their_name_is_written() {
        for line in [
            "\"authorization\": of-the-user",
            "\"cookie\";sf: of-the-user",
            "authorization: of-the-user",
            "Authorization: of-the-user",
            "COOKIE: of-the-user",
            "cookie:sid=of-the-user; p={\"a\": 1}",
            "authorization:Bearer of-the-user: x",
        ] {
            let told = veiled(&format!("a: b\n{line}\nc: d"));
            assert!(!told.contains("of-the-user"), "{told}");
            assert!(told.starts_with("a: b\n") && told.ends_with("\nc: d"));
        }
        let mut route = Route::any("orders");
        route.token_fields = vec![http::HeaderName::from_static("approov-token")];
        for name in ["Approov-Token", "\"approov-token\"", "authorization"] {
            let line = format!("{name}: of-the-user");
            let told = veiled_on(&line, &route);
            assert!(!told.contains("of-the-user"), "{told}");
            assert_eq!(veiled_on(&told, &route), told);
        }
        for line in ["authorization-mode: plain", "\"cookies\": plain", "x"] {
            assert_eq!(&*veiled(line), line);
        }
    }
}
