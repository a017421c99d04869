//! What does each scheme cost, for a good and for a bad credential, beside the
//! bare operations that it cannot do without?
//!
//! ```sh
//! cargo bench --bench verify                  # all rows
//! cargo bench --bench verify -- aws-sigv4     # the rows with this in their name
//! cargo bench --bench verify -- --list        # their names
//! cargo bench --bench verify -- --rounds 15   # fewer rounds
//! ```
//!
//! `docs/performance.md` tells how to read it. Without `--bench` everything runs once.

mod gate;
mod requests;
mod rows;
mod table;
mod turns;

use std::process::ExitCode;

/// Rounds of a measurement.
const ROUNDS: usize = 101;

fn main() -> ExitCode {
    let mut rounds = ROUNDS;
    let (mut is_bench, mut only_names) = (false, false);
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--list" => only_names = true,
            "--rounds" => match arguments.next().and_then(|count| count.parse().ok()) {
                Some(count) if count > 0 => rounds = count,
                _ => {
                    eprintln!("`--rounds` takes a number above 0");
                    return ExitCode::from(2);
                }
            },
            name => wanted.push(name.to_owned()),
        }
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let groups = rows::all(&is_wanted);
    if only_names {
        for group in &groups {
            println!("{}", group.name);
        }
    } else if is_bench {
        let measured: Vec<_> = groups
            .iter()
            .map(|group| turns::measure(group, rounds))
            .collect();
        table::print(&groups, &measured, rounds);
    } else {
        groups.iter().for_each(turns::once);
    }
    ExitCode::SUCCESS
}
