//! Counters and histograms for Prometheus.
//!
//! Labels are names of routes and codes of refusals: what the configuration
//! and the table of refusals hold, never what a stranger sent. Handles are
//! kept, so that a request looks nothing up.

use super::Record;
use super::counts::{OfRoute, Routes};
use super::series::Series;
use crate::clock::Now;
use crate::lanes::Lanes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The media type of the rendered metrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route label of a request that no route takes. `config` lets no route be called so.
const NO_ROUTE: &str = "none";

/// Everything that is counted, for the life of the process.
pub(super) struct Metrics {
    registry: Mutex<Registry>,
    routes: Routes,
    in_flight: Arc<Lanes<AtomicI64>>,
    dropped_lines: Counter,
    reloads: [Counter; 2],
    last_reload: Gauge,
    /// 1, or 0 while the configuration as it was last read is not in force.
    is_in_force: Gauge,
    gauges: Gauges,
    series: Series,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReload {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBuild {
    version: &'static str,
}

/// What is counted of one configuration's routes.
#[derive(Debug)]
pub struct Labels {
    routes: Box<[Arc<OfRoute>]>,
    none: Arc<OfRoute>,
}

impl Metrics {
    pub(super) fn new(
        workers: usize,
        codes: Vec<&'static str>,
        shown: &[(u16, &'static str)],
    ) -> Self {
        let reloads: Family<OfReload, Counter> = Family::default();
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("portcullis")),
            routes: Routes::new(workers, codes, shown),
            in_flight: Arc::new(Lanes::new(workers, AtomicI64::default)),
            dropped_lines: Counter::default(),
            reloads: ["success", "failure"]
                .map(|result| reloads.get_or_create_owned(&OfReload { result })),
            last_reload: Gauge::default(),
            is_in_force: Gauge::default(),
            gauges: Gauges::default(),
            series: Series::default(),
        };
        metrics.register(reloads);
        let in_flight = metrics.in_flight.clone();
        metrics.gauge(
            "requests_in_flight",
            "Requests that have not ended",
            Box::new(move || {
                in_flight
                    .iter()
                    .map(|one| one.load(Ordering::Relaxed))
                    .sum()
            }),
        );
        metrics
    }

    fn register(&self, reloads: Family<OfReload, Counter>) {
        let mut page = lock(&self.registry);
        page.register_collector(Box::new(self.routes.clone()));
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
        page.register(
            "config_in_force",
            "1, or 0 while the configuration as it was last read is not in force",
            self.is_in_force.clone(),
        );
        let version = env!("CARGO_PKG_VERSION");
        page.register("build", "What is running", Info::new(OfBuild { version }));
        page.register_collector(Box::new(self.gauges.clone()));
        page.register_collector(Box::new(self.series.clone()));
    }

    pub(super) fn labels(&self, route_names: &[Arc<str>]) -> Labels {
        let named = route_names.iter().map(|name| self.routes.get(name));
        Labels {
            routes: named.collect(),
            none: self.routes.get(&NO_ROUTE.into()),
        }
    }

    pub(super) fn dropped_lines(&self) -> Counter {
        self.dropped_lines.clone()
    }

    pub(super) fn opened(&self) {
        self.in_flight.own().fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that ended at `now`.
    pub(super) fn count(&self, labels: &Labels, record: &Record, now: Now) {
        self.in_flight.own().fetch_sub(1, Ordering::Relaxed);
        let index = record.route.as_ref().map(|(index, _)| *index);
        let route = index
            .and_then(|index| labels.routes.get(index))
            .unwrap_or(&labels.none);
        route.count(record, now);
    }

    pub(super) fn reloaded(&self, succeeded: bool, now: Now) {
        let [success, failure] = &self.reloads;
        self.is_in_force.set(succeeded.into());
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
