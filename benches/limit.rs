//! What does a limit cost: per app with one thread and with two, one app and
//! ten thousand, and per address, known, unknown and in debt?

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::clock::{Clock, Now};
use portcullis::limit::app::{AppLimits, Plan, Rate};
use portcullis::limit::peer::{PeerSettings, Peers};
use portcullis::schemes::Assurance;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A rate that nobody reaches.
const AMPLE: Rate = Rate {
    count: 1_000_000_000,
    period: Duration::from_secs(1),
    burst: 4_000_000_000,
};

const PEERS: PeerSettings = PeerSettings {
    failures: Some(Rate {
        count: 20,
        period: Duration::from_secs(1),
        burst: 200,
    }),
    rate: None,
};

fn limits(apps: usize, concurrency: Option<u32>) -> AppLimits {
    let plan = Arc::new(Plan {
        name: "standard".to_owned(),
        rate: Some(AMPLE),
        concurrency,
        better: Vec::new(),
    });
    let apps: Vec<_> = (0..apps)
        .map(|app| (Arc::from(format!("app-{app}")), Some(plan.clone())))
        .collect();
    AppLimits::new(&apps, None)
}

fn charge(limits: &AppLimits, app: usize, now: Now) {
    black_box(
        limits
            .charge(app, Assurance::Signed, now)
            .expect("the rate is ample"),
    );
}

fn on_threads(threads: u64, times: u64, each: &(impl Fn(u64) + Sync)) -> Duration {
    let start = start();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope
                .spawn(move || (0..times / threads).for_each(|time| each(time * threads + thread)));
        }
    });
    start.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn start() -> Instant {
    Instant::now()
}

fn apps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit/app");
    group.throughput(Throughput::Elements(1));
    let now = Clock::system().now();
    for apps in [1, 10_000] {
        for threads in [1, 2] {
            let limits = limits(apps, None);
            group.bench_function(format!("rate, {apps} apps, {threads} threads"), |bench| {
                bench.iter_custom(|times| {
                    on_threads(threads, times, &|time| {
                        charge(&limits, time as usize % apps, now);
                    })
                });
            });
        }
    }
    let both = limits(1, Some(64));
    group.bench_function("rate and in flight", |bench| {
        bench.iter(|| charge(&both, 0, now));
    });
    let (_, standing) = both
        .charge(0, Assurance::Signed, now)
        .expect("the rate is ample");
    let standing = standing.expect("the plan has a rate");
    group.bench_function("header", |bench| bench.iter(|| standing.header()));
    group.finish();
}

fn peers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit/peer");
    group.throughput(Throughput::Elements(1));
    let now = Clock::system().now();
    let address = |number: u32| Some(IpAddr::from(Ipv4Addr::from_bits(number)));
    let peers = Peers::new();
    for stranger in 0..1_000_000 {
        peers.failed(&PEERS, address(stranger), now);
    }
    let offender = address(u32::MAX);
    (0..1_000).for_each(|_| peers.failed(&PEERS, offender, now));

    for threads in [1, 2] {
        group.bench_function(format!("check, unknown, {threads} threads"), |bench| {
            bench.iter_custom(|times| {
                on_threads(threads, times, &|_| {
                    let _ = black_box(peers.check(&PEERS, address(0xc000_0201), now));
                })
            });
        });
    }
    group.bench_function("check, in debt", |bench| {
        bench.iter(|| peers.check(&PEERS, offender, now));
    });
    group.bench_function("failed, known", |bench| {
        bench.iter(|| peers.failed(&PEERS, offender, now));
    });
    let mut number = 0;
    group.bench_function("failed, another each time", |bench| {
        bench.iter(|| {
            number += 1;
            peers.failed(&PEERS, address(number), now);
        });
    });
    let any = PeerSettings {
        failures: None,
        rate: Some(AMPLE),
    };
    group.bench_function("check, any kind limited", |bench| {
        bench.iter(|| peers.check(&any, address(0xc000_0201), now));
    });
    group.finish();
}

criterion_group!(benches, apps, peers);
criterion_main!(benches);
