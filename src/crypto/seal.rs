//! Secrets under a secret: AES-256-GCM, bound to what they are for.

use super::digest::sha256;
use super::{BadKey, HmacKey, random};
use crate::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;

/// A key that seals and opens. Never prints.
pub struct SealingKey(LessSafeKey);

/// What was sealed under another key, for something else, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSealedByUs;

impl SealingKey {
    /// A key that follows from `master` and what it is `used_for`.
    ///
    /// # Errors
    /// [`BadKey`]: `master` is too short to be a secret, or a key of another kind.
    ///
    /// # Panics
    /// Never: HMAC with SHA-256 has the length that the cipher takes.
    pub fn new(master: &Secret, used_for: &str) -> Result<Self, BadKey> {
        let key = HmacKey::of_ours(master)?.sign(used_for.as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, key.as_bytes());
        Ok(Self(LessSafeKey::new(
            key.expect("SHA-256 has as many bytes as an AES-256 key"),
        )))
    }

    /// Seals `secret` for `what`, which has to be said again when it is opened.
    ///
    /// # Panics
    /// When `secret` is longer than the cipher takes, 64 GiB.
    pub fn seal(&self, what: &str, secret: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let mut sealed = secret.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(sha256(&[what.as_bytes()])),
                &mut sealed,
            )
            .expect("a secret is shorter than the cipher's bound");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what was sealed for `what`.
    ///
    /// # Errors
    /// [`NotSealedByUs`].
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Secret, NotSealedByUs> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(NotSealedByUs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotSealedByUs)?;
        let mut text = zeroize::Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(sha256(&[what.as_bytes()]));
        let opened = self.0.open_in_place(nonce, aad, &mut text);
        let opened = opened.map_err(|_| NotSealedByUs)?;
        Ok(Secret::new(opened.to_vec()))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8, used_for: &str) -> SealingKey {
        SealingKey::new(&Secret::new(vec![byte; 32]), used_for).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_thing_under_the_same_key_alone() {
        let ours = key(1, "keys");
        let sealed = ours.seal("key a", b"canary-in-a-secret");
        let opened = ours.open("key a", &sealed).unwrap();
        assert_eq!(opened.expose(), b"canary-in-a-secret");
        assert_ne!(sealed, ours.seal("key a", b"canary-in-a-secret"));
        assert!(!sealed.windows(6).any(|window| window == b"canary"));

        assert!(ours.open("key b", &sealed).is_err());
        assert!(key(2, "keys").open("key a", &sealed).is_err());
        assert!(key(1, "others").open("key a", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(ours.open("key a", &changed).is_err());
            assert!(ours.open("key a", &sealed[..place]).is_err());
        }
        assert!(SealingKey::new(&Secret::new(vec![1; 31]), "keys").is_err());
        assert_eq!(format!("{ours:?}"), "SealingKey(..)");
    }
}
