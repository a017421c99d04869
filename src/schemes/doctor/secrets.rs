//! Ways to read a secret wrongly, and the keys that come of them.

use super::Mistake;
use crate::crypto::{Algorithm, HmacKey};
use crate::secret::Secret;
use data_encoding::{
    BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE, HEXUPPER,
};
use zeroize::Zeroizing;

/// The longest secret whose readings are tried.
const MAX_SECRET: usize = 1_024;

/// The way in which a signature is that of a misread `secret` of a key of
/// `algorithm`; `is_by` says whose it is. `may_try` is asked before each.
pub(super) fn misread(
    secret: &Secret,
    algorithm: Algorithm,
    is_by: impl Fn(HmacKey) -> bool,
    mut may_try: impl FnMut() -> bool,
) -> Option<Mistake> {
    if !algorithm.is_mac() || secret.len() > MAX_SECRET {
        return None;
    }
    let mut holds = |algorithm, bytes: &[u8]| {
        let key = || HmacKey::misread(algorithm, bytes);
        may_try() && key().is_some_and(&is_by)
    };
    // As many are tried whatever the secret is: a stopwatch learns nothing of it.
    let is_it = |bytes: &[u8]| holds(algorithm, bytes) && bytes != secret.expose();
    let mut is_it = is_it;
    let found = readings(secret.expose()).into_iter();
    let found = { found }.find(|(_, bytes)| is_it(bytes));
    if let Some((mistake, _)) = found {
        return Some(mistake);
    }
    let other = match algorithm {
        Algorithm::HmacSha512 => Algorithm::HmacSha256,
        _ => Algorithm::HmacSha512,
    };
    holds(other, secret.expose()).then_some(Mistake::OtherHash)
}

/// Every wrong reading of a secret of these bytes; the secret itself in the place of one that is none.
fn readings(right: &[u8]) -> Vec<(Mistake, Zeroizing<Vec<u8>>)> {
    let mut all = Vec::with_capacity(24);
    let mut push = |mistake, bytes: Vec<u8>| all.push((mistake, Zeroizing::new(bytes)));
    let base64 = Zeroizing::new(BASE64.encode(right));
    let hex = Zeroizing::new(HEXLOWER.encode(right));
    let texts = [
        base64.to_string(),
        hex.to_string(),
        BASE64URL_NOPAD.encode(right),
        BASE64_NOPAD.encode(right),
        BASE64URL.encode(right),
        HEXUPPER.encode(right),
    ];
    push(Mistake::SecretWithNewline, [right, b"\n"].concat());
    for text in texts {
        push(Mistake::SecretAsText, text.into_bytes());
    }
    for text in [&base64, &hex] {
        push(Mistake::SecretAsText, format!("{}\n", **text).into_bytes());
    }
    push(
        Mistake::SecretWithPrefix,
        format!("whsec_{}", *base64).into_bytes(),
    );
    for text in [format!("base64:{}", *base64), format!("hex:{}", *hex)] {
        push(Mistake::SecretWithPrefix, format!("{text}\n").into_bytes());
        push(Mistake::SecretWithPrefix, text.into_bytes());
    }
    let line = right.trim_ascii_end();
    push(Mistake::SecretWithoutNewline, line.to_vec());
    let decoded = [
        BASE64.decode(line),
        HEXLOWER_PERMISSIVE.decode(line),
        BASE64URL_NOPAD.decode(line),
    ];
    for bytes in decoded {
        push(
            Mistake::SecretDecoded,
            bytes.unwrap_or_else(|_| right.to_vec()),
        );
    }
    let bare = line.strip_prefix(b"whsec_").unwrap_or(right);
    push(Mistake::SecretWithoutPrefix, bare.to_vec());
    let bytes = BASE64.decode(bare).unwrap_or_else(|_| bare.to_vec());
    push(Mistake::SecretWithoutPrefix, bytes);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(right: &[u8], used: &[u8]) -> Option<Mistake> {
        let algorithm = Algorithm::HmacSha256;
        let key = HmacKey::misread(algorithm, used).unwrap();
        let tag = key.sign(b"text");
        let secret = Secret::new(right.to_vec());
        let is_by = |key: HmacKey| key.verify(b"text", tag.as_bytes()).is_some();
        misread(&secret, algorithm, is_by, || true)
    }

    #[test]
    fn a_secret_that_is_read_wrongly_is_recognised() {
        let right = [0xfb; 32];
        let text = BASE64.encode(&right);
        for (right, used, wanted) in [
            (&right[..], text.as_bytes(), Some(Mistake::SecretAsText)),
            (
                &right,
                BASE64URL.encode(&right).as_bytes(),
                Some(Mistake::SecretAsText),
            ),
            (
                &right,
                HEXUPPER.encode(&right).as_bytes(),
                Some(Mistake::SecretAsText),
            ),
            (
                &right,
                format!("{text}\n").as_bytes(),
                Some(Mistake::SecretAsText),
            ),
            (
                &right,
                format!("base64:{text}").as_bytes(),
                Some(Mistake::SecretWithPrefix),
            ),
            (
                &right,
                &[&right[..], b"\n"].concat(),
                Some(Mistake::SecretWithNewline),
            ),
            (text.as_bytes(), &right, Some(Mistake::SecretDecoded)),
            (
                format!("{text}\n").as_bytes(),
                text.as_bytes(),
                Some(Mistake::SecretWithoutNewline),
            ),
            (
                &right,
                format!("whsec_{text}").as_bytes(),
                Some(Mistake::SecretWithPrefix),
            ),
            (
                format!("whsec_{text}").as_bytes(),
                &right,
                Some(Mistake::SecretWithoutPrefix),
            ),
            (&right, &[8; 32], None),
            (&right, &right, None),
        ] {
            assert_eq!(told(right, used), wanted);
        }
    }

    #[test]
    fn another_hash_is_recognised() {
        let secret = Secret::new(vec![7; 32]);
        for (algorithm, other) in [
            (Algorithm::HmacSha256, Algorithm::HmacSha512),
            (Algorithm::HmacSha512, Algorithm::HmacSha256),
        ] {
            let tag = HmacKey::new(other, &secret).unwrap().sign(b"text");
            let is_by = |key: HmacKey| key.verify(b"text", tag.as_bytes()).is_some();
            let found = misread(&secret, algorithm, is_by, || true);
            assert_eq!(found, Some(Mistake::OtherHash));
        }
    }
}
