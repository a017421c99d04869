//! Swap settings between requests; connections, counts and proofs live on; a
//! bad configuration changes nothing.

use super::TunnelSettings;
use super::static_keys::{self, Notice};
use crate::apps::{
    App, Assurance, Beside, Certified, DuplicateKey, Key, Mode, Pepper, Registry, StaticKey,
};
use crate::clock::Now;
use crate::forward::upstream::{self, Upstream};
use crate::issuers::Source;
use crate::limit::app::{AppLimits, Plan};
use crate::limit::overload::{self, Overload, RouteCap};
use crate::limit::peer::PeerSettings;
use crate::mint;
use crate::observe::{Labels, Observer, One};
use crate::route::{Accept, Cors, Table};
use crate::schemes::doctor::Budget;
use crate::schemes::freshness::Freshness;
use crate::schemes::{PublicUrl, token};
use crate::secret::Secret;
use std::sync::Arc;

/// What one configuration asks of the way of a request; plain data, made by
/// `config`, from which [`Settings::build`] makes what is in force.
#[derive(Debug)]
pub struct Blueprint {
    /// Every route.
    pub routes: Table,
    /// Every app, by `App::index`.
    pub apps: Vec<Arc<App>>,
    /// The plan of every app, by `App::index`; `None` is no limit.
    pub plans: Vec<Option<Arc<Plan>>>,
    /// Every plan, and what it asks for: apps that are made at run time name them.
    pub all_plans: Vec<(Arc<Plan>, Assurance)>,
    /// Where apps are that are made at run time; the same over all settings.
    pub beside: Option<Arc<dyn Beside>>,
    /// Every key.
    pub keys: Vec<Key>,
    /// The secrets of keys whose callers may be told what they did wrong.
    pub told: Vec<(Arc<str>, Secret)>,
    /// Every certificate by which an app is known.
    pub certificates: Vec<Certified>,
    /// The static keys, where any app has one.
    pub static_keys: Option<StaticKeys>,
    /// Every upstream, by `Route::upstream`.
    pub upstreams: Vec<upstream::Settings>,
    /// `[freshness]`.
    pub freshness: Freshness,
    /// `[tokens]` and `[issuers]`.
    pub tokens: token::Settings,
    /// Issuers whose keys are fetched, by their places among those of `tokens`.
    pub sources: Vec<(usize, Source)>,
    /// `[peers]`.
    pub peers: PeerSettings,
    /// `[server] tunnels` and `tunnel_idle_timeout`.
    pub tunnels: TunnelSettings,
    /// `[overload]`.
    pub overload: overload::Settings,
    /// The key service, where an app gets tokens of it.
    pub minting: Option<mint::Settings>,
    /// Whose pages may ask it.
    pub minting_cors: Option<Cors>,
    /// `[server] explain`.
    pub explain: bool,
    /// `[server] public_url`.
    pub public_url: Option<PublicUrl>,
}

/// The static keys of apps, and what their callers are told.
#[derive(Debug)]
pub struct StaticKeys {
    /// What they are hashed under.
    pub pepper: Pepper,
    /// Every one of them.
    pub list: Vec<StaticKey>,
    /// What answers say.
    pub notice: Notice,
}

/// What is in force: built whole from a [`Blueprint`], never changed.
#[derive(Debug)]
pub struct Settings {
    pub(super) routes: Table,
    pub(super) registry: Registry,
    pub(super) limits: AppLimits,
    /// For what is only observed; of no app where nothing is.
    pub(super) observed_limits: AppLimits,
    pub(super) overload: Overload,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) freshness: Freshness,
    pub(super) tokens: token::Settings,
    pub(super) sources: Vec<Source>,
    pub(super) peers: PeerSettings,
    pub(super) tunnels: TunnelSettings,
    pub(super) minting: Option<mint::Settings>,
    pub(super) minting_cors: Option<Cors>,
    pub(super) explain: bool,
    pub(super) doctor: Budget,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) labels: Labels,
    all_plans: Vec<(Arc<Plan>, Assurance)>,
    /// What callers with a static key are told.
    pub(super) notice: Option<Notice>,
}

impl Settings {
    /// Builds what a blueprint asks for. What `before` counted goes on.
    ///
    /// # Errors
    /// [`DuplicateKey`]: the look-up by key id would have two answers.
    pub fn build(
        blueprint: Blueprint,
        observer: &Observer,
        before: Option<&Self>,
    ) -> Result<Self, DuplicateKey> {
        let is_watching = is_anything_observed(&blueprint);
        let plans: Vec<_> = blueprint
            .apps
            .iter()
            .map(|app| app.name.clone())
            .zip(blueprint.plans)
            .collect();
        let routes: Vec<Arc<str>> = blueprint
            .routes
            .routes()
            .iter()
            .map(|route| route.name.clone())
            .collect();
        let caps = blueprint.routes.routes().iter().map(|route| RouteCap {
            name: route.name.clone(),
            in_flight: route.in_flight,
            reserved: route.reserved,
            public: route.accept == Accept::Public,
        });
        let overload = Overload::new(
            blueprint.overload,
            caps.collect(),
            before.map(|before| &before.overload),
        );
        // For whom accounts are kept of what is only observed.
        let watched = if is_watching { &plans[..] } else { &[] };
        let mut static_keys = blueprint.static_keys;
        if let (Some(keys), Some(before)) = (&mut static_keys, before) {
            static_keys::go_on(&mut keys.list, &before.registry);
        }
        let mut tokens = blueprint.tokens;
        let known = before.map_or(&[][..], Self::sources);
        let sources = sources(blueprint.sources, &mut tokens, known);
        let generation = before.map_or(1, |before| before.registry.generation() + 1);
        let mut registry = Registry::new(blueprint.apps, blueprint.keys, generation)?
            .with_certificates(blueprint.certificates)?
            .telling(blueprint.told, blueprint.explain)
            .beside(blueprint.beside);
        let all_plans = || blueprint.all_plans.iter().map(|(plan, _)| plan.clone());
        let mut notice = None;
        if let Some(keys) = static_keys {
            registry = registry
                .with_static_keys(keys.pepper, keys.list)?
                .with_sunset(keys.notice.sunset());
            notice = Some(keys.notice);
        }
        Ok(Self {
            notice,
            overload,
            limits: AppLimits::new(&plans, before.map(|before| &before.limits))
                .with_plans(all_plans()),
            observed_limits: AppLimits::new(watched, before.map(|before| &before.observed_limits))
                .with_plans(all_plans()),
            registry,
            routes: blueprint.routes,
            upstreams: upstreams(blueprint.upstreams, before),
            freshness: blueprint.freshness,
            tokens,
            sources,
            peers: blueprint.peers,
            tunnels: blueprint.tunnels,
            minting: blueprint.minting,
            minting_cors: blueprint.minting_cors,
            explain: blueprint.explain,
            doctor: Budget::default(),
            public_url: blueprint.public_url,
            labels: observer.labels(&routes),
            all_plans: blueprint.all_plans,
        })
    }

    /// Puts the limits in force, just before these settings are: what was used under others comes back at their rates.
    pub fn come_into_force(&mut self, now: Now) {
        self.limits.come_into_force(now);
        self.observed_limits.come_into_force(now);
    }

    /// The upstreams, by `Route::upstream`.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// How often each app has shown static keys.
    pub fn static_key_uses(&self) -> Vec<One> {
        static_keys::uses(&self.registry)
    }

    /// Every plan, and what it asks for.
    pub fn plans(&self) -> Vec<(Arc<str>, Assurance)> {
        let plans = self.all_plans.iter();
        plans
            .map(|(plan, asked)| (plan.name.as_str().into(), *asked))
            .collect()
    }

    /// The apps of the configuration.
    pub fn apps(&self) -> &[Arc<App>] {
        self.registry.apps()
    }

    /// Issuers whose keys are fetched.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Requests that wait for the cap of their route, or for that on callers that are not proven.
    pub fn waiting_for_routes(&self) -> u32 {
        self.overload.waiting()
    }

    /// The window of time in force.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }
}

/// What is `known` of keys that are still to be fetched goes on.
fn sources(
    wanted: Vec<(usize, Source)>,
    tokens: &mut token::Settings,
    known: &[Source],
) -> Vec<Source> {
    let source = |(place, mut source): (usize, Source)| {
        if let Some(before) = known.iter().find(|one| source.is_of_same_keys(one)) {
            source.follow(before);
        }
        if let Some(issuer) = tokens.issuers_mut().get_mut(place) {
            issuer.keys = source.known.keys().clone();
        }
        source
    };
    wanted.into_iter().map(source).collect()
}

/// Whether some route or app observes.
fn is_anything_observed(blueprint: &Blueprint) -> bool {
    let mut routes = blueprint.routes.routes().iter();
    let mut apps = blueprint.apps.iter();
    routes.any(|route| route.mode == Mode::Observe)
        || apps.any(|app| app.policy.mode == Mode::Observe)
}

/// What `before` knew of an upstream of the same name goes on.
fn upstreams(wanted: Vec<upstream::Settings>, before: Option<&Settings>) -> Vec<Upstream> {
    let known = before.map_or(&[][..], Settings::upstreams);
    let upstream = |settings: upstream::Settings| {
        let mut known = known.iter();
        let before = known.find(|one| one.settings().name == settings.name);
        Upstream::new(settings, before)
    };
    wanted.into_iter().map(upstream).collect()
}
