//! `portcullis demo`.
use anyhow::Result;
use std::process::ExitCode;
/// See it work: good and bad requests, with the `curl` line of each
#[derive(clap::Args)]
pub(super) struct Args {}
/// Runs the command.
pub(super) fn run(_args: &Args) -> Result<ExitCode> {
    anyhow::bail!("not yet")
}
