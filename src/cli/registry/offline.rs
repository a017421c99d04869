//! The API without a gateway: on the configuration and the registry themselves.

use crate::admin::api::{Configured, Desk, Reloaded, Who};
use crate::apps::made::{MasterKey, Store};
use crate::cli::serve::configured;
use crate::cli::stop::Stop;
use crate::clock::{Clock, Now};
use crate::config::Config;
use crate::store::registry::{OpenError, Registry, Settings};
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How long a registry that another has is waited for: a gateway that starts answers by then, and commands end.
const WAIT: Duration = Duration::from_secs(2);

/// Why a file may not lead to the gateway that runs on it.
pub(super) const UNTIL_RESTART: &str = "where the file says more than is in force, the gateway has `[admin]` and `[state]` of before until a restart, as its events tell";

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// To look.
    Look,
    /// To tell what would come of a change.
    Try,
    /// To change something.
    Change,
}

/// The registry that a command works on.
#[derive(Clone)]
pub(super) enum Kept {
    /// `[state] registry` is off.
    Off,
    /// Nobody has made it yet, and who only looks does not.
    Unmade,
    /// It is there, or is made for a change.
    There(Settings),
    /// Nobody has made it yet: a change is tried on one that holds nothing, in a folder that goes with it.
    StandIn {
        settings: Settings,
        _folder: Arc<TempDir>,
    },
}

impl Kept {
    /// The one that is configured, as far as it is there.
    pub(super) fn of(configured: Option<&Settings>, aim: Aim) -> Result<Self> {
        let Some(settings) = configured else {
            return Ok(Self::Off);
        };
        let unknown = |why: std::io::Error| {
            let path = settings.path.display();
            let stop = Stop::failed(format!("the registry `{path}` cannot be looked at: {why}"));
            if why.kind() == std::io::ErrorKind::PermissionDenied {
                return stop.hint("run this as the gateway's user");
            }
            stop
        };
        if aim == Aim::Change || settings.path.try_exists().map_err(unknown)? {
            return Ok(Self::There(settings.clone()));
        }
        if aim == Aim::Try {
            return Self::stand_in(settings);
        }
        Ok(Self::Unmade)
    }

    fn stand_in(settings: &Settings) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|why| {
            Stop::failed(format!("there is no room to try it out: {why}"))
                .hint("a dry run needs a folder for what is temporary: `TMPDIR` names one")
        })?;
        let settings = Settings {
            path: folder.path().join("portcullis.redb"),
            ..settings.clone()
        };
        Ok(Self::StandIn {
            settings,
            _folder: Arc::new(folder),
        })
    }

    const fn settings(&self) -> Option<&Settings> {
        match self {
            Self::Off | Self::Unmade => None,
            Self::There(settings) | Self::StandIn { settings, .. } => Some(settings),
        }
    }
}

/// What a gateway would run on.
pub(super) struct Offline {
    configured: Arc<Configured>,
    registry: Option<(Arc<dyn Store>, MasterKey)>,
    /// Where the registry lies; what stands in for one goes once that is closed.
    kept: Kept,
    clock: Clock,
}

impl Offline {
    /// Opens it, where nobody else has the registry.
    pub(super) fn open(config: &Config, kept: &Kept) -> Result<Self, OpenError> {
        let registry = match kept.settings() {
            None => None,
            Some(settings) => {
                let store: Arc<dyn Store> = Arc::new(Registry::open(settings)?);
                Some((store, settings.master.clone()))
            }
        };
        Ok(Self {
            configured: Arc::new(configured(config)),
            registry,
            kept: kept.clone(),
            clock: Clock::system(),
        })
    }

    /// Whether there is no registry since nobody has made it yet, though it is not off.
    pub(super) const fn is_unmade(&self) -> bool {
        matches!(self.kept, Kept::Unmade)
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
    .hint(format!(
        "let the gateway have an admin listener, or say where it is: `--admin URL`; {UNTIL_RESTART}"
    ))
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

    fn reload(&self, _: bool) -> Result<Reloaded, String> {
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
