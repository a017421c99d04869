//! What the demo plays on: a configuration made safe to play with, a fresh
//! key, a running gateway.

use crate::apps::{App, Assurance, Key, Mode, Scheme, Scopes};
use crate::cli::serve::{self, Running, StartOptions};
use crate::cli::stop::Stop;
use crate::client::Signer;
use crate::config::{Config, Loaded};
use crate::crypto::{Algorithm, HmacKey, random};
use crate::forward::upstream::Server;
use crate::limit::app::{Plan, Rate};
use crate::limit::overload;
use crate::limit::peer::PeerSettings;
use crate::route::{self, ReplayPolicy, Route};
use crate::schemes::freshness::Freshness;
use crate::secret::Secret;
use crate::server::{Forwarders, Goodbye, Listen};
use anyhow::Result;
use http::Method;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The fresh key's id, and its app's name.
pub(super) const KEY_ID: &str = "demo";
/// The sample, for where no repository is.
const SAMPLE: &str = include_str!("../../../gateway.toml");
/// What is taken instead, where it is.
const FILE: &str = "gateway.toml";
/// The plan of the demo's app, whatever plans the configuration has: one that it takes few requests to exceed.
const PLAN: Rate = Rate {
    count: 20,
    period: Duration::from_secs(1),
    burst: 20,
};
/// The host that requests are for, as routes see it.
const HOST: &str = "127.0.0.1";
/// Bytes of a body that a route has to take: those of the transcript are fewer.
const BODY: u64 = 256;
/// Connections and requests at a time that are let in, and proofs that are remembered, at least: the transcript has far
/// fewer.
const ROOM: u32 = 256;
/// How long a request may wait for others on its route.
const TURN: Duration = Duration::from_secs(10);

/// A running gateway, and what is needed to call it.
pub(super) struct Stage {
    /// Where it listens.
    pub(super) url: String,
    /// Its health and metrics.
    pub(super) admin: Option<SocketAddr>,
    /// A path of a route that takes signed requests.
    pub(super) path: String,
    /// What is known of the configuration.
    pub(super) source: String,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
    /// Signs with the fresh key.
    pub(super) signer: Signer,
    /// Where the fresh secret lies.
    pub(super) secret_file: PathBuf,
    /// How many requests the app may send at once.
    pub(super) burst: u32,
    running: Running,
    log: Arc<AtomicBool>,
    // Removed when the demo ends, and with it the secret.
    _directory: TempDir,
}

impl Stage {
    /// Starts it all. `listen` stands for the addresses of the configuration.
    pub(super) fn set(listen: Option<SocketAddr>) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("portcullis-demo-")
            .tempdir()?;
        let mut notes = Vec::new();
        let (mut loaded, source) = load(directory.path(), &mut notes)?;
        let config = &mut loaded.config;
        let path =
            path(config).ok_or_else(|| Stop::usage("no route takes signed POST requests"))?;
        make_harmless(config, directory.path());
        make_roomy(config);
        listen_where_free(config, listen, &mut notes);
        let (signer, secret_file) = enrol(config, directory.path())?;
        give_plan(config);
        let log = Arc::new(AtomicBool::new(false));
        let options = StartOptions::default()
            .access_log(Box::new(Gate(log.clone())))
            .readable();
        let running = serve::start(loaded, options)?;
        let address = running
            .addresses
            .first()
            .ok_or_else(|| Stop::failed("the gateway listens nowhere"))?;
        Ok(Self {
            url: format!("http://{}", reachable(*address)),
            admin: running.admin,
            path,
            source,
            notes,
            signer,
            secret_file,
            burst: PLAN.burst,
            running,
            log,
            _directory: directory,
        })
    }

    /// Shows the access log from now on.
    pub(super) fn show_log(&self) {
        // What the transcript caused is shown already.
        self.running.flush_log();
        self.log.store(true, Ordering::Relaxed);
    }

    /// Stops the gateway and forgets the key.
    pub(super) fn strike(self) {
        self.running.stop();
    }
}

/// The file here if it can be used so, else the sample. Whatever it refers
/// to is looked for in `directory`, which is empty, or where an absolute path
/// says. None of its secrets is made, there neither: the demo has a key of its own.
fn load(directory: &Path, notes: &mut Vec<String>) -> Result<(Loaded, String)> {
    let no_variable = |_: &str| None;
    if let Ok(text) = std::fs::read_to_string(FILE) {
        match Config::check_text(&text, FILE, directory, &no_variable) {
            Ok(loaded) if path(&loaded.config).is_some() => {
                return Ok((loaded, format!("`{FILE}` here")));
            }
            Ok(_) => notes.push(format!(
                "no route of `{FILE}` here takes signed POST requests of any host and refuses all that is refused below, so the built-in sample is taken"
            )),
            Err(_) => notes.push(format!(
                "`{FILE}` here cannot be played with (`portcullis check` tells more), so the built-in sample is taken"
            )),
        }
    }
    match Config::check_text(SAMPLE, "the built-in sample", directory, &no_variable) {
        Ok(loaded) => Ok((loaded, "the built-in sample".to_owned())),
        Err(report) => Err(Stop::bad_config(&report).into()),
    }
}

/// A path that leads to the first route on which every answer is what the transcript says.
fn path(config: &Config) -> Option<String> {
    let routes = &config.gateway.routes;
    let path_of = |one: &Arc<Route>| {
        let path = one.path.to_string().replace("**", "42").replace('*', "42");
        let found = route::Path::read(&path)
            .ok()
            .and_then(|read| routes.find(HOST, &Method::POST, &read).ok());
        // Another may be more specific.
        let is_its_own = found.is_some_and(|found| found.index == one.index);
        is_its_own.then_some(path)
    };
    let mut playable = routes.routes().iter().filter(|one| is_playable(one));
    playable.find_map(path_of)
}

/// Whether a route takes signed POST requests of any host as they are, and refuses the others, copies too.
fn is_playable(route: &Route) -> bool {
    let takes_posts = route.methods.is_empty() || route.methods.contains(&Method::POST);
    let takes_signed = route.accepts(Scheme::HttpSignature)
        && route.assurance <= Assurance::Signed
        && route.body.limit >= BODY;
    let refuses = route.mode == Mode::Enforce
        && route.replay != ReplayPolicy::Off
        && route.waivers.is_empty();
    route.host.is_none() && takes_posts && takes_signed && refuses
}

/// Nothing of the configuration reaches a real backend or anyone else outside, or is left behind.
fn make_harmless(config: &mut Config, directory: &Path) {
    for upstream in &mut config.gateway.upstreams {
        upstream.servers = vec![Server::Echo];
    }
    // No issuer is asked for its keys.
    config.gateway.sources.clear();
    config.state.directory = directory.join("state");
    if let Some(registry) = &mut config.registry {
        registry.path = directory.join("portcullis.redb");
    }
    config.server.tls = None;
    config.server.forwarders = Forwarders::default();
    config.gateway.public_url = None;
    // Nobody stands before it who has to hear that it stops.
    config.goodbye = Goodbye::default();
}

/// What the configuration sets for all callers together lets the transcript through, and takes its stale request for one.
fn make_roomy(config: &mut Config) {
    let gateway = &mut config.gateway;
    gateway.freshness = Freshness::USUAL;
    gateway.peers = PeerSettings {
        failures: None,
        rate: None,
    };
    gateway.overload = overload::Settings {
        in_flight: ROOM,
        queue: ROOM,
        queue_timeout: TURN,
        ..gateway.overload
    };
    config.state.retention = Freshness::USUAL.retention();
    config.state.skew = Freshness::USUAL.skew;
    config.state.proofs = config.state.proofs.max(ROOM as usize);
    let caps = &mut config.server.caps;
    caps.connections = caps.connections.max(ROOM as usize);
    caps.per_address = caps.per_address.max(ROOM);
}

fn listen_where_free(config: &mut Config, listen: Option<SocketAddr>, notes: &mut Vec<String>) {
    if let Some(address) = listen {
        config.server.listen = vec![Listen::Tcp(address)];
        config.admin.listen = config
            .admin
            .listen
            .as_ref()
            .map(|_| Listen::Tcp(SocketAddr::new(address.ip(), 0)));
        return;
    }
    config.server.listen.truncate(1);
    let all = config
        .server
        .listen
        .iter_mut()
        .chain(&mut config.admin.listen);
    for place in all {
        let Listen::Tcp(address) = place else {
            *place = Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
            continue;
        };
        // Bound without sharing the port: another gateway must not get half of our requests.
        if TcpListener::bind(*address).is_err() {
            notes.push(format!("`{address}` is taken, so a free port is used"));
            address.set_port(0);
        }
    }
}

/// Makes the fresh key, its app, and the file that holds its secret.
fn enrol(config: &mut Config, directory: &Path) -> Result<(Signer, PathBuf)> {
    let mut bytes = [0; 32];
    random(&mut bytes);
    let path = directory.join("demo.key");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "base64:{}", data_encoding::BASE64.encode(&bytes))?;
    let secret = Secret::new(bytes.to_vec());
    let gateway = &mut config.gateway;
    let scopes: Scopes = gateway
        .routes
        .routes()
        .iter()
        .flat_map(|route| route.scopes.iter())
        .collect();
    let app = Arc::new(App {
        index: gateway.apps.len(),
        scopes,
        explain: true,
        ..App::new(KEY_ID)
    });
    gateway.apps.push(app.clone());
    // It stands for whatever key of that name the configuration may have.
    gateway.keys.retain(|key| &*key.id != KEY_ID);
    gateway.keys.push(Key::new(
        KEY_ID,
        app,
        HmacKey::new(Algorithm::HmacSha256, &secret)?,
    ));
    // So that whoever misreads it is told.
    gateway.told.retain(|(id, _)| &**id != KEY_ID);
    gateway
        .told
        .push((KEY_ID.into(), Secret::new(bytes.to_vec())));
    Ok((Signer::new(KEY_ID, Algorithm::HmacSha256, &secret)?, path))
}

/// Gives the fresh app a plan of its own.
fn give_plan(config: &mut Config) {
    let plan = Plan {
        name: KEY_ID.to_owned(),
        rate: Some(PLAN),
        concurrency: None,
        better: Vec::new(),
    };
    config.gateway.plans.push(Some(Arc::new(plan)));
}

/// An address that listens everywhere is called at home.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Where the access log goes: nowhere until the transcript is over.
struct Gate(Arc<AtomicBool>);

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.load(Ordering::Relaxed) {
            anstream::stdout().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        anstream::stdout().flush()
    }
}
