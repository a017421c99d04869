//! What a running gateway can be given anew, and what only a restart changes.

use super::ends::Ends;
use super::phases::{Current, Phase};
use super::registry::{self, Made};
use super::warned::{Warned, Warnings};
use super::watch::{Looks, Wake};
use crate::admin::api::{Configured, Guard, Reloaded, Turns};
use crate::apps::made::{MasterKey, Store};
use crate::config::{Config, Loaded, Report, Resolved, Successor};
use crate::forward::upstream::checks::Checks;
use crate::gateway::{Settings, Shared};
use crate::issuers::Fetches;
use crate::server::Pulse;
use crate::server::tls::Certificates;
use crate::store::embedded::{Proofs, Table};
use crate::store::moved_up::Keeper;
use crate::{admin, server, store};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Why a reload is refused that takes away what changes under way may name.
const CHANGES_LAST: &str = "it takes a plan or an issuer away, and changes of the registry are under way that the disk does not take in time";

/// What a reload changes, and what it is compared with.
pub(super) struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) checks: Checks,
    pub(super) fetches: Fetches,
    pub(super) proofs: Arc<Proofs>,
    /// The same of what is only observed.
    pub(super) observed: Arc<Table>,
    pub(super) moved_up: Keeper,
    pub(super) made: Option<Made>,
    /// The same for the admin API.
    pub(super) store: Option<Arc<dyn Store>>,
    /// What seals the secrets in it.
    pub(super) master: Option<MasterKey>,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) ends: Ends,
    pub(super) stop: CancellationToken,
    pub(super) phase: Current,
    /// Those that serve, once they do.
    pub(super) workers: OnceLock<Pulse>,
    pub(super) in_force: Mutex<InForce>,
    pub(super) turns: Turns,
    pub(super) last_read: Mutex<LastRead>,
    /// Who may use the admin API.
    pub(super) guard: Arc<Guard>,
    /// The file that the configuration came from; without it there is nothing to read again.
    pub(super) file: Option<PathBuf>,
    /// Rung when somebody else than the main loop has reloaded: other files may be to watch.
    pub(super) reloaded: Notify,
}

/// What came of the file the last time that it was read.
#[derive(Default, PartialEq, Eq)]
pub(super) struct LastRead {
    /// Why it was not taken over, if it was not.
    not_taken: Option<String>,
    /// How it and those that it names looked before they were read.
    looks: Looks,
}

pub(super) struct InForce {
    pub(super) fixed: Fixed,
    pub(super) resolved: Resolved,
    pub(super) files: Vec<PathBuf>,
    pub(super) goodbye: server::Goodbye,
    pub(super) configured: Arc<Configured>,
    pub(super) warned: Warned,
}

/// What sockets and files in use cannot take over: a change of it needs a restart.
#[derive(PartialEq)]
pub(super) struct Fixed {
    listen: Vec<server::Listen>,
    socket_mode: u32,
    workers: usize,
    /// Those that the file asks for, if any: of those that it leaves to us there are as many as at the start.
    said_workers: Option<usize>,
    caps: server::Caps,
    forwarders: server::Forwarders,
    deadlines: server::Deadlines,
    tls: bool,
    client_certificates: bool,
    admin: Option<server::Listen>,
    directory: PathBuf,
    registry: Option<store::registry::Settings>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            listen: config.server.listen.clone(),
            socket_mode: config.server.socket_mode,
            workers: config.server.workers,
            said_workers: config.said_workers,
            caps: config.server.caps.clone(),
            forwarders: config.server.forwarders.clone(),
            deadlines: config.server.deadlines,
            tls: config.server.tls.is_some(),
            client_certificates: config
                .server
                .tls
                .as_ref()
                .is_some_and(|tls| tls.clients.is_some()),
            admin: config.admin.listen.clone(),
            directory: config.state.directory.clone(),
            registry: config.registry.clone(),
        }
    }

    /// The keys of `gateway.toml` in which `other` differs.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("server.listen", self.listen != other.listen),
            ("server.socket_mode", self.socket_mode != other.socket_mode),
            ("server.workers", self.other_workers(other)),
            (
                "the caps on connections of [server]",
                self.caps != other.caps,
            ),
            (
                "server.trusted_proxies, forwarded or proxy_protocol",
                self.forwarders != other.forwarders,
            ),
            (
                "the time-outs of [server]",
                self.deadlines != other.deadlines,
            ),
            ("whether [server] has `tls`", self.tls != other.tls),
            (
                "whether `tls` has `client_ca`",
                self.client_certificates != other.client_certificates,
            ),
            ("admin.listen", self.admin != other.admin),
            ("state.directory", self.directory != other.directory),
            (
                "state.registry or master_key",
                self.registry != other.registry,
            ),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// Whether `other` asks for more worker threads, or fewer. Cores that come and go while both leave it to us are none of it.
    fn other_workers(&self, other: &Self) -> bool {
        let is_asked = self.said_workers.is_some() || other.said_workers.is_some();
        is_asked && other.workers != self.workers
    }
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// It asks for what only a restart can give.
    #[error("a change of {0} needs a restart; nothing was changed")]
    NeedsRestart(String),
    /// It cannot be put into force.
    #[error("{0}; nothing was changed")]
    Refused(String),
}

impl InForce {
    /// A configuration that can follow this one without a restart.
    fn takes(&self, loaded: Loaded) -> Result<Loaded, NotReloaded> {
        // More likely a file that lost its end than what somebody wants: it is not to be put into force by a restart.
        if crate::config::loses_its_routes(&self.resolved, &loaded.resolved) {
            let why =
                "the file has no `[[routes]]` any more, so that every request would be refused";
            return Err(NotReloaded::Refused(why.to_owned()));
        }
        if crate::config::loses_its_apps(&self.resolved, &loaded.resolved) {
            let why = "the file has no `[apps]` any more, so that its callers would be refused: \
                       if that is meant, let one stand with `enabled = false`, or restart";
            return Err(NotReloaded::Refused(why.to_owned()));
        }
        let differences = self.fixed.differences(&Fixed::of(&loaded.config));
        if !differences.is_empty() {
            return Err(NotReloaded::NeedsRestart(differences.join(", ")));
        }
        Ok(loaded)
    }
}

impl Control {
    pub(super) fn reload(&self, loaded: Loaded) -> Result<Reloaded, NotReloaded> {
        // `None`: changes are under way that were judged by what is in force now.
        let turn = self.turns.reload();
        let mut in_force = self.in_force();
        let loaded = self.fits(&in_force, loaded)?;
        let warnings = Warnings::of(&loaded);
        let Loaded {
            config, resolved, ..
        } = loaded;
        let configured = Arc::new(super::desk::configured(&config));
        // All else is taken over, be the disk hung for hours: a key may have to be disabled now.
        if turn.is_none() && in_force.configured.loses(&configured) {
            return Err(NotReloaded::Refused(CHANGES_LAST.to_owned()));
        }
        let before = self.shared.settings.load();
        let apps = config.gateway.apps.clone();
        let mut settings = Settings::build(config.gateway, &self.shared.observer, Some(&before))
            .map_err(|why| NotReloaded::Refused(why.to_string()))?;
        if let (Some(certificates), Some(tls)) = (&self.certificates, &config.server.tls) {
            certificates
                .replace(tls)
                .map_err(|why| NotReloaded::Refused(why.to_string()))?;
        }
        // Nothing below can fail.
        self.guard.replace(config.admin.tokens.clone());
        self.proofs
            .reconfigure(&config.state, self.shared.clock.now());
        self.observed.resize(config.state.proofs);
        let plans = settings.plans();
        settings.come_into_force(self.shared.clock.now());
        self.shared.settings.store(settings);
        if let Some(made) = &self.made {
            made.reconfigure(&apps, plans);
        }
        registry::keep(&self.shared.heights, &apps, self.made.as_ref());
        super::upstreams::check(&self.checks, &self.shared.settings.load());
        super::issuers::fetch(&self.fetches, &self.shared.settings.load());
        let changes = crate::config::changes(&in_force.resolved, &resolved);
        in_force.resolved = resolved;
        in_force.fixed.said_workers = config.said_workers;
        in_force.configured = configured;
        in_force.files = config.files;
        in_force.goodbye = config.goodbye;
        self.ends.replace(config.certificates_end);
        let now = self.shared.clock.now();
        let told = warnings.at(now).iter().map(ToString::to_string).collect();
        in_force.warned.tell(warnings, now);
        Ok(Reloaded {
            changes,
            warnings: told,
        })
    }

    /// What can follow without a restart, and goes with the registry.
    fn fits(&self, in_force: &InForce, loaded: Loaded) -> Result<Loaded, NotReloaded> {
        let mut loaded = in_force.takes(loaded)?;
        if let Some(made) = &self.made {
            made.takes(&mut loaded.config.gateway)
                .map_err(NotReloaded::Refused)?;
        }
        Ok(loaded)
    }

    /// Puts what the file says into force. Secrets that are new in it are made when nothing else stands in its way: a
    /// file that is refused leaves none behind.
    fn follow(&self, path: &Path) -> Result<Reloaded, (&'static str, String)> {
        let bad = |report: Report| ("; nothing was changed\n", report.to_string());
        let unfit = |why: NotReloaded| (": ", why.to_string());
        let files = self.files();
        let next = Successor::read(path, &files).map_err(bad)?;
        let mut loaded = next.check().map_err(bad)?;
        if loaded.lacks_secrets() {
            self.fits(&self.in_force(), loaded).map_err(unfit)?;
            loaded = next.load().map_err(bad)?;
        }
        self.reload(loaded).map_err(unfit)
    }

    /// Reads the file again and puts it into force, or says why not. Gives back what came of it.
    pub(super) fn reload_file(&self, path: &Path, wake: Wake) -> Result<Reloaded, String> {
        // Held while it is read: of two at once the later one reads what is put into force last.
        let mut last = hold(&self.last_read);
        // Looked at before: what changes while they are read is a change of its own.
        let looks = Looks::of(&self.files());
        let result = self.follow(path);
        let read = LastRead {
            not_taken: result.as_ref().err().map(|(_, why)| why.clone()),
            looks: looks.follow(&self.files()),
        };
        let before = std::mem::replace(&mut *last, read);
        let is_told = match &result {
            // Somebody asked for the change before it was seen.
            Ok(done) => done.changes.is_empty() && *last == before,
            // It was tried again.
            Err(_) => last.not_taken == before.not_taken,
        };
        if wake == Wake::Changed && is_told {
            // That was counted and told the first time.
            return result.map_err(|(_, why)| why);
        }
        // Counted first: whoever reads the event finds it so. What changes nothing was taken over, too.
        let now = self.shared.clock.now();
        self.shared.observer.reloaded(result.is_ok(), now);
        match &result {
            Ok(done) if !done.changes.is_empty() => {
                tracing::info!(changes = done.changes.join(", "), "configuration reloaded");
            }
            Ok(_) if before.not_taken.is_some() => {
                tracing::info!("the configuration is good again: it is the one in force");
            }
            Ok(_) => {
                tracing::info!("configuration read again: it changes nothing of what is in force");
            }
            Err((front, why)) => {
                tracing::error!("the configuration is not taken over{front}{why}");
            }
        }
        result.map_err(|(_, why)| why)
    }

    /// Tells of what of the configuration in force is past its date by now, or near it.
    pub(super) fn look_at_dates(&self) {
        self.in_force().warned.look(self.shared.clock.now());
    }

    /// Whether the file has to be tried again. While somebody reads it, he tells what came of it.
    pub(super) fn is_not_taken(&self) -> bool {
        match self.last_read.try_lock() {
            Ok(last) => last.not_taken.is_some(),
            Err(TryLockError::Poisoned(last)) => last.into_inner().not_taken.is_some(),
            Err(TryLockError::WouldBlock) => false,
        }
    }

    /// What would come of reading the file again.
    pub(super) fn would_reload(&self, path: &Path) -> Result<Reloaded, String> {
        let files = self.files();
        let checked = Successor::read(path, &files).and_then(|next| next.check());
        let loaded = checked.map_err(|report| report.to_string())?;
        let in_force = self.in_force();
        let loaded = self.fits(&in_force, loaded);
        let loaded = loaded.map_err(|why| why.to_string())?;
        let warnings = Warnings::of(&loaded).at(self.shared.clock.now());
        Ok(Reloaded {
            changes: crate::config::changes(&in_force.resolved, &loaded.resolved),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })
    }

    pub(super) fn configured(&self) -> Arc<Configured> {
        self.in_force().configured.clone()
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.in_force().files.clone()
    }

    pub(super) fn goodbye(&self) -> server::Goodbye {
        self.in_force().goodbye
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        hold(&self.in_force)
    }
}

fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl admin::Probe for Control {
    fn ready(&self) -> Result<(), String> {
        match self.phase.get() {
            Phase::Serving if self.proofs.disk_answers() => Ok(()),
            Phase::Serving => Err("the disk of proofs does not answer".to_owned()),
            phase => Err(format!("draining: {phase}")),
        }
    }

    fn workers(&self) -> Option<Pulse> {
        self.workers.get().cloned()
    }

    fn metrics(&self) -> String {
        self.shared.observer.render_metrics()
    }
}
