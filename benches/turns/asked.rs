//! What a bench is asked for on its command line.

use super::{Group, measure, table};
use std::process::ExitCode;

/// Rounds of a measurement.
const ROUNDS: usize = 101;

/// The flags, and parts of the names that are wanted.
pub(crate) struct Asked {
    pub(crate) is_bench: bool,
    pub(crate) only_names: bool,
    pub(crate) rounds: usize,
    wanted: Vec<String>,
}

impl Asked {
    /// What this process was asked for.
    ///
    /// # Errors
    /// The code to exit with, when what is wrong was told.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let mut asked = Self {
            is_bench: false,
            only_names: false,
            rounds: ROUNDS,
            wanted: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => asked.is_bench = true,
                "--list" => asked.only_names = true,
                "--rounds" => match arguments.next().and_then(|count| count.parse().ok()) {
                    Some(count) if count > 0 => asked.rounds = count,
                    _ => {
                        eprintln!("`--rounds` takes a number above 0");
                        return Err(ExitCode::from(2));
                    }
                },
                name => asked.wanted.push(name.to_owned()),
            }
        }
        Ok(asked)
    }

    /// Whether what is called so is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|part| name.contains(part))
    }
}

/// Names the groups, measures them and prints the table, or shows that they run.
pub(crate) fn run(asked: &Asked, what: &str, first: &str, groups: &[Group]) {
    if asked.only_names {
        for group in groups {
            println!("{}", group.name);
        }
    } else if asked.is_bench {
        let measured: Vec<_> = groups
            .iter()
            .map(|group| measure::measure(group, asked.rounds))
            .collect();
        table::print(what, first, groups, &measured, asked.rounds);
    } else {
        groups.iter().for_each(measure::once);
    }
}
