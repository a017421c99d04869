//! `portcullis audit`: what was done, and by whom.

use super::{Where, listed, print};
use anyhow::Result;
use clap::Args as ClapArgs;
use std::process::ExitCode;

/// Show what was done to apps, keys and instances, and by whom
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Show what was refused, and alarms, and not what was changed
    #[arg(long)]
    events: bool,
    /// Only what they did: `admin:write`, `cli:root`
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// Only that: `key.rotate`, or all of a kind, `key`
    #[arg(long, value_name = "WHAT")]
    what: Option<String>,
    /// Only what was done to that: `key/mobile-2026`, `app/mobile`
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// From this moment, or date, on
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Before this moment or date
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// How many lines at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

const EXAMPLES: &str = "\
Examples:
  What was done lately, the latest first:
    portcullis audit
  Who has rotated keys since the first of May, with what was and what is:
    portcullis audit --what key.rotate --since 2026-05-01 --json
  What the key service has refused, and why:
    portcullis audit --events";

const COLUMNS: print::Columns = &[
    ("WHEN", |line| print::words(&line["at"])),
    ("WHO", |line| print::words(&line["who"])),
    ("WHAT", |line| print::words(&line["what"])),
    ("TARGET", |line| print::words(&line["target"])),
    ("OUTCOME", |line| match line["reason"].as_str() {
        Some(why) => format!("{}: {why}", print::words(&line["outcome"])),
        None => print::words(&line["outcome"]),
    }),
    ("TIMES", |line| print::words(&line["times"])),
];

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let log = if args.events { "events" } else { "changes" };
    let mut query = vec![("log", log)];
    let filters = [
        ("who", &args.who),
        ("what", &args.what),
        ("target", &args.target),
        ("since", &args.since),
        ("until", &args.until),
    ];
    for (name, value) in filters {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    listed(&args.at, "/v1/audit", &query, args.limit, COLUMNS)?;
    Ok(ExitCode::SUCCESS)
}
