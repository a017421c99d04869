//! All that is taken in at the start, by several threads at the same time.

use super::change::Changing;
use super::{Held, Honey};
use crate::apps::beside::{Placed, hash};
use crate::apps::doubles::Doubles;
use crate::apps::{Key, StandIns, StaticKey};
use std::sync::Arc;

/// What lies where its hash says.
type Entries<T> = Vec<(u64, Arc<T>)>;

/// Apps, and by what they and what they have are found.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) apps: Entries<Held>,
    pub(super) keys: Entries<Key>,
    pub(super) statics: Entries<StaticKey>,
    pub(super) honey: Entries<Honey>,
}

/// What was taken in so far.
pub(super) struct Loading<'l> {
    pub(super) changing: &'l mut Changing,
    pub(super) doubles: Doubles,
    pub(super) stand_ins: StandIns,
    pub(super) loaded: Loaded,
}

impl Loaded {
    pub(super) fn add(&mut self, held: Held) {
        add(&mut self.keys, &held.keys);
        add(&mut self.statics, &held.statics);
        add(&mut self.honey, &held.honey);
        self.apps.push((hash(held.by()), Arc::new(held)));
    }
}

impl<'l> Loading<'l> {
    pub(super) fn of(changing: &'l mut Changing) -> Self {
        Self {
            changing,
            doubles: Doubles::default(),
            stand_ins: StandIns::default(),
            loaded: Loaded::default(),
        }
    }

    pub(super) fn take(&mut self, some: Loaded) {
        for (_, held) in &some.apps {
            self.changing.follow(held);
            if let Some(minter) = &held.minter {
                self.stand_ins.add(minter);
            }
        }
        for (_, key) in &some.keys {
            self.doubles.add(&key.verifying);
        }
        self.loaded.apps.extend(some.apps);
        self.loaded.keys.extend(some.keys);
        self.loaded.statics.extend(some.statics);
        self.loaded.honey.extend(some.honey);
    }
}

fn add<T: Placed>(to: &mut Entries<T>, all: &[Arc<T>]) {
    to.extend(all.iter().map(|one| (hash(one.by()), one.clone())));
}
