//! What tells whether a secret changed, and nothing else of it.

use crate::apps::KeyHash;
use crate::config::file::File;
use crate::crypto::digest;
use crate::secret::Secret;
use std::collections::{BTreeMap, HashMap};

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

    /// Calls what stands in a list by its name, as other changes are told: `keys[0]` is another one as soon as
    /// another is put first.
    pub(in crate::config) fn by_names(self, file: &File) -> Self {
        let names = names(file);
        let told = |key: String| {
            let found = key.find(']').and_then(|end| {
                let (place, rest) = key.split_at(end + 1);
                Some(format!("{}{rest}", names.get(place)?))
            });
            found.unwrap_or(key)
        };
        let all = self.0.into_iter();
        Self(all.map(|(key, digest)| (told(key), digest)).collect())
    }

    /// The key paths of what both have, and is not the same in them.
    pub(in crate::config) fn changed<'f>(&'f self, new: &'f Self) -> impl Iterator<Item = &'f str> {
        let both = self.0.iter();
        let both = both.filter_map(move |(key, was)| Some((key, was, new.0.get(key)?)));
        both.filter_map(|(key, was, is)| (was != is).then_some(key.as_str()))
    }
}

/// The keys of apps and the routes by their places: `apps.mobile.keys[0]` is `apps.mobile.keys.mobile-2026`.
fn names(file: &File) -> HashMap<&str, String> {
    let apps = file.apps.entries.iter().filter_map(|(_, app)| app.as_ref());
    let ids = apps.flat_map(|app| {
        let keys = app.keys.0.iter().filter_map(|key| key.id.get());
        let api_keys = app.api_keys.0.iter().filter_map(|key| key.id.get());
        keys.chain(api_keys)
            .map(|id| (id.key.as_str(), id.value.0.as_str()))
    });
    let routes = file.routes.0.iter().filter_map(|route| route.name.get());
    let routes = routes.map(|name| (name.key.as_str(), name.value.0.as_str()));
    let named = ids.chain(routes).filter_map(|(key, name)| {
        let (place, _) = key.rsplit_once('.')?;
        let (list, _) = place.rsplit_once('[')?;
        Some((place, format!("{list}.{name}")))
    });
    named.collect()
}
