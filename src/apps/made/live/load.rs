//! All that is taken in at the start.

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

impl<'l> Loading<'l> {
    pub(super) fn of(changing: &'l mut Changing) -> Self {
        Self {
            changing,
            doubles: Doubles::default(),
            stand_ins: StandIns::default(),
            loaded: Loaded::default(),
        }
    }

    pub(super) fn add(&mut self, held: Held) {
        self.changing.follow(&held);
        if let Some(minter) = &held.minter {
            self.stand_ins.add(minter);
        }
        for key in &held.keys {
            self.doubles.add(&key.verifying);
        }
        let loaded = &mut self.loaded;
        add(&mut loaded.keys, &held.keys);
        add(&mut loaded.statics, &held.statics);
        add(&mut loaded.honey, &held.honey);
        loaded.apps.push((hash(held.by()), Arc::new(held)));
    }
}

fn add<T: Placed>(to: &mut Entries<T>, all: &[Arc<T>]) {
    to.extend(all.iter().map(|one| (hash(one.by()), one.clone())));
}
