//! The API without a gateway: on the configuration and the registry themselves.

use crate::admin::api::{Configured, Desk, Who};
use crate::apps::made::{MasterKey, Store};
use crate::cli::serve::configured;
use crate::cli::stop::Stop;
use crate::clock::{Clock, Now};
use crate::config::Config;
use crate::store::registry::{OpenError, Registry, Settings};
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// How long a registry that another has is waited for: a gateway that starts answers by then, and commands end.
const WAIT: Duration = Duration::from_secs(2);

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

/// What `open` opens once nobody else has it, or before that what `look` finds; no gateway answered before, since
/// `refused`. Whatever takes the time, the last look begins within [`WAIT`].
pub(super) fn in_turn<T>(
    clock: &Clock,
    mut refused: String,
    open: impl Fn() -> Result<T, OpenError>,
    look: impl Fn() -> Result<Result<T>, String>,
) -> Result<T> {
    let until = clock.now().monotonic() + WAIT;
    loop {
        match open() {
            Ok(opened) => return Ok(opened),
            Err(OpenError::InUse { .. }) if clock.now().monotonic() < until => {}
            Err(why) => return Err(not_opened(&why, &refused).into()),
        }
        // A gateway that starts has the registry before its admin API answers.
        refused = match look() {
            Ok(found) => return found,
            Err(why) => why,
        };
    }
}

/// Why a command cannot work on the registry. No gateway answers, since `refused`.
fn not_opened(why: &OpenError, refused: &str) -> Stop {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::path::PathBuf;

    fn in_use() -> Result<(), OpenError> {
        let path = PathBuf::from("apps.redb");
        Err(OpenError::InUse { path })
    }

    #[test]
    fn the_wait_for_a_registry_that_another_has_counts_what_a_knock_takes() {
        let (clock, hand) = Clock::by_hand(1_000);
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            hand.advance(WAIT / 2);
            Err("nobody answered".to_owned())
        };
        let refused = in_turn(&clock, "nobody was there".to_owned(), in_use, look).unwrap_err();
        assert_eq!(looks.get(), 2);
        // The last that was found.
        let told = refused.to_string();
        assert!(told.contains("`apps.redb` is in use"), "{told}");
        assert!(told.contains("nobody answered"), "{told}");
    }

    #[test]
    fn a_gateway_that_answers_ends_the_wait_for_its_registry() {
        let (clock, _) = Clock::by_hand(1_000);
        let look = || Ok(Ok(()));
        in_turn(&clock, String::new(), in_use, look).unwrap();
    }
}
