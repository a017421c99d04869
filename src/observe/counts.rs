//! What is counted of each route: workers count side by side, and whoever
//! asks for the page adds up.

use super::{CLIENT_WENT, Record};
use crate::clock::Now;
use crate::lanes::Lanes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the buckets of durations, in microseconds.
const MICROS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];
/// Reasons that are no code of the table: it went well, it was cut, its code is not in the table.
const OK: usize = 0;
const CUT: usize = 1;
const OTHER: usize = 2;
const OWN_REASONS: [&str; 3] = ["ok", "cut", "other"];
/// The status of a server that failed.
const FAILED: u16 = 500;
/// That of a request whose client went away, or which the stop cut, before there was one.
const NEVER_SENT: u16 = 0;
/// Classes of a status, by its first digit.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Every route that was ever counted, for the life of the process. A route of
/// the same name goes on counting where it was.
#[derive(Clone, Debug)]
pub(super) struct Routes(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    workers: usize,
    reasons: Arc<[&'static str]>,
    /// Outcomes that every route shows before they occur.
    shown: Arc<[usize]>,
    by_name: Mutex<BTreeMap<Arc<str>, Arc<OfRoute>>>,
}

/// What is counted of one route.
#[derive(Debug)]
pub(super) struct OfRoute {
    reasons: Arc<[&'static str]>,
    shown: Arc<[usize]>,
    lanes: Lanes<Lane>,
    /// Requests by class and reason, but for those that went well.
    others: Box<[AtomicU64]>,
    /// Requests on which a rule was only observed, by the reason that they would have been refused for.
    observed: Box<[AtomicU64]>,
}

/// What one worker counts.
#[derive(Debug, Default)]
struct Lane {
    /// Answered with 2xx, whole.
    went_well: AtomicU64,
    durations: Times,
    upstream: Times,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Times {
    /// Each counts what is not in one before it; the last has no end.
    buckets: [AtomicU64; MICROS.len() + 1],
    nanos: AtomicU64,
}

impl Routes {
    pub(super) fn new(
        workers: usize,
        codes: Vec<&'static str>,
        shown: &[(u16, &'static str)],
    ) -> Self {
        let reasons: Arc<[_]> = OWN_REASONS.into_iter().chain(codes).collect();
        let own = [(FAILED, OWN_REASONS[OK]), (NEVER_SENT, OWN_REASONS[CUT])];
        let shown = shown.iter().chain(&own).filter_map(|(status, word)| {
            let reason = reasons.iter().position(|known| known == word)?;
            Some(class_of(*status) * reasons.len() + reason)
        });
        Self(Arc::new(Kept {
            workers,
            shown: shown.collect(),
            reasons,
            by_name: Mutex::default(),
        }))
    }

    /// What is counted of the route of that name.
    pub(super) fn get(&self, name: &Arc<str>) -> Arc<OfRoute> {
        let mut known = self
            .0
            .by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(OfRoute::new(&self.0));
        known.entry(name.clone()).or_insert_with(new).clone()
    }
}

impl OfRoute {
    fn new(kept: &Kept) -> Self {
        let reasons = kept.reasons.len();
        let zeros =
            |many: usize| -> Box<[AtomicU64]> { (0..many).map(|_| AtomicU64::new(0)).collect() };
        Self {
            reasons: kept.reasons.clone(),
            shown: kept.shown.clone(),
            lanes: Lanes::new(kept.workers, Lane::default),
            others: zeros(CLASSES.len() * reasons),
            observed: zeros(reasons),
        }
    }

    /// Counts a request that ended at `now`.
    pub(super) fn count(&self, record: &Record, now: Now) {
        const WELL: u16 = 2;
        let lane = self.lanes.own();
        if record.status / 100 == WELL && record.code.is_none() && !record.cut {
            add(&lane.went_well, 1);
        } else {
            add(&self.others[self.outcome(record)], 1);
        }
        lane.durations.count(record.duration(now));
        if let Some(duration) = record.upstream_duration() {
            lane.upstream.count(duration);
        }
        add(&lane.bytes_in, record.bytes_in);
        add(&lane.bytes_out, record.bytes_out);
        if let Some(observed) = &record.observed {
            let reason = observed
                .would_refuse
                .map_or(OK, |code| self.reason_of(code));
            add(&self.observed[reason], 1);
        }
    }

    fn outcome(&self, record: &Record) -> usize {
        let class = match record.status {
            // Nothing was sent. A 499 of a server was, as long as it was not cut.
            CLIENT_WENT if record.cut => 0,
            status => class_of(status),
        };
        let reason = match record.code {
            None if record.cut => CUT,
            None => OK,
            Some(code) => self.reason_of(code),
        };
        class * self.reasons.len() + reason
    }

    fn reason_of(&self, code: &str) -> usize {
        let codes = self.reasons.iter().skip(OWN_REASONS.len());
        codes
            .zip(OWN_REASONS.len()..)
            .find(|(known, _)| **known == code)
            .map_or(OTHER, |(_, index)| index)
    }

    /// Class, reason and number of all that occurred, and of what is shown before it does.
    fn outcomes(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let well = ("2xx", OWN_REASONS[OK], self.sum(|lane| &lane.went_well));
        let others = self.others.iter().map(get).enumerate();
        let told = others.filter(|(index, number)| *number > 0 || self.shown.contains(index));
        let others = told.map(|(index, number)| {
            let (class, reason) = (index / self.reasons.len(), index % self.reasons.len());
            (CLASSES[class], self.reasons[reason], number)
        });
        let well = std::iter::once(well).filter(|(.., number)| *number > 0);
        well.chain(others)
    }

    /// Reason and number of what was only observed; `ok` also before it occurs.
    fn observed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = self.observed.iter().map(get).enumerate();
        let told = all.filter(|(reason, number)| *number > 0 || *reason == OK);
        told.map(|(reason, number)| (self.reasons[reason], number))
    }

    /// Observed requests that would have been refused.
    fn would_refuse(&self) -> u64 {
        let all = self.observed.iter().enumerate();
        let refused = all.filter(|(reason, _)| *reason != OK);
        refused.map(|(_, number)| get(number)).sum()
    }

    fn sum(&self, of: impl Fn(&Lane) -> &AtomicU64) -> u64 {
        self.lanes.iter().map(|lane| get(of(lane))).sum()
    }

    fn times(&self, of: impl Fn(&Lane) -> &Times) -> Sum {
        let mut sum = Sum::default();
        for times in self.lanes.iter().map(of) {
            for (all, one) in sum.buckets.iter_mut().zip(&times.buckets) {
                *all += get(one);
            }
            sum.nanos += get(&times.nanos);
        }
        sum
    }
}

impl Times {
    fn count(&self, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        let micros = nanos.div_ceil(1_000);
        // Most are short.
        let bucket = MICROS.iter().position(|end| micros <= *end);
        add(&self.buckets[bucket.unwrap_or(MICROS.len())], 1);
        add(&self.nanos, nanos);
    }
}

/// The place in [`CLASSES`] of a status.
fn class_of(status: u16) -> usize {
    let class = usize::from(status / 100);
    if class < CLASSES.len() { class } else { 0 }
}

fn add(number: &AtomicU64, more: u64) {
    number.fetch_add(more, Ordering::Relaxed);
}

fn get(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

/// A histogram, added up.
#[derive(Default)]
struct Sum {
    buckets: [u64; MICROS.len() + 1],
    nanos: u64,
}

impl Sum {
    fn encode(&self, mut metric: MetricEncoder<'_>) -> fmt::Result {
        let ends = MICROS.iter().map(|micros| *micros as f64 / 1e6);
        let ends = ends.chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(self.buckets).collect();
        let count = self.buckets.iter().sum();
        metric.encode_histogram::<NoLabelSet>(self.nanos as f64 / 1e9, count, &buckets, None)
    }
}

/// What of it is shown.
type Of<T> = fn(&Lane) -> &T;

impl Collector for Routes {
    fn encode(&self, mut page: DescriptorEncoder<'_>) -> fmt::Result {
        // Whoever counts takes no lock: this keeps reloads waiting only.
        let known = self
            .0
            .by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let help = "Requests by route, class of the status, and why they ended";
        let mut family = page.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (route, counts) in &*known {
            for (status, reason, number) in counts.outcomes() {
                let labels = [("route", &**route), ("status", status), ("reason", reason)];
                ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
            }
        }
        let help =
            "Requests on which a rule was only observed, by what they would have been refused for";
        let kind = MetricType::Counter;
        let mut family = page.encode_descriptor("observed_requests", help, None, kind)?;
        for (route, counts) in &*known {
            for (reason, number) in counts.observed() {
                let labels = [("route", &**route), ("reason", reason)];
                ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Requests on which a rule was only observed that would have been refused";
        let mut family = page.encode_descriptor("would_refuse", help, None, MetricType::Counter)?;
        for (route, counts) in &*known {
            let number = ConstCounter::new(counts.would_refuse());
            number.encode(family.encode_family(&[("route", &**route)])?)?;
        }
        let durations: [(&str, &str, Of<Times>); 2] = [
            (
                "request_duration_seconds",
                "From a request's head to its response's end",
                |lane| &lane.durations,
            ),
            (
                "upstream_duration_seconds",
                "From asking an upstream to its response's head",
                |lane| &lane.upstream,
            ),
        ];
        for (name, help, of) in durations {
            let mut family = page.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (route, counts) in &*known {
                counts
                    .times(of)
                    .encode(family.encode_family(&[("route", &**route)])?)?;
            }
        }
        let bytes: [(&str, &str, Of<AtomicU64>); 2] = [
            ("bytes_in", "Bytes of request bodies", |lane| &lane.bytes_in),
            ("bytes_out", "Bytes of response bodies", |lane| {
                &lane.bytes_out
            }),
        ];
        for (name, help, of) in bytes {
            let mut family = page.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (route, counts) in &*known {
                let number = ConstCounter::new(counts.sum(of));
                number.encode(family.encode_family(&[("route", &**route)])?)?;
            }
        }
        Ok(())
    }
}
