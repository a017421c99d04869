//! What is in force, for each worker by a pointer of its own: a pointer that
//! all of them counted would be written by all, twice a request.

use super::Settings;
use crate::lanes::Lanes;
use arc_swap::{ArcSwap, Guard};
use std::ops::Deref;
use std::sync::Arc;

/// The settings in force; a worker takes them by one atomic load a request.
#[derive(Debug)]
pub struct InForce {
    current: ArcSwap<Settings>,
    workers: Lanes<ArcSwap<Taken>>,
}

/// The settings as one worker counts who uses them.
#[derive(Debug)]
pub(super) struct Taken(Arc<Settings>);

impl Deref for Taken {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

impl InForce {
    /// For so many workers; more share.
    pub fn new(settings: Settings, workers: usize) -> Self {
        let settings = Arc::new(settings);
        let own = || ArcSwap::from_pointee(Taken(settings.clone()));
        Self {
            workers: Lanes::new(workers, own),
            current: ArcSwap::new(settings),
        }
    }

    /// Puts other settings in force: each request that begins from now on is
    /// judged by them, whole.
    pub fn store(&self, settings: Settings) {
        let settings = Arc::new(settings);
        for own in self.workers.iter() {
            own.store(Arc::new(Taken(settings.clone())));
        }
        self.current.store(settings);
    }

    /// A look at them.
    pub fn load(&self) -> Guard<Arc<Settings>> {
        self.current.load()
    }

    /// Those that a request of this worker is judged by, until it ends.
    pub(super) fn take(&self, worker: usize) -> Arc<Taken> {
        self.workers.of(worker).load_full()
    }
}
