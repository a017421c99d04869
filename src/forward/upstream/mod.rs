//! An upstream's servers: choice, and connections kept per worker.

mod connect;
mod pool;

pub(super) use connect::answers;
pub use pool::Pool;
pub(super) use pool::{Lease, NoPlace};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection to a server, whatever carries it.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// No deadline is longer: times to come have to be computable.
pub const MAX_DEADLINE: Duration = Duration::from_hours(30 * 24);

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

/// One upstream of one configuration; workers share it.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    targets: Vec<Target>,
    turn: AtomicUsize,
}

/// A server, and what is made once of it.
#[derive(Debug)]
pub(super) struct Target {
    /// In the access record.
    pub(super) label: Arc<str>,
    /// `None` is the built-in test backend.
    pub(super) place: Option<Arc<Place>>,
}

/// Where to connect, and to how many connections at most.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    host: Box<str>,
    port: u16,
    max_connections: usize,
}

impl Upstream {
    /// An upstream as it is set; deadlines over [`MAX_DEADLINE`] are that long.
    pub fn new(mut settings: Settings) -> Self {
        for deadline in [
            &mut settings.connect,
            &mut settings.first_byte,
            &mut settings.idle,
            &mut settings.total,
        ] {
            *deadline = MAX_DEADLINE.min(*deadline);
        }
        let targets = settings
            .servers
            .iter()
            .map(|server| Target::new(server, settings.max_connections))
            .collect();
        Self {
            settings,
            targets,
            turn: AtomicUsize::new(0),
        }
    }

    /// How it is set.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its servers, each once, beginning with the one whose turn it is.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Target> {
        let first = match self.targets.len() {
            0 | 1 => 0,
            servers => self.turn.fetch_add(1, Ordering::Relaxed) % servers,
        };
        let (before, from) = self.targets.split_at(first);
        from.iter().chain(before)
    }
}

impl Target {
    fn new(server: &Server, max_connections: usize) -> Self {
        match server {
            Server::Echo => Self {
                label: "echo:".into(),
                place: None,
            },
            Server::Http { host, port } => Self {
                label: if host.contains(':') {
                    format!("[{host}]:{port}").into()
                } else {
                    format!("{host}:{port}").into()
                },
                place: Some(Arc::new(Place {
                    host: host.clone(),
                    port: *port,
                    max_connections,
                })),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(hosts: &[&str]) -> Upstream {
        Upstream::new(Settings {
            name: "test".into(),
            servers: hosts
                .iter()
                .map(|host| Server::Http {
                    host: (*host).into(),
                    port: 80,
                })
                .collect(),
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            total: Duration::from_secs(1),
            max_connections: 1,
        })
    }

    #[test]
    fn servers_take_turns_and_each_is_tried_once() {
        let three = upstream(&["a", "b", "::1"]);
        let turns: Vec<String> = (0..4)
            .map(|_| {
                let labels: Vec<&str> = three.in_turn().map(|target| &*target.label).collect();
                labels.join(" ")
            })
            .collect();
        assert_eq!(
            turns,
            [
                "a:80 b:80 [::1]:80",
                "b:80 [::1]:80 a:80",
                "[::1]:80 a:80 b:80",
                "a:80 b:80 [::1]:80"
            ]
        );
    }
}
