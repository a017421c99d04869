//! How long do good callers wait while others flood the gateway?
//!
//! Good callers ask at a steady pace, each on a connection of its own, and
//! what they wait for is taken: alone, beside as many good requests as fit,
//! and beside as many with wrong signatures, from one address and from many,
//! with the limit per address and without. The flood takes the place of the
//! good load, so the two are to be compared: the gateway is busy in both.

use crate::bed::gateway::{self, Settings};
use crate::bed::link::{Dialer, Door};
use crate::bed::load::Load;
use crate::bed::sign::{Caller, Proof};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub(super) const NAME: &str = "flood: how long good callers wait";

const GOOD: usize = 4;
const PACE: Duration = Duration::from_millis(2);
const FLOODERS: usize = 16;
/// Requests that a flooder has ready; it sends them over and over.
const READY: usize = 512;

struct Beside {
    name: &'static str,
    /// What the others send, if there are others.
    proof: Option<Proof>,
    addresses: bool,
    limited: bool,
}

const CASES: [Beside; 5] = [
    Beside {
        name: "alone",
        proof: None,
        addresses: false,
        limited: false,
    },
    Beside {
        name: "beside 16 good callers as fast as they can",
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
            let work = waits_beside(case, gateway.address, folder, asks);
            waits.extend(load.runtime.block_on(work));
        }
    }
    println!("\n{NAME}: {GOOD} signed callers, each every {PACE:?}\n");
    println!("| good callers | median, µs | p99, µs |");
    println!("| --- | ---: | ---: |");
    for (case, waits) in CASES.iter().zip(&mut waits) {
        waits.sort();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_micros();
        println!("| {} | {} | {} |", case.name, at(0.5), at(0.99));
    }
}

async fn waits_beside(
    case: &Beside,
    address: SocketAddr,
    folder: &Path,
    asks: usize,
) -> Vec<Duration> {
    let dialer = Dialer::new(Door::HTTP1, folder);
    let mut flood = JoinSet::new();
    for number in 0..FLOODERS {
        let Some(proof) = case.proof else { break };
        let from = if case.addresses {
            Ipv4Addr::new(127, 1, 0, number as u8 + 1)
        } else if proof == Proof::Token {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::new(127, 2, 0, 1)
        };
        flood.spawn(overrun(dialer.clone(), address, from, proof));
    }
    let mut good = JoinSet::new();
    for _ in 0..GOOD {
        good.spawn(ask(dialer.clone(), address, asks));
    }
    // The flood ends with what is dropped here.
    good.join_all().await.concat()
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
