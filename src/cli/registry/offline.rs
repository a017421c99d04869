//! The API without a gateway: on the configuration itself.

use crate::admin::api::{Configured, Desk, Who};
use crate::cli::serve::configured;
use crate::clock::{Clock, Now};
use crate::config::Loaded;
use std::sync::Arc;

/// What a gateway would run on.
pub(super) struct Offline {
    configured: Arc<Configured>,
    clock: Clock,
}

impl Offline {
    /// Opens it.
    pub(super) fn open(loaded: &Loaded) -> Self {
        Self {
            configured: Arc::new(configured(&loaded.config.gateway)),
            clock: Clock::system(),
        }
    }

    /// The user who works on it.
    #[expect(clippy::unused_self, reason = "who may open it is who it is")]
    pub(super) fn who(&self) -> Who {
        let uid = rustix::process::getuid().as_raw();
        Who::of_user(&format!("uid-{uid}"))
    }
}

impl Desk for Offline {
    fn configured(&self) -> Arc<Configured> {
        self.configured.clone()
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
