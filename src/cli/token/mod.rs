//! `portcullis token`: gets a token of a key service, and shows what one says.

mod get;
mod inspect;
mod wire;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// Get a token from a key service, or see what one says
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  portcullis token get -c gateway.toml --app mobile --dev my-laptop
  portcullis token inspect -c gateway.toml token.txt";

#[derive(Subcommand)]
enum Command {
    Get(Box<get::Args>),
    Inspect(inspect::Args),
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Get(args) => get::run(args),
        Command::Inspect(args) => inspect::run(args),
    }
}
