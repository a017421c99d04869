//! Key sets of issuers outside, as they may come from anywhere.

use portcullis::crypto::Algorithm;
use portcullis::schemes::token::key_set::{MAX_KEY_SET, MAX_KEYS};
use portcullis::schemes::token::{BadKeySet, KeySet};

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::Ed25519,
    Algorithm::RsaV15Sha256,
    Algorithm::RsaPssSha256,
];

/// What must hold of any key set.
pub(super) fn check(bytes: &[u8]) {
    let read = KeySet::read(bytes, &ALGORITHMS);
    match &read {
        Ok(set) => {
            assert!((1..=MAX_KEYS).contains(&set.len()));
            assert!(bytes.len() <= MAX_KEY_SET);
            let text = std::str::from_utf8(bytes).expect("JSON is UTF-8");
            assert!(text.contains('{'));
        }
        Err(BadKeySet::TooManyKeys(keys)) => assert!(*keys > MAX_KEYS),
        Err(_) => {}
    }
    // Of fewer algorithms there are no more keys.
    if let (Ok(all), Ok(fewer)) = (read, KeySet::read(bytes, &ALGORITHMS[..1])) {
        assert!(fewer.len() <= all.len());
    }
}
