//! What does a proven request cost, and what does it cost elsewhere?
//!
//! The whole binary, `portcullis serve` with one worker, beside a bare hyper
//! proxy of the same thread model that checks nothing, and beside nginx and
//! `HAProxy` where they are installed: one core for the proxy, one for load
//! and origin, taking turns in one run. What is measured is the processor time
//! of the proxy's process (user and system) for each request. Compare ratios
//! only: a machine's own numbers say little. `docs/performance.md` tells how to read it.
//!
//! `cargo bench --bench request -- [FILTER] [--rounds N] [--before BINARY] [--asleep] [--list]`
//!
//! Without `--bench`, which `cargo bench` gives, it only shows that it runs.

mod bare;
#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../bed/mod.rs"]
mod bed;
mod field;
mod flood;
mod peers;
mod print;
mod table;

use bed::link::{Dialer, Link};
use bed::load::Load;
use bed::process::{Place, can_pin, settle};
use bed::sign::{AUTHORITY, Body, Caller, Prepared};
use field::Field;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use table::{Lane, Row};

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Small requests in one turn.
    requests: usize,
}

const WHOLE: Effort = Effort {
    rounds: 15,
    requests: 4_000,
};
const BRIEF: Effort = Effort {
    rounds: 1,
    requests: 64,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = arguments.split_first()
        && role == bare::ROLE
    {
        return bare::run(rest);
    }
    let asked = Asked::read(arguments);
    let mut rows = table::rows();
    // A row's whole name asks for that one alone.
    let alone = rows.iter().any(|row| row.name == asked.filter);
    rows.retain(|row| row.name == asked.filter || !alone && row.name.contains(&asked.filter));
    let flood = flood::NAME.contains(&asked.filter) && asked.before.is_none();
    if asked.before.is_some() {
        rows.retain_mut(Row::only_beside_before);
    }
    if asked.list {
        for row in &rows {
            println!("{}", row.name);
        }
        if flood {
            println!("{}", flood::NAME);
        }
        return;
    }
    let _ = bed::process::allow_open_files(0);
    settle(Place::Rest);
    let folder = tempfile::tempdir().expect("a folder");
    bed::certificate::write(folder.path(), AUTHORITY);
    let load = Load::new();
    let mut bench = Bench {
        field: Field::new(folder.path(), load.origin, asked.before.as_deref()),
        folder: folder.path(),
        load,
        // On a core of its own alone: elsewhere it would take the proxy's time.
        stays_awake: !asked.asleep && can_pin(),
    };
    for missing in bench.field.missing() {
        println!("{missing}");
    }
    for row in &mut rows {
        row.beside
            .retain(|beside| bench.field.has(beside.lane.contestant));
    }
    let spent = bench.measure(&rows, asked.effort);
    if !rows.is_empty() {
        print::table(&rows, &spent, asked.effort.rounds);
    }
    if flood {
        flood::measure(&bench.load, folder.path(), asked.effort.rounds);
    }
    if !asked.whole {
        println!("\nit runs; `cargo bench --bench request` measures");
    }
}

struct Asked {
    effort: Effort,
    whole: bool,
    filter: String,
    list: bool,
    /// Another build of the gateway, to be compared with alone.
    before: Option<PathBuf>,
    /// Whether load and origin may sleep when there is nothing for them to do.
    asleep: bool,
}

impl Asked {
    fn read(arguments: Vec<String>) -> Self {
        let mut asked = Self {
            effort: BRIEF,
            whole: false,
            filter: String::new(),
            list: false,
            before: None,
            asleep: false,
        };
        let mut arguments = arguments.into_iter();
        let mut rounds = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => asked.whole = true,
                "--list" => asked.list = true,
                "--asleep" => asked.asleep = true,
                "--rounds" => {
                    let number = arguments.next().and_then(|word| word.parse().ok());
                    rounds = Some(number.expect("a number behind --rounds"));
                }
                "--before" => {
                    let binary = arguments.next().expect("a binary behind --before");
                    asked.before = Some(std::path::absolute(binary).expect("a path"));
                }
                flag if flag.starts_with('-') => {}
                filter => filter.clone_into(&mut asked.filter),
            }
        }
        if asked.whole {
            asked.effort = WHOLE;
        }
        if let Some(rounds) = rounds {
            asked.effort.rounds = rounds;
        }
        asked
    }
}

/// Microseconds a request, round by round: of ours, then of each beside it.
type Spent = Vec<Vec<f64>>;

struct Bench<'b> {
    field: Field<'b>,
    folder: &'b Path,
    load: Load,
    stays_awake: bool,
}

impl Bench<'_> {
    fn measure(&mut self, rows: &[Row], effort: Effort) -> Vec<Spent> {
        let lanes = |row: &Row| 1 + row.beside.len();
        let mut spent: Vec<Spent> = rows.iter().map(|row| vec![vec![]; lanes(row)]).collect();
        // The first round warms up and is not counted.
        for round in 0..=effort.rounds {
            for (row, spent) in rows.iter().zip(&mut spent) {
                for step in 0..lanes(row) {
                    // Whoever is first in one round is last in another.
                    let at = (step + round) % lanes(row);
                    let (lane, whose) = match at.checked_sub(1) {
                        None => (row.ours, "the gateway"),
                        Some(at) => (row.beside[at].lane, row.beside[at].name),
                    };
                    let micros = self.turn(row, lane, whose, effort);
                    if round > 0 {
                        spent[at].push(micros);
                    }
                }
            }
        }
        spent
    }

    /// One turn of one proxy: microseconds a request.
    fn turn(&mut self, row: &Row, lane: Lane, whose: &'static str, effort: Effort) -> f64 {
        let (process, address) = self.field.get(lane.contestant, row.door);
        if lane.contestant.place() == Place::Anywhere {
            settle(Place::Anywhere);
        }
        let connections = row.connections_of(lane);
        let each = effort.share(row, connections);
        // Signed anew, ahead of time: no proof may come twice, and making it is not measured.
        let shares = prepare(row, lane, connections, each);
        let first = prepare(row, lane, connections, 1);
        let dialer = Dialer::new(row.door, self.folder);
        let links: Vec<Link> = self.load.runtime.block_on(async {
            let mut links = Vec::new();
            for _ in 0..connections {
                let link = dialer.dial(address, Ipv4Addr::LOCALHOST).await;
                links.push(link.expect("it listens"));
            }
            links
        });
        let stays_awake = self.stays_awake && lane.contestant.place() == Place::Proxy;
        let send = |links, shares, streams| {
            self.load
                .send(links, shares, streams, lane.statuses, whose, stays_awake)
        };
        // Not counted: taking the connections, and opening those to the origin.
        let links = send(links, first, 1);
        let (micros, links) = process.spent(|| send(links, shares, row.streams));
        drop(links);
        if lane.contestant.place() == Place::Anywhere {
            settle(Place::Rest);
        }
        micros / (each * connections) as f64
    }
}

fn prepare(row: &Row, lane: Lane, connections: usize, each: usize) -> Vec<Vec<Prepared>> {
    let caller = Caller::new();
    let body = (row.body > 0).then(|| Body::new(row.body));
    let one = || caller.request(lane.proof, row.path, body.as_ref(), row.door.http2);
    (0..connections)
        .map(|_| (0..each).map(|_| one()).collect())
        .collect()
}

impl Effort {
    /// Requests of each connection in a turn: fewer of those that take long.
    fn share(self, row: &Row, connections: usize) -> usize {
        const LIGHT: usize = 16 * 1024;
        let weight = 1 + row.body / LIGHT;
        (self.requests / weight / connections).max(row.streams)
    }
}
