//! Counters and histograms for Prometheus.
//!
//! Labels are names of routes and codes of refusals: what the configuration
//! and the table of refusals hold, never what a stranger sent. Handles are
//! kept, so that a request looks nothing up.

use super::Record;
use super::series::Series;
use crate::clock::Now;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The media type of the rendered metrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the buckets of durations, in seconds.
const SECONDS: [f64; 15] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// The route label of a request that no route takes.
const NO_ROUTE: &str = "none";
/// Reasons that are no code of the table: it went well, it was cut, its code is not in the table.
const OK: usize = 0;
const CUT: usize = 1;
const OTHER: usize = 2;
const OWN_REASONS: [&str; 3] = ["ok", "cut", "other"];
/// Classes of a status, by its first digit.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Everything that is counted, for the life of the process.
pub(super) struct Metrics {
    registry: Mutex<Registry>,
    reasons: Arc<[&'static str]>,
    routes: Families,
    in_flight: Gauge,
    dropped_lines: Counter,
    reloads: [Counter; 2],
    last_reload: Gauge,
    gauges: Gauges,
    series: Series,
}

/// Metrics that each route has.
#[derive(Clone, Debug)]
struct Families {
    requests: Family<Outcome, Counter>,
    duration: Family<OfRoute, Histogram, fn() -> Histogram>,
    upstream: Family<OfRoute, Histogram, fn() -> Histogram>,
    bytes_in: Family<OfRoute, Counter>,
    bytes_out: Family<OfRoute, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    route: String,
    status: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReload {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBuild {
    version: &'static str,
}

/// The handles of one configuration's routes.
#[derive(Debug)]
pub struct Labels {
    routes: Box<[RouteHandles]>,
    none: RouteHandles,
}

#[derive(Debug)]
struct RouteHandles {
    name: String,
    requests: Family<Outcome, Counter>,
    /// By class and reason; each is made when it first occurs, so that the
    /// page does not list thousands that never do.
    outcomes: Box<[OnceLock<Counter>]>,
    reasons: Arc<[&'static str]>,
    duration: Histogram,
    upstream: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
}

impl Metrics {
    pub(super) fn new(codes: Vec<&'static str>) -> Self {
        let durations: fn() -> Histogram = || Histogram::new(SECONDS);
        let routes = Families {
            requests: Family::default(),
            duration: Family::new_with_constructor(durations),
            upstream: Family::new_with_constructor(durations),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
        };
        let reloads: Family<OfReload, Counter> = Family::default();
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("portcullis")),
            reasons: OWN_REASONS.into_iter().chain(codes).collect(),
            routes,
            in_flight: Gauge::default(),
            dropped_lines: Counter::default(),
            reloads: ["success", "failure"]
                .map(|result| reloads.get_or_create_owned(&OfReload { result })),
            last_reload: Gauge::default(),
            gauges: Gauges::default(),
            series: Series::default(),
        };
        metrics.register(reloads);
        metrics
    }

    fn register(&self, reloads: Family<OfReload, Counter>) {
        let mut page = lock(&self.registry);
        let routes = self.routes.clone();
        page.register(
            "requests",
            "Requests by route, class of the status, and why they ended",
            routes.requests,
        );
        page.register(
            "request_duration_seconds",
            "From a request's head to its response's end",
            routes.duration,
        );
        page.register(
            "upstream_duration_seconds",
            "From asking an upstream to its response's head",
            routes.upstream,
        );
        page.register("bytes_in", "Bytes of request bodies", routes.bytes_in);
        page.register("bytes_out", "Bytes of response bodies", routes.bytes_out);
        page.register(
            "requests_in_flight",
            "Requests that have not ended",
            self.in_flight.clone(),
        );
        page.register(
            "access_log_dropped",
            "Lines of the access log that could not be written in time",
            self.dropped_lines.clone(),
        );
        page.register("config_reloads", "Reloads that were tried", reloads);
        page.register(
            "config_last_reload_success_timestamp",
            "When the configuration in force was loaded, in Unix time",
            self.last_reload.clone(),
        );
        let version = env!("CARGO_PKG_VERSION");
        page.register("build", "What is running", Info::new(OfBuild { version }));
        page.register_collector(Box::new(self.gauges.clone()));
        page.register_collector(Box::new(self.series.clone()));
    }

    pub(super) fn labels(&self, route_names: &[Arc<str>]) -> Labels {
        Labels {
            routes: route_names.iter().map(|name| self.handles(name)).collect(),
            none: self.handles(NO_ROUTE),
        }
    }

    fn handles(&self, name: &str) -> RouteHandles {
        let label = OfRoute {
            route: name.to_owned(),
        };
        let outcomes = CLASSES.len() * self.reasons.len();
        RouteHandles {
            name: label.route.clone(),
            requests: self.routes.requests.clone(),
            outcomes: (0..outcomes).map(|_| OnceLock::new()).collect(),
            reasons: self.reasons.clone(),
            duration: self.routes.duration.get_or_create_owned(&label),
            upstream: self.routes.upstream.get_or_create_owned(&label),
            bytes_in: self.routes.bytes_in.get_or_create_owned(&label),
            bytes_out: self.routes.bytes_out.get_or_create_owned(&label),
        }
    }

    pub(super) fn dropped_lines(&self) -> Counter {
        self.dropped_lines.clone()
    }

    pub(super) fn opened(&self) {
        self.in_flight.inc();
    }

    /// Counts a request that ended at `now`.
    pub(super) fn count(&self, labels: &Labels, record: &Record, now: Now) {
        self.in_flight.dec();
        let index = record.route.as_ref().map(|(index, _)| *index);
        let route = index
            .and_then(|index| labels.routes.get(index))
            .unwrap_or(&labels.none);
        route.count(record, now);
    }

    pub(super) fn reloaded(&self, succeeded: bool, now: Now) {
        let [success, failure] = &self.reloads;
        if succeeded {
            success.inc();
            self.last_reload.set(now.unix_seconds());
        } else {
            failure.inc();
        }
    }

    pub(super) fn gauge(&self, name: &'static str, help: &'static str, read: Read<i64>) {
        self.show(name, help, Kept::Gauge(read));
    }

    pub(super) fn counter(&self, name: &'static str, help: &'static str, read: Read<u64>) {
        self.show(name, help, Kept::Counter(read));
    }

    fn show(&self, name: &'static str, help: &'static str, kept: Kept) {
        let mut shown = lock(&self.gauges.0);
        shown.retain(|(known, ..)| *known != name);
        shown.push((name, help, kept));
    }

    pub(super) const fn series(&self) -> &Series {
        &self.series
    }

    pub(super) fn render(&self) -> String {
        let mut page = String::new();
        encode(&mut page, &lock(&self.registry)).expect("a string takes every text");
        page
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl RouteHandles {
    fn count(&self, record: &Record, now: Now) {
        self.outcome(record).inc();
        self.duration.observe(record.duration(now).as_secs_f64());
        if let Some(duration) = record.upstream_duration() {
            self.upstream.observe(duration.as_secs_f64());
        }
        self.bytes_in.inc_by(record.bytes_in);
        self.bytes_out.inc_by(record.bytes_out);
    }

    fn outcome(&self, record: &Record) -> &Counter {
        let class = match usize::from(record.status / 100) {
            class if class < CLASSES.len() => class,
            _ => 0,
        };
        let reason = match record.code {
            None if record.cut => CUT,
            None => OK,
            Some(code) => self.reason_of(code),
        };
        self.outcomes[class * self.reasons.len() + reason].get_or_init(|| {
            self.requests.get_or_create_owned(&Outcome {
                route: self.name.clone(),
                status: CLASSES[class],
                reason: self.reasons[reason],
            })
        })
    }

    fn reason_of(&self, code: &str) -> usize {
        let codes = self.reasons.iter().skip(OWN_REASONS.len());
        codes
            .zip(OWN_REASONS.len()..)
            .find(|(known, _)| **known == code)
            .map_or(OTHER, |(_, index)| index)
    }
}

/// How a number that another room keeps is read.
type Read<N> = Box<dyn Fn() -> N + Send + Sync>;

enum Kept {
    Gauge(Read<i64>),
    Counter(Read<u64>),
}

/// Numbers that other rooms keep, read whenever the page is asked for.
#[derive(Clone, Default)]
struct Gauges(Arc<Mutex<Vec<Shown>>>);

/// Name, help, and how it is read.
type Shown = (&'static str, &'static str, Kept);

impl Collector for Gauges {
    fn encode(&self, mut page: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, kept) in &*lock(&self.0) {
            let kind = match kept {
                Kept::Gauge(_) => MetricType::Gauge,
                Kept::Counter(_) => MetricType::Counter,
            };
            let metric = page.encode_descriptor(name, help, None, kind)?;
            match kept {
                Kept::Gauge(read) => ConstGauge::new(read()).encode(metric)?,
                Kept::Counter(read) => ConstCounter::new(read()).encode(metric)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
