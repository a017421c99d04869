//! `portcullis readiness`: who would break on the day on which what is only
//! observed is enforced, as the access log tells it.

mod hint;
mod print;
mod since;
mod tally;

use super::curl::quoted;
use super::stop::Stop;
use crate::clock::Clock;
use anyhow::Result;
use clap::Args as Arguments;
use serde::Deserialize;
use since::Since;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tally::{Tally, Who};

/// Bytes of a line; the longest that the gateway writes has less.
const MAX_LINE: usize = 64 * 1024;

/// Tell from access logs who would break if what is observed were enforced
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  portcullis readiness access.log\n  journalctl -u portcullis -o cat | portcullis readiness --since 7d --json\n  portcullis readiness --app mobile --known-only access.log*\n\nReads the JSON records of routes and apps with `mode = \"observe\"`.\nExits with 1 while a caller would break, with 0 when none would, with 2 when nothing can be said."
)]
pub(super) struct Args {
    /// Access logs; `-` is the standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Only records since then: `24h`, `7d`, `2027-01-15`, `2027-01-15T08:00:00Z`
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only this app
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Only this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Leave out whoever claims no key of an app: scanners, but also callers that have none yet
    #[arg(long)]
    known_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What counts of an access record.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    time: Cow<'l, str>,
    #[serde(borrow)]
    request_id: Cow<'l, str>,
    #[serde(borrow)]
    peer: Cow<'l, str>,
    #[serde(borrow, default)]
    route: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    app: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    claimed_key: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    claimed_app: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    observed: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    would_refuse: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    would_reason: Option<Cow<'l, str>>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let since = args
        .since
        .as_ref()
        .map(|since| since.stamp(Clock::system().now().unix_seconds()));
    let mut tally = Tally::default();
    for file in &args.files {
        let (lines, records) = (tally.lines(), tally.records());
        let read = if file.as_os_str() == "-" {
            read(io::stdin().lock(), args, since.as_deref(), &mut tally)
        } else {
            File::open(file)
                .and_then(|open| read(BufReader::new(open), args, since.as_deref(), &mut tally))
        };
        read.map_err(|why| unreadable(file, &why))?;
        // Whoever is told in this file alone would be passed over. One that is empty was turned over a moment ago.
        let is_unread = tally.lines() > lines && tally.records() == records;
        if is_unread && file.as_os_str() != "-" {
            return Err(no_record(file).into());
        }
    }
    if tally.observed() == 0 {
        return Err(nothing_observed(args, &tally).into());
    }
    let report = tally.report();
    let text = if args.json {
        format!("{:#}\n", print::json(&report))
    } else {
        print::text(&report)
    };
    super::printed(write(&text))?;
    Ok(ExitCode::from(u8::from(!report.is_ready())))
}

fn write(text: &str) -> Result<()> {
    Ok(anstream::stdout().write_all(text.as_bytes())?)
}

fn unreadable(file: &Path, why: &io::Error) -> Stop {
    Stop::usage(format!("`{}` cannot be read: {why}", file.display()))
}

fn no_record(file: &Path) -> Stop {
    let name = file.display();
    Stop::usage(format!(
        "`{name}` holds no access record of the gateway: nothing can be said"
    ))
    .hint(format!(
        "records are lines of JSON; is it compressed? `zcat {} | portcullis readiness -`",
        quoted(&name.to_string())
    ))
}

fn nothing_observed(args: &Args, tally: &Tally) -> Stop {
    let all = tally.records();
    let among = if all == 0 {
        "no access record of the gateway was read".to_owned()
    } else {
        format!("none of {all} access records is of a request that was observed")
    };
    let narrowed = args.since.is_some() || args.app.is_some() || args.route.is_some();
    let hint = match (all, narrowed || args.known_only) {
        (0, _) => "records are lines of JSON, as the gateway writes them on a pipe or into a file",
        (_, true) => {
            "look with fewer conditions; and say `mode = \"observe\"` on a route or an app"
        }
        (_, false) => "say `mode = \"observe\"` on a route or an app, and let callers come",
    };
    Stop::usage(format!("{among}: nothing can be said")).hint(hint)
}

/// Counts what `source` holds, line by line, whatever its length.
fn read(
    mut source: impl BufRead,
    args: &Args,
    since: Option<&str>,
    tally: &mut Tally,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let taken = (&mut source)
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line)?;
        if taken == 0 {
            return Ok(());
        }
        if taken == MAX_LINE && line.last() != Some(&b'\n') {
            source.skip_until(b'\n')?;
            tally.unread();
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Line<'_>>(&line) {
            Ok(record) if !record.request_id.is_empty() => count(&record, args, since, tally),
            _ => tally.unread(),
        }
    }
}

fn count(line: &Line<'_>, args: &Args, since: Option<&str>, tally: &mut Tally) {
    tally.record();
    let app = line.app.as_ref().or(line.claimed_app.as_ref());
    let is_asked = |asked: &Option<String>, found: Option<&Cow<'_, str>>| {
        let asked = asked.as_deref();
        asked.is_none_or(|asked| found.is_some_and(|found| *found == asked))
    };
    let counts = line.observed.is_some()
        && since.is_none_or(|since| &*line.time >= since)
        && is_asked(&args.app, app)
        && is_asked(&args.route, line.route.as_ref())
        && (app.is_some() || !args.known_only);
    if counts {
        let key = line.key.as_ref().or(line.claimed_key.as_ref());
        let who = match (app, key) {
            (Some(app), key) => Who::App {
                app: app.to_string(),
                key: key.map(ToString::to_string),
            },
            (None, Some(key)) => Who::Claims(key.to_string()),
            (None, None) => Who::Nobody(line.peer.to_string()),
        };
        tally.count(who, line);
    }
}
