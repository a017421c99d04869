//! One request from start to end; the only room that knows the order, and
//! the status of a refusal.

pub mod refusal;
pub mod reload;

use crate::apps::{App, Key};
use crate::forward::upstream;
use crate::limit::app::Plan;
use crate::limit::peer::PeerSettings;
use crate::route::Table;
use crate::schemes::freshness::Freshness;
use crate::schemes::{PublicUrl, token};
use std::sync::Arc;

/// What one configuration asks of the way of a request; plain data, made by
/// `config`, from which [`reload`] builds what is in force.
#[derive(Debug)]
pub struct Blueprint {
    /// Every route.
    pub routes: Table,
    /// Every app, by `App::index`.
    pub apps: Vec<Arc<App>>,
    /// The plan of every app, by `App::index`; `None` is no limit.
    pub plans: Vec<Option<Arc<Plan>>>,
    /// Every key.
    pub keys: Vec<Key>,
    /// Every upstream, by `Route::upstream`.
    pub upstreams: Vec<upstream::Settings>,
    /// `[freshness]`.
    pub freshness: Freshness,
    /// `[tokens]`.
    pub tokens: token::Settings,
    /// `[peers]`.
    pub peers: PeerSettings,
    /// `[server] explain`.
    pub explain: bool,
    /// `[server] public_url`.
    pub public_url: Option<PublicUrl>,
}
