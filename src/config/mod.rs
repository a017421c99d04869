//! gateway.toml → settings. Opens no socket.

use crate::{admin, gateway, server, store};
use std::path::PathBuf;

/// Every room's settings, complete.
#[derive(Debug)]
pub struct Config {
    /// Sockets and connections.
    pub server: server::Settings,
    /// Health and metrics.
    pub admin: admin::Settings,
    /// What must outlive the process.
    pub state: store::Settings,
    /// The way of a request.
    pub gateway: gateway::Blueprint,
    /// Every file that was read to make this: the configuration, secrets,
    /// certificates. A change of any is a reason to reload.
    pub files: Vec<PathBuf>,
}
