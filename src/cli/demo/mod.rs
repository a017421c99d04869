//! `portcullis demo`: a gateway, a backend and a fresh key; then good and bad
//! requests, each with the `curl` line that sends it.

mod stage;
mod transcript;

use super::curl::quoted;
use super::paint::{BAD, COPY, GOOD, TITLE};
use super::stop::FAILED;
use anyhow::Result;
use stage::Stage;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

/// See it work: good and bad requests, with the `curl` line of each
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// End after the transcript; otherwise the gateway stays up to play with
    #[arg(long)]
    once: bool,
    /// Listen here instead of where gateway.toml says; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
}

const EXAMPLES: &str = "\
It takes ./gateway.toml, or the sample that is built in, with the built-in echo backend behind every
route and a fresh key that lives as long as the demo does.

Examples:
  portcullis demo
  portcullis demo --once --listen 127.0.0.1:0

Exits with 1 when a request does not get the answer it should.";

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address and a port are accepted: `127.0.0.1:8080`, `[::1]:0`".to_owned())
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut out = anstream::stdout();
    let stage = Stage::set(args.listen)?;
    introduce(&mut out, &stage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let failures = runtime.block_on(transcript::play(&mut out, &stage))?;
    if failures > 0 {
        writeln!(
            out,
            "\n{BAD}{failures} of the answers above are not what they should be.{BAD:#}"
        )?;
        stage.strike();
        return Ok(ExitCode::from(FAILED));
    }
    writeln!(out, "\n{GOOD}Every answer is what it should be.{GOOD:#}")?;
    if !args.once {
        invite(&mut out, &stage)?;
        stage.show_log();
        runtime.block_on(told_to_stop())?;
        writeln!(out, "\nStopping.")?;
    }
    stage.strike();
    Ok(ExitCode::SUCCESS)
}

fn introduce(out: &mut impl Write, stage: &Stage) -> Result<()> {
    writeln!(
        out,
        "{TITLE}Portcullis{TITLE:#} listens on {}, before a backend that tells what it got.",
        stage.url
    )?;
    writeln!(out, "Configuration: {}.", stage.source)?;
    for note in &stage.notes {
        writeln!(out, "Note: {note}.")?;
    }
    writeln!(
        out,
        "A fresh key `{}` was made; its secret lies in {} (mode 0600) until this ends.",
        stage::KEY_ID,
        stage.secret_file.display()
    )?;
    Ok(())
}

fn invite(out: &mut impl Write, stage: &Stage) -> Result<()> {
    let program = std::env::args().next().unwrap_or("portcullis".to_owned());
    let program = quoted(&program);
    let secret = quoted(&format!("file:{}", stage.secret_file.display()));
    let url = quoted(&format!("{}{}", stage.url, stage.path));
    let key = format!("--key-id {} --secret {secret}", stage::KEY_ID);
    writeln!(out, "\n{TITLE}Play on{TITLE:#}, from another terminal:")?;
    for line in [
        format!("{program} request {key} -i -d 'hello' {url}"),
        format!("{program} sign {key} --curl {url}"),
        format!("{program} request {key} --scheme token {url}"),
        format!("curl -i {url}"),
    ] {
        writeln!(out, "  {COPY}{line}{COPY:#}")?;
    }
    if let Some(admin) = stage.admin {
        for path in ["metrics", "readyz"] {
            writeln!(out, "  {COPY}curl http://{admin}/{path}{COPY:#}")?;
        }
    }
    writeln!(out, "\nCtrl-C ends it. What comes in from now on:\n")?;
    out.flush()?;
    Ok(())
}

async fn told_to_stop() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        told = tokio::signal::ctrl_c() => told?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
