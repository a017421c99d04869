//! What the tests stand on: the gateway from a few lines of config, an
//! upstream that tells what it got, a client that sends any bytes, and a
//! caller that signs rightly, or wrongly in one chosen way.
//!
//! Nothing here sleeps, and no wait is longer than [`DEADLINE`]: a test that
//! would hang fails instead.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each file of tests uses a part of it"
)]

pub mod binary;
pub mod caller;
pub mod curl;
pub mod dpop;
pub mod gateway;
pub mod h2;
pub mod issuer;
pub mod key_service;
pub mod lines;
pub mod pair;
pub mod raw;
pub mod request;
pub mod secure;
pub mod setup;
pub mod token;
pub mod upstream;

pub use binary::Binary;
pub use caller::{Caller, caller};
pub use gateway::Gateway;
pub use raw::{Connection, Response};
pub use request::Request;
pub use setup::Setup;
pub use token::Token;
pub use upstream::Upstream;

use std::time::Duration;

/// No wait in a test is longer. Far more than anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The time that hand-set clocks start at.
pub const T0: i64 = 1_800_000_000;

/// The time of a gateway that has just started, and of those who call it:
/// [`T0`], unless it is a binary, which has the system's.
pub fn now() -> i64 {
    if binary::is_named() {
        Binary::now()
    } else {
        T0
    }
}

/// Looks again and again until it holds, for what nobody tells of by itself.
#[track_caller]
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let clock = portcullis::clock::Clock::system();
    let end = clock.now().monotonic() + DEADLINE;
    while !holds() {
        assert!(clock.now().monotonic() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A port that is taken and on which nobody listens, for as long as this lives:
/// a port that was merely free before may be another test's by now.
pub struct Closed(tokio::net::TcpSocket);

impl Closed {
    pub fn port() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.0.local_addr().unwrap()
    }
}
