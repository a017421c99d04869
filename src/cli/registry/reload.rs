//! `portcullis reload`: take the configuration over, and learn what came of it.

use super::Where;
use super::reach::{Call, Reach};
use crate::cli::paint::visible;
use anyhow::Result;
use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value as Json;
use std::io::Write as _;
use std::process::ExitCode;

/// Have a running gateway read its configuration again
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Only tell what it would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: Where,
}

const EXAMPLES: &str = "\
Examples:
  See what would change, then change it:
    portcullis reload --dry-run && portcullis reload

It is what SIGHUP does, with an answer: all of it is in force when the command ends, or nothing is.
What `portcullis check` would warn of is told on standard error.";

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let reach = Reach::find(&args.at)?;
    let query: &[(&str, &str)] = if args.dry_run {
        &[("dry_run", "true")]
    } else {
        &[]
    };
    let reply = reach
        .ask(&Call::new(Method::POST, "/v1/reload", query))?
        .body;
    let mut out = anstream::stdout().lock();
    if args.at.json {
        writeln!(out, "{reply:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let list = |name: &str| reply[name].as_array().map_or(&[][..], Vec::as_slice);
    let text = |one: &Json| visible(one.as_str().unwrap_or_default());
    for warning in list("warnings") {
        let _ = writeln!(anstream::stderr(), "warning: {}", text(warning));
    }
    let changes = list("changes");
    let done = if args.dry_run {
        "would change"
    } else {
        "changed"
    };
    if changes.is_empty() {
        writeln!(out, "nothing {done}")?;
    }
    for change in changes {
        writeln!(out, "{done}: {}", text(change))?;
    }
    Ok(ExitCode::SUCCESS)
}
