//! What does a registry of a million apps cost: to start with, to look keys up
//! in, to keep in memory and on the disk? And what does a change cost, alone
//! and beside others?
//!
//! `cargo bench --bench registry [-- --apps N]`
//!
//! Without `--bench`, which `cargo bench` gives, it asks with smaller numbers.

#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../bed/mod.rs"]
mod bed;
mod made;

use bed::gateway::{self, Settings};
use bed::origin;
use bed::process::{Place, role};
use made::{InForce, Stored, key_id};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The origin, which nobody asks anything here.
const ROLE: &str = "--role-origin";
/// What the large one is held against.
const FEW: usize = 10;
/// Who changes things side by side.
const WRITERS: usize = 64;

/// How much is asked.
struct Size {
    apps: usize,
    look_ups: usize,
    turns: usize,
    writes: usize,
}

const WHOLE: Size = Size {
    apps: 1_000_000,
    look_ups: 200_000,
    turns: 31,
    writes: 3_200,
};
const BRIEF: Size = Size {
    apps: 2_000,
    look_ups: 2_000,
    turns: 3,
    writes: 128,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has(ROLE) {
        serve();
    }
    let mut size = if has("--bench") { WHOLE } else { BRIEF };
    if let Some(at) = arguments.iter().position(|word| word == "--apps") {
        let apps = arguments.get(at + 1).and_then(|word| word.parse().ok());
        size.apps = apps.expect("a number behind `--apps`");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let stores = [FEW, size.apps].map(|apps| {
        let stored = Stored::make(&folder.path().join(apps.to_string()), apps);
        (apps, stored)
    });
    let (_origin, upstream) = role(&[ROLE], Place::Anywhere);
    starts(&stores, upstream, folder.path());
    let in_force = stores.each_ref().map(|(_, stored)| stored.in_force());
    look_ups(&in_force, &size);
    writes(&stores, &in_force, &size);
}

fn serve() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        println!("{}", origin::start().await);
        std::future::pending().await
    })
}

/// The whole binary, from its start until it listens.
fn starts(stores: &[(usize, Stored); 2], upstream: SocketAddr, folder: &Path) {
    println!("| apps, one key each | start, s | memory, MiB | bytes an app | file, MiB |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    let mut at_rest = 0;
    for (apps, stored) in stores {
        let name = apps.to_string();
        let settings = Settings {
            name: &name,
            place: Place::Anywhere,
            ..Settings::USUAL
        };
        let began = now();
        let gateway = gateway::start(&settings, upstream, folder);
        let took = began.elapsed().as_secs_f64();
        let resident = gateway.process.resident();
        let each = if at_rest == 0 {
            at_rest = resident;
            String::new()
        } else {
            let more = resident.saturating_sub(at_rest) * 1_024;
            (more / *apps as u64).to_string()
        };
        let file = fs::metadata(stored.file()).expect("a file").len() >> 20;
        let memory = resident as f64 / 1_024.0;
        println!("| {apps} | {took:.2} | {memory:.1} | {each} | {file} |");
    }
}

/// What a request asks by the id of a key that it claims.
fn look_ups(in_force: &[InForce; 2], size: &Size) {
    println!(
        "\n| look-up of a key id, ns | {FEW} apps | {} apps | ratio: min / median / max |",
        size.apps
    );
    println!("| --- | ---: | ---: | --- |");
    let ids = |of: usize, begin: &str| -> Vec<String> {
        (0..size.look_ups)
            .map(|number| format!("{begin}{}", key_id(spread(number) % of)))
            .collect()
    };
    let again = |_: usize| -> Vec<String> { vec![key_id(0); size.look_ups] };
    let rows: [(&str, [Vec<String>; 2]); 3] = [
        ("the same one again", [again(FEW), again(size.apps)]),
        ("another one each time", [ids(FEW, ""), ids(size.apps, "")]),
        ("unknown", [ids(FEW, "no-"), ids(size.apps, "no-")]),
    ];
    for (what, asked) in rows {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..size.turns {
            for ((times, ready), asked) in times.iter_mut().zip(in_force).zip(&asked) {
                let began = now();
                for id in asked {
                    black_box(ready.looks.key(id));
                }
                times.push(began.elapsed().as_nanos() as f64 / asked.len() as f64);
            }
        }
        let [few, many] = times;
        let mut ratios: Vec<f64> = many
            .iter()
            .zip(&few)
            .map(|(many, few)| many / few)
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "| {what} | {:.0} | {:.0} | {:.2} / {:.2} / {:.2} |",
            median(few),
            median(many),
            ratios[0],
            ratios[ratios.len() / 2],
            ratios[ratios.len() - 1],
        );
    }
}

/// Changes of one key each, durable when they are answered.
fn writes(stores: &[(usize, Stored); 2], in_force: &[InForce; 2], size: &Size) {
    println!(
        "\n| change of a key | apps | each takes, µs: median / p99 | changes a second | beside a bare write and sync |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for ((apps, stored), ready) in stores.iter().zip(in_force) {
        let bare = bare(stored.file(), size.writes / 16);
        for (writers, share) in [(1, size.writes / 16), (WRITERS, size.writes / WRITERS)] {
            let began = now();
            let times = thread::scope(|scope| {
                let writing: Vec<_> = (0..writers)
                    .map(|writer| {
                        let store = &*ready.store;
                        scope.spawn(move || {
                            let timed = (0..share).map(|turn| {
                                let began = now();
                                stored.change(store, spread(writer * share + turn) % apps);
                                began.elapsed()
                            });
                            timed.collect::<Vec<_>>()
                        })
                    })
                    .collect();
                let done = writing.into_iter().map(|one| one.join().expect("it ends"));
                done.flatten().collect::<Vec<Duration>>()
            });
            let a_second = times.len() as f64 / began.elapsed().as_secs_f64();
            let mut times: Vec<f64> = times.iter().map(|one| one.as_secs_f64() * 1e6).collect();
            times.sort_by(f64::total_cmp);
            let (half, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            let who = if writers == 1 {
                "alone".to_owned()
            } else {
                format!("{writers} in parallel")
            };
            println!(
                "| {who} | {apps} | {half:.0} / {late:.0} | {a_second:.0} | {:.1} |",
                half / bare
            );
        }
    }
}

/// Microseconds that a page takes to the disk, beside the store.
fn bare(beside: &Path, times: usize) -> f64 {
    let path = beside.with_extension("bare");
    let mut file = File::create(path).expect("a file");
    let times = (0..times).map(|_| {
        let began = now();
        file.write_all(&[7; 4_096]).expect("room for a page");
        file.sync_data().expect("a disk");
        began.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

/// Numbers that follow no order that a cache could know.
const fn spread(number: usize) -> usize {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
