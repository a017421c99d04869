//! The API without a gateway: on the configuration and the registry themselves.

use crate::admin::api::{Configured, Desk, Who};
use crate::apps::made::{MasterKey, Store};
use crate::cli::serve::configured;
use crate::cli::stop::Stop;
use crate::clock::{Clock, Now};
use crate::config::Config;
use crate::store::registry::{OpenError, Registry, Settings};
use std::sync::Arc;

/// What a gateway would run on.
pub(super) struct Offline {
    configured: Arc<Configured>,
    registry: Option<(Arc<dyn Store>, MasterKey)>,
    clock: Clock,
}

impl Offline {
    /// Opens it, where nobody else has the registry.
    pub(super) fn open(config: &Config, registry: Option<&Settings>) -> Result<Self, OpenError> {
        let registry = match registry {
            None => None,
            Some(settings) => {
                let store: Arc<dyn Store> = Arc::new(Registry::open(settings)?);
                Some((store, settings.master.clone()))
            }
        };
        Ok(Self {
            configured: Arc::new(configured(config)),
            registry,
            clock: Clock::system(),
        })
    }

    /// The user who works on it.
    #[expect(clippy::unused_self, reason = "who may open it is who it is")]
    pub(super) fn who(&self) -> Who {
        let uid = rustix::process::getuid().as_raw();
        let name = name_of(uid).unwrap_or_else(|| format!("uid-{uid}"));
        Who::of_user(&name)
    }
}

/// Why a command cannot work on the registry. No gateway answers, since `refused`.
pub(super) fn not_opened(why: &OpenError, refused: &str) -> Stop {
    let OpenError::InUse { path } = why else {
        return Stop::failed(why.to_string());
    };
    let path = path.display();
    Stop::failed(format!(
        "`{path}` is in use by a gateway, or another command, and {refused}"
    ))
    .hint("let the gateway have an admin listener, or say where it is: `--admin URL`")
}

impl Desk for Offline {
    fn configured(&self) -> Arc<Configured> {
        self.configured.clone()
    }

    fn store(&self) -> Option<&Arc<dyn Store>> {
        self.registry.as_ref().map(|(store, _)| store)
    }

    fn master(&self) -> Option<&MasterKey> {
        self.registry.as_ref().map(|(_, master)| master)
    }

    fn reload(&self, _: bool) -> Result<Vec<String>, String> {
        Err("no gateway runs that could take it over".to_owned())
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn is_serving(&self) -> bool {
        false
    }
}

/// The name of a user, as this machine's own list has it.
fn name_of(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let is = fields.nth(1)?.parse() == Ok(uid);
        is.then(|| name.to_owned())
    })
}
