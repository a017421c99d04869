//! What all workers share.

use super::{InForce, Tunnels, Undecided};
use crate::authorize::Heights;
use crate::clock::{Clock, Now};
use crate::limit::overload::Gate;
use crate::limit::peer::Peers;
use crate::mint;
use crate::observe::Observer;
use crate::replay::Memory;
use crate::schemes::token;
use std::net::IpAddr;
use std::sync::Arc;

/// Told of a key that nobody has, by its id, and who has shown it, unless over a Unix socket. It must not wait.
pub type Alarm = Box<dyn Fn(&str, Option<IpAddr>, Now) + Send + Sync>;

/// What all workers share.
pub struct Shared {
    /// What is in force.
    pub settings: InForce,
    /// Proofs that were used.
    pub memory: Arc<dyn Memory>,
    /// The same of what is only observed: its own, in memory.
    pub observed: Arc<dyn Memory>,
    /// What apps have moved up to.
    pub heights: Arc<Heights>,
    /// What each address has caused.
    pub peers: Peers,
    /// Tunnels that are open.
    pub tunnels: Tunnels,
    /// Requests in flight, and those that wait to be.
    pub in_flight: Arc<Gate>,
    /// Those whose body is waited for before their proof.
    pub undecided: Arc<Undecided>,
    /// Tokens that were verified.
    pub tokens: token::Cache,
    /// Who makes tokens.
    pub minting: Arc<mint::Service>,
    /// Who is told, by id and peer, that a key was shown that nobody has.
    pub alarm: Option<Alarm>,
    /// Where records go.
    pub observer: Observer,
    /// The time.
    pub clock: Clock,
}
