//! Health, readiness and metrics, on a listener of their own.

use std::net::SocketAddr;

/// `[admin]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; `None` is nowhere.
    pub listen: Option<SocketAddr>,
}
