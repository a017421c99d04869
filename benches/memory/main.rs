//! How much memory does the gateway take, and what makes it take more?
//!
//! The whole binary with two workers, started anew for each question. Memory
//! does not depend on the machine's mood, so each figure is held against its
//! bound: a figure beyond it fails.
//!
//! `cargo bench --bench memory -- [FILTER] [--list]`
//!
//! Without `--bench`, which `cargo bench` gives, it asks with smaller numbers.

#[expect(dead_code, reason = "each bench stands on its own part of it")]
#[path = "../bed/mod.rs"]
mod bed;
mod rows;

use bed::process::{Place, allow_open_files, role};
use rows::{Size, Verdict};
use std::process::ExitCode;

/// The origin: a process of its own, since it holds as many sockets as the callers.
const ROLE: &str = "--role-origin";
/// Ten thousand `WebSocket`s are two sockets each for the gateway. Where we may
/// not have so many, fewer are opened, and the bound is that of fewer.
const OPEN_FILES: u64 = 65_536;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has(ROLE) {
        serve();
    }
    let filter = arguments.iter().find(|word| !word.starts_with('-'));
    let filter = filter.map_or("", String::as_str);
    let rows = rows::ALL.iter().filter(|row| row.name.contains(filter));
    if has("--list") {
        rows.for_each(|row| println!("{}", row.name));
        return ExitCode::SUCCESS;
    }
    let size = if has("--bench") {
        &Size::WHOLE
    } else {
        &Size::BRIEF
    };
    let files = allow_open_files(OPEN_FILES) as usize;
    let (_origin, upstream) = role(&[ROLE], Place::Anywhere);
    println!("| memory | MiB | bound | |\n| --- | ---: | ---: | --- |");
    let mut kept = true;
    for row in rows {
        let folder = tempfile::tempdir().expect("a folder");
        let ask = rows::Ask::new(size, files, upstream, folder.path());
        for Verdict { what, mib, bound } in (row.ask)(&ask) {
            let verdict = if mib <= bound { "kept" } else { "**missed**" };
            kept &= mib <= bound;
            println!("| {what} | {mib:.1} | {bound:.0} | {verdict} |");
        }
    }
    if kept {
        ExitCode::SUCCESS
    } else {
        println!("\na bound is missed");
        ExitCode::FAILURE
    }
}

fn serve() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        println!("{}", bed::origin::start().await);
        std::future::pending().await
    })
}
