//! Keys that sign tokens here, and the look-up of them by app.

use super::{App, Key, TokenPolicy};
use crate::crypto::{Algorithm, BadKey, HmacKey, SigningKey};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

/// The half of a key that signs, and a key that nobody has, which costs the same to sign with.
#[derive(Debug)]
pub struct Signer {
    signs: SigningKey,
    decoy: SigningKey,
}

impl Signer {
    /// Of a key whose tokens are made here.
    ///
    /// # Errors
    /// [`BadKey`]: an RSA key of a size that no decoy can be made of.
    pub fn new(signs: SigningKey) -> Result<Self, BadKey> {
        let decoy = signs.double()?;
        Ok(Self { signs, decoy })
    }

    /// What signs tokens.
    pub const fn signs(&self) -> &SigningKey {
        &self.signs
    }

    /// What signs those that open nothing.
    pub const fn decoy(&self) -> &SigningKey {
        &self.decoy
    }
}

/// An app that gets tokens of the key service.
#[derive(Clone, Debug)]
pub struct Minter {
    /// The app.
    pub app: Arc<App>,
    /// How it gets them.
    pub policy: Arc<TokenPolicy>,
    /// The keys that may sign, the one to take first before others.
    pub keys: Vec<Arc<Key>>,
}

impl Minter {
    /// The app with its policy, and those of `keys` that are its own and may sign; `None` where it gets no tokens.
    pub fn new<'k>(app: &Arc<App>, keys: impl Iterator<Item = &'k Arc<Key>>) -> Option<Self> {
        let policy = app.tokens.clone()?;
        let own =
            keys.filter(|key| key.app.name == app.name && key.attests && key.signer.is_some());
        let mut own: Vec<_> = own.cloned().collect();
        if policy.keys.is_empty() {
            own.reverse();
            own.sort_by_key(|key| std::cmp::Reverse(key.not_before));
        } else {
            let place = |key: &Arc<Key>| policy.keys.iter().position(|id| **id == *key.id);
            own.retain(|key| place(key).is_some());
            own.sort_by_key(place);
        }
        Some(Self {
            app: app.clone(),
            policy,
            keys: own,
        })
    }

    /// The key that signs at `unix_seconds`, if any may: one that drains only where there is no other.
    pub fn key(&self, unix_seconds: i64) -> Option<&Arc<Key>> {
        let active = || self.keys.iter().filter(|key| key.is_active(unix_seconds));
        let lasting = active().find(|key| !key.is_draining(unix_seconds));
        lasting.or_else(|| active().next())
    }
}

/// Every app of a configuration that gets tokens of the key service.
#[derive(Debug, Default)]
pub(super) struct Minters {
    by_app: HashMap<Arc<str>, Arc<Minter>>,
    /// The same in order, to choose among them.
    names: Vec<Arc<str>>,
}

impl Minters {
    pub(super) fn new(apps: &[Arc<App>], keys: &[Arc<Key>]) -> Self {
        let mut own: HashMap<&str, Vec<&Arc<Key>>> = HashMap::new();
        for key in keys {
            own.entry(&*key.app.name).or_default().push(key);
        }
        let minters = apps.iter().filter_map(|app| {
            let keys = own.get(&*app.name).map_or(&[][..], Vec::as_slice);
            Minter::new(app, keys.iter().copied())
        });
        let by_app: HashMap<_, _> = minters
            .map(|one| (one.app.name.clone(), Arc::new(one)))
            .collect();
        let mut names: Vec<_> = by_app.keys().cloned().collect();
        names.sort_unstable();
        Self { by_app, names }
    }

    pub(super) fn of(&self, app: &str) -> Option<&Arc<Minter>> {
        self.by_app.get(app)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Minter>> {
        self.names.iter().filter_map(|name| self.by_app.get(name))
    }

    /// What an app that is not there is answered like: the same one for the same name.
    pub(super) fn double(&self, app: &str) -> Option<&Arc<Minter>> {
        /// Strangers cannot tell which name is answered like which app.
        static HASH: OnceLock<RandomState> = OnceLock::new();
        let hash = HASH.get_or_init(RandomState::new).hash_one(app);
        let place = usize::try_from(hash % self.names.len().max(1) as u64).unwrap_or(0);
        self.by_app.get(self.names.get(place)?)
    }
}

/// What signs for an app that is not there, where no other is: nobody's key.
pub fn nobody() -> &'static Signer {
    static NOBODY: OnceLock<Signer> = OnceLock::new();
    NOBODY.get_or_init(|| Signer {
        signs: HmacKey::dummy(Algorithm::HmacSha256).into(),
        decoy: HmacKey::dummy(Algorithm::HmacSha256).into(),
    })
}
