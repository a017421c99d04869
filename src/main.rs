//! Arguments in, exit code out.

use clap::Parser;

#[derive(clap::Parser)]
struct P {
    #[command(flatten)]
    a: portcullis::cli::serve::Args,
}

fn main() -> anyhow::Result<std::process::ExitCode> {
    portcullis::cli::serve::run(&P::parse().a)
}
