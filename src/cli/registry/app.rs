//! `portcullis app`: who may call.

use super::reach::{Call, Reach, Reply};
use super::{USUAL, Where, list, part, print};
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value as Json, json};
use std::io::Write as _;
use std::process::ExitCode;

/// Show the apps that may call
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  Every app, and where it stands:
    portcullis app list
  One, with its keys, for a program to read:
    portcullis app show mobile --json

A gateway that runs is asked through its admin API; where none runs, what it would run on is read.";

#[derive(Subcommand)]
enum What {
    /// List every app
    List {
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = USUAL)]
        limit: usize,
        #[command(flatten)]
        at: Where,
    },
    /// Show one app and its keys
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        at: Where,
    },
}

const COLUMNS: print::Columns = &[
    ("APP", |app| print::words(&app["name"])),
    ("PLAN", |app| print::words(&app["plan"])),
    ("SCOPES", |app| print::words(&app["scopes"])),
    ("STATE", state),
    ("SOURCE", |app| print::words(&app["source"])),
];

fn state(app: &Json) -> String {
    let enabled = app["enabled"].as_bool().unwrap_or_default();
    if enabled { "enabled" } else { "disabled" }.to_owned()
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::List { limit, at } => all(*limit, at)?,
        What::Show { name, at } => show(name, at)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn all(limit: usize, at: &Where) -> Result<()> {
    let reach = Reach::find(at)?;
    let (items, more) = list(&reach, "/v1/apps", &[], limit.max(1))?;
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

fn show(name: &str, at: &Where) -> Result<()> {
    let reach = Reach::find(at)?;
    let Reply { mut body, etag } =
        reach.ask(&Call::get(&format!("/v1/apps/{}", part(name)), &[]))?;
    let (keys, more) = list(&reach, "/v1/keys", &[("app", name)], USUAL)?;
    let mut out = anstream::stdout().lock();
    if at.json {
        body["etag"] = etag.into();
        body["keys"] = keys.into();
        writeln!(out, "{body:#}")?;
        return Ok(());
    }
    write!(out, "{}", print::members(&body))?;
    if !keys.is_empty() {
        write!(out, "\n{}", print::table(super::key::COLUMNS, &keys))?;
    }
    if more {
        writeln!(out, "and more: `portcullis key list --app {name}`")?;
    }
    Ok(())
}
