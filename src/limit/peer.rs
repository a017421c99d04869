//! Per client address, before any cryptography.

use super::app::Rate;
use crate::clock::Now;
use std::net::IpAddr;
use std::time::Duration;

/// `[peers]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Refused requests an address may cause.
    pub failures: Option<Rate>,
    /// Requests of any kind.
    pub rate: Option<Rate>,
}

/// What every address has caused, in a table of fixed size.
#[derive(Debug)]
pub struct Peers {}

impl Peers {
    /// An empty table.
    pub fn new() -> Self {
        todo!("limit")
    }

    /// Whether the address may ask at all, and counts the request where requests of any kind are limited.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, settings: &PeerSettings, peer: IpAddr, now: Now) -> Result<(), Duration> {
        let _ = (settings, peer, now);
        todo!("limit")
    }

    /// Counts a refused request.
    pub fn failed(&self, settings: &PeerSettings, peer: IpAddr, now: Now) {
        let _ = (settings, peer, now);
        todo!("limit")
    }
}
