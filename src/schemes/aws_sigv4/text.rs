//! The two texts: the canonical request, and the string to sign that holds its
//! hash. Signer and verifier share them, so they cannot drift apart.

use super::ALGORITHM;
use super::credential::SignedFields;
use crate::crypto::digest::sha256;
use crate::schemes::Refused;
use crate::schemes::received::Received;
use crate::schemes::signed::{between_lines, host_as_signed};
use data_encoding::HEXLOWER;
use http::header::HOST;

/// Why there is no text to sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoText {
    /// A signed field is not in the request.
    #[error("the request has no `{0}`")]
    Absent(String),
}

impl From<NoText> for Refused {
    fn from(none: NoText) -> Self {
        let NoText::Absent(name) = none;
        Self::Absent(name)
    }
}

/// Method, path and query as they stand in a canonical request, to the end of `out`.
pub fn write_front(out: &mut Vec<u8>, received: &Received<'_>, path: &str, query: &str) {
    out.extend_from_slice(received.method().as_str().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(path.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(query.as_bytes());
    out.push(b'\n');
}

/// The fields and their names as they stand in a canonical request, to the end of `out`.
///
/// # Errors
/// [`NoText`] names the field that is not there.
pub fn write_fields(
    out: &mut Vec<u8>,
    received: &Received<'_>,
    signed: &SignedFields<'_>,
) -> Result<(), NoText> {
    for name in signed.names() {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if name == HOST.as_str() {
            out.extend_from_slice(host_as_signed(received).as_bytes());
        } else {
            let mut lines = received.lines(name);
            let first = lines
                .next()
                .ok_or_else(|| NoText::Absent(name.to_owned()))?;
            write_trimmed(out, first.as_bytes());
            for line in lines {
                out.extend_from_slice(between_lines(name, b","));
                write_trimmed(out, line.as_bytes());
            }
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed.text().as_bytes());
    out.push(b'\n');
    Ok(())
}

/// A value without white space around it, and with one space where there is more within.
fn write_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    // Most have no space at all.
    if memchr::memchr2(b' ', b'\t', value).is_none() {
        out.extend_from_slice(value);
        return;
    }
    let words = value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// The string to sign, of a canonical request in parts.
pub fn string_to_sign(time: &str, scope: &str, canonical: &[&[u8]]) -> Vec<u8> {
    let hash = HEXLOWER.encode(&sha256(canonical));
    let mut out = Vec::with_capacity(ALGORITHM.len() + time.len() + scope.len() + hash.len() + 3);
    for (at, line) in [ALGORITHM, time, scope, &hash].into_iter().enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(line.as_bytes());
    }
    out
}
