//! What is in force of the registry: built from its records when they change,
//! and looked up by every request.
//!
//! It outlives settings. A look-up is one atomic load and one hash; a change
//! builds one app anew, puts it in the place of the old one, and marks the
//! keys of that: whatever was cached of them is void from then on.

mod build;
mod change;
mod counted;
mod load;
mod look;
mod named;
mod shards;

use super::{AuditEntry, InstanceRecord, MasterKey, Outcome, Store, Touched, Unreadable};
use crate::apps::beside::{Instance, Placed, hash};
use crate::apps::doubles::Doubles;
use crate::apps::{App, Assurance, Key, KeyHash, Minter, StandIns, StaticKey};
use arc_swap::ArcSwap;
use change::Changing;
use load::Loading;
use shards::Shards;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The registry in force.
pub struct Live {
    keys: Shards<Key>,
    statics: Shards<StaticKey>,
    statics_by_id: Shards<ById>,
    honey: Shards<Honey>,
    apps: Shards<Held>,
    instances: Shards<Instance>,
    doubles: ArcSwap<Doubles>,
    stand_ins: ArcSwap<StandIns>,
    master: MasterKey,
    /// How many there are, so that nothing is paid for what nobody uses.
    static_count: AtomicUsize,
    honey_count: AtomicUsize,
    key_count: AtomicUsize,
    honey_shown: AtomicU64,
    /// What an unknown static key is compared with.
    nobody: KeyHash,
    store: OnceLock<Arc<dyn Store>>,
    changing: Mutex<Changing>,
}

/// One app in force, with what is found by other names.
struct Held {
    app: Arc<App>,
    slot: usize,
    keys: Vec<Arc<Key>>,
    statics: Vec<Arc<StaticKey>>,
    honey: Vec<Arc<Honey>>,
    minter: Option<Arc<Minter>>,
}

/// A key that nobody has: found by its id, or by the hash of a static key.
struct Honey {
    id: Arc<str>,
    hash: Option<KeyHash>,
}

impl Honey {
    fn named(id: Arc<str>) -> Self {
        Self { id, hash: None }
    }

    fn shown(id: Arc<str>, hash: KeyHash) -> Self {
        let hash = Some(hash);
        Self { id, hash }
    }
}

impl Placed for Honey {
    fn by(&self) -> &[u8] {
        let hash = self.hash.as_ref().map(|hash| &hash.0[..]);
        hash.unwrap_or(self.id.as_bytes())
    }
}

impl Placed for Held {
    fn by(&self) -> &[u8] {
        self.app.name.as_bytes()
    }
}

/// A static key, by its id.
struct ById(Arc<StaticKey>);

impl ById {
    fn new(key: &Arc<StaticKey>) -> (u64, Arc<Self>) {
        (hash(key.id.as_bytes()), Arc::new(Self(key.clone())))
    }
}

impl Placed for ById {
    fn by(&self) -> &[u8] {
        self.0.id.as_bytes()
    }
}

impl Placed for Instance {
    fn by(&self) -> &[u8] {
        self.id.as_bytes()
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Apps in force.
    pub apps: usize,
    /// Keys, static ones too.
    pub keys: usize,
    /// Instances.
    pub instances: usize,
}

impl Live {
    /// Nothing yet. `taken` are the apps of `gateway.toml`, `plans` what its plans ask for.
    pub fn new<'a>(
        master: MasterKey,
        taken: impl Iterator<Item = &'a Arc<str>>,
        plans: impl Iterator<Item = (Arc<str>, Assurance)>,
    ) -> Self {
        let mut nobody = KeyHash([0; 32]);
        crate::crypto::random(&mut nobody.0);
        let live = Self {
            keys: Shards::new(),
            statics: Shards::new(),
            statics_by_id: Shards::new(),
            honey: Shards::new(),
            apps: Shards::new(),
            instances: Shards::new(),
            doubles: ArcSwap::default(),
            stand_ins: ArcSwap::default(),
            master,
            static_count: AtomicUsize::new(0),
            honey_count: AtomicUsize::new(0),
            key_count: AtomicUsize::new(0),
            honey_shown: AtomicU64::new(0),
            nobody,
            store: OnceLock::new(),
            changing: Mutex::default(),
        };
        {
            let mut changing = live.changing();
            changing.taken = taken.cloned().collect();
            changing.know(plans);
        }
        live
    }

    /// Takes all of a store in, which nobody else writes to yet, and follows it from then on.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn load(&self, store: Arc<dyn Store>) -> Result<(), Unreadable> {
        let mut changing = self.changing();
        let mut loading = Loading::of(&mut changing);
        store.each_app(&mut |some| {
            for (app, keys) in some {
                if let Some(place) = loading.changing.place(app, keys, None) {
                    loading.add(self.held(app, keys, place, None));
                }
            }
        })?;
        let loaded = loading.loaded;
        self.key_count.store(loaded.keys.len(), Ordering::Release);
        self.static_count
            .store(loaded.statics.len(), Ordering::Release);
        self.honey_count
            .store(loaded.honey.len(), Ordering::Release);
        self.keys.fill(loaded.keys);
        let by_id = loaded.statics.iter().map(|(_, key)| ById::new(key));
        self.statics_by_id.fill(by_id.collect());
        self.statics.fill(loaded.statics);
        self.honey.fill(loaded.honey);
        self.apps.fill(loaded.apps);
        self.doubles.store(Arc::new(loading.doubles));
        self.stand_ins.store(Arc::new(loading.stand_ins));
        let mut instances = Vec::new();
        store.each_instance(&mut |record| {
            let one = Arc::new(instance(&record));
            instances.push((hash(one.by()), one));
        })?;
        self.instances.fill(instances);
        let _ = self.store.set(store);
        Ok(())
    }

    /// Puts what a commit has touched into force.
    pub fn refresh(&self, touched: &Touched) {
        let Some(store) = self.store.get() else {
            return;
        };
        let mut changing = self.changing();
        for name in &touched.apps {
            self.renew(name, &**store, &mut changing);
        }
        for id in &touched.instances {
            let place = hash(id.as_bytes());
            let before = self.instances.find(place, id.as_bytes());
            match store.instance(id) {
                Ok(Some(record)) => self.instances.put(place, Arc::new(instance(&record))),
                Ok(None) => self.instances.remove(place, id.as_bytes()),
                Err(why) => {
                    tracing::error!(%id, %why, "an instance of the registry is not put into force");
                }
            }
            // A token of it that was seen may stand no longer.
            if let Some(before) = before {
                self.renew(&before.app, &**store, &mut changing);
            }
        }
        if !touched.removed.is_empty() {
            self.instances
                .retain(|one| !touched.removed.contains(&*one.app));
        }
    }

    /// Other settings are in force: other apps of `gateway.toml`, other plans.
    pub fn reconfigure<'a>(
        &self,
        taken: impl Iterator<Item = &'a Arc<str>>,
        plans: impl Iterator<Item = (Arc<str>, Assurance)>,
    ) {
        let mut changing = self.changing();
        changing.know(plans);
        let taken: HashSet<Arc<str>> = taken.cloned().collect();
        let before = std::mem::replace(&mut changing.taken, taken);
        let differ: BTreeSet<Arc<str>> = before
            .symmetric_difference(&changing.taken)
            .cloned()
            .collect();
        if let Some(store) = self.store.get() {
            for name in differ {
                self.renew(&name, &**store, &mut changing);
            }
        }
    }

    /// Plans that apps in force name and `known` does not: their apps would be switched off.
    pub fn missing_plans(&self, known: &HashSet<Arc<str>>) -> Vec<Arc<str>> {
        self.changing().named.plans.missing(known)
    }

    /// Issuers by which apps in force know their workloads, and that are not `known`: no workload of
    /// theirs would get a token.
    pub fn missing_issuers(&self, known: &HashSet<Arc<str>>) -> Vec<Arc<str>> {
        self.changing().named.issuers.missing(known)
    }

    /// The apps that may not fall back to a weaker proof.
    pub fn refusing(&self) -> Vec<Arc<App>> {
        self.changing().refusing.values().cloned().collect()
    }

    /// The app of that name, where it is in force.
    pub fn app(&self, name: &str) -> Option<Arc<App>> {
        let held = self.apps.find(hash(name.as_bytes()), name.as_bytes())?;
        Some(held.app.clone())
    }

    /// How much there is.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            apps: self.apps.len(),
            keys: self.key_count.load(Ordering::Acquire)
                + self.static_count.load(Ordering::Acquire),
            instances: self.instances.len(),
        }
    }

    /// How often keys were shown that nobody has.
    pub fn honey_shown(&self) -> u64 {
        self.honey_shown.load(Ordering::Relaxed)
    }

    /// How often each app has shown static keys; those that are too many, together, without a name.
    pub fn static_uses(&self) -> Vec<(Option<Arc<str>>, u64)> {
        let changing = self.changing();
        changing.counted.told(&changing.taken)
    }

    /// Tells that a key was shown that nobody has. Costs little, however often it comes.
    pub fn alarm(&self, key: &str, peer: &str, at: i64) {
        self.honey_shown.fetch_add(1, Ordering::Relaxed);
        if let Some(store) = self.store.get() {
            store.note(AuditEntry {
                at,
                who: format!("peer:{peer}"),
                what: "key.honey".to_owned(),
                target: format!("key/{key}"),
                before: None,
                after: None,
                outcome: Outcome::Alarm("a key was shown that nobody has".to_owned()),
                times: 1,
            });
        }
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn instance(record: &InstanceRecord) -> Instance {
    Instance {
        id: record.id.as_str().into(),
        app: record.app.as_str().into(),
        public: record.public.as_str().into(),
        thumbprint: record.thumbprint.as_str().into(),
        enabled: record.enabled,
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.sizes()).finish()
    }
}
