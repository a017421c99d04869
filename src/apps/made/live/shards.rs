//! A large map in shards: a look-up is one atomic load, a change copies one shard.

use crate::apps::beside::{Placed, Table};
use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;

/// Of a million entries each holds some two hundred.
const SHARDS: usize = 4_096;

pub(super) struct Shards<T>(Box<[ArcSwap<Table<T>>]>);

impl<T: Placed> Shards<T> {
    /// One without entries: its shards are all the same one.
    pub(super) fn new() -> Self {
        let none = Arc::<Table<T>>::default();
        Self((0..SHARDS).map(|_| ArcSwap::new(none.clone())).collect())
    }

    /// All at once, before anybody looks.
    pub(super) fn fill(&self, entries: Vec<(u64, Arc<T>)>) {
        let mut shards: Vec<Vec<(u64, Arc<T>)>> = Vec::new();
        shards.resize_with(SHARDS, Vec::new);
        for (hash, entry) in entries {
            shards[shard(hash)].push((hash, entry));
        }
        for (shard, entries) in self.0.iter().zip(shards) {
            if !entries.is_empty() {
                shard.store(Arc::new(Table::new(entries)));
            }
        }
    }

    pub(super) fn find(&self, hash: u64, by: &[u8]) -> Option<Arc<T>> {
        self.0[shard(hash)].load().find(hash, by).cloned()
    }

    /// One of the shard of this hash, the same for the same hash as long as the shard does not change.
    pub(super) fn near(&self, hash: u64) -> Option<Arc<T>> {
        let table = self.0[shard(hash)].load();
        let place = (hash as usize).checked_rem(table.len())?;
        table.iter().nth(place).cloned()
    }

    /// Puts an entry in place of the one with the same name.
    pub(super) fn put(&self, hash: u64, entry: Arc<T>) {
        self.change(hash, |entries| {
            entries.retain(|(_, one)| one.by() != entry.by());
            entries.push((hash, entry));
        });
    }

    pub(super) fn remove(&self, hash: u64, by: &[u8]) {
        self.change(hash, |entries| entries.retain(|(_, one)| one.by() != by));
    }

    /// Takes this entry away, and none that has come in its place.
    pub(super) fn forget(&self, hash: u64, entry: &Arc<T>) {
        self.change(hash, |entries| {
            entries.retain(|(_, one)| !Arc::ptr_eq(one, entry));
        });
    }

    /// Takes away those that are not to be kept, wherever they lie.
    pub(super) fn retain(&self, keep: impl Fn(&T) -> bool) {
        for shard in &self.0 {
            let table = shard.load();
            if table.iter().any(|one| !keep(one)) {
                let kept = table.entries().filter(|(_, one)| keep(one));
                shard.store(Arc::new(Table::new(kept.cloned().collect())));
            }
        }
    }

    fn change(&self, hash: u64, change: impl FnOnce(&mut Vec<(u64, Arc<T>)>)) {
        let shard = &self.0[shard(hash)];
        let mut entries: Vec<_> = shard.load().entries().cloned().collect();
        change(&mut entries);
        shard.store(Arc::new(Table::new(entries)));
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.load().len()).sum()
    }

    /// Each of them, as it is when its turn comes.
    pub(super) fn for_each(&self, mut see: impl FnMut(&Arc<T>)) {
        for shard in &self.0 {
            shard.load().iter().for_each(&mut see);
        }
    }
}

/// By the upper bits: tables go by the lower ones.
const fn shard(hash: u64) -> usize {
    (hash >> 52) as usize
}

impl<T> fmt::Debug for Shards<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shards(..)")
    }
}
