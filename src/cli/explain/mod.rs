//! `portcullis explain`: what the gateway makes of a request, and the step
//! that would refuse it.

mod advice;
mod api_key;
mod aws_sigv4;
mod body;
mod case;
mod ground;
mod head;
mod hmac_auth;
mod judge;
mod print;
mod report;
mod shown;
mod token;
mod unknown;
mod unsaid;
mod veil;
mod webhook;

use super::key::{KeyArgs, NamedKey};
use super::message::read_bounded;
use super::moment::unix_seconds;
use super::pasted::{Pasted, without_mark};
use super::prove::{DialectName, SenderName, bad_key, key_bytes, secret_of};
use super::stop::{FAILED, Stop};
use crate::apps::{App, Key, Registry};
use crate::clock::{Clock, Now};
use crate::config::Config;
use crate::crypto::{BadKey, PssSalt, PublicKey, SigningKey, VerifyingKey};
use crate::route::{Dialect, Route, Sender, Table, Webhooks};
use crate::schemes::freshness::Freshness;
use crate::schemes::token::Settings as TokenSettings;
use crate::secret::Secret;
use anyhow::Result;
pub(super) use ground::{Gateway, Ground};
pub(super) use judge::judge;
use report::Report;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
pub(super) use veil::nowhere;

/// Bytes of a request, or of a signature base, that are read.
const MAX_INPUT: u64 = 64 * 1024 * 1024;
/// What the key of a webhook is called that no configuration names.
const UNNAMED: &str = "the sender's";
/// What is used when neither file nor option names a configuration.
const USUAL_CONFIG: &str = "gateway.toml";

/// Show what the gateway makes of a request, and which step would refuse it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The request: raw (`POST /orders HTTP/1.1`, headers, an empty line, the body), an entry of a HAR file, or a `curl`
    /// line as browsers copy it; standard input when left out
    request: Option<PathBuf>,
    /// Which entry of a HAR file, from 1
    #[arg(long, value_name = "NUMBER")]
    entry: Option<usize>,
    /// Take routes and keys from this configuration [default: gateway.toml, if it is there]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    key: KeyArgs,
    /// Read a signature of `hmac-auth` so, where no configuration says it
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    dialect: Option<DialectName>,
    /// Read a webhook so, where no configuration says it; `--key-id` is not needed
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "dialect"])]
    sender: Option<SenderName>,
    /// Fetch the keys of issuers whose `jwks` is a URL, to judge their tokens: nothing else goes over the network
    #[arg(long)]
    fetch: bool,
    /// The caller speaks `https` (`[server] public_url` says so too)
    #[arg(long)]
    https: bool,
    /// The text that the caller signed: marks the first byte that differs, and names the likely cause
    #[arg(long, visible_alias = "their-text", value_name = "FILE")]
    base: Option<PathBuf>,
    /// The moment to judge at: Unix seconds, or `now`
    #[arg(long, value_name = "UNIX", default_value = "now", value_parser = moment)]
    at: Moment,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  With the routes and keys of a configuration:
    portcullis explain -c gateway.toml request.txt
  With a key alone, from a trace:
    curl -v … 2>&1 | portcullis explain --key-id demo --secret file:demo.key
  What a browser sent, copied as HAR or as cURL:
    portcullis explain -c gateway.toml --entry 3 session.har
    portcullis explain -c gateway.toml copied-as-curl.txt
  A webhook that was kept, with the sender's secret:
    portcullis explain --sender github --secret file:hooks.secret request.txt
  A token of an issuer outside, with its keys as they are now:
    portcullis explain -c gateway.toml --fetch request.txt
  Beside the text that your program signed:
    portcullis explain -c gateway.toml --base mine.txt request.txt

Exits with 0 when the request would pass, with 1 when it would not or that cannot be told.";

const NO_STDIN: &str = "the line takes the body from standard input: put it into a file, and name that, `--data-binary @FILE`";

#[derive(Clone, Copy)]
enum Moment {
    Now,
    Unix(u64),
}

fn moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Now);
    }
    unix_seconds(text)
        .map(Moment::Unix)
        .map_err(|why| format!("{why}, or `now`"))
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut ground = ground(args)?;
    ground.is_tls |= args.https;
    let text = match args.request.as_deref() {
        Some(path) if path != Path::new("-") => file(path)?,
        _ if args.key.takes_stdin() => {
            return Err(
                Stop::usage("standard input cannot be both the secret and the request").into(),
            );
        }
        _ => read_bounded(std::io::stdin().lock(), "standard input", MAX_INPUT)?,
    };
    let files = |name: &str| match name {
        "-" => Err(NO_STDIN.to_owned()),
        name => file(Path::new(name)).map_err(|why| why.to_string()),
    };
    let raw = Pasted::read(&text, args.entry, &files)?;
    let base = args.base.as_deref().map(file).transpose()?;
    let now = match args.at {
        Moment::Now => Clock::system().now(),
        Moment::Unix(seconds) => Now::new(Duration::from_secs(seconds), Duration::ZERO),
    };
    let base = base.as_deref().map(without_mark);
    let report = judge(&raw, &ground, base, now);
    super::printed(show(&report, args.json))?;
    Ok(if report.passes {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn show(report: &Report, json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        print::print(&mut out, report)?;
    }
    Ok(())
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let file = std::fs::File::open(path)
        .map_err(|why| Stop::usage(format!("`{shown}` cannot be opened: {why}")))?;
    read_bounded(file, &shown.to_string(), MAX_INPUT)
}

/// The configuration's routes and keys, or the one key that was named, or nothing.
fn ground(args: &Args) -> Result<Ground> {
    let sender = args.sender.map(SenderName::named);
    let key = match sender {
        Some(_) if args.key.is_given() => Some(args.key.unnamed()?),
        _ => args.key.optional()?,
    };
    let config = match (&args.config, &key) {
        (Some(_), Some(_)) => {
            return Err(Stop::usage("`--config` and `--key-id` exclude each other")
                .hint("the configuration names its keys by itself")
                .into());
        }
        (Some(path), None) => Some(path.as_path()),
        (None, None)
            if args.dialect.is_none() && sender.is_none() && Path::new(USUAL_CONFIG).exists() =>
        {
            Some(Path::new(USUAL_CONFIG))
        }
        _ => None,
    };
    match config {
        Some(path) => configured(path, args.fetch),
        None if args.fetch => Err(
            Stop::usage("`--fetch` needs a configuration with `[issuers]`")
                .hint("name it with `-c gateway.toml`")
                .into(),
        ),
        None => lone(key, args.dialect.map(DialectName::named), sender),
    }
}

fn configured(path: &Path, may_fetch: bool) -> Result<Ground> {
    // To look at, not to run on: no secret is made for it.
    let loaded = Config::check(path).map_err(|report| Stop::bad_config(&report))?;
    let is_tls = loaded.config.server.tls.is_some();
    let gateway = Gateway::of(&loaded.config);
    let may_be_made = loaded.config.registry.is_some();
    let blueprint = loaded.config.gateway;
    let mut registry = Registry::new(blueprint.apps, blueprint.keys, 1)?
        .with_certificates(blueprint.certificates)?;
    if let Some(keys) = blueprint.static_keys {
        registry = registry
            .with_static_keys(keys.pepper, keys.list)?
            .with_sunset(keys.notice.sunset());
    }
    // Whoever reads the configuration may know all that it leads to.
    let secrets = loaded.resolved.keys().iter().filter_map(|note| {
        let key = registry.key(&note.id);
        let secret = secret_of(path, note, key.as_deref(), &blueprint.routes)?;
        Some((note.id.as_str().into(), secret))
    });
    let secrets = secrets.collect();
    registry = registry.telling(secrets, true);
    let mut tokens = blueprint.tokens;
    if may_fetch {
        let clock = Clock::system();
        for (place, source) in blueprint.sources {
            source.fetch_once(&clock).map_err(|why| {
                let (name, at) = (&source.settings.name, &source.settings.place);
                Stop::failed(format!(
                    "the keys of issuer `{name}` cannot be had from {at}: {why}"
                ))
            })?;
            if let Some(issuer) = tokens.issuers_mut().get_mut(place) {
                issuer.keys = source.known.keys().clone();
            }
        }
    }
    Ok(Ground {
        nowhere: nowhere(&blueprint.routes),
        routes: blueprint.routes,
        registry,
        may_be_made,
        freshness: blueprint.freshness,
        tokens,
        public_url: blueprint.public_url,
        is_tls,
        gateway,
    })
}

/// One route that takes everything, and at most one key.
fn lone(key: Option<NamedKey>, dialect: Option<Dialect>, sender: Option<Sender>) -> Result<Ground> {
    const MAX_LIFETIME: Duration = Duration::from_mins(15);
    let app = Arc::new(App {
        explain: true,
        ..App::new("caller")
    });
    let key = key.map(|mut key| -> Result<NamedKey> {
        if let Some(sender) = sender {
            key.secret = key_bytes(sender, key.algorithm, key.written.expose())?;
            key.written = Secret::new(key.secret.expose().to_vec());
            if key.id.is_empty() {
                UNNAMED.clone_into(&mut key.id);
            }
        }
        Ok(key)
    });
    let key = key.transpose()?;
    let secrets = key.iter().filter(|key| key.algorithm.is_mac()).map(|key| {
        (
            key.id.as_str().into(),
            Secret::new(key.secret.expose().to_vec()),
        )
    });
    let secrets = secrets.collect();
    let key = key
        .map(|key| {
            verifying(&key).map(|verifying| Key::new(key.id.as_str(), app.clone(), verifying))
        })
        .transpose()
        .map_err(bad_key)?;
    let webhooks = sender.map(|sender| Webhooks {
        sender,
        app: app.index,
        query: false,
        window: None,
        hold: MAX_INPUT,
    });
    let routes = Table::new(vec![Route {
        dialect,
        webhooks,
        ..Route::any("any")
    }])
    .expect("one route ties with none");
    Ok(Ground {
        nowhere: nowhere(&routes),
        routes,
        registry: Registry::new(vec![app], key.into_iter().collect(), 1)?.telling(secrets, true),
        may_be_made: false,
        freshness: Freshness::USUAL,
        tokens: TokenSettings::new(None, MAX_LIFETIME, Freshness::USUAL.skew),
        public_url: None,
        is_tls: false,
        gateway: Gateway::Unknown,
    })
}

/// The key to verify with: of a pair, the half that was named or the one that belongs to it.
fn verifying(key: &NamedKey) -> Result<VerifyingKey, BadKey> {
    if !key.algorithm.is_mac() {
        match PublicKey::read(key.algorithm, key.written.expose(), PssSalt::Digest) {
            Err(BadKey::Private) => {}
            read => return read.map(VerifyingKey::Public),
        }
    }
    // A short secret may be of another gateway, or of who sends webhooks: what it proves is said by the scheme.
    SigningKey::taken_over(key.algorithm, &key.secret)?.verifying()
}
