//! `portcullis token`: enrols an instance, gets a token of a key service, and shows what one says.

mod enrol;
mod get;
mod inspect;
mod place;
mod wire;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// Enrol at a key service, get a token from it, or see what one says
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  portcullis token get -c gateway.toml --app mobile --dev my-laptop
  portcullis token enrol -c gateway.toml --app mobile --code file:code --build 1.4.2 --out instance.pem
  portcullis token inspect -c gateway.toml token.txt";

#[derive(Subcommand)]
enum Command {
    Enrol(enrol::Args),
    Get(Box<get::Args>),
    Inspect(inspect::Args),
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Enrol(args) => enrol::run(args),
        Command::Get(args) => get::run(args),
        Command::Inspect(args) => inspect::run(args),
    }
}
