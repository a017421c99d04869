//! How an upstream's requests are spread: its keys, and what they mean together.

use super::file::Upstream;
use super::paces::Spare;
use super::read::{At, Found, Reader, Value};
use super::resolve::Gathered;
use super::shape::Shape;
use super::table::table;
use super::times::Period;
use super::values::{Count, Refused, Word, split_number};
use super::view::{pace, time};
use crate::forward::upstream::balance::Rules;
use crate::forward::upstream::budget::Retries;
use crate::forward::upstream::ejection::{Ejection, MAX_FAILURES};
use crate::forward::upstream::grpc_health;
use crate::forward::upstream::health::Health;
use crate::forward::upstream::{Protocol, Server};
use http::uri::PathAndQuery;
use serde_json::{Value as Json, json};
use std::ops::RangeInclusive;
use toml::de::DeValue;

table! {
    /// When a server is left out whose requests fail: it refuses, breaks off or does not answer in time,
    /// its answer is no HTTP, or is 502, 503 or 504.
    pub struct EjectionTable {
        /// Failures in a row after which it is ejected.
        pub failures: At<Count> = 5,
        /// For how long, the first time. Then one request tries it; each failure doubles the time, up to 32 times as long.
        pub r#for: Period = "10s",
        /// The share of the servers that may be ejected at a time; of several at least one, and of one server none below 100%.
        pub at_most: Share = "50%",
    }
}

table! {
    /// How servers are asked how they are: by `path` or by `grpc`, over connections like those of requests, once for
    /// the whole gateway. Of a name each address is asked.
    pub struct HealthTable {
        /// What is asked for, with `GET`. This or `grpc` is needed.
        pub path: Option<CheckPath>,
        /// In place of `path`, the service that gRPC's health protocol (`grpc.health.v1.Health/Check`) is asked for; `""`
        /// is the whole server. A good check says `SERVING`. It takes HTTP/2: `protocol = "http2"`, or servers of `https://`.
        pub grpc: Option<GrpcService>,
        /// How often.
        pub every: Period = "5s",
        /// How long connecting and answering may take together.
        pub timeout: Period = "2s",
        /// Good checks in a row that bring a server back.
        pub healthy_after: Count = 2,
        /// Bad ones in a row that take it out.
        pub unhealthy_after: Count = 3,
        /// The status of a good one. `grpc` does not look at it.
        pub status: Statuses = "200-399",
    }
}

table! {
    /// How many requests may be sent to a second server.
    pub struct RetriesTable {
        /// The share of the requests of the last ten seconds.
        pub budget: Share = "20%",
        /// How many there may be in any case.
        pub at_least: Spare = "3/s",
    }
}

/// `"off"`, or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrOff<T>(pub(super) Option<T>);

impl<T: Value> Value for OrOff<T> {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.get_ref() {
            DeValue::String(text) if text == "off" => Some(Self(None)),
            DeValue::String(_) if matches!(T::shape(), Shape::Table(_)) => {
                reader.mistyped(found, &Self::shape());
                None
            }
            _ => T::read(found, reader).map(|value| Self(Some(value))),
        }
    }

    fn shape() -> Shape {
        let off = Shape::Word("`\"off\"`".to_owned(), json!({ "const": "off" }));
        Shape::Either(vec![T::shape(), off])
    }
}

/// A share of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u32);

impl Word for Share {
    const TAKES: &'static str = "a share: `\"1%\"` to `\"100%\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let (number, unit) = split_number(text);
        match (number.parse::<u32>(), unit.trim()) {
            (Ok(percent @ 1..=100), "%") => Ok(Self(percent)),
            (Ok(percent @ 1..=100), "") => {
                Err(Refused::new("has no unit").hint(format!("`\"{percent}%\"`?")))
            }
            (Ok(_), "%") => Err(Refused::new("is no share from 1% to 100%")),
            _ => Err(Refused::new("is not a share")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+ *%$" })
    }
}

/// A path with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckPath(PathAndQuery);

impl Word for CheckPath {
    const TAKES: &'static str = "a path, with its query if it has one: `\"/healthz\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if !text.starts_with('/') {
            return Err(Refused::new("does not start with `/`"));
        }
        if text.contains('#') {
            return Err(Refused::new("has a fragment, which servers never see"));
        }
        text.parse()
            .map(Self)
            .map_err(|_| Refused::new("is not a path"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^/" })
    }
}

/// The name of a service of gRPC, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GrpcService(Box<str>);

/// Bytes that it may have.
const MAX_SERVICE: usize = 255;

impl Word for GrpcService {
    const TAKES: &'static str =
        "a service of gRPC: `\"orders.v1.Orders\"`, or `\"\"` for the whole server";

    fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > MAX_SERVICE || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refused::new("is no name of a service"));
        }
        Ok(Self(text.into()))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[!-~]{0,255}$" })
    }
}

/// One status, or from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statuses(RangeInclusive<u16>);

impl Word for Statuses {
    const TAKES: &'static str = "a status or a range of them: `\"200\"`, `\"200-399\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) if first > last => Err(Refused::new("ends before it begins")),
            (Ok(first @ 200..=599), Ok(last @ 200..=599)) => Ok(Self(first..=last)),
            (Ok(_), Ok(_)) => Err(Refused::new("is not between 200 and 599")),
            _ => Err(Refused::new("is not a status")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[2-5][0-9]{2}( *- *[2-5][0-9]{2})?$" })
    }
}

/// What an upstream's keys say.
pub(super) fn rules(upstream: &Upstream, gathered: &mut Gathered<'_>) -> Option<Rules> {
    let ejection = upstream.ejection.0.as_ref();
    if let Some(ejection) = ejection.filter(|one| one.failures.0 > MAX_FAILURES) {
        gathered.problem(
            ejection
                .failures
                .problem(format!("more than {MAX_FAILURES} failures are not counted"))
                .hint("`ejection = \"off\"` never ejects"),
        );
        return None;
    }
    let health = match &upstream.health {
        Some(OrOff(Some(health))) => Some(checked(health, upstream, gathered)?),
        _ => None,
    };
    Some(Rules {
        ejection: ejection.map(|ejection| Ejection {
            failures: ejection.failures.0,
            time: ejection.r#for.0,
            at_most: ejection.at_most.0,
        }),
        health,
        slow_start: upstream.slow_start.0.map(|period| period.0),
        panic_threshold: upstream.panic_threshold.0.map(|share| share.0),
        retries: upstream.retries.0.as_ref().map(|retries| Retries {
            budget: retries.budget.0,
            at_least: retries.at_least.0.count,
            period: retries.at_least.0.period,
        }),
    })
}

fn checked(
    health: &At<HealthTable>,
    upstream: &Upstream,
    gathered: &mut Gathered<'_>,
) -> Option<Health> {
    let (path, grpc) = match (&health.path, &health.grpc) {
        (Some(path), None) => (path.0.clone(), None),
        (None, Some(service)) if speaks_http2(upstream)? => {
            let path = PathAndQuery::from_static(grpc_health::PATH);
            (path, Some(service.0.clone()))
        }
        (None, Some(_)) => {
            gathered.problem(
                health
                    .problem("gRPC is asked over HTTP/2, which not all of these servers speak")
                    .hint("`protocol = \"http2\"` says that they do"),
            );
            return None;
        }
        (None, None) => {
            // One that could not be read is there, and was told of.
            let told = ["path", "grpc"].map(|key| format!("{}.{key}", health.key));
            if !told.iter().any(|key| gathered.problems.any_at(key)) {
                gathered.problem(health.problem("this asks for nothing").hint(
                    "`path = \"/healthz\"` asks with `GET`, `grpc = \"\"` by gRPC's health protocol",
                ));
            }
            return None;
        }
        (Some(_), Some(_)) => {
            gathered.problem(
                health
                    .problem("this asks in two ways")
                    .hint("keep `path` or `grpc`"),
            );
            return None;
        }
    };
    Some(Health {
        path,
        grpc,
        every: health.every.0,
        timeout: health.timeout.0,
        healthy_after: health.healthy_after.0,
        unhealthy_after: health.unhealthy_after.0,
        status: health.status.0.clone(),
    })
}

/// Whether each of its servers speaks HTTP/2, or may settle on it. That one of `https://` does not is found when it is
/// asked.
fn speaks_http2(upstream: &Upstream) -> Option<bool> {
    let servers = &upstream.servers.get()?.0;
    Some(match upstream.protocol.value {
        Protocol::Http1 => false,
        Protocol::Http2 => true,
        Protocol::Auto => servers
            .iter()
            .all(|one| matches!(one.value, Server::Https { .. } | Server::Echo)),
    })
}

/// The rules as in the file, into the object of their upstream.
pub(super) fn show(rules: &Rules, upstream: &mut Json) {
    let share = |percent: u32| format!("{percent}%");
    let or_off = |value: Option<Json>| value.unwrap_or_else(|| json!("off"));
    let ejection = rules.ejection.as_ref().map(|ejection| {
        json!({
            "failures": ejection.failures,
            "for": time(ejection.time),
            "at_most": share(ejection.at_most),
        })
    });
    let health = rules.health.as_ref().map(|health| {
        json!({
            "path": health.grpc.is_none().then(|| health.path.as_str()),
            "grpc": health.grpc,
            "every": time(health.every),
            "timeout": time(health.timeout),
            "healthy_after": health.healthy_after,
            "unhealthy_after": health.unhealthy_after,
            "status": format!("{}-{}", health.status.start(), health.status.end()),
        })
    });
    let retries = rules.retries.as_ref().map(|retries| {
        json!({
            "budget": share(retries.budget),
            "at_least": pace(retries.at_least, retries.period),
        })
    });
    upstream["ejection"] = or_off(ejection);
    upstream["health"] = or_off(health);
    upstream["slow_start"] = or_off(rules.slow_start.map(|length| json!(time(length))));
    upstream["panic_threshold"] =
        or_off(rules.panic_threshold.map(|percent| json!(share(percent))));
    upstream["retries"] = or_off(retries);
}
