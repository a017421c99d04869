//! What the demo plays on: a configuration made safe to play with, a fresh
//! key, a running gateway.

use crate::apps::{App, Key, Scheme, Scopes};
use crate::cli::serve::{self, Running, StartOptions};
use crate::cli::stop::Stop;
use crate::client::Signer;
use crate::config::{Config, Loaded};
use crate::crypto::{Algorithm, HmacKey, random};
use crate::forward::upstream::Server;
use crate::limit::app::{Plan, Rate};
use crate::route::{Accept, Route};
use crate::secret::Secret;
use crate::server::{Forwarders, Listen};
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
/// The plan of the demo's app when the configuration has none with a rate.
const PLAN: Rate = Rate {
    count: 20,
    period: Duration::from_secs(1),
    burst: 20,
};

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
        listen_where_free(config, listen, &mut notes);
        let (signer, secret_file) = enrol(config, directory.path())?;
        let plan = give_plan(config);
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
            burst: plan.burst,
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
/// to is looked for in `directory`, which is empty: the demo touches nothing
/// else.
fn load(directory: &Path, notes: &mut Vec<String>) -> Result<(Loaded, String)> {
    let no_variable = |_: &str| None;
    if let Ok(text) = std::fs::read_to_string(FILE) {
        match Config::from_text(&text, FILE, directory, &no_variable) {
            Ok(loaded) if path(&loaded.config).is_some() => {
                return Ok((loaded, format!("`{FILE}` here")));
            }
            _ => notes.push(format!(
                "`{FILE}` here cannot be played with (`portcullis check` tells more), so the built-in sample is taken"
            )),
        }
    }
    match Config::from_text(SAMPLE, "the built-in sample", directory, &no_variable) {
        Ok(loaded) => Ok((loaded, "the built-in sample".to_owned())),
        Err(report) => Err(Stop::bad_config(&report).into()),
    }
}

/// A path of the first route that takes signed POST requests of any host.
fn path(config: &Config) -> Option<String> {
    let takes_signed = |route: &&Arc<Route>| {
        route.host.is_none()
            && matches!(route.accept, Accept::Proven(schemes) if schemes.contains(Scheme::HttpSignature))
            && (route.methods.is_empty() || route.methods.contains(&Method::POST))
    };
    let route = config.gateway.routes.routes().iter().find(takes_signed)?;
    Some(
        route
            .path
            .to_string()
            .replace("**", "42")
            .replace('*', "42"),
    )
}

/// Nothing of the configuration reaches a real backend, or is left behind.
fn make_harmless(config: &mut Config, directory: &Path) {
    for upstream in &mut config.gateway.upstreams {
        upstream.servers = vec![Server::Echo];
    }
    config.state.directory = directory.join("state");
    config.server.tls = None;
    config.server.forwarders = Forwarders::default();
    config.gateway.public_url = None;
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

/// Gives the fresh app the first plan that has a rate.
fn give_plan(config: &mut Config) -> Rate {
    let plans = &mut config.gateway.plans;
    let known = plans
        .iter()
        .flatten()
        .find_map(|plan| Some((plan.clone(), plan.rate?)));
    let (plan, rate) = known.unwrap_or_else(|| {
        let plan = Plan {
            name: KEY_ID.to_owned(),
            rate: Some(PLAN),
            concurrency: None,
            better: Vec::new(),
        };
        (Arc::new(plan), PLAN)
    });
    plans.push(Some(plan));
    rate
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
