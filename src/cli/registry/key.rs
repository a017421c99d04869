//! `portcullis key`: what callers prove themselves with.

use super::reach::{Call, Reach, Reply};
use super::{USUAL, Where, list, part, print};
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use std::io::Write as _;
use std::process::ExitCode;

/// Show the keys of apps
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  Every key of an app, with its state and its dates:
    portcullis key list --app mobile
  One of them:
    portcullis key show mobile-2026

No secret is ever shown.";

#[derive(Subcommand)]
enum What {
    /// List keys
    List {
        /// Only those of this app
        #[arg(long, value_name = "NAME")]
        app: Option<String>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = USUAL)]
        limit: usize,
        #[command(flatten)]
        at: Where,
    },
    /// Show one key
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        at: Where,
    },
}

pub(super) const COLUMNS: print::Columns = &[
    ("KEY", |key| print::words(&key["id"])),
    ("APP", |key| print::words(&key["app"])),
    ("KIND", |key| print::words(&key["kind"])),
    ("ALGORITHM", |key| print::words(&key["algorithm"])),
    ("STATE", |key| print::words(&key["state"])),
    ("UNTIL", |key| print::words(&key["not_after"])),
    ("SOURCE", |key| print::words(&key["source"])),
];

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::List { app, limit, at } => all(app.as_deref(), *limit, at)?,
        What::Show { id, at } => show(id, at)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn all(app: Option<&str>, limit: usize, at: &Where) -> Result<()> {
    let reach = Reach::find(at)?;
    let query: Vec<(&str, &str)> = app.map(|app| ("app", app)).into_iter().collect();
    let (items, more) = list(&reach, "/v1/keys", &query, limit.max(1))?;
    let mut out = anstream::stdout().lock();
    if at.json {
        writeln!(out, "{:#}", json!({ "items": items, "more": more }))?;
        return Ok(());
    }
    write!(out, "{}", print::table(COLUMNS, &items))?;
    if more {
        writeln!(out, "and more: `--limit` lists them")?;
    }
    Ok(())
}

fn show(id: &str, at: &Where) -> Result<()> {
    let reach = Reach::find(at)?;
    let Reply { mut body, etag } = reach.ask(&Call::get(&format!("/v1/keys/{}", part(id)), &[]))?;
    let mut out = anstream::stdout().lock();
    if at.json {
        body["etag"] = etag.into();
        writeln!(out, "{body:#}")?;
    } else {
        write!(out, "{}", print::members(&body))?;
    }
    Ok(())
}
