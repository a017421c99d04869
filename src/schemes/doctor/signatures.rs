//! Other ways to write a signature.

use super::Mistake;
use crate::crypto::{Algorithm, VerifyingKey, ecdsa_side_by_side};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use std::borrow::Cow;

/// The way in which `signature` is one of `text` by `key`, written otherwise. `may_try` is asked before each.
pub(super) fn rewritten(
    key: &VerifyingKey,
    text: &[u8],
    signature: &[u8],
    mut may_try: impl FnMut() -> bool,
) -> Option<Mistake> {
    // Hexadecimal digits between the colons are base64 by chance.
    let digits = BASE64.encode(signature);
    let ways = [
        (Mistake::SignatureInHex, decoded_hex(signature)),
        (Mistake::SignatureInHex, decoded_hex(digits.as_bytes())),
        (Mistake::SignatureTwice, BASE64.decode(signature).ok()),
        (Mistake::SignatureInDer, side_by_side(key, signature)),
    ];
    let ways = ways
        .into_iter()
        .filter_map(|(mistake, bytes)| Some((mistake, Cow::Owned(bytes?))));
    let mut found = ways
        .filter(|(_, bytes): &(_, Cow<'_, [u8]>)| may_try() && key.verify(text, bytes).is_some());
    if let Some((mistake, _)) = found.next() {
        return Some(mistake);
    }
    drop(found);
    let VerifyingKey::Public(key) = key else {
        return None;
    };
    let holds =
        key.algorithm().has_salt() && may_try() && key.with_any_salt().verify(text, signature);
    holds.then_some(Mistake::SaltLength)
}

fn decoded_hex(digits: &[u8]) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(digits).ok()
}

fn side_by_side(key: &VerifyingKey, signature: &[u8]) -> Option<Vec<u8>> {
    let size = match key.algorithm() {
        Algorithm::EcdsaP256Sha256 => 32,
        Algorithm::EcdsaP384Sha384 => 48,
        _ => return None,
    };
    ecdsa_side_by_side(signature, size)
}
