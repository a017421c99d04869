//! Ways to read a secret wrongly: what is stuck on a secret is told which one it was.

use crate::config;
use crate::crypto::{Algorithm, HmacKey};
use crate::secret::Secret;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use std::collections::HashMap;
use std::sync::Arc;

/// A key as a caller makes it who reads its secret, or its algorithm, wrongly.
#[derive(Debug)]
pub(super) struct Misread {
    /// What the caller did, and what is right.
    pub(super) what: &'static str,
    mac: HmacKey,
}

/// By the id of the key.
pub(super) type Misreadings = HashMap<Arc<str>, Vec<Misread>>;

/// The way by which `signature` is one of `text`.
pub(super) fn of(
    misreadings: &Misreadings,
    key_id: &str,
    text: &[u8],
    signature: &[u8],
) -> Option<&'static str> {
    let found = misreadings
        .get(key_id)?
        .iter()
        .find(|misread| misread.mac.verify(text, signature).is_some());
    found.map(|misread| misread.what)
}

const WITH_PREFIX: &str =
    "the secret is used with its `base64:` or `hex:` in front: decode what stands behind it";
const AS_TEXT: &str = "the secret is used as the text that it is written in: decode it from base64 or hex, and use the bytes";
const NEWLINE: &str = "a newline is part of the secret as it is used, and is none of the key's";
const NO_NEWLINE: &str = "the file's last newline is part of the secret, since the file has no `base64:` or `hex:` in front";
const DECODED: &str = "the secret is decoded before use, but the gateway takes it as it stands: its file has no `base64:` or `hex:` in front";
const ALGORITHM: &str = "the signature is made with another hash: use the key's algorithm";

/// Every way to misread the secret of a key of `algorithm` that is `written` so.
pub(super) fn misreadings(written: &Secret, algorithm: Algorithm) -> Vec<Misread> {
    if !algorithm.is_mac() {
        return Vec::new();
    }
    let written = written.expose();
    let Ok((right, _)) = config::decode(written) else {
        return Vec::new();
    };
    let line = written.trim_ascii_end();
    let behind = [&b"base64:"[..], b"hex:"]
        .iter()
        .find_map(|prefix| line.strip_prefix(*prefix));
    let mut all = vec![(NEWLINE, [right.expose(), b"\n"].concat())];
    if let Some(text) = behind {
        all.extend([
            (WITH_PREFIX, line.to_vec()),
            (WITH_PREFIX, [line, b"\n"].concat()),
            (AS_TEXT, text.to_vec()),
            (AS_TEXT, [text, b"\n"].concat()),
        ]);
    } else {
        all.push((NO_NEWLINE, line.to_vec()));
        let decoded = [BASE64.decode(line), HEXLOWER_PERMISSIVE.decode(line)];
        all.extend(decoded.into_iter().flatten().map(|bytes| (DECODED, bytes)));
    }
    let key = |what, algorithm, bytes| {
        // What is too short is no key that anyone could have.
        let mac = HmacKey::new(algorithm, &Secret::new(bytes)).ok()?;
        Some(Misread { what, mac })
    };
    let other = match algorithm {
        Algorithm::HmacSha512 => Algorithm::HmacSha256,
        _ => Algorithm::HmacSha512,
    };
    let hash = key(ALGORITHM, other, right.expose().to_vec());
    all.into_iter()
        .filter_map(|(what, bytes)| key(what, algorithm, bytes))
        .chain(hash)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(written: &str, used: &[u8]) -> Option<&'static str> {
        let secret = Secret::new(written.as_bytes().to_vec());
        let ways = misreadings(&secret, Algorithm::HmacSha256);
        let all = Misreadings::from([("k".into(), ways)]);
        let mac = HmacKey::new(Algorithm::HmacSha256, &Secret::new(used.to_vec())).unwrap();
        of(&all, "k", b"text", mac.sign(b"text").as_bytes())
    }

    #[test]
    fn a_secret_that_is_read_wrongly_is_recognised() {
        let written = format!("base64:{}\n", BASE64.encode(&[7; 32]));
        let line = written.trim_end();
        let text = &line["base64:".len()..];
        assert_eq!(told(&written, line.as_bytes()), Some(WITH_PREFIX));
        assert_eq!(told(&written, text.as_bytes()), Some(AS_TEXT));
        assert_eq!(
            told(&written, &[&[7; 32][..], b"\n"].concat()),
            Some(NEWLINE)
        );
        assert_eq!(told(text, &[7; 32]), Some(DECODED));
        let lined = format!("{text}\n");
        assert_eq!(told(&lined, text.as_bytes()), Some(NO_NEWLINE));
        assert_eq!(told(&written, &[8; 32]), None);
    }

    #[test]
    fn another_hash_is_recognised() {
        let secret = Secret::new(vec![7; 32]);
        let ways = misreadings(&secret, Algorithm::HmacSha256);
        let all = Misreadings::from([("k".into(), ways)]);
        let mac = HmacKey::new(Algorithm::HmacSha512, &secret).unwrap();
        let tag = mac.sign(b"text");
        assert_eq!(of(&all, "k", b"text", tag.as_bytes()), Some(ALGORITHM));
    }
}
