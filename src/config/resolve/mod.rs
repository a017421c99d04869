//! File → [`Config`]: what a value means beside the others.
//!
//! Every part gives `None` when it has a problem, and goes on looking for more.

mod admin;
mod apps;
mod assurance;
mod certificates;
mod client_attestation;
mod cors;
mod doors;
mod ends;
mod evidence;
mod inject;
mod issuers;
mod keys;
mod less;
mod matches;
mod plans;
mod registry;
mod routes;
mod shared;
mod sigv4;
mod static_keys;
mod tls;
mod tokens;
mod upgrades;
mod upstreams;
mod waivers;
mod webhooks;

pub(crate) use keys::ITS_K;
pub(crate) use static_keys::checked as checked_static_key;
pub(super) use static_keys::pepper;

use super::Config;
use super::balance;
use super::file::{File, Server, Upstream};
use super::gather::{Draft, Problems};
use super::paces::Pace;
use super::read::At;
use super::secrets::{Closed, Opened, Places};
use super::values::Workers;
use super::view::{self, Fingerprints};
use super::words::Limit;
use crate::apps::Assurance;
use crate::limit::app::{self, Rate};
use crate::limit::overload;
use crate::limit::peer::PeerSettings;
use crate::schemes::freshness::Freshness;
use crate::server::{self, Deadlines};
use crate::{forward, gateway, store};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is gathered on the way.
pub(super) struct Gathered<'p> {
    pub(super) problems: &'p mut Problems,
    /// Every file that was read.
    pub(super) files: Vec<PathBuf>,
    /// What was read from secrets, by key path, only to tell whether it changed.
    pub(super) fingerprints: Fingerprints,
    /// What becomes a warning at a time, Unix seconds.
    pub(super) dated: Vec<(i64, Draft)>,
    /// What is a warning between two times, Unix seconds: an end comes near.
    pub(super) near: Vec<(Range<i64>, Draft)>,
    /// When the first certificate of each file ends.
    pub(super) ends: Vec<(String, i64)>,
    /// What `check` says about each key's secret.
    pub(super) keys: Vec<view::KeyNote>,
    /// Whether a secret is still to be made.
    pub(super) unmade: bool,
}

impl<'p> Gathered<'p> {
    pub(super) fn new(problems: &'p mut Problems) -> Self {
        Self {
            problems,
            files: Vec::new(),
            fingerprints: Fingerprints::default(),
            dated: Vec::new(),
            near: Vec::new(),
            ends: Vec::new(),
            keys: Vec::new(),
            unmade: false,
        }
    }

    pub(super) fn problem(&mut self, draft: Draft) {
        self.problems.push(draft);
    }

    /// Takes over what was opened for `at`, or says why it was not.
    fn take<T>(&mut self, at: &At<T>, opened: Result<Opened, Closed>) -> Option<Opened> {
        match opened {
            Ok(opened) => {
                for (message, hint) in &opened.warnings {
                    self.problem(at.problem(message).hint(hint).warning());
                }
                self.unmade |= opened.file.is_some() && opened.secret.is_none();
                self.files.extend(opened.file.clone());
                if let Some(secret) = &opened.secret {
                    self.fingerprints.add(&at.key, secret);
                }
                Some(opened)
            }
            Err(closed) => {
                let mut draft = at.problem(closed.message);
                if let Some(hint) = closed.hint {
                    draft = draft.hint(hint);
                }
                self.problem(draft);
                None
            }
        }
    }
}

/// Makes the settings of every room. `None` when something is missing, which
/// then stands among the problems.
pub(super) fn resolve(
    file: &File,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Config> {
    let server = server(&file.server, places, gathered);
    let admin = admin::settings(
        &file.admin,
        &file.state.directory,
        file.server.socket_mode,
        places,
        gathered,
    );
    let upstreams: Vec<_> = file
        .upstreams
        .entries
        .iter()
        .map(|(name, one)| upstream(name, one.as_ref()?, places, gathered))
        .collect();
    let plans: Vec<_> = file
        .plans
        .entries
        .iter()
        .map(|(name, one)| plans::plan(name, one.as_ref()?, gathered))
        .collect();
    let routes = routes::table(file, places, gathered);
    let registered = apps::registered(file, &plans, places, gathered);
    let static_keys = static_keys::static_keys(file, &registered.apps, places, gathered);
    let outside = issuers::outside(file, &registered.apps, places, gathered);
    issuers::all_are_tried(file, routes.as_ref(), outside.as_ref(), gathered);
    let registry = registry::registry(&file.state, places, gathered);
    let minting_cors = file.tokens.cors.as_ref();
    let minting_cors = minting_cors.and_then(|cors| cors::of_tokens(cors, gathered));
    doors::places_that_meet(file, gathered);
    doors::followed_too_late(file, gathered);
    warn(file, gathered);
    tls::warn(file, gathered);
    matches::warn_of_none(file, gathered);

    let outside = outside?;
    let freshness = Freshness {
        window: file.freshness.window.value.0,
        skew: file.freshness.skew.0,
    };
    Some(Config {
        server: server?,
        said_workers: said_workers(&file.server),
        says_per_address: file.server.max_connections_per_address.is_some(),
        admin: admin?,
        state: store::Settings {
            directory: places.directory.join(&file.state.directory.0),
            proofs: file.freshness.proofs.0 as usize,
            retention: freshness.retention(),
            skew: freshness.skew,
        },
        registry: registry.ok()?,
        plans: file
            .plans
            .entries
            .iter()
            .map(|(name, _)| name.value.clone())
            .collect(),
        gateway: gateway::Blueprint {
            routes: routes?,
            apps: registered.apps,
            plans: registered.plans,
            all_plans: all_plans(file, &plans),
            beside: None,
            keys: registered.keys,
            told: registered.told,
            certificates: registered.certificates,
            static_keys,
            upstreams: upstreams.into_iter().collect::<Option<_>>()?,
            freshness,
            minting: tokens::minting(file, freshness, gathered),
            minting_cors,
            tokens: tokens::settings(file, freshness, places, gathered)
                .with_issuers(outside.issuers, outside.double),
            sources: outside.sources,
            peers: PeerSettings {
                failures: limit(file.peers.failures),
                rate: limit(file.peers.rate),
            },
            tunnels: gateway::TunnelSettings {
                idle: file.server.tunnel_idle_timeout.0,
                most: file.server.tunnels.0 as usize,
            },
            overload: overload::Settings {
                in_flight: file.overload.in_flight.0,
                queue: file.overload.queue.0,
                queue_timeout: file.overload.queue_timeout.0,
                reserve: file.overload.reserve.0,
            },
            explain: file.server.explain,
            public_url: file.server.public_url.as_ref().map(|url| url.value.clone()),
        },
        goodbye: server::Goodbye {
            not_ready: file.server.drain.not_ready.0,
            goodbye: file.server.drain.goodbye.0,
        },
        wait_for_state: file.state.wait.0,
        certificates_end: gathered.ends.clone(),
        files: gathered.files.clone(),
    })
}

const fn said_workers(server: &Server) -> Option<usize> {
    match server.workers {
        Workers::Number(number) => Some(number),
        Workers::Auto => None,
    }
}

fn server(
    server: &Server,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<server::Settings> {
    let tls = match &server.tls {
        Some(files) => Some(tls::settings(files, places, gathered)?),
        None => None,
    };
    Some(server::Settings {
        listen: server
            .listen
            .0
            .iter()
            .map(|one| place_of(&one.value.0, one, places, gathered))
            .collect(),
        socket_mode: server.socket_mode.0,
        workers: said_workers(server)
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1),
        tls,
        caps: doors::caps(server, gathered),
        forwarders: doors::forwarders(server, gathered),
        deadlines: Deadlines {
            handshake: server.handshake_timeout.0,
            head: server.head_timeout.0,
            idle: server.idle_timeout.0,
            body: server.body_timeout.0,
            write: server.write_timeout.0,
            drain: server.drain_timeout.0,
            pace: server::Pace {
                rate: server.min_rate.0,
                grace: server.min_rate_grace.0,
            },
        },
    })
}

/// The longest path of a Unix socket, in bytes (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// A place to listen at: a relative path starts in the file's folder.
fn place_of<T>(
    place: &server::Listen,
    at: &At<T>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> server::Listen {
    let server::Listen::Unix(path) = place else {
        return place.clone();
    };
    let path = places.directory.join(path);
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let message = format!("the path is longer than {MAX_SOCKET_PATH} bytes");
        gathered.problem(
            at.problem(message)
                .hint("`/run/portcullis/callers.sock` is not"),
        );
    }
    server::Listen::Unix(path)
}

fn upstream(
    name: &At<String>,
    upstream: &Upstream,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<forward::upstream::Settings> {
    let tls = upstreams::tls(&name.value, upstream, places, gathered).ok()?;
    let servers = &upstream.servers.get()?.0;
    never_reached(upstream, gathered);
    Some(forward::upstream::Settings {
        name: name.value.as_str().into(),
        servers: servers.iter().map(|one| one.value.clone()).collect(),
        connect: upstream.connect_timeout.0,
        first_byte: upstream.timeout.value.0,
        idle: upstream.idle_timeout.value.0,
        total: upstream.total_timeout.0,
        max_connections: upstream.max_connections.0 as usize,
        balance: balance::rules(upstream, gathered)?,
        protocol: upstream.protocol.value,
        tls,
        resolve_every: upstream.resolve_every.0,
        keep_alive: upstream.keep_alive.0.map(|idle| idle.0),
    })
}

/// Says of a time that is longer than the whole exchange may take. One that is no longer than it is when nothing is
/// said is no mistake: `total_timeout` is meant to be shorter then.
fn never_reached(upstream: &Upstream, gathered: &mut Gathered<'_>) {
    const USUAL: Duration = Duration::from_mins(1);
    let total = upstream.total_timeout.0;
    for one in [&upstream.timeout, &upstream.idle_timeout] {
        if one.value.0 > total.max(USUAL) {
            let draft = one.problem("`total_timeout` is shorter, and ends the exchange before");
            gathered.problem(
                draft
                    .hint("set `total_timeout` as long as the whole answer may take")
                    .warning(),
            );
        }
    }
}

/// Every plan, and what it asks for.
fn all_plans(file: &File, plans: &[Option<Arc<app::Plan>>]) -> Vec<(Arc<app::Plan>, Assurance)> {
    let written = file.plans.entries.iter().map(|(_, plan)| plan.as_ref());
    let both = plans.iter().zip(written);
    both.filter_map(|(plan, written)| {
        let asked = written.and_then(|plan| plan.assurance.as_ref());
        let asked = asked.map_or(Assurance::None, |asked| asked.value.0);
        Some((plan.clone()?, asked))
    })
    .collect()
}

fn limit(limit: Limit) -> Option<Rate> {
    limit.0.map(|(pace, burst)| rate(pace, burst))
}

fn rate(pace: Pace, burst: Option<u32>) -> Rate {
    Rate {
        count: pace.count,
        period: pace.period,
        burst: burst.unwrap_or(pace.count),
    }
}

/// What weakens the gate, or surely is not meant.
fn warn(file: &File, gathered: &mut Gathered<'_>) {
    let is_open = |place: &server::Listen| place.address().is_some_and(|at| !at.ip().is_loopback());
    let open = file
        .server
        .listen
        .0
        .iter()
        .find(|one| is_open(&one.value.0));
    if let (true, Some(listen)) = (file.server.explain, open) {
        gathered.problem(
            listen
                .problem("`explain` shows strangers the text their signature is checked against")
                .hint("set `explain = true` on one app instead")
                .warning(),
        );
    }
    let (tls, public_url) = (&file.server.tls, &file.server.public_url);
    if let (Some(_), Some(url)) = (tls, public_url)
        && &*url.value.scheme == "http"
    {
        gathered.problem(
            url.problem("callers come in by `tls`, and who signs `https` with the rest of the URL is refused")
                .hint(format!("`https://{}`, unless something before the gateway takes TLS off and puts it on again", url.value.authority))
                .warning(),
        );
    }
}
