//! All that is taken in at the start, by several threads at the same time.

use super::change::Changing;
use super::{Held, Honey};
use crate::apps::beside::{Placed, hash};
use crate::apps::doubles::Doubles;
use crate::apps::{Key, StandIns, StaticKey};
use std::sync::Arc;

/// What lies where its hash says.
type Entries<T> = Vec<(u64, Arc<T>)>;

/// What was taken in so far.
pub(super) struct Loading<'l> {
    pub(super) changing: &'l mut Changing,
    pub(super) doubles: Doubles,
    pub(super) stand_ins: StandIns,
    pub(super) keys: Entries<Key>,
    pub(super) statics: Entries<StaticKey>,
    pub(super) honey: Entries<Honey>,
    pub(super) apps: Entries<Held>,
}

/// By what one app and what it has are found.
pub(super) struct Found {
    app: u64,
    keys: Entries<Key>,
    statics: Entries<StaticKey>,
    honey: Entries<Honey>,
}

impl Found {
    pub(super) fn of(held: &Held) -> Self {
        Self {
            app: hash(held.by()),
            keys: entries(&held.keys),
            statics: entries(&held.statics),
            honey: entries(&held.honey),
        }
    }
}

impl<'l> Loading<'l> {
    pub(super) fn of(changing: &'l mut Changing) -> Self {
        Self {
            changing,
            doubles: Doubles::default(),
            stand_ins: StandIns::default(),
            keys: Vec::new(),
            statics: Vec::new(),
            honey: Vec::new(),
            apps: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, held: Arc<Held>, found: Found) {
        for (_, key) in &found.keys {
            self.doubles.add(&key.verifying);
        }
        if let Some(minter) = &held.minter {
            self.stand_ins.add(minter);
        }
        self.keys.extend(found.keys);
        self.statics.extend(found.statics);
        self.honey.extend(found.honey);
        self.changing.follow(&held);
        self.apps.push((found.app, held));
    }
}

fn entries<T: Placed>(all: &[Arc<T>]) -> Entries<T> {
    all.iter()
        .map(|one| (hash(one.by()), one.clone()))
        .collect()
}
