//! `portcullis check`.

use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Read the configuration and print it resolved, or all that is wrong with it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "gateway.toml")]
    pub config: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Always, as yet.
pub fn run(_args: &Args) -> Result<ExitCode> {
    anyhow::bail!("`check` is not built yet")
}
