//! `portcullis explain`.
use anyhow::Result;
use std::process::ExitCode;
/// Show what the gateway makes of a request, and which step would refuse it
#[derive(clap::Args)]
pub(super) struct Args {}
/// Runs the command.
pub(super) fn run(_args: &Args) -> Result<ExitCode> {
    anyhow::bail!("not yet")
}
