//! `portcullis token get`: a token for evidence.

use super::place::{Place, stopped};
use super::wire::Http;
use crate::cli::key::{AlgorithmName, named_by};
use crate::cli::prove::bad_key;
use crate::cli::stop::Stop;
use crate::client::token::{Dev, InstanceKey, Tokens, Workload, instance_key};
use crate::crypto::{Algorithm, BadKey, PrivateKey};
use crate::secret::Secret;
use anyhow::Result;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// Get a token from a gateway's key service, for evidence that a genuine app asks
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("evidence").required(true).args(["dev", "workload", "instance"])))]
#[command(group(clap::ArgGroup::new("gateway").required(true).args(["url", "config"])))]
pub(in crate::cli) struct Args {
    /// The app that asks
    #[arg(long, value_name = "NAME")]
    app: String,
    #[command(flatten)]
    place: Place,

    /// No evidence: an instance of this name, for a gateway on this machine whose configuration says so
    #[arg(long, value_name = "INSTANCE", help_heading = "Evidence")]
    dev: Option<String>,
    /// The token of a workload, `env:NAME` or `file:PATH`: of Kubernetes, GitHub Actions, SPIFFE
    #[arg(long, value_name = "REFERENCE", help_heading = "Evidence")]
    workload: Option<String>,
    /// An enrolled instance, by its id
    #[arg(long, value_name = "ID", requires_all = ["instance_key", "build"], allow_hyphen_values = true, help_heading = "Evidence")]
    instance: Option<String>,
    /// The private key of that instance, `env:NAME` or `file:PATH`, in PEM or as a JWK
    #[arg(
        long,
        value_name = "REFERENCE",
        requires = "instance",
        help_heading = "Evidence"
    )]
    instance_key: Option<String>,
    /// The algorithm of that key: ed25519 or ecdsa-p256-sha256 [default: that of the key]
    #[arg(
        long,
        value_name = "NAME",
        requires = "instance_key",
        hide_possible_values = true,
        help_heading = "Evidence"
    )]
    instance_algorithm: Option<AlgorithmName>,
    /// The build that the app runs
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "workload",
        help_heading = "Evidence"
    )]
    build: Option<String>,
    /// Bind the token to this `Authorization`, `env:NAME` or `file:PATH`, which goes with every request
    #[arg(long, value_name = "REFERENCE", help_heading = "Token")]
    authorization: Option<String>,
    /// Bind the token to the key with this thumbprint (RFC 7638)
    #[arg(
        long,
        value_name = "THUMBPRINT",
        allow_hyphen_values = true,
        help_heading = "Token"
    )]
    bound_to: Option<String>,
    /// Bind the token to this private key, `env:NAME` or `file:PATH`, such as the instance's own: its public half stands in
    /// the token, so that signatures of requests by it count too
    #[arg(
        long,
        value_name = "REFERENCE",
        conflicts_with = "bound_to",
        help_heading = "Token"
    )]
    bound_to_key: Option<String>,
    /// Not a token, but an attestation of the app as a client of OAuth, for that key
    #[arg(long, requires = "bound_to_key", help_heading = "Token")]
    client_attestation: bool,
    /// What the token is for: fewer scopes than the app has, joined by spaces
    #[arg(long, value_name = "SCOPES", help_heading = "Token")]
    scope: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  From a gateway on this machine whose app takes `dev`:
    portcullis token get -c gateway.toml --app mobile --dev my-laptop
  In a job of GitHub Actions, or a pod of Kubernetes:
    portcullis token get --url https://api.example.com --app ci --workload file:/var/run/secrets/tokens/portcullis
  Of an enrolled instance:
    portcullis token get --url https://api.example.com --app mobile --build 1.4.2 --instance q8Bx… --instance-key file:instance.pem

Whoever fails gets a token too, which opens nothing, unless the app has `on_failure = \"refuse\"`.
Exits with 0 when there is a token, with 1 when there is none.";

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let mut tokens = tokens(args, args.place.transport()?)?;
    if let Some(reference) = &args.authorization {
        let bytes = named_by("--authorization", reference)?;
        let text = std::str::from_utf8(bytes.expose().trim_ascii())
            .map_err(|_| Stop::usage("`--authorization` leads to bytes that are no text"))?;
        tokens = tokens.pay(text);
    }
    if let Some(thumbprint) = &args.bound_to {
        tokens = tokens.bound_to(thumbprint);
    }
    if let Some(reference) = &args.bound_to_key {
        let key = read_any(&named_by("--bound-to-key", reference)?).map_err(bad_key)?;
        tokens = if args.client_attestation {
            tokens.bound_to_key(&key).client_attestations()
        } else {
            tokens.bound_to_key(&key)
        };
    }
    if let Some(scope) = &args.scope {
        tokens = tokens.scope(scope);
    }
    let token = tokens.token().map_err(stopped)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(
            out,
            "{}",
            json!({ "token": token.text(), "expires_at": token.expires_at() })
        )?;
    } else {
        writeln!(out, "{}", token.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tokens(args: &Args, transport: Http) -> Result<Tokens> {
    if let Some(instance) = &args.dev {
        let mut dev = Dev::new(instance);
        if let Some(build) = &args.build {
            dev = dev.build(build);
        }
        return Ok(Tokens::new(&args.app, transport, dev));
    }
    if let Some(reference) = args.workload.clone() {
        // Read here, so that what is wrong with it is told as for every reference.
        let token = named_by("--workload", &reference)?;
        let text = String::from_utf8(token.expose().to_vec())
            .map_err(|_| Stop::usage("`--workload` leads to bytes that are no token"))?;
        let evidence = Workload::new(move |_: &str| Ok(text.clone()));
        return Ok(Tokens::new(&args.app, transport, evidence));
    }
    let (Some(instance), Some(key), Some(build)) =
        (&args.instance, &args.instance_key, &args.build)
    else {
        return Err(Stop::usage("an instance has an `--instance-key` and a `--build`").into());
    };
    let key = named_by("--instance-key", key)?;
    let evidence = match args.instance_algorithm {
        Some(named) => InstanceKey::new(instance, build, named.algorithm(), &key),
        None => instance_key(&key).map(|key| InstanceKey::of(instance, build, key)),
    };
    Ok(Tokens::new(
        &args.app,
        transport,
        evidence.map_err(bad_key)?,
    ))
}

/// A key that a token may hold, of whichever kind it is.
fn read_any(key: &Secret) -> Result<PrivateKey, BadKey> {
    instance_key(key)
        .or_else(|bad| PrivateKey::read(Algorithm::EcdsaP384Sha384, key).map_err(|_| bad))
}
