//! Does the gateway stay as it is, under all that comes at once, for as long as one likes?
//!
//! Callers of every kind, some of whom misbehave, what goes on for a while as `WebSocket`s do,
//! backends that die, hang, reset and fall ill, and a configuration that changes all the while:
//! a process with TLS and one without. Once a second memory, open files, threads, connections
//! and tunnels are looked at. In the end they have to be where they were, every good request must
//! have been answered as it should, and nothing may be in flight or open any more.
//!
//! `cargo bench --bench soak -- --minutes 30`
//!
//! Without `--bench`, which `cargo bench` gives, it takes half a minute.

mod actors;
#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../bed/mod.rs"]
mod bed;
mod faults;
mod operator;
mod streams;
mod watch;

use actors::{Site, Tally};
use bed::gateway::{self, Gateway, Settings};
use bed::link::{Dialer, Door};
use bed::load::Load;
use bed::process::{Place, allow_open_files};
use bed::sign::AUTHORITY;
use operator::{Backends, Operator};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use watch::Watch;

const WHOLE: f64 = 30.0;
const BRIEF: f64 = 0.5;
const SAMPLE: Duration = Duration::from_secs(1);
/// How long callers have to finish what they are at, and the gateway to have nothing in flight.
const PATIENCE: Duration = Duration::from_mins(1);
/// A bound on what is held open by load and origin.
const OPEN_FILES: u64 = 4_096;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let place = |flag: &str| arguments.iter().position(|argument| argument == flag);
    let minutes = match place("--minutes") {
        Some(at) => {
            let word = arguments.get(at + 1).map(String::as_str);
            let number = word.and_then(|word| word.parse().ok());
            number.expect("a number behind --minutes")
        }
        None if place("--bench").is_some() => WHOLE,
        None => BRIEF,
    };
    let samples = ((minutes * 60.0) as usize).max(watch::FEWEST);
    let _ = allow_open_files(OPEN_FILES);
    let folder = tempfile::tempdir().expect("a folder");
    bed::certificate::write(folder.path(), AUTHORITY);
    let load = Load::new();
    let kept = load
        .runtime
        .block_on(soak(load.origin, folder.path(), samples));
    if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn soak(origin: SocketAddr, folder: &Path, samples: usize) -> bool {
    let stop = CancellationToken::new();
    let tally = Arc::new(Tally::default());
    let faulty = faults::start(stop.clone()).await;
    let mut watches = Vec::new();
    let mut running = JoinSet::new();
    for tls in [false, true] {
        let name = operator::name(tls);
        let acceptor = tls.then(|| bed::certificate::server(folder, &[b"h2"]));
        let backends = Backends {
            origin,
            faulty,
            ailing: faults::ailing(tally.clone()).await,
            calls: bed::calls::start(acceptor).await,
        };
        let routes = operator::routes(&backends, tls);
        let settings = Settings {
            name,
            workers: 2,
            tls,
            server: operator::SERVER,
            failures: operator::FAILURES,
            freshness: operator::FRESHNESS,
            more: &routes,
            place: Place::Anywhere,
            ..Settings::USUAL
        };
        let gateway: Gateway = gateway::start(&settings, origin, folder);
        let doors = if tls {
            [Door::HTTP1_TLS, Door::HTTP2_TLS]
        } else {
            [Door::HTTP1, Door::HTTP2]
        };
        for door in doors {
            let site = Site {
                address: gateway.address,
                dialer: Dialer::new(door, folder),
                door,
                stop: stop.clone(),
                tally: tally.clone(),
            };
            actors::start(&site, &mut running);
            streams::start(&site, &mut running);
        }
        let operator = Operator::new(tls, origin, routes, folder, &gateway);
        running.spawn(operator.work(stop.clone()));
        watches.push(Watch::new(name, gateway));
    }
    let mut every = interval(SAMPLE);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for sample in 0..samples {
        every.tick().await;
        for watch in &mut watches {
            watch.sample().await;
        }
        if sample % 60 == 59 {
            let memory: Vec<_> = watches.iter().map(Watch::memory).collect();
            let answered = tally.answered();
            println!("{} s: {answered}; memory {}", sample + 1, memory.join(", "));
        }
    }
    stop.cancel();
    let ended = timeout(PATIENCE, async {
        while let Some(joined) = running.join_next().await {
            if let Err(error) = joined {
                tally.wrong(error.to_string());
            }
        }
    });
    if ended.await.is_err() {
        tally.wrong(String::from("callers still wait for an answer"));
    }
    let mut kept = tally.print();
    drop(running);
    println!("\n| process | what | first third | last third | at most | |");
    println!("| --- | --- | ---: | ---: | ---: | --- |");
    for watch in &mut watches {
        kept &= watch.print();
    }
    for watch in &mut watches {
        kept &= watch.comes_to_rest(PATIENCE).await;
    }
    println!("\n{}", if kept { "flat" } else { "NOT as it should be" });
    kept
}
