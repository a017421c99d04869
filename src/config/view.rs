//! A configuration for people and programs to read.

mod cors;
mod fingerprints;
mod inject;
mod issuers;
mod keys;
mod plans;
mod sigv4;

pub(super) use fingerprints::Fingerprints;
pub(crate) use issuers::issuers_of;

mod static_keys;
mod tokens;
mod webhooks;

use super::Config;
use crate::apps::{App, Assurance, Certified, Who};
use crate::forward::upstream::{self, Protocol, Server};
use crate::limit::app::{Plan, Rate};
use crate::route::{Accept, Bind, BodyVerify, PathEncoding, ReplayPolicy, Route};
use crate::schemes::PAIR;
use crate::server::{Networks, tls};
use data_encoding::HEXLOWER;
use keys::Notes;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// A configuration as it was understood. Never holds a secret.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) json: Json,
    keys: Vec<KeyNote>,
    pub(super) fingerprints: Fingerprints,
}

/// Where a key's secret, or its public half, comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNote {
    /// The key's id.
    pub id: String,
    /// The reference, as written.
    pub secret: String,
    /// Whether it will be made at the first start.
    pub to_be_generated: bool,
}

impl Serialize for Resolved {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl Resolved {
    pub(super) fn new(config: &Config, keys: Vec<KeyNote>, mut fingerprints: Fingerprints) -> Self {
        let json = {
            let notes = keys::notes(&keys);
            static_keys::take_hashes(&config.gateway, &notes, &mut fingerprints);
            whole(config, &notes)
        };
        Self {
            json,
            keys,
            fingerprints,
        }
    }

    /// Where the secrets of keys come from.
    pub fn keys(&self) -> &[KeyNote] {
        &self.keys
    }
}

fn whole(config: &Config, notes: &Notes<'_>) -> Json {
    let gateway = &config.gateway;
    let deadlines = &config.server.deadlines;
    let apps = gateway.apps.iter().zip(&gateway.plans);
    let keys = keys::by_app(config, notes);
    json!({
        "server": {
            "listen": config.server.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "socket_mode": format!("{:04o}", config.server.socket_mode),
            "public_url": gateway.public_url.as_ref().map(|url| format!("{}://{}", url.scheme, url.authority)),
            "tls": config.server.tls.is_some(),
            "client": config.server.tls.as_ref().map(client),
            "workers": config.said_workers.map_or_else(|| Json::from("auto"), Json::from),
            "explain": gateway.explain,
            "trusted_proxies": networks(&config.server.forwarders.trusted),
            "forwarded": config.server.forwarders.fields.name(),
            "proxy_protocol": config.server.forwarders.proxy_protocol,
            "max_connections": config.server.caps.connections,
            "max_connections_per_address": config.server.caps.per_address,
            "health_checkers": networks(&config.server.caps.health_checkers),
            "handshake_timeout": time(deadlines.handshake),
            "head_timeout": time(deadlines.head),
            "idle_timeout": time(deadlines.idle),
            "body_timeout": time(deadlines.body),
            "write_timeout": time(deadlines.write),
            "drain": {
                "not_ready": time(config.goodbye.not_ready),
                "goodbye": time(config.goodbye.goodbye),
            },
            "min_rate": deadlines.pace.rate.map_or("off".to_owned(), |rate| format!("{rate} B/s")),
            "min_rate_grace": time(deadlines.pace.grace),
            "drain_timeout": time(deadlines.drain),
            "tunnels": gateway.tunnels.most,
            "tunnel_idle_timeout": time(gateway.tunnels.idle),
        },
        "admin": {
            "listen": config.admin.listen.as_ref().map_or("off".to_owned(), ToString::to_string),
            "token": config.admin.token.as_deref().unwrap_or("off"),
            "read_token": config.admin.read_token,
            "exposed": config.admin.exposed,
        },
        "state": {
            "directory": config.state.directory,
            "wait": time(config.wait_for_state),
            "registry": config.registry.as_ref().map_or("off".to_owned(), |registry| registry.path.display().to_string()),
        },
        "freshness": {
            "window": time(gateway.freshness.window),
            "skew": time(gateway.freshness.skew),
            "proofs": config.state.proofs,
        },
        "peers": { "failures": rate(gateway.peers.failures), "rate": rate(gateway.peers.rate) },
        "overload": {
            "in_flight": gateway.overload.in_flight,
            "queue": gateway.overload.queue,
            "queue_timeout": time(gateway.overload.queue_timeout),
            "reserve": gateway.overload.reserve,
        },
        "issuers": issuers::all(gateway),
        "tokens": tokens::all(gateway),
        "api_keys": static_keys::all(gateway),
        "upstreams": gateway.upstreams.iter().map(upstream).collect::<Vec<_>>(),
        "plans": gateway.all_plans.iter().map(|(one, at_least)| plans::one(one, asked(*at_least))).collect::<Vec<_>>(),
        "routes": gateway.routes.in_order().iter().map(|one| route(one, gateway)).collect::<Vec<_>>(),
        "apps": apps.map(|(one, plan)| app(one, plan.as_deref(), keys.get(&one.index), notes, gateway)).collect::<Vec<_>>(),
    })
}

fn networks(networks: &Networks) -> Vec<String> {
    networks.0.iter().map(ToString::to_string).collect()
}

fn upstream(upstream: &upstream::Settings) -> Json {
    let mut shown = json!({
        "name": &*upstream.name,
        "servers": upstream.servers.iter().map(server).collect::<Vec<_>>(),
        "timeout": time(upstream.first_byte),
        "connect_timeout": time(upstream.connect),
        "idle_timeout": time(upstream.idle),
        "total_timeout": time(upstream.total),
        "max_connections": upstream.max_connections,
        "protocol": match upstream.protocol {
            Protocol::Auto => "auto",
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
        },
        "tls": upstream.tls.as_ref().map(|tls| json!({
            "ca": authorities(tls),
            "certificate": tls.has_identity(),
            "server_name": tls.server_name(),
        })),
        "resolve_every": time(upstream.resolve_every),
        "keep_alive": upstream.keep_alive.map_or_else(|| json!("off"), |idle| json!(time(idle))),
    });
    super::balance::show(&upstream.balance, &mut shown);
    shown
}

/// Whose certificates are trusted.
fn authorities(tls: &upstream::tls::Client) -> &'static str {
    if tls.has_own_authority() {
        "file"
    } else {
        "system"
    }
}

/// A server as in the file.
pub fn server(server: &Server) -> String {
    match server {
        Server::Echo => "echo:".to_owned(),
        Server::Http { host, port } if host.contains(':') => format!("http://[{host}]:{port}"),
        Server::Http { host, port } => format!("http://{host}:{port}"),
        Server::Https { host, port } if host.contains(':') => format!("https://[{host}]:{port}"),
        Server::Https { host, port } => format!("https://{host}:{port}"),
        Server::Unix { path } => format!("unix:{}", path.display()),
    }
}

fn route(route: &Route, gateway: &crate::gateway::Blueprint) -> Json {
    let upstream = gateway.upstreams.get(route.upstream).map(|one| &*one.name);
    json!({
        "name": &*route.name,
        "host": route.host.as_ref().map(ToString::to_string),
        "path": route.path.to_string(),
        "methods": route.methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
        "upstream": upstream,
        "accept": match route.accept {
            Accept::Public => vec!["public"],
            Accept::Proven(schemes) => {
                let alone = schemes.iter().map(crate::apps::Scheme::name);
                alone.chain(route.pair.then_some(PAIR)).collect()
            }
        },
        "assurance": asked(route.assurance),
        "mode": route.mode.name(),
        "scopes": route.scopes.iter().collect::<Vec<_>>(),
        "body": {
            "limit": size(route.body.limit),
            "verify": match route.body.verify {
                BodyVerify::BeforeForwarding => "before-forwarding",
                BodyVerify::WhileForwarding => "while-forwarding",
            },
        },
        "replay": match route.replay {
            ReplayPolicy::Standard => "standard",
            ReplayPolicy::Strict => "strict",
            ReplayPolicy::Off => "off",
        },
        "bind": match route.bind {
            Bind::None => "none",
            Bind::Authorization => "authorization",
            Bind::Key => "key",
            Bind::Dpop => "dpop",
        },
        "dialect": route.dialect.map(crate::route::Dialect::name),
        "webhook": webhooks::shown(route, gateway),
        "sigv4": sigv4::shown(route),
        "waive": route.waivers.iter().map(|waiver| json!({
            "part": waiver.part.name(),
            "until": date(waiver.until),
            "reason": waiver.reason,
        })).collect::<Vec<_>>(),
        "path_encoding": match route.path_encoding {
            PathEncoding::Strict => "strict",
            PathEncoding::Legacy => "legacy",
        },
        "keep_proof": route.keep_proof,
        "in_flight": route.in_flight,
        "reserved": route.reserved,
        "token_headers": route.token_fields.iter().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        "issuers": issuers_of(route, gateway).collect::<Vec<_>>(),
        "upgrade": route.upgrade,
        "cors": route.cors.as_ref().map(cors::shown),
        "inject": route.inject.as_deref().map(inject::shown),
        "client_attestation": route.client_attestation.as_deref().map(inject::attestation),
    })
}

/// Whether clients show certificates.
fn client(tls: &tls::Settings) -> &'static str {
    match &tls.clients {
        None => "none",
        Some(clients) if clients.is_required => "required",
        Some(_) => "optional",
    }
}

fn certificate(known: &Certified) -> Json {
    let (name, sha256) = match &known.who {
        Who::Name(name) => (Some(name.to_string()), None),
        Who::Fingerprint(digest) => (None, Some(HEXLOWER.encode(digest))),
    };
    json!({
        "id": &*known.id,
        "name": name,
        "sha256": sha256,
        "not_before": known.not_before.map(date),
        "not_after": known.not_after.map(date),
        "enabled": known.enabled,
    })
}

fn app(
    app: &App,
    plan: Option<&Plan>,
    keys: Option<&Vec<Json>>,
    notes: &Notes<'_>,
    gateway: &crate::gateway::Blueprint,
) -> Json {
    let known = gateway.certificates.iter();
    let known = known.filter(|one| one.app.index == app.index);
    let static_keys = gateway.static_keys.iter().flat_map(|keys| &keys.list);
    let static_keys = static_keys.filter(|one| one.app.index == app.index);
    json!({
        "name": &*app.name,
        "plan": plan.map(|plan| plans::one(plan, asked(app.policy.assurance))),
        "scopes": app.scopes.iter().collect::<Vec<_>>(),
        "enabled": app.enabled,
        "mode": app.policy.mode.name(),
        "downgrade": app.policy.downgrade.name(),
        "explain": app.explain,
        "keys": keys.map_or(&[][..], Vec::as_slice),
        "certificates": known.map(certificate).collect::<Vec<_>>(),
        "api_keys": static_keys.map(|one| static_keys::one(one, notes)).collect::<Vec<_>>(),
        "tokens": app.tokens.as_deref(),
    })
}

/// How well a caller must be proven, where that is asked for.
fn asked(assurance: Assurance) -> Option<&'static str> {
    (assurance > Assurance::None).then(|| assurance.name())
}

fn rate(rate: Option<Rate>) -> Json {
    let Some(rate) = rate else {
        return json!("off");
    };
    json!({ "rate": pace(rate.count, rate.period), "burst": rate.burst })
}

/// So many in so long a time, as in the file.
pub(super) fn pace(count: u32, period: Duration) -> String {
    let period = match period.as_secs() {
        1 => "s".to_owned(),
        60 => "min".to_owned(),
        3_600 => "h".to_owned(),
        86_400 => "d".to_owned(),
        _ => time(period),
    };
    format!("{count}/{period}")
}

/// A duration as in the file, in its largest whole unit.
pub(crate) fn time(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, long) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if millis >= long && millis.is_multiple_of(long) {
            return format!("{}{unit}", millis / long);
        }
    }
    format!("{millis}ms")
}

/// A size as in the file, in its largest whole unit.
pub(crate) fn size(bytes: u64) -> String {
    for (unit, long) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= long && bytes.is_multiple_of(long) {
            return format!("{} {unit}", bytes / long);
        }
    }
    format!("{bytes} B")
}

/// A moment as in the file: a date where it is the first second of one, UTC.
pub fn date(unix_seconds: i64) -> String {
    let text = jiff::Timestamp::from_second(unix_seconds)
        .map_or_else(|_| unix_seconds.to_string(), |at| at.to_string());
    text.strip_suffix("T00:00:00Z")
        .map_or(text.clone(), str::to_owned)
}
