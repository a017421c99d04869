//! Load, bind, run, reload, drain: the only place where rooms are put together.

use super::files::{self, Need};
use crate::clock::Clock;
use crate::config::{Config, Loaded};

use crate::crypto::{Algorithm, HmacKey};
use crate::gateway::refusal::Code;
use crate::gateway::{Gateway, Settings, Shared};
use crate::limit::peer::Peers;
use crate::observe::events::EventFormat;
use crate::observe::{self, AccessLog, Format, Observer};
use crate::schemes::token;
use crate::server::tls::Certificates;
use crate::server::{Handed, Listen};
use crate::{admin, server, store};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use control::{Control, Fixed, InForce};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use watch::{Wake, Wakes};

mod control;
mod systemd;
mod turned_away;
mod watch;

pub use control::NotReloaded;

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

/// What differs from a usual start.
#[derive(Default)]
pub struct StartOptions {
    clock: Clock,
    access_log: Option<Box<dyn Write + Send>>,
    readable: bool,
    handed: Handed,
}

impl StartOptions {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Writes access records to `sink` instead of the standard output.
    #[must_use]
    pub fn access_log(mut self, sink: Box<dyn Write + Send>) -> Self {
        self.access_log = Some(sink);
        self
    }

    /// Listens on sockets that were handed over, where the configuration names them.
    #[must_use]
    pub fn handed(mut self, handed: Handed) -> Self {
        self.handed = handed;
        self
    }

    /// Writes them to that sink for people, with colours, instead of as JSON.
    #[must_use]
    pub const fn readable(mut self) -> Self {
        self.readable = true;
        self
    }
}

/// A gateway that runs. [`Running::stop`] drains it.
pub struct Running {
    /// Where it listens, but for Unix sockets.
    pub addresses: Vec<SocketAddr>,
    /// Where its health and metrics are, unless behind a Unix socket.
    pub admin: Option<SocketAddr>,
    workers: server::Running,
    control: Arc<Control>,
    admin_stop: CancellationToken,
    admin_running: Option<admin::Running>,
}

/// Starts a gateway.
///
/// # Errors
/// When it cannot bind, or its memory of proofs cannot be opened.
pub fn start(loaded: Loaded, mut options: StartOptions) -> anyhow::Result<Running> {
    let Loaded {
        config, resolved, ..
    } = loaded;
    let fixed = Fixed::of(&config);
    let handed = &mut options.handed;
    let bound = server::bind(&config.server, handed)?;
    let (places, addresses) = (bound.places().to_vec(), bound.addresses());
    let certificates = config
        .server
        .tls
        .as_ref()
        .map(Certificates::new)
        .transpose()
        .context("the certificate of `[server] tls` cannot be used")?
        .map(Arc::new);
    let (proofs, opened) = store::open(&config.state, &options.clock)?;
    let proofs = Arc::new(proofs);
    tracing::info!(
        loaded = opened.loaded,
        floor = opened.floor,
        "memory of proofs opened"
    );
    if let Some(note) = opened.note {
        tracing::warn!("{note}");
    }
    let no_color = crate::config::no_color();
    let access_log = match options.access_log {
        Some(sink) if options.readable => AccessLog::to(sink, Format::Readable { colour: true }),
        Some(sink) => AccessLog::to(sink, Format::Json),
        None => AccessLog::stdout(Format::of_stdout(no_color)),
    };
    let observer = Observer::new(observe::Settings {
        access_log: Some(access_log),
        workers: config.server.workers,
        codes: Code::ALL.iter().map(|code| code.word()).collect(),
    });
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
    let settings = Settings::build(config.gateway, &observer, None)?;
    observer.reloaded(true, options.clock.now());
    let shared = Arc::new(Shared {
        settings: ArcSwap::from_pointee(settings),
        memory: proofs.clone(),
        peers: Peers::new(),
        tokens: token::Cache::new(CACHED_TOKENS),
        observer,
        clock: options.clock,
    });
    let control = Arc::new(Control {
        shared: shared.clone(),
        proofs,
        certificates: certificates.clone(),
        stop: CancellationToken::new(),
        draining: AtomicBool::new(false),
        in_force: Mutex::new(InForce {
            fixed,
            resolved,
            files: config.files,
        }),
    });
    // Made before the first stranger comes: it would wait for the system's randomness.
    let _ = HmacKey::stranger(Algorithm::HmacSha256);
    let admin_stop = CancellationToken::new();
    let admin_running = admin::serve(&config.admin, handed, control.clone(), admin_stop.clone())?;
    handed.none_is_left(config.server.listen.iter().chain(&config.admin.listen))?;
    let workers = server::run(
        bound,
        &config.server,
        certificates,
        move |_| Gateway::new(shared.clone()),
        &control.stop,
    )?;
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
        control,
        admin_stop,
        admin_running,
    })
}

impl Running {
    /// Puts a new configuration into force, whole or not at all. Gives back
    /// what it changed.
    ///
    /// # Errors
    /// [`NotReloaded`]; what was in force still is.
    pub fn reload(&self, loaded: Loaded) -> Result<Vec<String>, NotReloaded> {
        self.control.reload(loaded)
    }

    /// Waits until the records of what has ended are written.
    pub fn flush_log(&self) {
        self.control.shared.observer.flush();
    }

    /// Stops: no new connections, requests in flight end, proofs are written
    /// down. Gives back how many requests were cut.
    pub fn stop(self) -> usize {
        self.control.draining.store(true, Ordering::Release);
        self.control.stop.cancel();
        let cut = self.workers.wait().cut;
        if let Err(why) = self.control.proofs.close() {
            tracing::warn!("the memory of proofs was not written to the disk: {why}");
        }
        self.control.shared.observer.flush();
        self.admin_stop.cancel();
        if let Some(admin) = self.admin_running {
            admin.wait();
        }
        cut
    }
}

/// Sends events to standard error: text on a terminal, JSON on a pipe.
///
/// # Errors
/// When `PORTCULLIS_LOG` is no filter.
pub fn init_events() -> anyhow::Result<()> {
    let format = EventFormat::of_stderr(crate::config::no_color());
    observe::init_events(format, &crate::config::event_filter())?;
    Ok(())
}

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    init_events()?;
    // Before there are threads: it changes the environment.
    let handed = Handed::from_environment();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before the file is read and an address is told: no change and no signal is missed from here on.
    let mut wakes = {
        let _inside = runtime.enter();
        Wakes::new(std::slice::from_ref(&args.config))?
    };
    let loaded = match Config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(report) => {
            anstream::eprintln!("{}", report.coloured());
            return Ok(ExitCode::from(2));
        }
    };
    let now = Clock::system().now().unix_seconds();
    for warning in loaded.warnings.iter().chain(loaded.lapsed(now)) {
        tracing::warn!("{warning}");
    }
    wakes.watch(&loaded.config.files);
    if let Some(shortage) = Need::of(&loaded.config).shortage(files::raise()) {
        tracing::warn!("too few files may be open: {shortage}");
    }
    let running = start(loaded, StartOptions::default().handed(handed))?;
    runtime.spawn(systemd::keep_alive(
        running.workers.pulse(),
        running.control.stop.clone(),
    ));
    systemd::ready();
    runtime.block_on(until_stopped(running, wakes, &args.config))
}

/// Reloads when it is asked to or a file changes; drains and returns when told to stop.
async fn until_stopped(
    running: Running,
    mut wakes: Wakes,
    config: &Path,
) -> anyhow::Result<ExitCode> {
    loop {
        match wakes.next().await {
            Wake::Stop => break,
            wake @ (Wake::Changed | Wake::Asked) => {
                systemd::reloading();
                running.control.reload_file(config, wake);
                systemd::ready();
                wakes.watch(&running.control.files());
            }
        }
    }
    systemd::stopping();
    tracing::info!("stopping: requests in flight are finished");
    let stopped = tokio::task::spawn_blocking(move || running.stop());
    tokio::select! {
        cut = stopped => {
            let cut = cut.unwrap_or_default();
            tracing::info!(cut, "stopped");
            Ok(ExitCode::SUCCESS)
        }
        () = wakes.stop_again() => {
            tracing::warn!("told to stop again: not waiting");
            std::process::exit(1)
        }
    }
}
