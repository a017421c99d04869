//! What is made once of a server: its label, and where and how to connect.

use super::balance::Standing;
use super::left_out::LeftOut;
use super::resolve::Addresses;
use super::{Protocol, Server, Settings, tls};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A server, and what is made once of it.
#[derive(Debug)]
pub(in crate::forward) struct Target {
    /// In the access record.
    pub(in crate::forward) label: Arc<str>,
    /// `None` is the built-in test backend.
    pub(in crate::forward) place: Option<Arc<Place>>,
    pub(super) standing: Arc<Standing>,
}

impl AsRef<Arc<Standing>> for Target {
    fn as_ref(&self) -> &Arc<Standing> {
        &self.standing
    }
}

impl Target {
    /// A server, of which is known what `before`, the same one until now, has.
    pub(super) fn new(
        server: &Server,
        settings: &Settings,
        standing: Arc<Standing>,
        before: Option<&Self>,
    ) -> Self {
        let (label, at) = match server {
            Server::Echo => {
                return Self {
                    label: "echo:".into(),
                    place: None,
                    standing,
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
        let left_out = at.is_name().then(|| {
            let before = before.and_then(|before| before.place.as_ref()?.left_out.clone());
            before.unwrap_or_default()
        });
        Self {
            label: label.into(),
            place: Some(Arc::new(Place::new(
                at,
                settings.protocol,
                settings.max_connections,
                settings.resolve_every,
                settings.keep_alive,
                left_out,
            ))),
            standing,
        }
    }
}

/// Where to connect and how, and to how many connections at most.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::forward) struct Place {
    pub(super) at: At,
    pub(super) protocol: Protocol,
    pub(super) max_connections: usize,
    pub(super) resolve_every: Duration,
    pub(super) keep_alive: Option<Duration>,
    /// What is known of its addresses, where it has a name. So a name's connections are those of one
    /// upstream, as that is.
    pub(super) left_out: Option<Arc<LeftOut>>,
    /// Of all the above but the last; every request looks for its server's connections.
    hash: u64,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// For tables of places: what a place has for a hash is one already.
#[derive(Debug, Default)]
pub(super) struct OwnHash(u64);

impl Hasher for OwnHash {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a place writes its hash only");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Where a server is. Only one of [`At::Clear`] is spoken to in clear text over the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
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

impl At {
    /// Whether its addresses have to be looked up.
    fn is_name(&self) -> bool {
        match self {
            Self::Clear { host, .. } | Self::Tls { host, .. } => host.parse::<IpAddr>().is_err(),
            Self::Unix { .. } => false,
        }
    }

    fn alone(&self) -> Self {
        match self.clone() {
            Self::Tls { host, port, client } => Self::Tls {
                host,
                port,
                client: client.map(|client| Arc::new(client.alone())),
            },
            other => other,
        }
    }
}

impl Place {
    pub(super) fn new(
        at: At,
        protocol: Protocol,
        max_connections: usize,
        resolve_every: Duration,
        keep_alive: Option<Duration>,
        left_out: Option<Arc<LeftOut>>,
    ) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = KEY.hash_one((&at, protocol, max_connections, resolve_every, keep_alive));
        Self {
            at,
            protocol,
            max_connections,
            resolve_every,
            keep_alive,
            left_out,
            hash,
        }
    }

    /// Its addresses: to be looked up, where it has a name.
    pub(super) fn addresses(&self) -> Addresses {
        match &self.at {
            At::Clear { host, port } | At::Tls { host, port, .. } => {
                Addresses::of(host, *port, self.left_out.clone())
            }
            At::Unix { .. } => Addresses::none(),
        }
    }

    /// The same place, spoken to in HTTP/2.
    pub(super) fn over_http2(&self) -> Self {
        self.by(self.at.clone(), Protocol::Http2)
    }

    /// Whether a connection is kept for another request.
    pub(in crate::forward) const fn keeps(&self) -> bool {
        self.keep_alive.is_some()
    }

    /// Whether a connection may turn out to carry many requests.
    pub(in crate::forward) const fn may_share(&self) -> bool {
        match self.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => matches!(self.at, At::Tls { .. }),
        }
    }

    /// The same place, spoken to in HTTP/1.1.
    pub(super) fn alone(&self) -> Option<Self> {
        (self.protocol != Protocol::Http2).then(|| self.by(self.at.alone(), Protocol::Http1))
    }

    fn by(&self, at: At, protocol: Protocol) -> Self {
        let (most, every) = (self.max_connections, self.resolve_every);
        Self::new(
            at,
            protocol,
            most,
            every,
            self.keep_alive,
            self.left_out.clone(),
        )
    }

    /// `http` or `https`, as the server is spoken to.
    pub(in crate::forward) const fn scheme(&self) -> http::uri::Scheme {
        match self.at {
            At::Tls { .. } => http::uri::Scheme::HTTPS,
            At::Clear { .. } | At::Unix { .. } => http::uri::Scheme::HTTP,
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
