//! Load, bind, run, reload, drain: the only place where rooms are put together.

use crate::config::Loaded;

use crate::admin::Served;
use crate::admin::api::{Guard, Turns};
use crate::apps::made::Store;
use crate::forward::upstream::checks::Checks;
use crate::gateway::{self, Gateway, Settings, Shared, Tunnels};
use crate::issuers::Fetches;
use crate::limit::peer::Peers;
use crate::schemes::token;
use crate::server::{Listen, tls::Certificates};
use crate::{admin, server, store};
use anyhow::Context as _;
use control::{Control, Fixed, InForce};
use doors::Doors;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use warned::{Warned, Warnings};

mod beside;
mod control;
mod desk;
mod doors;
mod ends;
mod events;
mod issuers;
mod main_loop;
mod minting;
mod observing;
mod options;
mod panics;
mod phases;
mod registry;
mod static_keys;
mod systemd;
mod turned_away;
mod upstreams;
mod warned;
mod watch;

pub use control::NotReloaded;
pub(super) use desk::configured;
pub use events::init_events;
pub use main_loop::run;
pub use options::StartOptions;

/// Verified tokens that are kept.
const CACHED_TOKENS: usize = 8_192;

/// Run the gateway
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis serve -c /etc/portcullis/gateway.toml")]
pub struct Args {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "gateway.toml")]
    pub config: PathBuf,
}

/// A gateway that runs. [`Running::stop`] drains it.
pub struct Running {
    /// Where it listens, but for Unix sockets.
    pub addresses: Vec<SocketAddr>,
    /// Where its health and metrics are, unless behind a Unix socket.
    pub admin: Option<SocketAddr>,
    workers: server::Running,
    /// Whether another gateway may listen where we do.
    is_handed_on: bool,
    /// How long what is in flight has when nothing more is accepted.
    drain: Duration,
    control: Arc<Control>,
    admin_stop: CancellationToken,
    admin_running: Option<admin::Running>,
}

/// Starts a gateway.
///
/// # Errors
/// When it cannot bind, or its memory of proofs cannot be opened.
pub fn start(loaded: Loaded, mut options: StartOptions) -> anyhow::Result<Running> {
    // Whoever has loaded it has told them.
    let warned = Warned::knowing(Warnings::of(&loaded), options.clock.now());
    let Loaded {
        mut config,
        resolved,
        ..
    } = loaded;
    let fixed = Fixed::of(&config);
    options.fit(&mut config);
    let mut doors = Doors::open(&config, &mut options.handed)?;
    let is_handed_on = doors.server.is_handed_on();
    let (places, addresses) = (doors.server.places().to_vec(), doors.server.addresses());
    let certificates = config
        .server
        .tls
        .as_ref()
        .map(Certificates::new)
        .transpose()
        .context("the certificate of `[server] tls` cannot be used")?
        .map(Arc::new);
    // One that we follow gives its memory up as its last phase begins.
    let wait = if is_handed_on {
        config.wait_for_state
    } else {
        Duration::ZERO
    };
    let (proofs, opened) =
        store::open_in_turn(&config.state, &options.clock, wait, &options.given_up)?;
    let proofs = Arc::new(proofs);
    tracing::info!(
        loaded = opened.loaded,
        floor = opened.floor,
        "memory of proofs opened"
    );
    if let Some(note) = opened.note {
        tracing::warn!("{note}");
    }
    let (moved_up, heights) = store::moved_up::Keeper::open(&config.state.directory)?;
    let made = registry::open(config.registry.as_ref(), &mut config.gateway)?;
    registry::keep(&heights, &config.gateway.apps, made.as_ref());
    let workers = config.server.workers;
    let observer = observing::observer(options.access_log, options.readable, workers);
    let remembered = Arc::downgrade(&proofs);
    observer.gauge(
        "remembered_proofs",
        "Proofs that are remembered so that they pass once only.",
        move || remembered.upgrade().map_or(0, |proofs| proofs.len() as i64),
    );
    let writable = Arc::downgrade(&proofs);
    observer.gauge(
        "proofs_writable",
        "1, or 0 while single-use requests are refused since proofs cannot be written down.",
        move || {
            writable
                .upgrade()
                .map_or(0, |proofs| proofs.is_writable().into())
        },
    );
    let refusing = Arc::downgrade(&proofs);
    observer.gauge(
        "proofs_refused_seconds",
        "Seconds for which single-use requests are refused, since the clock was ahead and was set back; 0 as a rule.",
        move || refusing.upgrade().map_or(0, |proofs| proofs.refused_for()),
    );
    let tunnels = Tunnels::default();
    let open = tunnels.clone();
    observer.gauge(
        "tunnels",
        "Connections that went on in another protocol and are open.",
        move || open.open() as i64,
    );
    let minting = minting::service(&config.state, &observer, made.as_ref())?;
    let configured = Arc::new(desk::configured(&config));
    let settings = Settings::build(config.gateway, &observer, None)?;
    observer.reloaded(true, options.clock.now());
    let seen_only = Arc::new(store::embedded::Table::new(config.state.proofs));
    let shared = Arc::new(Shared {
        settings: gateway::InForce::new(settings, config.server.workers),
        memory: proofs.clone(),
        heights,
        observed: seen_only.clone(),
        peers: Peers::new(),
        tunnels,
        in_flight: Arc::default(),
        undecided: Arc::default(),
        tokens: token::Cache::new(CACHED_TOKENS),
        minting,
        alarm: made.as_ref().map(registry::alarm),
        observer,
        clock: options.clock,
    });
    upstreams::show(&shared);
    static_keys::show(&shared, made.as_ref());
    issuers::show(&shared);
    registry::follow(&shared, made.as_ref());
    show_load(&shared);
    let guard = Arc::new(Guard::new(config.admin.tokens.clone()));
    desk::show(&shared.observer, &guard);
    let control = Arc::new(Control {
        checks: Checks::new(shared.clock.clone()),
        fetches: Fetches::new(shared.clock.clone()),
        shared: shared.clone(),
        proofs,
        observed: seen_only,
        moved_up,
        store: made
            .as_ref()
            .map(|made| -> Arc<dyn Store> { made.store.clone() }),
        master: config.registry.map(|settings| settings.master),
        made,
        certificates: certificates.clone(),
        ends: ends::Ends::shown(&shared.observer, config.certificates_end),
        stop: CancellationToken::new(),
        phase: phases::Current::default(),
        workers: OnceLock::new(),
        turns: Turns::default(),
        last_read: Mutex::default(),
        in_force: Mutex::new(InForce {
            fixed,
            resolved,
            files: config.files,
            goodbye: config.goodbye,
            configured,
            warned,
        }),
        guard: guard.clone(),
        file: options.file,
        reloaded: Notify::new(),
    });
    issuers::begin(&control.fetches, &control.shared);
    let admin_stop = CancellationToken::new();
    let served = Served {
        probe: control.clone(),
        desk: control.clone(),
        guard,
    };
    let admin_bound = doors.admin(&config.admin)?;
    let admin_running = admin_bound
        .map(|bound| admin::serve(bound, served, admin_stop.clone()))
        .transpose()?;
    upstreams::check(&control.checks, &shared.settings.load());
    let workers = server::run(
        doors.server,
        &config.server,
        certificates,
        move |worker| Gateway::new(shared.clone(), worker),
        &control.stop,
    )?;
    let _ = control.workers.set(workers.pulse());
    turned_away::show(&control.shared.observer, &workers.counts());
    for address in &places {
        tracing::info!(%address, "listening");
    }
    if let (Some(place), Some(running)) = (&config.admin.listen, &admin_running) {
        let address = running.address().map_or_else(|| place.clone(), Listen::Tcp);
        tracing::info!(%address, "admin listening");
    }
    let admin = admin_running.as_ref().and_then(admin::Running::address);
    Ok(Running {
        addresses,
        admin,
        workers,
        is_handed_on,
        drain: config.server.deadlines.drain,
        control,
        admin_stop,
        admin_running,
    })
}

/// Shows how near to its caps the gateway is.
fn show_load(shared: &Arc<Shared>) {
    let gate = shared.in_flight.clone();
    shared.observer.gauge(
        "admitted_requests",
        "Requests that hold a place among those in flight: at `[overload] in_flight` others wait.",
        move || gate.inside().into(),
    );
    let shown = Arc::downgrade(shared);
    shared.observer.gauge(
        "queued_requests",
        "Requests that wait for a place among those in flight.",
        move || {
            shown.upgrade().map_or(0, |shared| {
                let routes = shared.settings.load().waiting_for_routes();
                i64::from(routes + shared.in_flight.waiting())
            })
        },
    );
}

impl Running {
    /// Puts a new configuration into force, whole or not at all. Gives back
    /// what it changed.
    ///
    /// # Errors
    /// [`NotReloaded`]; what was in force still is.
    pub fn reload(&self, loaded: Loaded) -> Result<Vec<String>, NotReloaded> {
        self.control.reload(loaded).map(|done| done.changes)
    }

    /// Where apps are kept that are made at run time, if they are: what is written there is in force.
    pub fn registry(&self) -> Option<Arc<dyn Store>> {
        let made = self.control.made.as_ref();
        made.map(|made| -> Arc<dyn Store> { made.store.clone() })
    }

    /// Waits until the records of what has ended are written.
    pub fn flush_log(&self) {
        self.control.shared.observer.flush();
    }
}
