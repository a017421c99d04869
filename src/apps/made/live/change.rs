//! One app at a time is built anew and put in the place of what it was.

use super::build::{self, Place, With};
use super::counted::Counted;
use super::named::Named;
use super::{ById, Held, Live};
use crate::apps::beside::{Placed, PlanInForce, hash};
use crate::apps::doubles::Doubles;
use crate::apps::made::{AppRecord, KeyRecord, Material, Store, Unreadable};
use crate::apps::{App, Assurance, Downgrade, StandIns};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What only changes need, one at a time.
#[derive(Default)]
pub(super) struct Changing {
    pub(super) plans: HashMap<Arc<str>, Arc<PlanInForce>>,
    pub(super) known_plans: HashMap<Arc<str>, Assurance>,
    pub(super) named: Named,
    /// Names of apps of `gateway.toml`: one of the registry with the same is not in force.
    pub(super) taken: HashSet<Arc<str>>,
    pub(super) free: Vec<usize>,
    pub(super) slots: usize,
    pub(super) number: u64,
    /// Apps that may not fall back.
    pub(super) refusing: HashMap<Arc<str>, Arc<App>>,
    pub(super) counted: Counted,
}

impl Live {
    /// Builds an app anew from its records.
    pub(super) fn renew(&self, name: &str, store: &dyn Store, changing: &mut Changing) {
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
        let place = changing.place(record, keys, before)?;
        Some(self.held(record, keys, place, before))
    }

    /// Builds what stands there.
    pub(super) fn held(
        &self,
        record: &AppRecord,
        keys: &[KeyRecord],
        place: Place,
        before: Option<&Held>,
    ) -> Held {
        let with = With {
            master: &self.master,
            place,
            before,
        };
        build::held(record, keys, &with)
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
        let mut stand_ins = StandIns::clone(&self.stand_ins.load());
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
        let of = |held: &Held| held.minter.clone();
        if let Some(minter) = after.as_deref().and_then(of) {
            stand_ins.add(&minter);
        }
        if let Some(minter) = before.and_then(of) {
            stand_ins.remove(&minter);
        }
        match &after {
            Some(held) => self.apps.put(place, held.clone()),
            None => self.apps.remove(place, name.as_bytes()),
        }
        if let Some(before) = before {
            for key in &before.keys {
                doubles.remove(&key.verifying);
                if !keys.iter().any(|one| one.id == key.id) {
                    self.keys.forget(hash(key.by()), key);
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
                    self.statics.forget(hash(one.by()), one);
                }
            }
            for one in &before.honey {
                if !honey.iter().any(|other| other.by() == one.by()) {
                    self.honey.forget(hash(one.by()), one);
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
        self.stand_ins.store(Arc::new(stand_ins));
        if let Some(before) = before {
            changing.named.subtract(before);
        }
        match after {
            Some(held) => changing.follow(&held),
            None => changing.forget(&name, before),
        }
    }
}

impl Changing {
    /// Where an app stands among the others, if it is in force.
    pub(super) fn place(
        &mut self,
        record: &AppRecord,
        keys: &[KeyRecord],
        before: Option<&Held>,
    ) -> Option<Place> {
        if self.taken.contains(&*record.name) {
            let app = &record.name;
            tracing::warn!(%app, "an app of the registry is not in force: `gateway.toml` has one of its name");
            return None;
        }
        let plan = record.plan.as_deref().map(|plan| self.plan(plan));
        if let Some(plan) = &plan
            && !plan.is_known()
        {
            let (app, plan) = (&record.name, &plan.name);
            tracing::error!(%app, %plan, "an app of the registry is refused: `gateway.toml` does not have its plan");
        }
        self.number += 1;
        let slot = match before {
            Some(before) => before.slot,
            None => self.free.pop().unwrap_or_else(|| {
                self.slots += 1;
                self.slots - 1
            }),
        };
        let shows = |key: &KeyRecord| !key.honey && matches!(key.material, Material::Static { .. });
        let uses = if keys.iter().any(shows) {
            self.counted.of(&record.name)
        } else {
            Arc::default()
        };
        Some(Place {
            plan,
            slot,
            number: self.number,
            uses,
        })
    }

    pub(super) fn know(&mut self, plans: impl Iterator<Item = (Arc<str>, Assurance)>) {
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

    pub(super) fn follow(&mut self, held: &Held) {
        self.named.add(held);
        let name = &held.app.name;
        if held.app.policy.downgrade == Downgrade::Refuse {
            self.refusing.insert(name.clone(), held.app.clone());
        } else {
            self.refusing.remove(name);
        }
    }

    fn forget(&mut self, name: &Arc<str>, before: Option<&Held>) {
        self.refusing.remove(name);
        self.free.extend(before.map(|held| held.slot));
    }
}
