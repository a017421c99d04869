//! `portcullis token enrol`: a key for a new instance of an app, by a one-time code.

use super::place::{Place, stopped};
use crate::cli::key::named_by;
use crate::cli::prove::bad_key;
use crate::cli::stop::Stop;
use crate::client::token::{self, instance_key};
use crate::crypto::{Algorithm, PrivateKey, generate};
use crate::secret::Secret;
use anyhow::Result;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Enrol an instance of an app: by a one-time code it is known by its key from then on
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("key").required(true).args(["out", "instance_key"])))]
#[command(group(clap::ArgGroup::new("gateway").required(true).args(["url", "config"])))]
pub(in crate::cli) struct Args {
    /// The app that this is an instance of
    #[arg(long, value_name = "NAME")]
    app: String,
    /// The one-time code, `env:NAME` or `file:PATH`: `portcullis instance enrol-code` makes it
    #[arg(long, value_name = "REFERENCE")]
    code: String,
    /// The build that the app runs
    #[arg(long, value_name = "TEXT")]
    build: String,
    /// Make a key of Ed25519, and write its private half to this new file, which only you can read
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A private key that is there already, `env:NAME` or `file:PATH`: Ed25519 or P-256, in PEM or as a JWK
    #[arg(long, value_name = "REFERENCE")]
    instance_key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "\
Examples:
  At the first run, by a code of whoever runs the gateway; it prints the id of the instance:
    portcullis token enrol --url https://api.example.com --app mobile --code file:code --build 1.4.2 --out instance.pem
  And then, whenever a token is needed:
    portcullis token get --url https://api.example.com --app mobile --build 1.4.2 --instance q8Bx… --instance-key file:instance.pem

The private key never leaves this machine. A code is used up by it: keep the id and the file.
Exits with 0 when it has enrolled, with 1 when not; then no new file is left behind.";

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let transport = args.place.transport()?;
    let code = named_by("--code", &args.code)?;
    let code = std::str::from_utf8(code.expose().trim_ascii())
        .map_err(|_| Stop::usage("`--code` leads to bytes that are no code"))?;
    let key = args.key()?;
    // It is on the disk before the code is used up.
    let enrolled = token::enrol(&transport, &args.app, code, &key, &args.build);
    let instance = enrolled.map_err(|no| {
        if let Some(made) = &args.out {
            let _ = std::fs::remove_file(made);
        }
        stopped(no)
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json!({ "instance": instance }))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{instance}")?;
    if let Some(made) = &args.out {
        anstream::eprintln!(
            "this is the instance's id; its key is in {}",
            made.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn key(&self) -> Result<PrivateKey> {
        let key = match (&self.out, &self.instance_key) {
            (Some(path), _) => made(path)?,
            (None, reference) => {
                named_by("--instance-key", reference.as_deref().unwrap_or_default())?
            }
        };
        Ok(instance_key(&key).map_err(bad_key)?)
    }
}

/// A new key, written to a new file.
fn made(path: &Path) -> Result<Secret> {
    let shown = path.display();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|why| {
            Stop::usage(format!("`{shown}` cannot be made: {why}")).hint(
                "`--out` takes a file that is not there yet; `--instance-key file:PATH` one that is",
            )
        })?;
    let key = generate(Algorithm::Ed25519).ok_or_else(|| Stop::failed("no key can be made"))?;
    let written = file.write_all(key.expose()).and_then(|()| file.sync_all());
    if let Err(why) = written {
        let _ = std::fs::remove_file(path);
        return Err(Stop::failed(format!("the key cannot be written to `{shown}`: {why}")).into());
    }
    Ok(key)
}
