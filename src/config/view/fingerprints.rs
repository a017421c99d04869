//! What tells whether a secret changed, and nothing else of it.

use crate::apps::KeyHash;
use crate::crypto::digest;
use crate::secret::Secret;
use std::collections::BTreeMap;

/// Digests of what secrets held, by key path: they are compared, and shown to nobody.
#[derive(Clone, Default)]
pub(in crate::config) struct Fingerprints(BTreeMap<String, [u8; 32]>);

impl std::fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprints({})", self.0.len())
    }
}

impl Fingerprints {
    /// Takes the digest of a secret.
    pub(in crate::config) fn add(&mut self, key: &str, secret: &Secret) {
        self.0
            .insert(key.to_owned(), digest::sha256(&[secret.expose()]));
    }

    /// Takes what is a digest already.
    pub(in crate::config) fn add_digest(&mut self, key: String, digest: [u8; 32]) {
        self.0.insert(key, digest);
    }

    /// Takes that of the hash of a static key.
    pub(super) fn add_hash(&mut self, key: String, hash: &KeyHash) {
        self.0.insert(key, digest::sha256(&[hash.0.as_slice()]));
    }

    /// The key paths of what both have, and is not the same in them.
    pub(in crate::config) fn changed<'f>(&'f self, new: &'f Self) -> impl Iterator<Item = &'f str> {
        let both = self.0.iter();
        let both = both.filter_map(move |(key, was)| Some((key, was, new.0.get(key)?)));
        both.filter_map(|(key, was, is)| (was != is).then_some(key.as_str()))
    }
}
