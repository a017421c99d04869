//! How long do good callers wait while others flood the gateway?
//!
//! Good callers ask at a steady pace, each on a connection of its own, and
//! what they wait for is taken: alone, beside as many good requests as fit,
//! and beside as many with wrong signatures, from one address and from many,
//! with the limit per address and without. The flood takes the place of the
//! good load, so the two are to be compared: the gateway is busy in both. It
//! comes from a thread of its own, so that good callers wait for the gateway
//! and not for whoever makes the flood.

use crate::bed::gateway::{self, Settings};
use crate::bed::link::{Dialer, Door};
use crate::bed::load::Load;
use crate::bed::sign::{Caller, Proof};
use crate::print;
use rustix::process::nice;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(super) const NAME: &str = "flood: how long good callers wait";

const GOOD: usize = 4;
const PACE: Duration = Duration::from_millis(2);
const FLOODERS: usize = 16;
/// Requests that a flooder has ready; it sends them over and over.
const READY: usize = 512;

#[derive(Clone, Copy)]
struct Beside {
    name: &'static str,
    /// What the others send, if there are others.
    proof: Option<Proof>,
    addresses: bool,
    limited: bool,
}

/// The one of the cases that the others are compared with.
const NORMAL: usize = 1;
/// What a median wait beside a flood may be of that.
const TWICE: f64 = 2.0;

const CASES: [Beside; 5] = [
    Beside {
        name: "alone",
        proof: None,
        addresses: false,
        limited: false,
    },
    Beside {
        name: "beside 16 good callers, as fast as they can",
        proof: Some(Proof::Token),
        addresses: false,
        limited: false,
    },
    Beside {
        name: "beside 16 with wrong signatures, no limit per address",
        proof: Some(Proof::WrongSignature),
        addresses: true,
        limited: false,
    },
    Beside {
        name: "beside 16 with wrong signatures, each from an address",
        proof: Some(Proof::WrongSignature),
        addresses: true,
        limited: true,
    },
    Beside {
        name: "beside 16 with unknown keys, all from one address",
        proof: Some(Proof::UnknownKey),
        addresses: false,
        limited: true,
    },
];

pub(super) fn measure(load: &Load, folder: &Path, rounds: usize) {
    let asks = if rounds > 1 { 200 } else { 10 };
    let usual = Settings {
        name: "flooded",
        ..Settings::USUAL
    };
    let limited = Settings {
        name: "flooded-limited",
        failures: r#"{ rate = "20/s", burst = 200 }"#,
        ..usual
    };
    let open = gateway::start(&usual, load.origin, folder);
    let limited = gateway::start(&limited, load.origin, folder);
    let mut waits: [Vec<Duration>; CASES.len()] = std::array::from_fn(|_| Vec::new());
    for _ in 0..rounds {
        for (case, waits) in CASES.iter().zip(&mut waits) {
            let gateway = if case.limited { &limited } else { &open };
            waits.extend(waits_beside(load, case, gateway.address, folder, asks));
        }
    }
    println!("\n{NAME}: {GOOD} signed callers, each every {PACE:?}\n");
    println!(
        "| good callers | median, µs | p99, µs | median / p99 to those beside good callers | mark |"
    );
    println!("| --- | ---: | ---: | --- | --- |");
    let figures = waits.map(|mut waits| {
        waits.sort();
        [0.5, 0.99].map(|share| {
            let at = (waits.len() - 1) as f64 * share;
            waits[at as usize].as_micros() as f64
        })
    });
    let normal = figures[NORMAL];
    for (case, [median, p99]) in CASES.iter().zip(figures) {
        let name = case.name;
        if case.proof.is_none_or(|proof| proof == Proof::Token) {
            println!("| {name} | {median:.0} | {p99:.0} | | |");
        } else {
            let [half, most] = [median / normal[0], p99 / normal[1]];
            let mark = print::mark(Some(TWICE), half);
            println!("| {name} | {median:.0} | {p99:.0} | {half:.2} / {most:.2} | {mark} |");
        }
    }
}

/// Runs the case; gives what good callers waited.
fn waits_beside(
    load: &Load,
    case: &Beside,
    address: SocketAddr,
    folder: &Path,
    asks: usize,
) -> Vec<Duration> {
    let dialer = Dialer::new(Door::HTTP1, folder);
    let stop = CancellationToken::new();
    let flood = {
        let (case, dialer, stop) = (*case, dialer.clone(), stop.clone());
        thread::spawn(move || flood(&case, &dialer, address, &stop))
    };
    let good = async {
        let mut good = JoinSet::new();
        for _ in 0..GOOD {
            good.spawn(ask(dialer.clone(), address, asks));
        }
        good.join_all().await.concat()
    };
    let waits = load.runtime.block_on(good);
    stop.cancel();
    flood.join().expect("the flood does not fail");
    waits
}

fn flood(case: &Beside, dialer: &Dialer, address: SocketAddr, stop: &CancellationToken) {
    let Some(proof) = case.proof else { return };
    // It gives way to good callers and origin, which share its core.
    let _ = nice(19);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let flood = async {
        let mut flood = JoinSet::new();
        for number in 0..FLOODERS {
            let from = match proof {
                Proof::Token => Ipv4Addr::LOCALHOST,
                _ if case.addresses => Ipv4Addr::new(127, 1, 0, number as u8 + 1),
                _ => Ipv4Addr::new(127, 2, 0, 1),
            };
            flood.spawn(overrun(dialer.clone(), address, from, proof));
        }
        while flood.join_next().await.is_some() {}
    };
    let _ = runtime.block_on(stop.run_until_cancelled(flood));
}

/// Sends without end, and takes up again when it was hung up on.
async fn overrun(dialer: Dialer, address: SocketAddr, from: Ipv4Addr, proof: Proof) {
    let caller = Caller::new();
    let ready: Vec<_> = (0..READY)
        .map(|_| caller.request(proof, "/orders/1", None, false))
        .collect();
    loop {
        let Ok(mut link) = dialer.dial(address, from).await else {
            return;
        };
        while link.converse(&ready, 1, &mut |_| {}).await.is_ok() {}
    }
}

/// How long each of `count` answers took, asked for at a steady pace.
async fn ask(dialer: Dialer, address: SocketAddr, count: usize) -> Vec<Duration> {
    let caller = Caller::new();
    let link = dialer.dial(address, Ipv4Addr::LOCALHOST).await;
    let mut link = link.expect("it listens");
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waits = Vec::with_capacity(count);
    for _ in 0..count {
        pace.tick().await;
        let request = [caller.request(Proof::Signature, "/orders/1", None, false)];
        let begun = Instant::now();
        let mut good = |status| assert_eq!(status, 200, "a good caller beside a flood");
        link.converse(&request, 1, &mut good)
            .await
            .expect("it answers");
        waits.push(begun.elapsed());
    }
    waits
}
