//! `portcullis token get`: a token for evidence.

use super::wire::Http;
use crate::cli::key::{AlgorithmName, named_by};
use crate::cli::prove::bad_key;
use crate::cli::send;
use crate::cli::stop::Stop;
use crate::client::token::{Dev, InstanceKey, NoToken, Tokens, Workload};
use crate::config::{Config, period};
use anyhow::Result;
use http::Uri;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Get a token from a gateway's key service, for evidence that a genuine app asks
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("evidence").required(true).args(["dev", "workload", "instance"])))]
#[command(group(clap::ArgGroup::new("gateway").required(true).args(["url", "config"])))]
pub(in crate::cli) struct Args {
    /// The app that asks
    #[arg(long, value_name = "NAME")]
    app: String,
    /// The gateway, with scheme and host
    #[arg(long, value_name = "URL", help_heading = "Gateway")]
    url: Option<String>,
    /// The gateway that this configuration is of: `[server] public_url`, or where it listens
    #[arg(short, long, value_name = "FILE", help_heading = "Gateway")]
    config: Option<PathBuf>,
    /// Where the key service answers [default: what the configuration says, or /.portcullis]
    #[arg(long, value_name = "PATH", help_heading = "Gateway")]
    prefix: Option<String>,
    /// Trust the certificates of this file, and no others
    #[arg(long, value_name = "FILE", help_heading = "Gateway")]
    cacert: Option<PathBuf>,
    /// How long each of the two answers may take
    #[arg(long, value_name = "DURATION", value_parser = period, default_value = "30s", help_heading = "Gateway")]
    timeout: Duration,
    /// No evidence: an instance of this name, for a gateway on this machine whose configuration says so
    #[arg(long, value_name = "INSTANCE", help_heading = "Evidence")]
    dev: Option<String>,
    /// The token of a workload, `env:NAME` or `file:PATH`: of Kubernetes, GitHub Actions, SPIFFE
    #[arg(long, value_name = "REFERENCE", help_heading = "Evidence")]
    workload: Option<String>,
    /// An enrolled instance, by its id
    #[arg(long, value_name = "ID", requires_all = ["instance_key", "build"], help_heading = "Evidence")]
    instance: Option<String>,
    /// The private key of that instance, `env:NAME` or `file:PATH`, in PEM or as a JWK
    #[arg(
        long,
        value_name = "REFERENCE",
        requires = "instance",
        help_heading = "Evidence"
    )]
    instance_key: Option<String>,
    /// The algorithm of that key: ed25519 or ecdsa-p256-sha256
    #[arg(
        long,
        value_name = "NAME",
        default_value = "ed25519",
        help_heading = "Evidence"
    )]
    instance_algorithm: AlgorithmName,
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
    #[arg(long, value_name = "THUMBPRINT", help_heading = "Token")]
    bound_to: Option<String>,
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
    portcullis token get --url https://api.example.com --app mobile --instance 3f… --instance-key file:instance.pem --build 1.4.2

Whoever fails gets a token too, which opens nothing, unless the app has `on_failure = \"refuse\"`.
Exits with 0 when there is a token, with 1 when there is none.";

/// Where the key service of a gateway answers, unless it is said.
const USUAL_PREFIX: &str = "/.portcullis";

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let (base, prefix) = place(args)?;
    let uri: Uri = base
        .parse()
        .ok()
        .filter(|uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        })
        .ok_or_else(|| {
            Stop::usage(format!("`{base}` is no URL of a gateway"))
                .hint("with scheme and host: `https://api.example.com`")
        })?;
    let transport = Http {
        base: format!(
            "{}{}/",
            base.trim_end_matches('/'),
            prefix.trim_end_matches('/')
        ),
        tls: send::tls(&uri, args.cacert.as_deref())?,
        timeout: args.timeout,
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?,
    };
    let mut tokens = tokens(args, transport)?;
    if let Some(reference) = &args.authorization {
        let bytes = named_by(reference)?;
        let text = std::str::from_utf8(bytes.expose().trim_ascii())
            .map_err(|_| Stop::usage("`--authorization` leads to bytes that are no text"))?;
        tokens = tokens.pay(text);
    }
    if let Some(thumbprint) = &args.bound_to {
        tokens = tokens.bound_to(thumbprint);
    }
    if let Some(scope) = &args.scope {
        tokens = tokens.scope(scope);
    }
    let token = tokens.token().map_err(stopped)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json!({ "token": token.text() }))?;
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
        let token = named_by(&reference)?;
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
    let algorithm = args.instance_algorithm.algorithm();
    let evidence =
        InstanceKey::new(instance, build, algorithm, &named_by(key)?).map_err(bad_key)?;
    Ok(Tokens::new(&args.app, transport, evidence))
}

/// The gateway's URL, and the path that its key service answers below.
fn place(args: &Args) -> Result<(String, String)> {
    let said = args.prefix.clone();
    if let Some(url) = &args.url {
        return Ok((url.clone(), said.unwrap_or_else(|| USUAL_PREFIX.to_owned())));
    }
    let path = args.config.clone().unwrap_or_default();
    // To look at, not to run on: no secret is made for it.
    let loaded = Config::check(&path).map_err(|report| Stop::bad_config(&report))?;
    let minting = loaded.config.gateway.minting.ok_or_else(|| {
        Stop::usage("no app of this configuration gets tokens")
            .hint("`tokens = { … }` on an app switches the key service on")
    })?;
    let server = &loaded.config.server;
    let scheme = if server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let listens = || {
        server
            .listen
            .iter()
            .find_map(crate::server::Listen::address)
    };
    let base = match (&loaded.config.gateway.public_url, listens()) {
        (Some(url), _) => format!("{}://{}", url.scheme, url.authority),
        (None, Some(address)) if address.ip().is_unspecified() => {
            format!("{scheme}://127.0.0.1:{}", address.port())
        }
        (None, Some(address)) => format!("{scheme}://{address}"),
        (None, None) => {
            return Err(
                Stop::usage("the gateway of this configuration listens at no address")
                    .hint("name one with `--url`")
                    .into(),
            );
        }
    };
    Ok((base, said.unwrap_or_else(|| minting.prefix.to_string())))
}

fn stopped(no: NoToken) -> Stop {
    let stop = Stop::failed(no.to_string());
    match no {
        NoToken::Refused {
            detail: Some(detail),
            ..
        } => stop.hint(detail),
        NoToken::Nonsense(_) | NoToken::Refused { status: 404, .. } => {
            stop.hint("is the key service there? `--prefix` names its path")
        }
        _ => stop,
    }
}
