//! The registry of a gateway that runs: the file, what of it is in force, and
//! what must follow when that changes.

use crate::apps::made::live::Live;
use crate::apps::made::{Store as _, Touched, Watcher};
use crate::apps::{App, Assurance, Beside};
use crate::authorize::Heights;
use crate::gateway::{Alarm, Blueprint, Shared};
use crate::observe::{Kind, Observer, One};
use crate::store::registry::{Registry, Settings};
use anyhow::Context as _;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How long a start waits for a command that has the file: far longer than any takes.
const WAIT: Duration = Duration::from_secs(5);
/// Names of apps that one event tells.
const MAX_TOLD: usize = 8;
/// What the uses of apps beyond those that are told by name stand under.
const OTHERS: &str = "(others)";

/// The file, and what of it is in force.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) store: Arc<Registry>,
    pub(super) live: Arc<Live>,
    issuers: Arc<Mutex<Issuers>>,
}

/// The names of issuers: those of the settings in force, and of those that were last found fit to follow.
struct Issuers {
    in_force: HashSet<Arc<str>>,
    next: HashSet<Arc<str>>,
}

/// Opens it, where there is to be one, and puts it in force beside the apps of `gateway`.
pub(super) fn open(
    settings: Option<&Settings>,
    gateway: &mut Blueprint,
) -> anyhow::Result<Option<Made>> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let store = Arc::new(Registry::open_in_turn(settings, WAIT)?);
    let live = Live::new(
        settings.master.clone(),
        gateway.apps.iter().map(|app| &app.name),
        plans(gateway).into_iter(),
    );
    live.load(store.clone())
        .with_context(|| format!("`{}`", settings.path.display()))?;
    let (path, revision, sizes) = (store.path().display(), store.revision().0, live.sizes());
    let (apps, keys, instances) = (sizes.apps, sizes.keys, sizes.instances);
    tracing::info!(%path, revision, apps, keys, instances, "registry opened");
    let in_force = issuers(gateway);
    let next = in_force.clone();
    let live = Arc::new(live);
    gateway.beside = Some(live.clone());
    Ok(Some(Made {
        store,
        live,
        issuers: Arc::new(Mutex::new(Issuers { in_force, next })),
    }))
}

fn issuers(gateway: &Blueprint) -> HashSet<Arc<str>> {
    let issuers = gateway.tokens.issuers().iter();
    issuers.map(|issuer| issuer.name.clone()).collect()
}

fn plans(gateway: &Blueprint) -> Vec<(Arc<str>, Assurance)> {
    let plans = gateway.all_plans.iter();
    plans
        .map(|(plan, asked)| (plan.name.as_str().into(), *asked))
        .collect()
}

/// Keeps what apps have moved up to: of those of `gateway.toml`, and of the registry. Where that is off nobody calls
/// as an app of it, and they may all be back.
pub(super) fn keep(heights: &Heights, apps: &[Arc<App>], made: Option<&Made>) {
    match made {
        Some(made) => heights.keep(|| kept_with(apps, &made.live)),
        None => heights.keep_others(|| apps.iter().cloned()),
    }
}

/// Whose height is kept: the apps of `gateway.toml`, and of the others those that may not fall back.
fn kept_with(apps: &[Arc<App>], live: &Live) -> Vec<Arc<App>> {
    apps.iter().cloned().chain(live.refusing()).collect()
}

impl Made {
    /// Lets other settings go on with it, unless an app of it would lose its plan, or an issuer by which it
    /// knows its workloads. One that they did not have before is not lost.
    pub(super) fn takes(&self, gateway: &mut Blueprint) -> Result<(), String> {
        let known: HashSet<Arc<str>> = plans(gateway).into_iter().map(|(name, _)| name).collect();
        if let Some(plan) = self.live.missing_plans(&known).first() {
            return Err(format!(
                "apps of the registry have the plan `{plan}`, and `[plans.{plan}]` is gone"
            ));
        }
        let next = issuers(gateway);
        let missing = self.live.missing_issuers(&next);
        let mut issuers = self.issuers();
        let mut lost = missing
            .iter()
            .filter(|name| issuers.in_force.contains(*name));
        if let Some(issuer) = lost.next() {
            return Err(format!(
                "apps of the registry know workloads by the issuer `{issuer}`, and `[issuers.{issuer}]` is gone"
            ));
        }
        issuers.next = next;
        let beside: Arc<dyn Beside> = self.live.clone();
        gateway.beside = Some(beside);
        Ok(())
    }

    /// The settings that were found fit last are in force.
    pub(super) fn reconfigure(&self, apps: &[Arc<App>], plans: Vec<(Arc<str>, Assurance)>) {
        {
            let Issuers { in_force, next } = &mut *self.issuers();
            in_force.clone_from(next);
        }
        let taken = apps.iter().map(|app| &app.name);
        self.live.reconfigure(taken, plans.into_iter());
    }

    fn issuers(&self) -> MutexGuard<'_, Issuers> {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told of keys that nobody has.
pub(super) fn alarm(made: &Made) -> Alarm {
    let live = made.live.clone();
    Box::new(move |key, peer, now| {
        let peer = peer.map_or("unix".to_owned(), |peer| peer.to_string());
        live.alarm(key, &peer, now.unix_seconds());
    })
}

/// Follows each change, and shows what there is.
pub(super) fn follow(shared: &Arc<Shared>, made: Option<&Made>) {
    let Some(made) = made else {
        return;
    };
    made.store.watch(Arc::new(Following {
        shared: Arc::downgrade(shared),
        live: made.live.clone(),
    }));
    show(&shared.observer, made);
}

struct Following {
    shared: Weak<Shared>,
    live: Arc<Live>,
}

impl Watcher for Following {
    fn changed(&self, touched: &Touched) {
        let before = self.live.refusing().len();
        self.live.refresh(touched);
        if let Some(shared) = self.shared.upgrade()
            && before.max(self.live.refusing().len()) > 0
        {
            let apps = || kept_with(shared.settings.load().apps(), &self.live);
            shared.heights.keep(apps);
        }
        let apps: Vec<&str> = touched.apps.iter().map(String::as_str).collect();
        let more = apps.len().saturating_sub(MAX_TOLD);
        let apps = apps[..apps.len() - more].join(", ");
        let instances = touched.instances.len();
        tracing::info!(
            apps,
            more,
            instances,
            "a change of the registry is in force"
        );
    }
}

fn show(observer: &Observer, made: &Made) {
    let store = Arc::downgrade(&made.store);
    observer.gauge(
        "registry_writable",
        "1, or 0 while changes of apps and keys are refused since the registry cannot be written.",
        move || {
            let store = store.upgrade();
            store.map_or(0, |store| store.is_writable().into())
        },
    );
    let live = Arc::downgrade(&made.live);
    observer.series(
        Kind::Gauge,
        "registry_records",
        "What of the registry is in force",
        move || {
            let Some(live) = live.upgrade() else {
                return Vec::new();
            };
            let sizes = live.sizes();
            let all = [
                ("apps", sizes.apps),
                ("keys", sizes.keys),
                ("instances", sizes.instances),
            ];
            let one = |(kind, count): (&str, usize)| One {
                labels: vec![("kind", kind.to_owned())],
                value: count as u64,
            };
            all.into_iter().map(one).collect()
        },
    );
    let live = Arc::downgrade(&made.live);
    observer.counter(
        "honey_keys_shown",
        "How often a key was shown that nobody has",
        move || live.upgrade().map_or(0, |live| live.honey_shown()),
    );
}

/// How often each app of the registry has shown static keys; those that are too many under one name.
pub(super) fn static_uses(live: &Live) -> Vec<One> {
    let one = |(app, value): (Option<Arc<str>>, u64)| One {
        labels: vec![("app", app.map_or(OTHERS.to_owned(), |app| app.to_string()))],
        value,
    };
    live.static_uses().into_iter().map(one).collect()
}
