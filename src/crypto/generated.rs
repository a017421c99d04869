//! Key pairs of our own making.

use super::Algorithm;
use crate::secret::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Characters in a line of PEM.
const LINE: usize = 64;

/// The private half of a fresh pair, in PEM (PKCS #8); `None` for an algorithm of which none are made.
///
/// # Panics
/// When the operating system has no randomness to give: nothing can be safe then.
pub fn generate(algorithm: Algorithm) -> Option<Secret> {
    let made = "the operating system gives random bytes";
    let random = SystemRandom::new();
    let der = match algorithm {
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate().expect(made);
            Zeroizing::new(pair.to_pkcs8v1().expect(made).as_ref().to_vec())
        }
        Algorithm::EcdsaP256Sha256 => {
            let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::generate_pkcs8(curve, &random).expect(made);
            Zeroizing::new(pair.as_ref().to_vec())
        }
        Algorithm::EcdsaP384Sha384 => {
            let curve = &ECDSA_P384_SHA384_FIXED_SIGNING;
            let pair = EcdsaKeyPair::generate_pkcs8(curve, &random).expect(made);
            Zeroizing::new(pair.as_ref().to_vec())
        }
        _ => return None,
    };
    let text = Zeroizing::new(BASE64.encode(&der));
    let mut pem = Vec::with_capacity(2 * text.len() + 64);
    pem.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(LINE) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    Some(Secret::new(pem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::PrivateKey;

    #[test]
    fn a_pair_that_we_make_signs_and_its_public_half_verifies() {
        for algorithm in Algorithm::ALL {
            let Some(private) = generate(algorithm) else {
                assert!(!algorithm.name().starts_with('e'), "{algorithm}");
                continue;
            };
            let private = PrivateKey::read(algorithm, &private).unwrap();
            let signature = private.sign(b"text");
            assert!(private.public().unwrap().verify(b"text", &signature));
            let other = generate(algorithm).unwrap();
            let other = PrivateKey::read(algorithm, &other).unwrap();
            assert!(!other.public().unwrap().verify(b"text", &signature));
        }
    }
}
