//! `portcullis serve`.

use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the gateway
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
    anyhow::bail!("`serve` is not built yet")
}
