//! An upstream's servers: choice, and connections kept per worker.

mod connect;
mod http2;
mod kept;
mod pool;
mod resets;
pub mod resolve;
mod stream;
pub mod tls;

pub(super) use connect::MAX_ANSWER_FIELDS;
pub(super) use http2::Slot;
pub use pool::Pool;
pub(super) use pool::{Lease, NoPlace, Sender};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    /// Connections to each server, per worker; of HTTP/2 requests at a time.
    pub max_connections: usize,
    /// Which HTTP is spoken to them.
    pub protocol: Protocol,
    /// How TLS is spoken to those of `https://`; there has to be something where there are any.
    pub tls: Option<Arc<tls::Client>>,
    /// How often their names are looked up again.
    pub resolve_every: Duration,
}

/// Which HTTP is spoken to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What both settle on over TLS; HTTP/1.1 otherwise.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in clear text by prior knowledge.
    Http2,
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
    /// `https://host:port`.
    Https {
        /// Host name or address literal, without brackets.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Unix {
        /// The socket.
        path: Box<Path>,
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

/// Where to connect and how, and to how many connections at most.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    at: At,
    protocol: Protocol,
    max_connections: usize,
    resolve_every: Duration,
}

/// Where a server is. Only one of [`At::Clear`] is spoken to in clear text over the network.
#[derive(Debug, PartialEq, Eq, Hash)]
enum At {
    Clear {
        host: Box<str>,
        port: u16,
    },
    Tls {
        host: Box<str>,
        port: u16,
        client: Option<Arc<tls::Client>>,
    },
    Unix {
        path: Box<Path>,
    },
}

impl Place {
    /// Whether a connection may turn out to carry many requests.
    const fn may_share(&self) -> bool {
        match self.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => matches!(self.at, At::Tls { .. }),
        }
    }

    /// What to do about a connection that broke off, if we know.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match &self.at {
            At::Tls {
                client: Some(client),
                ..
            } if client.was_asked_in_vain() => Some(
                "it asked who we are and was told nothing: `tls.certificate` and `tls.key` say it",
            ),
            _ => None,
        }
    }

    /// `http` or `https`, as the server is spoken to.
    pub(super) const fn scheme(&self) -> http::uri::Scheme {
        match self.at {
            At::Tls { .. } => http::uri::Scheme::HTTPS,
            At::Clear { .. } | At::Unix { .. } => http::uri::Scheme::HTTP,
        }
    }
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
            .map(|server| Target::new(server, &settings))
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
    fn new(server: &Server, settings: &Settings) -> Self {
        let (label, at) = match server {
            Server::Echo => {
                return Self {
                    label: "echo:".into(),
                    place: None,
                };
            }
            Server::Http { host, port } => (
                authority(host, *port),
                At::Clear {
                    host: host.clone(),
                    port: *port,
                },
            ),
            Server::Https { host, port } => (
                authority(host, *port),
                At::Tls {
                    host: host.clone(),
                    port: *port,
                    client: settings.tls.clone(),
                },
            ),
            Server::Unix { path } => (
                format!("unix:{}", path.display()),
                At::Unix { path: path.clone() },
            ),
        };
        Self {
            label: label.into(),
            place: Some(Arc::new(Place {
                at,
                protocol: settings.protocol,
                max_connections: settings.max_connections,
                resolve_every: settings.resolve_every,
            })),
        }
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
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
            protocol: Protocol::Auto,
            tls: None,
            resolve_every: Duration::from_secs(30),
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
