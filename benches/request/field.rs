//! Who runs: started once, when a row first asks for it.

use crate::bare::{self, Kind};
use crate::bed::gateway::{self, Settings};
use crate::bed::link::Door;
use crate::bed::process::{Place, Process};
use crate::peers::{self, Peer};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Contestant {
    Gateway {
        tls: bool,
    },
    /// With the usual limit per address.
    LimitedGateway,
    /// On any core, and so is the load.
    GatewayAnywhere {
        workers: usize,
    },
    Bare {
        http2: bool,
        tls: bool,
        hashes: bool,
    },
    BareAnywhere {
        threads: usize,
    },
    /// Another build of the gateway, in the place of `Gateway` or `GatewayAnywhere`.
    Before {
        tls: bool,
        limited: bool,
        workers: Option<usize>,
    },
    Haproxy {
        checked: bool,
    },
    Nginx {
        checked: bool,
    },
}

impl Contestant {
    pub(super) const fn bare(door: Door) -> Self {
        Self::Bare {
            http2: door.http2,
            tls: door.tls,
            hashes: false,
        }
    }

    pub(super) const fn hashing(door: Door) -> Self {
        Self::Bare {
            http2: door.http2,
            tls: door.tls,
            hashes: true,
        }
    }

    pub(super) const fn bare_anywhere(threads: usize) -> Self {
        Self::BareAnywhere { threads }
    }

    /// Whether it is another's gateway that checks.
    pub(super) const fn checks(self) -> bool {
        matches!(
            self,
            Self::Haproxy { checked: true } | Self::Nginx { checked: true }
        )
    }

    /// The same of the build before, where it is the gateway.
    pub(super) const fn before(self) -> Option<Self> {
        let (tls, limited, workers) = match self {
            Self::Gateway { tls } => (tls, false, None),
            Self::LimitedGateway => (false, true, None),
            Self::GatewayAnywhere { workers } => (false, false, Some(workers)),
            _ => return None,
        };
        Some(Self::Before {
            tls,
            limited,
            workers,
        })
    }

    /// Workers that share the connections, where that is what is compared.
    pub(super) const fn workers(self) -> Option<usize> {
        match self {
            Self::GatewayAnywhere { workers: number }
            | Self::BareAnywhere { threads: number }
            | Self::Before {
                workers: Some(number),
                ..
            } => Some(number),
            _ => None,
        }
    }

    pub(super) const fn place(self) -> Place {
        match self {
            Self::GatewayAnywhere { .. }
            | Self::BareAnywhere { .. }
            | Self::Before {
                workers: Some(_), ..
            } => Place::Anywhere,
            _ => Place::Proxy,
        }
    }
}

pub(super) struct Field<'f> {
    folder: &'f Path,
    origin: SocketAddr,
    before: Option<&'f Path>,
    own: HashMap<Contestant, (Process, SocketAddr)>,
    haproxy: Option<Peer>,
    nginx: Option<Peer>,
}

impl<'f> Field<'f> {
    pub(super) fn new(folder: &'f Path, origin: SocketAddr, before: Option<&'f Path>) -> Self {
        Self {
            folder,
            origin,
            before,
            own: HashMap::new(),
            haproxy: peers::haproxy(origin, folder),
            nginx: peers::nginx(origin, folder),
        }
    }

    /// Which comparisons this machine cannot make.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.haproxy.is_none() {
            missing.push("HAProxy is not installed: no comparison with it");
        }
        match &self.nginx {
            None => missing.push("nginx is not installed: no comparison with it"),
            Some(nginx) if !nginx.checks => {
                missing.push("nginx has no Lua module here: no comparison with nginx that checks");
            }
            Some(_) => {}
        }
        missing
    }

    pub(super) fn has(&self, contestant: Contestant) -> bool {
        match contestant {
            Contestant::Haproxy { .. } => self.haproxy.is_some(),
            Contestant::Nginx { checked } => self
                .nginx
                .as_ref()
                .is_some_and(|nginx| nginx.checks || !checked),
            _ => true,
        }
    }

    /// The process, and where it listens for what comes through `door`.
    pub(super) fn get(&mut self, contestant: Contestant, door: Door) -> (&Process, SocketAddr) {
        const RUNS: &str = "it was asked for before";
        let peer = match contestant {
            Contestant::Haproxy { checked } => (self.haproxy.as_ref().expect(RUNS), checked),
            Contestant::Nginx { checked } => (self.nginx.as_ref().expect(RUNS), checked),
            _ => {
                let (folder, origin, before) = (self.folder, self.origin, self.before);
                let (process, address) = self
                    .own
                    .entry(contestant)
                    .or_insert_with(|| start(contestant, origin, folder, before));
                return (process, *address);
            }
        };
        (&peer.0.process, peer.0.address(door, peer.1))
    }
}

fn start(
    contestant: Contestant,
    origin: SocketAddr,
    folder: &Path,
    before: Option<&Path>,
) -> (Process, SocketAddr) {
    const LIMITED: &str = r#"{ rate = "20/s", burst = 200 }"#;
    let settings = Settings {
        place: contestant.place(),
        ..Settings::USUAL
    };
    let settings = match contestant {
        Contestant::Gateway { tls: false } => settings,
        Contestant::Gateway { tls: true } => Settings {
            name: "gateway-tls",
            tls: true,
            ..settings
        },
        Contestant::LimitedGateway => Settings {
            name: "gateway-limited",
            failures: LIMITED,
            ..settings
        },
        Contestant::GatewayAnywhere { workers } => Settings {
            name: if workers == 1 {
                "gateway-one"
            } else {
                "gateway-two"
            },
            workers,
            ..settings
        },
        Contestant::Before {
            tls,
            limited,
            workers,
        } => Settings {
            name: match (tls, limited, workers) {
                (true, ..) => "before-tls",
                (_, true, _) => "before-limited",
                (.., Some(1)) => "before-one",
                (.., Some(_)) => "before-two",
                _ => "before",
            },
            tls,
            failures: if limited { LIMITED } else { settings.failures },
            workers: workers.unwrap_or(settings.workers),
            binary: before,
            ..settings
        },
        Contestant::Bare { http2, tls, hashes } => {
            let kind = Kind {
                http2,
                tls,
                hashes,
                threads: 1,
            };
            return bare::start(kind, origin, folder, contestant.place());
        }
        Contestant::BareAnywhere { threads } => {
            let kind = Kind {
                http2: false,
                tls: false,
                hashes: false,
                threads,
            };
            return bare::start(kind, origin, folder, contestant.place());
        }
        Contestant::Haproxy { .. } | Contestant::Nginx { .. } => {
            unreachable!("peers are started with the field")
        }
    };
    let gateway = gateway::start(&settings, origin, folder);
    (gateway.process, gateway.address)
}
