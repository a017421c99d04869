//! What does the gate add to a request?
//!
//! The whole binary, `portcullis serve` with one worker, against a bare hyper
//! proxy of the same thread model that checks nothing, both before the same
//! origin and under the same 16 connections, taking turns in one run. What is
//! measured is processor time of the proxy's process (user and system) for
//! each request. Compare ratios only: a machine's own numbers say little, and
//! a lead under a tenth is none on a shared one.
//!
//! `cargo bench --bench request` measures; without `--bench` it only shows that it runs.

mod bare;
mod load;
mod origin;
mod process;
mod scenario;

use load::Load;
use process::{Place, Process};
use scenario::Scenario;
use std::net::SocketAddr;

/// How much is measured.
struct Effort {
    rounds: usize,
    requests: usize,
}

const WHOLE: Effort = Effort {
    rounds: 15,
    requests: 8_000,
};
const BRIEF: Effort = Effort {
    rounds: 1,
    requests: 160,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--role-origin") => origin::run(),
        Some("--role-bare") => bare::run(address(&arguments)),
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(&WHOLE),
        _ => measure(&BRIEF),
    }
}

fn address(arguments: &[String]) -> SocketAddr {
    let text = arguments.get(1).expect("an address behind the role");
    text.parse().expect("an address")
}

fn measure(effort: &Effort) {
    process::settle(Place::Rest);
    let origin = Process::role("--role-origin", &[], Place::Rest);
    let upstream = origin.address.to_string();
    let bare = Process::role("--role-bare", &[&upstream], Place::Proxy);
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = Process::gateway(folder.path(), &upstream, Place::Proxy);

    let load = Load::new();
    let mut to_bare = load.connect(bare.address);
    let mut to_gateway = load.connect(gateway.address);
    let mut rows: Vec<Row> = Scenario::ALL.into_iter().map(Row::new).collect();
    // The first round warms up and is not counted.
    for round in 0..=effort.rounds {
        for row in &mut rows {
            // Signed anew, ahead of time: no proof may come twice, and making it is not measured.
            let first = row.scenario.requests(effort.requests);
            let second = row.scenario.requests(effort.requests);
            let (by_bare, by_gateway) = if round % 2 == 0 {
                let by_bare = bare.spent(|| load.send(&mut to_bare, first));
                (
                    by_bare,
                    gateway.spent(|| load.send(&mut to_gateway, second)),
                )
            } else {
                let by_gateway = gateway.spent(|| load.send(&mut to_gateway, first));
                (bare.spent(|| load.send(&mut to_bare, second)), by_gateway)
            };
            if round > 0 {
                row.bare.push(by_bare / effort.requests as f64);
                row.gateway.push(by_gateway / effort.requests as f64);
            }
        }
    }
    print(&rows, effort);
}

/// What one scenario cost, in microseconds a request, round by round.
struct Row {
    scenario: Scenario,
    bare: Vec<f64>,
    gateway: Vec<f64>,
}

impl Row {
    const fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            bare: Vec::new(),
            gateway: Vec::new(),
        }
    }
}

fn print(rows: &[Row], effort: &Effort) {
    let plain = &rows[0].bare;
    println!(
        "\nprocessor time of the proxy, µs a request; {} rounds of {} requests, 16 connections",
        effort.rounds, effort.requests
    );
    println!(
        "same: ratio to bare hyper passing the same bytes; plain: to bare hyper passing the unsigned GET\n"
    );
    println!(
        "{:<22} {:>8} {:>8}   {:^20}   {:^20}",
        "", "bare", "gateway", "same min/med/max", "plain min/med/max"
    );
    for row in rows {
        println!(
            "{:<22} {:>8.1} {:>8.1}   {:^20}   {:^20}",
            row.scenario.name(),
            median(&row.bare),
            median(&row.gateway),
            ratios(&row.gateway, &row.bare),
            ratios(&row.gateway, plain),
        );
    }
}

/// Lowest, median and highest ratio of what was measured side by side.
fn ratios(ours: &[f64], theirs: &[f64]) -> String {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    format!(
        "{:.2} / {:.2} / {:.2}",
        ratios.first().expect("a round"),
        median(&ratios),
        ratios.last().expect("a round")
    )
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
