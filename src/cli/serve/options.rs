//! What differs from a usual start.

use crate::clock::Clock;
use crate::config::Config;
use crate::server::{Caps, Handed};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What differs from a usual start.
#[derive(Default)]
pub struct StartOptions {
    pub(super) clock: Clock,
    pub(super) access_log: Option<Box<dyn Write + Send>>,
    pub(super) readable: bool,
    pub(super) file: Option<PathBuf>,
    pub(super) handed: Handed,
    connections: Option<usize>,
    pub(super) given_up: Arc<AtomicBool>,
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

    /// Lets no more connections in at a time, where the configuration would.
    #[must_use]
    pub const fn connections(mut self, most: Option<usize>) -> Self {
        self.connections = most;
        self
    }

    /// Lowers a cap that is over what may be let in, and with it what one address may have, where the
    /// configuration does not say that.
    pub(super) fn fit(&self, config: &mut Config) {
        let caps = &mut config.server.caps;
        let Some(most) = self.connections.filter(|most| *most < caps.connections) else {
            return;
        };
        caps.connections = most;
        if !config.says_per_address {
            caps.per_address = caps.per_address.min(Caps::usual_per_address(most));
        }
    }

    /// Reads its configuration from this file again, when it is told to.
    #[must_use]
    pub fn file(mut self, file: PathBuf) -> Self {
        self.file = Some(file);
        self
    }

    /// Does not start, once `given_up` is set, where it would have to wait
    /// for a gateway before it.
    #[must_use]
    pub fn unless(mut self, given_up: Arc<AtomicBool>) -> Self {
        self.given_up = given_up;
        self
    }

    /// Writes them to that sink for people, with colours, instead of as JSON.
    #[must_use]
    pub const fn readable(mut self) -> Self {
        self.readable = true;
        self
    }
}
