//! `portcullis vectors`: test vectors for exactly one configuration, negative ones too.
//!
//! In: `gateway.toml`. Out: a folder of JSON files, one for each route and way to
//! prove a request, with a verdict for each request that is the gateway's own. It
//! reads no secret of the configuration unless it is told to, and writes none ever.

mod cases;
mod changes;
mod keys;
mod proofs;
mod written;

use super::moment::unix_seconds;
use super::prove::secret_of;
use super::stop::Stop;
use crate::apps::Registry;
use crate::clock::Clock;
use crate::config::Config;
use anyhow::Result;
use cases::Maker;
use keys::Holders;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use written::Folder;

/// Write test vectors for your configuration, negative ones too
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to write them: a folder that is empty, or not there yet
    folder: PathBuf,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// What the throw-away secrets are made of: the same ones for the same text
    #[arg(long, value_name = "TEXT", default_value = "portcullis")]
    seed: String,
    /// When the requests are made, in Unix seconds [default: now]
    #[arg(long, value_name = "UNIX", value_parser = unix_seconds)]
    time: Option<u64>,
    /// Sign with the configuration's own shared secrets: what is written passes your gateway, so keep it as you keep them
    #[arg(long)]
    with_real_secrets: bool,
}

const EXAMPLES: &str = "\
Examples:
  Vectors for the client that you write, the same ones each time:
    portcullis vectors -c gateway.toml --seed my-client --time 1800000000 vectors/

The folder's README.md tells what is in it.";

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let time = args
        .time
        .unwrap_or_else(|| Clock::system().now().unix_seconds().unsigned_abs());
    let folder = Folder::new(&args.folder, args.with_real_secrets)?;
    let (holders, maker) = made(args, time)?;
    let mut files = Vec::new();
    let mut skipped = Vec::new();
    for route in maker.routes() {
        for way in Maker::ways(route) {
            let file = maker.file(route, way, &holders)?;
            if file.cases.is_empty() {
                skipped.push(format!("`{}` on route `{}`", way.name(), route.name));
            } else {
                files.push(file);
            }
        }
    }
    let count: usize = files.iter().map(|file| file.cases.len()).sum();
    folder.write(&files, &holders, &skipped, time)?;
    let mut out = anstream::stdout();
    writeln!(
        out,
        "{count} requests in {} files: {}",
        files.len(),
        args.folder.display()
    )?;
    for one in &skipped {
        writeln!(
            out,
            "none for {one}: no key of the configuration passes so, or it is not made of a request alone"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys, and what makes requests of them.
fn made(args: &Args, time: u64) -> Result<(Holders, Maker)> {
    let loaded = if args.with_real_secrets {
        Config::check(&args.config)
    } else {
        // No other file and no variable is looked at: every key is one that nobody knows.
        Config::skim(&args.config)
    };
    let loaded = loaded.map_err(|report| Stop::bad_config(&report))?;
    let gateway = crate::cli::explain::Gateway::of(&loaded.config);
    let mut blueprint = loaded.config.gateway;
    let notes = loaded.resolved.keys().iter();
    let real = notes.filter_map(|note| {
        let key = blueprint.keys.iter().find(|key| *key.id == *note.id);
        let secret = secret_of(&args.config, note, key, &blueprint.routes)?;
        Some((note.id.clone(), secret))
    });
    let real = args.with_real_secrets.then(|| real.collect());
    let holders = Holders::of(&mut blueprint.keys, &args.seed, real)?;
    let is_tls = loaded.config.server.tls.is_some();
    let registry = Registry::new(blueprint.apps, blueprint.keys, 1)?
        .with_certificates(blueprint.certificates)?;
    let maker = Maker::new(
        crate::cli::explain::Ground {
            nowhere: crate::cli::explain::nowhere(&blueprint.routes),
            routes: blueprint.routes,
            registry,
            may_be_made: false,
            freshness: blueprint.freshness,
            tokens: blueprint.tokens,
            public_url: blueprint.public_url,
            is_tls,
            gateway,
        },
        time,
    );
    Ok((holders, maker))
}
