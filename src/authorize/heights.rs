//! What each app has moved up to, of those that may not fall back.

use crate::apps::{App, Assurance, Downgrade, Scheme};
use crate::schemes::Caller;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How strong a proof is, for telling a step down from a step up: its
/// assurance, where a static key counts for less than anything that does not
/// travel. A later one is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Strength {
    /// Nothing was proven.
    None,
    /// A static key was shown.
    StaticKey,
    /// Something that was made with a key.
    Key,
    /// The request was signed.
    Signed,
    /// A token of somebody who has looked at the app's instance was shown.
    Attested,
    /// Both.
    AttestedSigned,
}

impl Strength {
    const ALL: [Self; 6] = [
        Self::None,
        Self::StaticKey,
        Self::Key,
        Self::Signed,
        Self::Attested,
        Self::AttestedSigned,
    ];

    /// That of a caller's proof.
    pub fn of(caller: &Caller) -> Self {
        match caller.assurance() {
            Assurance::None => Self::None,
            Assurance::Key if caller.scheme() == Some(Scheme::ApiKey) => Self::StaticKey,
            Assurance::Key => Self::Key,
            Assurance::Signed => Self::Signed,
            Assurance::Attested => Self::Attested,
            Assurance::AttestedSigned => Self::AttestedSigned,
        }
    }

    /// Its word: that of an assurance, or of static keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => Assurance::None.name(),
            Self::StaticKey => Scheme::ApiKey.name(),
            Self::Key => Assurance::Key.name(),
            Self::Signed => Assurance::Signed.name(),
            Self::Attested => Assurance::Attested.name(),
            Self::AttestedSigned => Assurance::AttestedSigned.name(),
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its place among all, the least first.
    const fn rank(self) -> u8 {
        self as u8
    }

    fn of_rank(rank: u8) -> Self {
        let found = Self::ALL.into_iter().find(|known| known.rank() == rank);
        found.unwrap_or(Self::None)
    }
}

/// The strongest proof of each app that says `downgrade = "refuse"`, for the
/// life of the process; whoever is told of each rise keeps it longer. As many
/// as there are such apps; what it costs others is nothing.
pub struct Heights {
    by_app: ArcSwap<HashMap<Arc<str>, Arc<AtomicU8>>>,
    /// Changes of which apps there are, one at a time.
    changing: Mutex<()>,
    rose: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Heights {
    /// What is known from before.
    pub fn new(known: impl IntoIterator<Item = (Box<str>, Strength)>) -> Self {
        let known = known.into_iter();
        let entry = |(app, strength): (Box<str>, Strength)| {
            (app.into(), Arc::new(AtomicU8::new(strength.rank())))
        };
        Self {
            by_app: ArcSwap::from_pointee(known.map(entry).collect()),
            changing: Mutex::default(),
            rose: OnceLock::new(),
        }
    }

    /// Who is told whenever something has changed, on the thread that changed
    /// it: it must not wait. The first one stays.
    pub fn on_change(&self, told: impl Fn() + Send + Sync + 'static) {
        let _ = self.rose.set(Box::new(told));
    }

    /// Keeps those of the `apps` there are now that may not fall back, and forgets all others. Of
    /// two at the same time the later one asks later, too.
    pub fn keep<A: IntoIterator<Item = Arc<App>>>(&self, apps: impl FnOnce() -> A) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.by_app.load();
        let asked = apps()
            .into_iter()
            .filter(|app| app.policy.downgrade == Downgrade::Refuse);
        let next: HashMap<_, _> = asked
            .map(|app| {
                let known = before.get(&app.name).cloned();
                (app.name.clone(), known.unwrap_or_default())
            })
            .collect();
        let forgot = before
            .iter()
            .any(|(name, height)| !next.contains_key(name) && height.load(Ordering::Relaxed) > 0);
        self.by_app.store(Arc::new(next));
        if forgot {
            self.tell();
        }
    }

    /// Moves `app` up to `shown`, or leaves it where it is.
    ///
    /// # Errors
    /// It stands higher: there.
    pub fn reach(&self, app: &str, shown: Strength) -> Result<(), Strength> {
        let by_app = self.by_app.load();
        // One that is not kept is of settings that are in force no more, or not yet.
        let Some(height) = by_app.get(app) else {
            return Ok(());
        };
        let reached = height.load(Ordering::Acquire);
        if reached == shown.rank() {
            return Ok(());
        }
        let reached = height.fetch_max(shown.rank(), Ordering::AcqRel);
        if reached > shown.rank() {
            return Err(Strength::of_rank(reached));
        }
        if reached < shown.rank() {
            self.tell();
        }
        Ok(())
    }

    /// Whether `app` could be moved to `shown`; leaves it where it is.
    ///
    /// # Errors
    /// It stands higher: there.
    pub fn compare(&self, app: &str, shown: Strength) -> Result<(), Strength> {
        let by_app = self.by_app.load();
        let reached = by_app.get(app).map_or(0, |at| at.load(Ordering::Acquire));
        if reached > shown.rank() {
            return Err(Strength::of_rank(reached));
        }
        Ok(())
    }

    /// How high each app stands that has shown anything yet, by name.
    pub fn all(&self) -> Vec<(Arc<str>, Strength)> {
        let by_app = self.by_app.load();
        let mut all: Vec<_> = by_app
            .iter()
            .map(|(name, height)| (name.clone(), height.load(Ordering::Acquire)))
            .filter(|(_, rank)| *rank > 0)
            .map(|(name, rank)| (name, Strength::of_rank(rank)))
            .collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    fn tell(&self) {
        if let Some(told) = self.rose.get() {
            told();
        }
    }
}

impl fmt::Debug for Heights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Heights").field(&self.all()).finish()
    }
}
