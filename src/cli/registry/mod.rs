//! `portcullis app`, `key`, `instance`, `audit`, `reload`: the admin API from the shell – that of a gateway which
//! runs, or, where none does, the same code on what it would run on.

pub(super) mod app;
pub(super) mod audit;
pub(super) mod instance;
pub(super) mod key;
pub(super) mod reload;

mod changing;
mod lacking;
mod material;
mod offline;
mod print;
mod reach;

use super::stop::Stop;
use anyhow::Result;
use clap::Args;
use reach::{Call, Reach};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// How many are listed where it is not said.
const USUAL: usize = 1_000;
/// How many one answer lists.
const PAGE: usize = 1_000;

/// Which gateway, and how to print.
#[derive(Args, Clone, Debug)]
pub(super) struct Where {
    /// The configuration: it tells where the admin API is, and what to work on when no gateway runs
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "gateway.toml",
        help_heading = "Gateway"
    )]
    pub(super) config: PathBuf,
    /// The admin API: `http://HOST:PORT`, `https://…` or `unix:PATH` [default: what `[admin] listen` says]
    #[arg(long, value_name = "URL", help_heading = "Gateway")]
    pub(super) admin: Option<String>,
    /// The file that holds the token [default: what `[admin] token` says]
    #[arg(long, value_name = "FILE", help_heading = "Gateway")]
    pub(super) token_file: Option<PathBuf>,
    /// Whom to trust when the API is `https`, and no others: certificates in PEM
    #[arg(long, value_name = "FILE", help_heading = "Gateway")]
    pub(super) cacert: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// How many are listed, and of which gateway.
#[derive(Args, Clone, Debug)]
struct Listing {
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = USUAL)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

impl Listing {
    /// Lists what stands there, and prints it.
    fn tell(&self, path: &str, query: &[(&str, &str)], columns: print::Columns) -> Result<()> {
        listed(&self.at, path, query, self.limit, columns)
    }
}

/// Asks for a list, page by page, until `limit` items are there. Tells whether there are more.
fn list(
    reach: &Reach,
    path: &str,
    query: &[(&str, &str)],
    limit: usize,
) -> Result<(Vec<Json>, bool)> {
    let mut items = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let wanted = (limit - items.len()).clamp(1, PAGE).to_string();
        let mut query = query.to_vec();
        query.push(("limit", &wanted));
        if let Some(next) = &next {
            query.push(("page", next));
        }
        let mut page = reach.ask(&Call::get(path, &query))?.body;
        let Some(Json::Array(more)) = page.get_mut("items").map(Json::take) else {
            return Err(Stop::failed("what answers there is no admin API of ours").into());
        };
        items.extend(more);
        next = page["next"].as_str().map(ToOwned::to_owned);
        if next.is_none() || items.len() >= limit {
            return Ok((items, next.is_some()));
        }
    }
}

/// Lists, and prints it.
fn listed(
    at: &Where,
    path: &str,
    query: &[(&str, &str)],
    limit: usize,
    columns: print::Columns,
) -> Result<()> {
    if limit == 0 {
        return Err(Stop::usage("`--limit` `0` lists nothing")
            .hint("a number from 1 on is accepted")
            .into());
    }
    let reach = Reach::find(at)?;
    let (items, more) = list(&reach, path, query, limit)?;
    let mut out = anstream::stdout().lock();
    if at.json {
        writeln!(out, "{:#}", json!({ "items": items, "more": more }))?;
        return Ok(());
    }
    write!(out, "{}", print::table(columns, &items))?;
    if more {
        writeln!(out, "and more: `--limit` lists them")?;
    }
    Ok(())
}

/// Shows one thing.
fn shown(at: &Where, path: &str) -> Result<()> {
    let reach = Reach::find(at)?;
    let mut reply = reach.ask(&Call::get(path, &[]))?;
    let mut out = anstream::stdout().lock();
    if at.json {
        reply.body["etag"] = reply.etag.into();
        writeln!(out, "{:#}", reply.body)?;
    } else {
        write!(out, "{}", print::members(&reply.body))?;
    }
    Ok(())
}

/// How long an option says, in seconds.
fn seconds(text: &str, option: &str) -> Result<u64> {
    let period = crate::config::period(text).map_err(|why| {
        Stop::usage(format!("`{option}` `{text}`: {why}")).hint("`30m`, `24h`, `7d`")
    })?;
    Ok(period.as_secs().max(1))
}

/// A name as a part of a path.
fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// What to do where the file is broken and the gateway is not.
const PAST_THE_FILE: &str = "a gateway that runs goes on with what it had read before: `--admin URL --token-file FILE` reaches it without this file";

/// A gateway goes on with what it has read before, and can be told to let a stolen key go.
fn with_a_way_past(why: anyhow::Error) -> anyhow::Error {
    match why.downcast::<Stop>() {
        Ok(stop) => stop.hint(PAST_THE_FILE).into(),
        Err(why) => why,
    }
}
