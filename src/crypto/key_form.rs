//! Keys that stand where a secret belongs, told by how they are written: what is public must never be taken for a
//! secret, or whoever has it could sign.

use super::encoded::{is_certificate, is_public_key, is_ssh_public_key};
use data_encoding::BASE64_NOPAD;
use zeroize::Zeroizing;

/// How a key is written that is no secret as it stands.
#[derive(Clone, Copy)]
pub(super) enum KeyForm {
    /// A key of another kind, in this form; whether there is anything in it that others do not know.
    Other {
        form: &'static str,
        is_private: bool,
    },
    /// A JWK of `oct`: its `k` is a secret, the text around it is not.
    SecretAsJwk,
}

impl KeyForm {
    /// How the key in `secret` is written, where it is one. White space, text in front of it, and base64 around it
    /// make nothing secret of it.
    pub(super) fn of(secret: &[u8]) -> Option<Self> {
        Self::as_it_is(secret).or_else(|| Self::as_it_is(&decoded(secret)?))
    }

    fn as_it_is(text: &[u8]) -> Option<Self> {
        let form = if holds(text, b"-----BEGIN") {
            "in PEM"
        } else if is_object(text) && holds(text, b"\"kty\"") {
            if is_of_secret(text) {
                return Some(Self::SecretAsJwk);
            }
            "as a JWK"
        } else if is_public_key(text) {
            "in DER"
        } else if is_certificate(text) {
            "in a certificate"
        } else if is_of_ssh(text) {
            "as OpenSSH writes it"
        } else {
            return None;
        };
        let is_private = holds(text, b"PRIVATE KEY-----") || holds(text, b"\"d\"");
        Some(Self::Other { form, is_private })
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|found| found == part)
}

/// Whether it begins as a JSON object does, behind a byte order mark or none.
fn is_object(text: &[u8]) -> bool {
    let front = text.trim_ascii_start();
    let front = front.strip_prefix("\u{feff}".as_bytes()).unwrap_or(front);
    front.trim_ascii_start().starts_with(b"{")
}

/// Whether a JWK, or each of a set, is of `oct` (RFC 7518, section 6.1).
fn is_of_secret(jwk: &[u8]) -> bool {
    let pairs = [&b"\"EC\""[..], b"\"RSA\"", b"\"OKP\""];
    holds(jwk, b"\"oct\"") && !pairs.iter().any(|kind| holds(jwk, kind))
}

/// Whether one of its words is a public key of OpenSSH: its name stands before it, and often a comment behind.
fn is_of_ssh(text: &[u8]) -> bool {
    let mut words = text.split(u8::is_ascii_whitespace);
    words.any(|word| decoded(word).is_some_and(|key| is_ssh_public_key(&key)))
}

/// What `text` stands for where it is base64, in either alphabet, with padding or without, on however many lines.
fn decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut joined = Zeroizing::new(Vec::with_capacity(text.len()));
    let written = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    joined.extend(written.map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    }));
    let last = joined.iter().rposition(|byte| *byte != b'=')?;
    joined.truncate(last + 1);
    let mut meant = Zeroizing::new(vec![0; BASE64_NOPAD.decode_len(joined.len()).ok()?]);
    let length = BASE64_NOPAD.decode_mut(&joined, &mut meant).ok()?;
    meant.truncate(length);
    Some(meant)
}
