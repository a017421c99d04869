//! What happened: one record a request, and counters.
//!
//! In: a [`Record`], opened when a request arrives and closed when its
//! response ends. Out: one line in the access log, and metrics. This room
//! never: sees a secret, a query, a token or a body; keeps a request waiting
//! for whoever reads the log.

pub mod access_log;
pub mod events;
pub mod ids;
pub mod metrics;
pub mod trace;

mod counts;
mod escape;
mod line;
mod losing;
mod series;
mod sink;

pub use access_log::AccessLog;
pub use events::{init_events, last_words};
pub use ids::{RequestId, RequestIds};
pub use line::Format;
pub use metrics::{CONTENT_TYPE, Labels};
pub use series::{Kind, One};
pub use trace::trace_id;

use crate::clock::Now;
use access_log::Log;
use http::HeaderName;
use metrics::Metrics;
use std::net::IpAddr;
use std::sync::Arc;

/// What other proxies log for a client that did not wait for its answer: no
/// status that was sent, so none of its class counts it.
pub const CLIENT_WENT: u16 = 499;

/// What the room is made with, once a process.
#[derive(Debug)]
pub struct Settings {
    /// Where the access log goes; `None` writes none.
    pub access_log: Option<AccessLog>,
    /// Worker threads: each counts, and writes into a buffer, of its own.
    pub workers: usize,
    /// Every code of the table of refusals: the only reasons that metrics tell apart.
    pub codes: Vec<&'static str>,
    /// Those that every route shows from the start, with their status: the first of them is seen as a change.
    pub shown: Vec<(u16, &'static str)>,
}

/// Takes records in. Cheap to clone; one a process, so that what is counted
/// outlives every reload.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Room>);

#[derive(Debug)]
struct Room {
    log: Option<Log>,
    metrics: Metrics,
}

impl Observer {
    /// Opens the room, and starts the thread that writes the access log.
    ///
    /// # Panics
    /// When the system has no thread to give.
    pub fn new(settings: Settings) -> Self {
        let metrics = Metrics::new(settings.workers, settings.codes, &settings.shown);
        let log = settings
            .access_log
            .map(|log| Log::start(log, settings.workers, metrics.dropped_lines()));
        Self(Arc::new(Room { log, metrics }))
    }

    /// What is counted per route, by `Route::index`: made once a
    /// configuration. A route of the same name goes on counting where it was.
    pub fn labels(&self, route_names: &[Arc<str>]) -> Labels {
        self.0.metrics.labels(route_names)
    }

    /// A request has arrived.
    pub fn opened(&self) {
        self.0.metrics.opened();
    }

    /// A request has ended, well or not: counts it and writes its line.
    /// Called once for every [`Observer::opened`].
    pub fn finish(&self, labels: &Labels, record: &Record, now: Now) {
        self.0.metrics.count(labels, record, now);
        if let Some(log) = &self.0.log {
            log.write(record, now);
        }
    }

    /// A reload was tried.
    pub fn reloaded(&self, succeeded: bool, now: Now) {
        self.0.metrics.reloaded(succeeded, now);
    }

    /// Shows a number that another room keeps, under `portcullis_NAME`. A
    /// second one of the same name takes the place of the first.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> i64 + Send + Sync + 'static,
    ) {
        self.0.metrics.gauge(name, help, Box::new(read));
    }

    /// Shows numbers with labels that another room keeps, under
    /// `portcullis_NAME`. The labels are names of the configuration, never what a stranger sent.
    pub fn series(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<One> + Send + Sync + 'static,
    ) {
        self.0
            .metrics
            .series()
            .show(kind, name, help, Box::new(read));
    }

    /// As [`Observer::gauge`], a number that only grows, under `portcullis_NAME_total`.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.0.metrics.counter(name, help, Box::new(read));
    }

    /// Every metric in the text format of `OpenMetrics`, [`CONTENT_TYPE`].
    pub fn render_metrics(&self) -> String {
        self.0.metrics.render()
    }

    /// Waits until every line written so far is out, at most
    /// [`access_log::FLUSH_DEADLINE`]; `false` when it was not done by then.
    pub fn flush(&self) -> bool {
        self.0.log.as_ref().is_none_or(Log::flush)
    }
}

/// Everything that is kept of one request.
#[derive(Debug)]
pub struct Record {
    /// `Portcullis-Request-Id`.
    pub id: RequestId,
    /// When its head had arrived.
    pub started: Now,
    /// Who sent it; whoever comes through a Unix socket has no address.
    pub peer: Option<IpAddr>,
    /// Whether over TLS.
    pub tls: bool,
    /// HTTP version.
    pub version: http::Version,
    /// Method; `None` when the bytes were no request.
    pub method: Option<http::Method>,
    /// Host as the caller sees it.
    pub host: Box<str>,
    /// Path as received, never the query.
    pub path: Box<str>,
    /// The route's number and name.
    pub route: Option<(usize, Arc<str>)>,
    /// The proven app.
    pub app: Option<Arc<str>>,
    /// The proven key.
    pub key: Option<Arc<str>>,
    /// The instance of the app whose token it showed, or that asked for one.
    pub instance: Option<Arc<str>>,
    /// The key id that was only claimed, when a request was refused.
    pub claimed_key: Option<Box<str>>,
    /// How it was proven.
    pub scheme: Option<&'static str>,
    /// The trace it belongs to (W3C trace context), 32 hexadecimal digits.
    pub trace: Option<Box<str>>,
    /// Status that was sent; 0, or [`CLIENT_WENT`], when the client was gone before.
    pub status: u16,
    /// Code of the refusal, from the table.
    pub code: Option<&'static str>,
    /// The true reason, fuller than what the caller was told.
    pub reason: Option<Box<str>>,
    /// What was only observed of it. Apart: of most requests nothing is.
    pub observed: Option<Box<Observed>>,
    /// Bytes of the request's body that arrived.
    pub bytes_in: u64,
    /// Bytes of the response's body that were sent.
    pub bytes_out: u64,
    /// The upstream server that answered, or that was asked last.
    pub upstream: Option<Arc<str>>,
    /// When the upstream was asked; without it, its time counts from the start.
    pub upstream_asked: Option<Now>,
    /// When the upstream's response head had arrived.
    pub upstream_answered: Option<Now>,
    /// Whether the response was cut before its end.
    pub cut: bool,
}

/// What is kept of a request on which a rule was only observed.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Who says so: `route` or `app`.
    pub by: &'static str,
    /// The code that it would have been refused with, were all enforced.
    pub would_refuse: Option<&'static str>,
    /// The true reason of that.
    pub reason: Option<Box<str>>,
    /// The app whose key it claimed, where it was not proven.
    pub claimed_app: Option<Arc<str>>,
    /// The field of the answer in which a nonce is given that its proof lacks.
    pub nonce_in: Option<HeaderName>,
}

impl Record {
    /// Opens the record of a request of which only its connection is known yet.
    pub fn open(id: RequestId, started: Now, peer: Option<IpAddr>, tls: bool) -> Self {
        Self {
            id,
            started,
            peer,
            tls,
            version: http::Version::HTTP_11,
            method: None,
            host: Box::default(),
            path: Box::default(),
            route: None,
            app: None,
            key: None,
            instance: None,
            claimed_key: None,
            scheme: None,
            trace: None,
            status: 0,
            code: None,
            reason: None,
            observed: None,
            bytes_in: 0,
            bytes_out: 0,
            upstream: None,
            upstream_asked: None,
            upstream_answered: None,
            cut: false,
        }
    }

    /// How long it took until `now`.
    fn duration(&self, now: Now) -> std::time::Duration {
        now.monotonic().saturating_sub(self.started.monotonic())
    }

    /// How long the upstream took to answer.
    fn upstream_duration(&self) -> Option<std::time::Duration> {
        let asked = self.upstream_asked.unwrap_or(self.started);
        let answered = self.upstream_answered?;
        Some(answered.monotonic().saturating_sub(asked.monotonic()))
    }
}

#[cfg(test)]
mod tests;
