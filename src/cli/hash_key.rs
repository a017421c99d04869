//! `portcullis hash-key`: the hash of a static key, for `gateway.toml`.

use super::message::read_bounded;
use super::stop::Stop;
use crate::config;
use crate::secret::Secret;
use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Bytes that are read of a key: more than any has, so that one that is too long is told.
const MAX_INPUT: u64 = 4 * 1024;

/// Print the hash of a static key, for `api_keys` of an app
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The configuration whose `[api_keys] pepper` to hash under; one that is `generated:` is made if it is not there
    #[arg(short, long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// Read the key from this file, not from standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print the whole entry for a key with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  The entry of a key that a caller has already:
    portcullis hash-key -c gateway.toml --id legacy-1 --key-file legacy.key
  Of one in the clipboard, so that it is kept by no shell:
    portcullis hash-key --id legacy-1 < /dev/stdin

The key is never taken from the command line, where every process sees it. One
that holds `:` cannot be shown as `Basic KEY:`: its callers show `ID:KEY`.";

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let written = match &args.key_file {
        Some(path) => {
            let shown = path.display().to_string();
            let file = std::fs::File::open(path).map_err(|why| {
                Stop::usage(format!("the key's file `{shown}` cannot be opened: {why}"))
            })?;
            read_bounded(file, &shown, MAX_INPUT)?
        }
        None => read_bounded(std::io::stdin().lock(), "standard input", MAX_INPUT)?,
    };
    let written = Secret::new(written);
    if args.id.as_deref().is_some_and(|id| !config::is_key_id(id)) {
        return Err(Stop::usage("`--id` is not a key id")
            .hint("visible ASCII characters, without `\"` and `\\`")
            .into());
    }
    let hash = config::hash_static_key(&args.config, &written)
        .map_err(|report| Stop::bad_config(&report))?
        .map_err(|why| {
            Stop::usage(why).hint("the key alone, and nothing else, stands in the file")
        })?;
    let mut out = std::io::stdout().lock();
    match (args.json, &args.id) {
        (true, id) => writeln!(out, "{:#}", serde_json::json!({ "id": id, "hash": hash }))?,
        (false, Some(id)) => writeln!(out, "api_keys = [{{ id = \"{id}\", hash = \"{hash}\" }}]")?,
        (false, None) => writeln!(out, "{hash}")?,
    }
    Ok(ExitCode::SUCCESS)
}
