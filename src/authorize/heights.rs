//! What each app has moved up to, of those that may not fall back.

use crate::apps::{App, Assurance, Downgrade, Mode, Scheme};
use crate::schemes::Caller;
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Names of apps that one event tells.
const MAX_TOLD: usize = 8;

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
        Self::with(caller, caller.assurance())
    }

    /// That to which it moves its app.
    pub fn of_app(caller: &Caller) -> Self {
        Self::with(caller, caller.assurance_of_app())
    }

    fn with(caller: &Caller, assurance: Assurance) -> Self {
        match assurance {
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
        self.change(apps, |_, _| false);
    }

    /// The same where there may be more apps than these, which cannot be looked at: what is known of
    /// those stays.
    pub fn keep_others<A: IntoIterator<Item = Arc<App>>>(&self, apps: impl FnOnce() -> A) {
        self.change(apps, |known, name| !known.contains(name));
    }

    /// `stays` says of an app that nobody asks for whether it is kept, by which there are.
    fn change<A: IntoIterator<Item = Arc<App>>>(
        &self,
        apps: impl FnOnce() -> A,
        stays: impl Fn(&HashSet<Arc<str>>, &str) -> bool,
    ) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.by_app.load();
        let (mut there, mut next) = (HashSet::new(), HashMap::new());
        for app in apps() {
            if app.policy.downgrade == Downgrade::Refuse {
                let known = before.get(&app.name).cloned();
                next.insert(app.name.clone(), known.unwrap_or_default());
            }
            there.insert(app.name.clone());
        }
        let mut forgot = Vec::new();
        for (name, height) in &**before {
            if height.load(Ordering::Relaxed) == 0 || next.contains_key(name) {
                continue;
            }
            if stays(&there, name) {
                next.insert(name.clone(), height.clone());
            } else {
                forgot.push(&**name);
            }
        }
        self.by_app.store(Arc::new(next));
        if !forgot.is_empty() {
            forgot.sort_unstable();
            let more = forgot.len().saturating_sub(MAX_TOLD);
            let apps = forgot[..forgot.len() - more].join(", ");
            tracing::warn!(
                apps,
                more,
                "what apps have moved up to is forgotten: nobody asks for it"
            );
            self.tell();
        }
    }

    /// Moves `app` up to `lifted`, or leaves it where it is. What is `shown` may be more than that. `mode` is the app's.
    ///
    /// # Errors
    /// It stands higher than what is shown: there.
    pub fn reach(
        &self,
        app: &str,
        shown: Strength,
        lifted: Strength,
        mode: Mode,
    ) -> Result<(), Strength> {
        let by_app = self.by_app.load();
        // One that is not kept is of settings that are in force no more, or not yet.
        let Some(height) = by_app.get(app) else {
            return Ok(());
        };
        let mut reached = height.load(Ordering::Acquire);
        if reached < lifted.rank() {
            reached = height.fetch_max(lifted.rank(), Ordering::AcqRel);
            if reached < lifted.rank() {
                let are = match mode {
                    Mode::Enforce => "are",
                    Mode::Observe => "would be",
                };
                tracing::info!(
                    app,
                    from = Strength::of_rank(reached).name(),
                    to = lifted.name(),
                    "an app has moved up: weaker proofs of it {are} refused from now on"
                );
                self.tell();
            }
        }
        if reached > shown.rank() {
            return Err(Strength::of_rank(reached));
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
