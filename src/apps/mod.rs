//! Who may call: apps, their keys and scopes, and the look-up by key id.
//!
//! In: what `config` read. Out: [`Registry`], built whole and never changed;
//! a reload builds another. This room never: verifies anything, counts
//! anything, or tells a stranger whether a key exists.

#[cfg(feature = "gateway")]
pub mod made;

mod app;
mod assurance;
mod beside;
mod certified;
mod doubles;
mod kinds;
mod minter;
mod policy;
mod scheme;
mod scopes;
mod static_key;
mod tokens;
mod told;

pub use app::{App, Key};
pub use assurance::Assurance;
pub use beside::{Beside, FIRST_MADE, Instance, Made, MadeKey, PlanInForce, hash};
pub use certified::{Certified, NoOne, Who};
pub use doubles::Doubles;
pub use minter::{Minter, Signer, StandIns, nobody};
pub use policy::{Downgrade, Mode, Policy};
pub use scheme::{Scheme, SchemeSet};
pub use scopes::Scopes;
pub use static_key::{KeyHash, MAX_STATIC_KEY, MIN_STATIC_KEY, Pepper, StaticKey, Uses};
pub use tokens::{
    BadPolicy, ClaimRule, Evidence, LIFETIME, MAX_BUILD, OnFailure, TokenPolicy, Workload, is_build,
};
pub use told::Told;

use crate::crypto::aws4::DayKeys;
use crate::crypto::certificate::Certificate;
use crate::crypto::{HmacKey, VerifyingKey};
use crate::secret::Secret;
use beside::Table;
use certified::Certificates;
use doubles::Days;
use minter::Minters;
use static_key::StaticKeys;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Every app and key of one configuration.
#[derive(Debug, Default)]
pub struct Registry {
    apps: Vec<Arc<App>>,
    keys: Table<Key>,
    beside: Option<Arc<dyn Beside>>,
    certificates: Certificates,
    static_keys: Option<StaticKeys>,
    sunset: Option<i64>,
    webhooks: HashMap<usize, Vec<Arc<Key>>>,
    minters: Minters,
    doubles: Doubles,
    days: Days,
    told: Option<Box<Told>>,
    generation: u64,
}

/// Two keys of one registry have the same id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("key id `{0}` is used twice")]
pub struct DuplicateKey(pub Arc<str>);

impl Registry {
    /// Builds a registry. `generation` differs for every configuration that
    /// was ever in force in this process: what was cached under another one is stale.
    ///
    /// # Errors
    /// [`DuplicateKey`] when an id appears twice, in one app or in two.
    pub fn new(apps: Vec<Arc<App>>, keys: Vec<Key>, generation: u64) -> Result<Self, DuplicateKey> {
        let mut ids = HashSet::with_capacity(keys.len());
        let mut by_id = Vec::with_capacity(keys.len());
        let doubles = Doubles::new(keys.iter().map(|key| &key.verifying));
        let days = Days::new(keys.iter().map(|key| (&*key.id, &key.verifying)));
        let mut webhooks: HashMap<usize, Vec<Arc<Key>>> = HashMap::new();
        let mut signing = Vec::new();
        for mut key in keys {
            if key.mac().is_some_and(HmacKey::is_weak) {
                key.schemes = key.schemes.of_weak_keys();
            }
            let id = key.id.clone();
            let key = Arc::new(key);
            if key.schemes.contains(Scheme::Webhook) {
                webhooks.entry(key.app.index).or_default().push(key.clone());
            }
            if key.signer.is_some() {
                signing.push(key.clone());
            }
            by_id.push((hash(id.as_bytes()), key));
            if !ids.insert(id.clone()) {
                return Err(DuplicateKey(id));
            }
        }
        Ok(Self {
            minters: Minters::new(&apps, &signing),
            apps,
            keys: Table::new(by_id),
            beside: None,
            certificates: Certificates::default(),
            static_keys: None,
            sunset: None,
            webhooks,
            doubles,
            days,
            told: None,
            generation,
        })
    }

    /// Goes on with its look-ups where it finds nothing itself.
    #[must_use]
    pub fn beside(mut self, others: Option<Arc<dyn Beside>>) -> Self {
        self.beside = others;
        self
    }

    /// Adds the certificates by which apps are known.
    ///
    /// # Errors
    /// [`DuplicateKey`] when an id appears twice, be it that of a key.
    pub fn with_certificates(mut self, list: Vec<Certified>) -> Result<Self, DuplicateKey> {
        let mut ids = HashSet::with_capacity(list.len());
        for one in &list {
            if self.has_key(&one.id) || !ids.insert(one.id.clone()) {
                return Err(DuplicateKey(one.id.clone()));
            }
        }
        self.certificates = Certificates::new(list);
        Ok(self)
    }

    /// Keeps what it takes to tell callers what they did wrong: the secrets of the keys whose callers
    /// may be told. Without any key that is so, nothing is kept.
    #[must_use]
    pub fn telling(mut self, secrets: Vec<(Arc<str>, Secret)>, to_all: bool) -> Self {
        if to_all || self.apps.iter().any(|app| app.explain) {
            self.told = Some(Box::new(Told::new(secrets, self.keys.iter())));
        }
        self
    }

    /// What is kept for that; `None` where nobody may be told anything.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_deref()
    }

    /// Whom a verified certificate stands for, whatever the state of that.
    ///
    /// # Errors
    /// [`NoOne`].
    pub fn certified(&self, certificate: &Certificate) -> Result<&Arc<Certified>, NoOne> {
        self.certificates.find(certificate)
    }

    /// Adds the static keys, hashed under `pepper`.
    ///
    /// # Errors
    /// [`DuplicateKey`] when an id, or a hash, appears twice.
    pub fn with_static_keys(
        mut self,
        pepper: Pepper,
        list: Vec<StaticKey>,
    ) -> Result<Self, DuplicateKey> {
        let mut ids = HashSet::with_capacity(list.len());
        let mut hashes = HashSet::with_capacity(list.len());
        for one in &list {
            let is_new = ids.insert(one.id.clone()) && hashes.insert(one.hash);
            if self.has_key(&one.id) || !is_new {
                return Err(DuplicateKey(one.id.clone()));
            }
        }
        self.static_keys = Some(StaticKeys::new(pepper, list));
        Ok(self)
    }

    /// With the first second at which no static key is taken any more, Unix time.
    #[must_use]
    pub const fn with_sunset(mut self, at: Option<i64>) -> Self {
        self.sunset = at;
        self
    }

    /// The first second at which no static key is taken any more, Unix time.
    pub const fn sunset(&self) -> Option<i64> {
        self.sunset
    }

    /// The keys that webhooks of an app may be signed with, whatever their state.
    pub fn webhook_keys(&self, app: usize) -> &[Arc<Key>] {
        self.webhooks.get(&app).map_or(&[], Vec::as_slice)
    }

    /// The app of that name, where it gets tokens of the key service.
    pub fn minter(&self, app: &str) -> Option<Arc<Minter>> {
        let ours = self.minters.of(app);
        ours.cloned().or_else(|| self.beside.as_ref()?.minter(app))
    }

    /// Apps that were made at run time and get tokens whose keys are published at that second; no more
    /// than so many.
    pub fn minters_beside(&self, at: i64, most: usize) -> Vec<Arc<Minter>> {
        let others = self.beside.as_ref();
        others.map_or_else(Vec::new, |others| others.published(at, most))
    }

    /// The instance of that id, whatever its state.
    pub fn instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.beside.as_ref()?.instance(id)
    }

    /// Every app that gets tokens of the key service.
    pub fn minters(&self) -> impl Iterator<Item = &Arc<Minter>> {
        self.minters.all()
    }

    /// The app whose answers one of this name gets like, where there is none of this name: the same for
    /// the same name. `None` where there is no such app at all.
    pub fn minter_double(&self, app: &str) -> Option<Arc<Minter>> {
        let others = self.beside.as_ref().map(|others| others.stand_ins());
        self.minters.stand_ins.of(others.as_deref(), app)
    }

    /// The static key that is shown, whatever its state. It takes as long where there is none.
    pub fn static_key(&self, shown: &[u8]) -> Option<Arc<StaticKey>> {
        let ours = self.static_keys.as_ref().and_then(|keys| keys.find(shown));
        let others = || self.beside.as_ref()?.static_key(shown);
        ours.cloned().or_else(others)
    }

    /// The static key of that id, whatever its state.
    pub fn static_key_of(&self, id: &str) -> Option<Arc<StaticKey>> {
        let ours = self.static_keys.as_ref().and_then(|keys| keys.of_id(id));
        let others = || self.beside.as_ref()?.static_key_of(id);
        ours.cloned().or_else(others)
    }

    /// Whether an app that was made at run time has a static key.
    pub fn has_static_keys_beside(&self) -> bool {
        let others = self.beside.as_ref();
        others.is_some_and(|others| others.has_static_keys())
    }

    /// Every static key, in no order.
    pub fn static_keys(&self) -> impl Iterator<Item = &Arc<StaticKey>> {
        self.static_keys.iter().flat_map(StaticKeys::iter)
    }

    /// The key of that id, whatever its state: one hash, however many there are.
    pub fn key(&self, id: &str) -> Option<Arc<Key>> {
        let hash = hash(id.as_bytes());
        match self.keys.find(hash, id.as_bytes()) {
            Some(key) => Some(key.clone()),
            None => self.beside.as_ref()?.key(hash, id),
        }
    }

    /// Whether the configuration itself has a key of that id.
    pub fn has_key(&self, id: &str) -> bool {
        let found = self.keys.find(hash(id.as_bytes()), id.as_bytes());
        found.is_some()
    }

    /// What to verify with where no key has this id, so that it costs what a key of ours costs. It
    /// verifies nothing that anyone can make.
    pub fn double(&self, id: &str) -> Arc<VerifyingKey> {
        let others = self.beside.as_ref().map(|others| others.doubles());
        self.doubles.of(others.as_deref(), id)
    }

    /// Whether any key was laid out that nobody has.
    pub fn has_honey(&self) -> bool {
        let others = self.beside.as_ref();
        others.is_some_and(|others| others.has_honey())
    }

    /// The id of the key that was laid out, where this id, or this static key, is one.
    pub fn honey(&self, id: Option<&str>, shown: Option<&[u8]>) -> Option<Arc<str>> {
        self.beside.as_ref()?.honey(id, shown)
    }

    /// Remembers that a key was used, where it was made at run time; once a minute, not each time.
    pub fn note_use(&self, id: &str, made: Option<&MadeKey>, scheme: Scheme, at: i64) {
        if let (Some(others), Some(made)) = (&self.beside, made)
            && made.is_to_be_told(scheme, at)
        {
            others.used(id, scheme, at);
        }
    }

    /// As [`Registry::double`], for AWS's signers: the keys whose state decides what an id costs that
    /// no key has. Nothing is verified with them.
    pub fn double_of_days(&self, id: &str) -> Option<Arc<DayKeys>> {
        let others = self.beside.as_ref().map(|others| (others, others.count()));
        let hash = hash(id.as_bytes());
        let ours = self.keys.len() as u64;
        if let Some((others, theirs)) = others.filter(|(_, theirs)| *theirs > 0) {
            // By their share, which other bits of the hash decide than those that find a key.
            let all = u128::from(ours) + u128::from(theirs);
            let place = (u128::from(hash.rotate_left(32)) * all) >> 64;
            if place >= u128::from(ours) {
                return others.days(hash);
            }
        }
        self.days.of(id).cloned()
    }

    /// Every app, by [`App::index`].
    pub fn apps(&self) -> &[Arc<App>] {
        &self.apps
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.iter()
    }

    /// Which configuration this is.
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}
