//! `portcullis man`: one manual page a command.

use super::stop::Stop;
use anyhow::Result;
use clap::CommandFactory;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the manual pages into a directory
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The directory; it is made when it is not there
    dir: PathBuf,
}

const EXAMPLES: &str = "\
Example:
  portcullis man target/man && man target/man/portcullis-sign.1";

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let bad = |why: std::io::Error| {
        Stop::failed(format!(
            "the pages cannot be written to `{}`: {why}",
            args.dir.display()
        ))
    };
    std::fs::create_dir_all(&args.dir).map_err(bad)?;
    let command = super::Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.dir).map_err(bad)?;
    Ok(ExitCode::SUCCESS)
}
