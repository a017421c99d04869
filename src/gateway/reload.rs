//! Swap settings between requests; connections, counts and proofs live on; a
//! bad configuration changes nothing.

use super::Blueprint;
use crate::apps::{DuplicateKey, Registry};
use crate::forward::upstream::Upstream;
use crate::limit::app::AppLimits;
use crate::limit::peer::PeerSettings;
use crate::observe::{Labels, Observer};
use crate::route::Table;
use crate::schemes::freshness::Freshness;
use crate::schemes::{PublicUrl, token};
use std::sync::Arc;

/// What is in force: built whole from a [`Blueprint`], never changed.
#[derive(Debug)]
pub struct Settings {
    pub(super) routes: Table,
    pub(super) registry: Registry,
    pub(super) limits: AppLimits,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) freshness: Freshness,
    pub(super) tokens: token::Settings,
    pub(super) peers: PeerSettings,
    pub(super) explain: bool,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) labels: Labels,
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
        let generation = before.map_or(1, |before| before.registry.generation() + 1);
        Ok(Self {
            limits: AppLimits::new(&plans, before.map(|before| &before.limits)),
            registry: Registry::new(blueprint.apps, blueprint.keys, generation)?
                .with_certificates(blueprint.certificates)?,
            routes: blueprint.routes,
            upstreams: blueprint.upstreams.into_iter().map(Upstream::new).collect(),
            freshness: blueprint.freshness,
            tokens: blueprint.tokens,
            peers: blueprint.peers,
            explain: blueprint.explain,
            public_url: blueprint.public_url,
            labels: observer.labels(&routes),
        })
    }

    /// The window of time in force.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }
}
