//! What a process holds, once a second, and whether it stays so.

use crate::bed::gateway::Gateway;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// Fewer samples say nothing.
pub(super) const FEWEST: usize = 12;
/// This share of the samples is left out at the start: caches and tables fill.
const WARM_UP: usize = 4;
/// What the last third may have more than the first: a share, and a fixed part that covers
/// what comes and goes with the load.
const GROWTH: f64 = 1.10;
const MEMORY: f64 = 8.0;
const FILES: f64 = 48.0;
/// Threads that read and write the files of held bodies come with the load, and go after seconds.
const THREADS: f64 = 32.0;
/// Slow answers of both thirds may lie otherwise: what is not let go of is more in a long run, and is left at the end of any.
const UNDER_WAY: f64 = 64.0;

/// What the gateway itself says is open.
struct Gauge {
    what: &'static str,
    series: &'static str,
    /// What the last third may have more than the first, besides the share.
    more: f64,
}

const GAUGES: [Gauge; 4] = [
    Gauge {
        what: "requests in flight",
        series: "portcullis_requests_in_flight",
        more: UNDER_WAY,
    },
    Gauge {
        what: "places in flight",
        series: "portcullis_admitted_requests",
        more: UNDER_WAY,
    },
    Gauge {
        what: "open connections",
        series: "portcullis_open_connections",
        more: 32.0,
    },
    Gauge {
        what: "open tunnels",
        series: "portcullis_tunnels",
        more: 8.0,
    },
];

impl Gauge {
    fn read(&self, metrics: &str) -> f64 {
        value(metrics, self.series).expect("it is always told")
    }
}

/// How often we look whether it has come to rest.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Watch {
    name: &'static str,
    gateway: Gateway,
    memory: Vec<f64>,
    files: Vec<f64>,
    threads: Vec<f64>,
    gauges: [Vec<f64>; GAUGES.len()],
}

impl Watch {
    pub(super) const fn new(name: &'static str, gateway: Gateway) -> Self {
        Self {
            name,
            gateway,
            memory: Vec::new(),
            files: Vec::new(),
            threads: Vec::new(),
            gauges: [const { Vec::new() }; GAUGES.len()],
        }
    }

    pub(super) async fn sample(&mut self) {
        let process = &self.gateway.process;
        self.memory.push(process.resident() as f64 / 1024.0);
        self.files.push(process.open_files() as f64);
        self.threads.push(process.threads() as f64);
        let metrics = metrics(self.gateway.admin).await;
        for (samples, gauge) in self.gauges.iter_mut().zip(&GAUGES) {
            samples.push(gauge.read(&metrics));
        }
    }

    /// As of the last sample.
    pub(super) fn memory(&self) -> String {
        let last = self.memory.last().copied().unwrap_or_default();
        format!("{last:.1} MiB {}", self.name)
    }

    /// Whether everything stayed flat.
    pub(super) fn print(&self) -> bool {
        let process = [
            ("memory, MiB", &self.memory, MEMORY),
            ("open files", &self.files, FILES),
            ("threads", &self.threads, THREADS),
        ];
        let process = process.map(|(what, samples, more)| (what, samples, more, median as Of));
        let gauges = self.gauges.iter().zip(&GAUGES);
        // What is under way comes and goes from one moment to the next; what is never let go of stays.
        let gauges = gauges.map(|(samples, gauge)| (gauge.what, samples, gauge.more, least as Of));
        let mut kept = true;
        for (what, samples, more, of) in process.into_iter().chain(gauges) {
            let samples = &samples[samples.len() / WARM_UP..];
            let third = samples.len() / 3;
            let first = of(&samples[..third]);
            let last = of(&samples[samples.len() - third..]);
            let most = first * GROWTH + more;
            let flat = last <= most;
            kept &= flat;
            let verdict = if flat { "flat" } else { "**grows**" };
            let name = self.name;
            println!("| {name} | {what} | {first:.1} | {last:.1} | {most:.1} | {verdict} |");
        }
        kept
    }

    /// Whether nothing is in flight or open, at last, and the process still runs.
    pub(super) async fn comes_to_rest(&mut self, patience: Duration) -> bool {
        let name = self.name;
        let until = Instant::now() + patience;
        loop {
            if self.gateway.process.has_ended() {
                println!("{name}: it has ended");
                return false;
            }
            let metrics = metrics(self.gateway.admin).await;
            let restless = GAUGES.iter().find(|gauge| gauge.read(&metrics) > 0.0);
            let Some(gauge) = restless else {
                return self.was_reloaded(&metrics);
            };
            if Instant::now() > until {
                println!("{name}: {}: {} still", gauge.what, gauge.read(&metrics));
                return false;
            }
            sleep(LOOK).await;
        }
    }
}

impl Watch {
    /// More often than at the start, and not when it should not.
    fn was_reloaded(&self, metrics: &str) -> bool {
        let [done, refused] = ["success", "failure"].map(|result| {
            let series = format!("portcullis_config_reloads_total{{result=\"{result}\"}}");
            value(metrics, &series).unwrap_or(0.0)
        });
        let name = self.name;
        println!(
            "{name}: nothing in flight or open; {done} configurations taken over, {refused} refused"
        );
        done > 1.0 && refused > 0.0
    }
}

/// What stands for several samples.
type Of = fn(&[f64]) -> f64;

fn least(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

async fn metrics(admin: SocketAddr) -> String {
    const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    let asked = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(ASK).await?;
        stream.read_to_string(&mut answer).await
    };
    asked.await.expect("the admin listener answers");
    answer
}
