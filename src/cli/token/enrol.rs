//! `portcullis token enrol`: a key for a new instance of an app, by a one-time code.

use super::place::{Place, stopped};
use crate::cli::aside;
use crate::cli::key::named_by;
use crate::cli::paint::visible;
use crate::cli::prove::bad_key;
use crate::cli::stop::Stop;
use crate::client::token::{self, NoToken, instance_key};
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
Exits with 0 when it has enrolled, with 1 when not, and then no new file is left behind; also with 1 when that is not known,
or its id cannot be printed: then the file stays.";

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let transport = args.place.transport()?;
    let code = named_by("--code", &args.code)?;
    let code = std::str::from_utf8(code.expose().trim_ascii())
        .map_err(|_| Stop::usage("`--code` leads to bytes that are no code"))?;
    let key = args.key()?;
    // It is on the disk before the code is used up.
    let enrolled = token::enrol(&transport, &args.app, code, &key, &args.build);
    let instance = enrolled.map_err(|no| args.failed(no, transport.may_have_arrived()))?;
    let told = if args.json {
        json!({ "instance": instance }).to_string()
    } else {
        instance.clone()
    };
    let mut out = std::io::stdout().lock();
    let printed = writeln!(out, "{told}").and_then(|()| out.flush());
    printed.map_err(|why| args.lost(&instance, &why))?;
    if let (false, Some(made)) = (args.json, &args.out) {
        aside(&format_args!(
            "this is the instance's id; its key is in {}",
            made.display()
        ));
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

    /// What is told when no id came back. The new file goes only where nobody can have enrolled: else it may be all that
    /// there is of an instance.
    fn failed(&self, no: NoToken, may_have_arrived: bool) -> Stop {
        if !is_certain(&no, may_have_arrived) {
            let told = format!("{}; whether it has enrolled is not known", reason(&no));
            let (app, key, again) = (&self.app, self.made_key(), self.again());
            let hint = format!(
                "where the gateway is, `portcullis instance list {app}` tells{key}; if no such instance is listed, {again}"
            );
            return Stop::failed(told).hint(hint);
        }
        if let Some(made) = &self.out {
            let _ = std::fs::remove_file(made);
        }
        stopped(no)
    }

    /// What is told when it has enrolled and nobody reads its id, which is told nowhere else here.
    fn lost(&self, instance: &str, why: &std::io::Error) -> Stop {
        let told = format!("its id cannot be written to standard output: {why}");
        let key = self.made_key();
        Stop::failed(told).hint(format!(
            "it has enrolled all the same, as the instance `{instance}`{key}"
        ))
    }

    /// How the same key is tried again.
    fn again(&self) -> String {
        match &self.out {
            Some(made) => format!("go on with `--instance-key file:{}`", made.display()),
            None => "run this again".to_owned(),
        }
    }

    /// Where its key stays, if that was made.
    fn made_key(&self) -> String {
        let made = self.out.as_ref();
        let told = made.map(|made| format!("; its key stays in `{}`", made.display()));
        told.unwrap_or_default()
    }
}

/// What failed, and what the gateway says to it.
fn reason(no: &NoToken) -> String {
    match no {
        NoToken::Refused {
            detail: Some(detail),
            ..
        } => format!("{no}: {}", visible(detail.trim_end_matches('.'))),
        _ => no.to_string(),
    }
}

/// Codes of failures that are told before anything is done.
const DONE_NOTHING: [&str; 2] = ["overloaded", "replay-store-full"];

/// Whether nobody can have enrolled: the request reached nobody, or was refused. Of what failed behind somebody who
/// passes it on, or where the disk did not confirm it, that is not known.
fn is_certain(no: &NoToken, may_have_arrived: bool) -> bool {
    match no {
        NoToken::Refused { status, code, .. } => {
            let code = code.as_deref();
            *status < 500 || code.is_some_and(|code| DONE_NOTHING.contains(&code))
        }
        _ => !may_have_arrived,
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
