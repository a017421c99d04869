//! Arguments and dispatch: one file a command.
//!
//! In: what was typed. Out: an exit code – 0 done, 1 refused or failed,
//! 2 usage or configuration. This room alone puts the others together.

pub mod check;
pub mod pasted;
pub mod serve;

mod compare;
mod completions;
mod curl;
mod demo;
mod explain;
mod files;
mod hash_key;
mod key;
mod man;
mod message;
mod moment;
mod paint;
mod prove;
mod readiness;
mod registry;
mod request;
mod send;
mod sidecar;
mod sign;
mod skim;
mod stop;
mod token;
mod vectors;

use crate::clock::Clock;
use anyhow::Result;
use clap::{Parser, Subcommand};
use paint::{BAD, COPY};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use stop::Stop;

/// A reverse-proxy gateway that lets only proven requests through
#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_value_name = "COMMAND",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

const EXAMPLES: &str = "\
Without a command, `portcullis` does what `portcullis serve` does.

Examples:
  See it work, with nothing set up:
    portcullis demo
  Serve what gateway.toml says:
    portcullis serve -c gateway.toml
  Make an app and a key for it, while the gateway runs:
    portcullis app create mobile --plan standard --scope orders
    portcullis key create mobile --out mobile.key
  Send a signed request:
    portcullis request --key-id demo --secret file:demo.key http://127.0.0.1:8080/
  Learn why a request is refused:
    portcullis explain -c gateway.toml request.txt
  Learn who would break if what is observed were enforced:
    portcullis readiness access.log

Exit codes: 0 done, 1 refused or failed, 2 usage or configuration.";

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Check(check::Args),
    Sign(Box<sign::Args>),
    Request(Box<request::Args>),
    Explain(Box<explain::Args>),
    Readiness(readiness::Args),
    App(registry::app::Args),
    Key(Box<registry::key::Args>),
    Instance(registry::instance::Args),
    Audit(registry::audit::Args),
    Token(token::Args),
    Reload(registry::reload::Args),
    HashKey(hash_key::Args),
    Sidecar(Box<sidecar::Args>),
    Vectors(vectors::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Does what `args` say; the first of them is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are messages too, of code 0. Where nobody reads, nothing is lost.
            let _ = message.print();
            return ExitCode::from(message.exit_code() as u8);
        }
    };
    let code = run(&cli).unwrap_or_else(|error| complain(&error));
    crate::observe::last_words();
    code
}

fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::Check(args)) => Ok(check::run(args, &Clock::system())),
        Some(Command::Sign(args)) => sign::run(args),
        Some(Command::Request(args)) => request::run(args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Readiness(args)) => readiness::run(args),
        Some(Command::App(args)) => registry::app::run(args),
        Some(Command::Key(args)) => registry::key::run(args),
        Some(Command::Instance(args)) => registry::instance::run(args),
        Some(Command::Audit(args)) => registry::audit::run(args),
        Some(Command::Reload(args)) => registry::reload::run(args),
        Some(Command::Token(args)) => token::run(args),
        Some(Command::HashKey(args)) => hash_key::run(args),
        Some(Command::Sidecar(args)) => sidecar::run(args),
        Some(Command::Vectors(args)) => vectors::run(args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => man::run(args),
    }
}

/// Says a line beside what is printed. Where standard error is full or gone, the work that is done is told all the same:
/// the macros that print would panic.
fn aside(line: &impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// What was printed, to its end or as far as it was read: of a command whose exit code tells more than that it was.
fn printed(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if is_unread(&error) => Ok(()),
        done => done,
    }
}

/// Whether nobody reads our output any more.
fn is_unread(error: &anyhow::Error) -> bool {
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind)
        .or_else(|| error.downcast_ref::<serde_json::Error>()?.io_error_kind());
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

fn complain(error: &anyhow::Error) -> ExitCode {
    if is_unread(error) {
        // Whoever read our output has seen enough. A command that prints what nobody has besides stops with more than this.
        return ExitCode::SUCCESS;
    }
    if let Some(report) = error.downcast_ref::<Stop>().filter(|stop| stop.is_report()) {
        let _ = writeln!(anstream::stderr(), "{report}");
        return ExitCode::from(report.exit());
    }
    let (text, exit) = match error.downcast_ref::<Stop>() {
        Some(stop) => (stop.to_string(), stop.exit()),
        None => (format!("{error:#}"), stop::FAILED),
    };
    let text = text.replace("\n\nhint:", &format!("\n\n{COPY}hint{COPY:#}:"));
    // With standard error gone too, the code alone has to tell.
    let _ = writeln!(anstream::stderr(), "{BAD}error{BAD:#}: {text}");
    ExitCode::from(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }
}
