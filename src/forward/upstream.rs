//! An upstream's servers: choice, and connections kept per worker.

use std::sync::Arc;
use std::time::Duration;

/// `[upstreams.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Arc<str>,
    /// Its servers, at least one.
    pub servers: Vec<Server>,
    /// For a connection to be made.
    pub connect: Duration,
    /// From the request's end to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two bytes, either way.
    pub idle: Duration,
    /// From first to last byte of request and answer.
    pub total: Duration,
    /// Connections to each server, per worker.
    pub max_connections: usize,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The built-in test backend, `echo:`.
    Echo,
    /// `http://host:port`.
    Http {
        /// Host name or address literal, without brackets.
        host: Box<str>,
        /// Port.
        port: u16,
    },
}
