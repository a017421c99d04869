//! What does it cost to know whether a proof was used: in memory alone and
//! written to a file, with one thread and with two, empty, half full and full?
//!
//! Also prints, once, what a remembered proof takes in memory and how long a
//! million of them take to load.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::clock::{Clock, Now};
use portcullis::replay::{Memory, Once, ProofId};
use portcullis::store::embedded::{Proofs, Table};
use portcullis::store::{self, Settings};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MILLION: u64 = 1_000_000;
/// More than any run of a bench records, so that it never finds the table full.
const ROOM: usize = 64 << 20;
const LIFE: i64 = 360;

/// Ids are digests: spread as evenly as this.
fn id(number: u64) -> ProofId {
    let number = u128::from(number) + 1;
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    ProofId((spread ^ (spread >> 61)).to_be_bytes())
}

fn record(memory: &dyn Memory, number: u64, now: Now) {
    let seconds = now.unix_seconds();
    let fresh = memory.record(Once::new(id(number), seconds + 1, seconds + LIFE), now);
    assert_eq!(fresh.and_then(|proof| memory.write_down(proof)), Ok(()));
}

fn settings(directory: &Path, proofs: usize) -> Settings {
    Settings {
        directory: directory.to_owned(),
        proofs,
        retention: Duration::from_secs(LIFE as u64),
        skew: Duration::from_secs(30),
    }
}

fn open(directory: &Path, proofs: usize) -> Proofs {
    let (proofs, _) = store::open(&settings(directory, proofs), &Clock::system())
        .expect("a fresh directory can be used");
    proofs
}

/// New proofs, shared out among `threads`.
fn fresh(threads: u64, times: u64, next: &AtomicU64, memory: &dyn Memory) -> Duration {
    let now = Clock::system().now();
    let first = next.fetch_add(times, Ordering::Relaxed);
    let start = start();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for number in (thread..times).step_by(threads as usize) {
                    record(memory, first + number, now);
                }
            });
        }
    });
    start.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn start() -> Instant {
    Instant::now()
}

fn recording(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(1));
    for threads in [1, 2] {
        let (table, next) = (Table::new(ROOM), AtomicU64::new(0));
        group.bench_function(format!("memory/{threads}"), |bench| {
            bench.iter_custom(|times| fresh(threads, times, &next, &table));
        });
        let directory = tempfile::tempdir().expect("a directory for a while");
        let (proofs, next) = (open(directory.path(), ROOM), AtomicU64::new(0));
        group.bench_function(format!("journal/{threads}"), |bench| {
            bench.iter_custom(|times| fresh(threads, times, &next, &proofs));
        });
    }

    let now = Clock::system().now();
    let table = Table::new(MILLION as usize);
    (0..MILLION).for_each(|number| record(&table, number, now));
    let mut number = 0;
    group.bench_function("replayed, of a million", |bench| {
        bench.iter(|| {
            number = (number + 1) % MILLION;
            let until = now.unix_seconds() + LIFE;
            table.record(Once::new(id(number), 0, until), now)
        });
    });
    group.bench_function("refused, full", |bench| {
        bench.iter(|| {
            number += 1;
            let until = now.unix_seconds() + LIFE;
            table.record(Once::new(id(MILLION + number), 0, until), now)
        });
    });
    group.finish();
}

fn loading(_: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory for a while");
    let proofs = open(directory.path(), 2 * MILLION as usize);
    let now = Clock::system().now();
    (0..MILLION).for_each(|number| record(&proofs, number, now));
    drop(proofs);
    let start = start();
    let proofs = open(directory.path(), 2 * MILLION as usize);
    println!(
        "replay/load: {} proofs in {:?}",
        proofs.len(),
        start.elapsed()
    );
    drop(proofs);

    let before = resident();
    let table = Table::new(MILLION as usize);
    (0..MILLION).for_each(|number| record(&table, number, now));
    let bytes = resident().saturating_sub(before) as f64 / MILLION as f64;
    println!(
        "replay/memory: {bytes:.1} bytes a proof, of {}",
        table.len()
    );
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1_024
}

criterion_group!(benches, loading, recording);
criterion_main!(benches);
