//! Apps that are known by a static key. What is kept of it is a hash, under a
//! secret of the gateway's: who reads the configuration has no key.

use super::beside::{Placed, Table};
use super::{App, MadeKey};
use crate::crypto::{HmacKey, is_equal};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that a static key has at least: a shorter one can be guessed.
pub const MIN_STATIC_KEY: usize = 16;
/// Bytes that a static key has at most.
pub const MAX_STATIC_KEY: usize = 512;

/// One static key of an app.
#[derive(Debug)]
pub struct StaticKey {
    /// Its id beside those of other keys, for logs and the upstream.
    pub id: Arc<str>,
    /// The app that owns it.
    pub app: Arc<App>,
    /// What is kept of it.
    pub hash: KeyHash,
    /// First second it may be used, Unix time.
    pub not_before: Option<i64>,
    /// First second it may no longer be used, Unix time.
    pub not_after: Option<i64>,
    /// `false` refuses it whatever the dates say.
    pub enabled: bool,
    /// How often its app has shown such a key.
    pub uses: Arc<Uses>,
    /// What it has that was made at run time; `None` of one of `gateway.toml`.
    pub made: Option<Box<MadeKey>>,
}

/// How often static keys of one app were taken.
#[derive(Debug, Default)]
pub struct Uses(AtomicU64);

impl Uses {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl StaticKey {
    /// Whether it may be used at `unix_seconds`.
    pub fn is_active(&self, unix_seconds: i64) -> bool {
        self.enabled
            && self.not_before.is_none_or(|from| unix_seconds >= from)
            && self.not_after.is_none_or(|until| unix_seconds < until)
    }
}

/// The secret that static keys are hashed under. Never prints.
#[derive(Clone, Debug)]
pub struct Pepper(HmacKey);

impl Pepper {
    /// Takes a key of HMAC with SHA-256.
    pub const fn new(key: HmacKey) -> Self {
        Self(key)
    }
}

/// HMAC-SHA-256 of a static key, under the gateway's pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of `key`.
    ///
    /// # Panics
    /// When `pepper` is of another algorithm than HMAC with SHA-256.
    pub fn of(pepper: &Pepper, key: &[u8]) -> Self {
        let tag = pepper.0.sign(key);
        Self(tag.as_bytes().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl KeyHash {
    /// Where in a table it lies: a part of it, since it is a hash already that nobody else can compute.
    fn place(&self) -> u64 {
        let front = self.0.first_chunk();
        u64::from_ne_bytes(*front.expect("it has 32 bytes"))
    }
}

impl Placed for StaticKey {
    fn by(&self) -> &[u8] {
        &self.hash.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// The static keys of one configuration.
#[derive(Debug)]
pub(super) struct StaticKeys {
    pepper: Pepper,
    by_hash: Table<StaticKey>,
    by_id: HashMap<Arc<str>, Arc<StaticKey>>,
    /// What an unknown key is compared with, so that it costs what a known one costs.
    nobody: KeyHash,
}

impl StaticKeys {
    pub(super) fn new(pepper: Pepper, list: Vec<StaticKey>) -> Self {
        let mut nobody = KeyHash([0; 32]);
        crate::crypto::random(&mut nobody.0);
        let list: Vec<Arc<StaticKey>> = list.into_iter().map(Arc::new).collect();
        Self {
            pepper,
            by_hash: Table::new(
                list.iter()
                    .map(|one| (one.hash.place(), one.clone()))
                    .collect(),
            ),
            by_id: list
                .iter()
                .map(|one| (one.id.clone(), one.clone()))
                .collect(),
            nobody,
        }
    }

    /// The key that is shown. Where in the map we look follows from a MAC that
    /// nobody else can compute, so that the time it takes tells nothing.
    pub(super) fn find(&self, shown: &[u8]) -> Option<&Arc<StaticKey>> {
        let hash = KeyHash::of(&self.pepper, shown);
        let found = self.by_hash.find(hash.place(), &hash.0);
        let kept = found.map_or(&self.nobody, |known| &known.hash);
        is_equal(&kept.0, &hash.0).then_some(found).flatten()
    }

    pub(super) fn of_id(&self, id: &str) -> Option<&Arc<StaticKey>> {
        self.by_id.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<StaticKey>> {
        self.by_id.values()
    }
}
