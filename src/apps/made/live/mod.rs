//! What is in force of the registry: built from its records when they change,
//! and looked up by every request.
//!
//! It outlives settings. A look-up is one atomic load and one hash; a change
//! builds one app anew, puts it in the place of the old one, and marks the
//! keys of that: whatever was cached of them is void from then on.

mod build;
mod shards;

#[cfg(test)]
mod tests;

use super::{
    AppRecord, AuditEntry, InstanceRecord, KeyRecord, MasterKey, Outcome, Store, Touched,
    Unreadable,
};
use crate::apps::beside::{Beside, Instance, Placed, PlanInForce, hash};
use crate::apps::doubles::Doubles;
use crate::apps::{App, Assurance, Downgrade, Key, KeyHash, Minter, Scheme, StaticKey, Uses};
use arc_swap::ArcSwap;
use build::With;
use shards::Shards;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use subtle::ConstantTimeEq as _;

/// Apps whose published keys, or numbers of their own, are told.
const MAX_TOLD: usize = 256;

/// The registry in force.
pub struct Live {
    keys: Shards<Key>,
    statics: Shards<StaticKey>,
    statics_by_id: Shards<ById>,
    honey: Shards<Honey>,
    apps: Shards<Held>,
    instances: Shards<Instance>,
    doubles: ArcSwap<Doubles>,
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

/// What only changes need, one at a time.
#[derive(Default)]
struct Changing {
    plans: HashMap<Arc<str>, Arc<PlanInForce>>,
    known_plans: HashMap<Arc<str>, Assurance>,
    /// Names of apps of `gateway.toml`: one of the registry with the same is not in force.
    taken: HashSet<Arc<str>>,
    free: Vec<usize>,
    slots: usize,
    number: u64,
    /// Apps that may not fall back.
    refusing: HashMap<Arc<str>, Arc<App>>,
    /// Those with static keys, whose uses are counted.
    counted: HashMap<Arc<str>, Arc<Uses>>,
}

/// One app in force, with what is found by other names.
struct Held {
    app: Arc<App>,
    slot: usize,
    keys: Vec<Arc<Key>>,
    statics: Vec<Arc<StaticKey>>,
    honey: Vec<Arc<Honey>>,
    uses: Arc<Uses>,
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

impl Placed for StaticKey {
    fn by(&self) -> &[u8] {
        &self.hash.0
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
        let mut doubles = Doubles::default();
        let (mut keys, mut statics, mut honey, mut apps) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        store.each_app(&mut |record, records| {
            let Some(held) = self.build(&record, &records, &mut changing, None) else {
                return;
            };
            for key in &held.keys {
                doubles.add(&key.verifying);
                keys.push((hash(key.by()), key.clone()));
            }
            statics.extend(held.statics.iter().map(|one| (hash(one.by()), one.clone())));
            honey.extend(held.honey.iter().map(|one| (hash(one.by()), one.clone())));
            let held = Arc::new(held);
            changing.follow(&held);
            apps.push((hash(held.by()), held));
        })?;
        self.key_count.store(keys.len(), Ordering::Release);
        self.static_count.store(statics.len(), Ordering::Release);
        self.honey_count.store(honey.len(), Ordering::Release);
        self.keys.fill(keys);
        self.statics_by_id
            .fill(statics.iter().map(|(_, key)| ById::new(key)).collect());
        self.statics.fill(statics);
        self.honey.fill(honey);
        self.apps.fill(apps);
        self.doubles.store(Arc::new(doubles));
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
        let changing = self.changing();
        let used = changing.plans.iter();
        let missing =
            used.filter(|(name, plan)| Arc::strong_count(plan) > 1 && !known.contains(*name));
        let mut missing: Vec<_> = missing.map(|(name, _)| name.clone()).collect();
        missing.sort_unstable();
        missing
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
        let mut all: Vec<_> = changing.counted.iter().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        let rest: u64 = all.iter().skip(MAX_TOLD).map(|(_, uses)| uses.get()).sum();
        let has_rest = all.len() > MAX_TOLD;
        let told = all.into_iter().take(MAX_TOLD);
        let told = told.map(|(name, uses)| (Some(name.clone()), uses.get()));
        told.chain(has_rest.then_some((None, rest))).collect()
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

    /// Builds an app anew from its records.
    fn renew(&self, name: &str, store: &dyn Store, changing: &mut Changing) {
        let read = || {
            let record = store.app(name)?;
            let keys = match &record {
                Some(_) => store.keys_of(name)?,
                None => Vec::new(),
            };
            Ok::<_, Unreadable>((record, keys))
        };
        match read() {
            Ok((record, keys)) => {
                let place = hash(name.as_bytes());
                let before = self.apps.find(place, name.as_bytes());
                let held = record
                    .and_then(|record| self.build(&record, &keys, changing, before.as_deref()));
                self.replace(place, before.as_deref(), held, changing);
            }
            Err(why) => {
                tracing::error!(app = name, %why, "an app of the registry is not put into force");
            }
        }
    }

    fn build(
        &self,
        record: &AppRecord,
        keys: &[KeyRecord],
        changing: &mut Changing,
        before: Option<&Held>,
    ) -> Option<Held> {
        if changing.taken.contains(&*record.name) {
            let app = &record.name;
            tracing::warn!(%app, "an app of the registry is not in force: `gateway.toml` has one of its name");
            return None;
        }
        let plan = record.plan.as_deref().map(|plan| changing.plan(plan));
        if let Some(plan) = &plan
            && !plan.is_known()
        {
            let (app, plan) = (&record.name, &plan.name);
            tracing::error!(%app, %plan, "an app of the registry is refused: `gateway.toml` does not have its plan");
        }
        changing.number += 1;
        let slot = match before {
            Some(before) => before.slot,
            None => changing.free.pop().unwrap_or_else(|| {
                changing.slots += 1;
                changing.slots - 1
            }),
        };
        let with = With {
            master: &self.master,
            plan,
            slot,
            number: changing.number,
            before,
        };
        Some(build::held(record, keys, &with))
    }

    /// New ones first, then what is gone, then the mark on what was replaced: at no moment is a key that
    /// stays not found.
    fn replace(
        &self,
        place: u64,
        before: Option<&Held>,
        after: Option<Held>,
        changing: &mut Changing,
    ) {
        let mut doubles = Doubles::clone(&self.doubles.load());
        let was = before.map_or(0, |held| held.keys.len());
        let after = after.map(Arc::new);
        let name = match (&after, before) {
            (Some(held), _) => held.app.name.clone(),
            (None, Some(held)) => held.app.name.clone(),
            (None, None) => return,
        };
        let keys = after.as_deref().map_or(&[][..], |held| &held.keys);
        let statics = after.as_deref().map_or(&[][..], |held| &held.statics);
        let honey = after.as_deref().map_or(&[][..], |held| &held.honey);
        for key in keys {
            doubles.add(&key.verifying);
            self.keys.put(hash(key.by()), key.clone());
        }
        for one in statics {
            let (place, by_id) = ById::new(one);
            self.statics_by_id.put(place, by_id);
            self.statics.put(hash(one.by()), one.clone());
        }
        for one in honey {
            self.honey.put(hash(one.by()), one.clone());
        }
        match &after {
            Some(held) => self.apps.put(place, held.clone()),
            None => self.apps.remove(place, name.as_bytes()),
        }
        if let Some(before) = before {
            for key in &before.keys {
                doubles.remove(&key.verifying);
                if !keys.iter().any(|one| one.id == key.id) {
                    self.keys.remove(hash(key.by()), key.by());
                }
                if let Some(made) = &key.made {
                    made.replaced();
                }
            }
            for one in &before.statics {
                if !statics.iter().any(|other| other.id == one.id) {
                    let place = hash(one.id.as_bytes());
                    self.statics_by_id.remove(place, one.id.as_bytes());
                }
                if !statics.iter().any(|other| other.hash == one.hash) {
                    self.statics.remove(hash(one.by()), one.by());
                }
            }
            for one in &before.honey {
                if !honey.iter().any(|other| other.by() == one.by()) {
                    self.honey.remove(hash(one.by()), one.by());
                }
            }
        }
        let count = |of: &AtomicUsize, now: usize, was: usize| {
            of.fetch_add(now, Ordering::AcqRel);
            of.fetch_sub(was, Ordering::AcqRel);
        };
        count(&self.key_count, keys.len(), was);
        let was = before.map_or(0, |held| held.statics.len());
        count(&self.static_count, statics.len(), was);
        let was = before.map_or(0, |held| held.honey.len());
        count(&self.honey_count, honey.len(), was);
        self.doubles.store(Arc::new(doubles));
        match after {
            Some(held) => changing.follow(&held),
            None => changing.forget(&name, before),
        }
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changing {
    fn know(&mut self, plans: impl Iterator<Item = (Arc<str>, Assurance)>) {
        self.known_plans = plans.collect();
        for (name, plan) in &self.plans {
            plan.set(self.known_plans.get(name).copied());
        }
    }

    fn plan(&mut self, name: &str) -> Arc<PlanInForce> {
        if let Some(plan) = self.plans.get(name) {
            return plan.clone();
        }
        let plan = Arc::new(PlanInForce::new(name));
        plan.set(self.known_plans.get(name).copied());
        self.plans.insert(plan.name.clone(), plan.clone());
        plan
    }

    fn follow(&mut self, held: &Held) {
        let name = &held.app.name;
        if held.app.policy.downgrade == Downgrade::Refuse {
            self.refusing.insert(name.clone(), held.app.clone());
        } else {
            self.refusing.remove(name);
        }
        if !held.statics.is_empty() {
            self.counted.insert(name.clone(), held.uses.clone());
        }
    }

    fn forget(&mut self, name: &Arc<str>, before: Option<&Held>) {
        self.refusing.remove(name);
        self.counted.remove(name);
        self.free.extend(before.map(|held| held.slot));
    }
}

impl Beside for Live {
    fn key(&self, hash: u64, id: &str) -> Option<Arc<Key>> {
        self.keys.find(hash, id.as_bytes())
    }

    fn static_key(&self, shown: &[u8]) -> Option<Arc<StaticKey>> {
        if self.static_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let shown = KeyHash::of(self.master.pepper(), shown);
        let found = self.statics.find(hash(&shown.0), &shown.0);
        let kept = found.as_ref().map_or(&self.nobody, |known| &known.hash);
        bool::from(kept.0.ct_eq(&shown.0))
            .then_some(found)
            .flatten()
    }

    fn static_key_of(&self, id: &str) -> Option<Arc<StaticKey>> {
        let found = self
            .statics_by_id
            .find(hash(id.as_bytes()), id.as_bytes())?;
        Some(found.0.clone())
    }

    fn minter(&self, app: &str) -> Option<Arc<Minter>> {
        let held = self.apps.find(hash(app.as_bytes()), app.as_bytes())?;
        held.minter.clone()
    }

    fn published(&self) -> Vec<Arc<Minter>> {
        let mut told = Vec::new();
        self.apps.for_each(|held| {
            let published = held.minter.as_ref().filter(|minter| {
                let mut keys = minter.keys.iter();
                keys.any(|key| !key.algorithm().is_mac())
            });
            if told.len() < MAX_TOLD {
                told.extend(published.cloned());
            }
        });
        told
    }

    fn instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.instances.find(hash(id.as_bytes()), id.as_bytes())
    }

    fn doubles(&self) -> Arc<Doubles> {
        self.doubles.load_full()
    }

    fn honey(&self, id: Option<&str>, shown: Option<&[u8]>) -> Option<Arc<str>> {
        let by_id = id.and_then(|id| self.honey.find(hash(id.as_bytes()), id.as_bytes()));
        let by_hash = || {
            let shown = KeyHash::of(self.master.pepper(), shown?);
            self.honey.find(hash(&shown.0), &shown.0)
        };
        let found = by_id.or_else(by_hash)?;
        Some(found.id.clone())
    }

    fn has_honey(&self) -> bool {
        self.honey_count.load(Ordering::Relaxed) > 0
    }

    fn used(&self, id: &str, scheme: Scheme, at: i64) {
        if let Some(store) = self.store.get() {
            store.note_use(id, scheme.name(), at);
        }
    }
}

fn instance(record: &InstanceRecord) -> Instance {
    Instance {
        id: record.id.as_str().into(),
        app: record.app.as_str().into(),
        public: record.public.as_str().into(),
        thumbprint: record.thumbprint.as_str().into(),
        build: record.build.as_deref().map(Into::into),
        enabled: record.enabled,
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.sizes()).finish()
    }
}
