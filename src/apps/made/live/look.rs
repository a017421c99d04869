//! What requests ask.

use super::Live;
use crate::apps::beside::{Beside, Instance, hash};
use crate::apps::doubles::Doubles;
use crate::apps::{Key, KeyHash, Minter, Scheme, StandIns, StaticKey};
use crate::crypto::aws4::DayKeys;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use subtle::ConstantTimeEq as _;

impl Beside for Live {
    fn key(&self, hash: u64, id: &str) -> Option<Arc<Key>> {
        self.keys.find(hash, id.as_bytes())
    }

    fn static_key(&self, shown: &[u8]) -> Option<Arc<StaticKey>> {
        if !self.has_static_keys() {
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

    fn stand_ins(&self) -> Arc<StandIns> {
        self.stand_ins.load_full()
    }

    fn published(&self, at: i64, most: usize) -> Vec<Arc<Minter>> {
        let mut told = Vec::new();
        self.apps.for_each(|held| {
            let published = held
                .minter
                .as_ref()
                .filter(|minter| minter.published(at).next().is_some());
            if told.len() < most {
                told.extend(published.cloned());
            }
        });
        told
    }

    fn instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.instances.find(hash(id.as_bytes()), id.as_bytes())
    }

    fn has_static_keys(&self) -> bool {
        self.static_count.load(Ordering::Acquire) > 0
    }

    fn count(&self) -> u64 {
        self.key_count.load(Ordering::Relaxed) as u64
    }

    fn days(&self, hash: u64) -> Option<Arc<DayKeys>> {
        self.keys.near(hash)?.mac()?.shared_aws()
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
