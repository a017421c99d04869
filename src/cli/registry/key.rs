//! `portcullis key`: what callers prove themselves with.

use super::changing::{self, Changing, Matching, One, Out};
use super::material::Material;
use super::reach::{Call, Reach};
use super::{Listing, Where, part, print, seconds, shown};
use crate::cli::paint::visible;
use crate::cli::printed;
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value as Json, json};
use std::io::Write as _;
use std::process::ExitCode;

/// Make, rotate and end the keys of apps
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  A secret for an app, into a file that only you can read:
    portcullis key create mobile --out mobile.key
  The public half of a pair that its caller made:
    portcullis key create partner --id partner-2026 --algorithm ed25519 --public-key partner.pub.pem
  A new key in place of an old one; both are taken for a day:
    portcullis key rotate mobile-2026 --overlap 24h --out mobile-new.key
  Somebody else has it: the old one is refused at once:
    portcullis key rotate mobile-2026 --panic
  Whether it is safe to retire (exit code 1 if not), and its end:
    portcullis key safe-to-retire mobile-2026 && portcullis key retire mobile-2026

A secret is shown once, when it is made: alone on standard output, or in the file of `--out`.";

#[derive(Subcommand)]
enum What {
    /// Make a key for an app
    Create(Create),
    /// List keys
    List {
        /// Only those of this app
        #[arg(long, value_name = "NAME")]
        app: Option<String>,
        #[command(flatten)]
        list: Listing,
    },
    /// Show one key
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        at: Where,
    },
    /// Let a pending key be used
    Activate {
        /// Since when [default: at once]
        #[arg(long, value_name = "MOMENT")]
        from: Option<String>,
        #[command(flatten)]
        one: One,
    },
    /// Put a new key in place of an old one
    Rotate(Rotate),
    /// End a key, now, or at a moment until which it drains
    Retire {
        /// When: a moment or a date [default: at once]
        #[arg(long, value_name = "MOMENT")]
        at_moment: Option<String>,
        #[command(flatten)]
        one: One,
    },
    /// End a key at once, since somebody else has it
    Revoke(One),
    /// Delete a key that is retired
    Delete(One),
    /// Tell whether a key is safe to retire: exit code 1 if not
    SafeToRetire {
        /// Its id
        id: String,
        /// For how long it must not have been used
        #[arg(long, value_name = "TIME", default_value = "7d")]
        quiet: String,
        #[command(flatten)]
        at: Where,
    },
}

#[derive(ClapArgs)]
struct Create {
    /// The app
    app: String,
    /// Its id [default: the app's name and some letters]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// `secret`, `public-key`, `pair` (the gateway's own, for the tokens that it makes), or `static` for migration only [default: `public-key` with `--public-key`, else `secret`]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    #[command(flatten)]
    material: Material,
    /// What it may prove; may be given again [default: as for a key of the configuration]
    #[arg(long, value_name = "SCHEME")]
    scheme: Vec<String>,
    /// Since when it may be used: a moment or a date [default: at once]
    #[arg(long, value_name = "MOMENT")]
    active_from: Option<String>,
    /// It may not be used until `key activate`
    #[arg(long, conflicts_with = "active_from")]
    pending: bool,
    /// When it ends: a moment or a date
    #[arg(long, value_name = "MOMENT")]
    not_after: Option<String>,
    /// Nobody is given it: whoever shows it found it where you laid it out, and raises an alarm
    #[arg(long)]
    honey: bool,
    /// Who holds it looks at an instance of the app before he makes it a token
    #[arg(long)]
    attests: bool,
    #[command(flatten)]
    out: Out,
    #[command(flatten)]
    how: Changing,
}

#[derive(ClapArgs)]
struct Rotate {
    /// The old one's id
    id: String,
    /// The new one's id [default: the app's name and some letters]
    #[arg(long, value_name = "ID")]
    new_id: Option<String>,
    /// How long both are taken: `30m`, `24h`, `7d`
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        conflicts_with = "panic"
    )]
    overlap: String,
    /// The old one is refused at once: somebody else has it
    #[arg(long)]
    panic: bool,
    #[command(flatten)]
    material: Material,
    #[command(flatten)]
    out: Out,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    how: Changing,
}

pub(super) const COLUMNS: print::Columns = &[
    ("KEY", |key| print::words(&key["id"])),
    ("APP", |key| print::words(&key["app"])),
    ("KIND", |key| print::words(&key["kind"])),
    ("ALGORITHM", |key| print::words(&key["algorithm"])),
    ("STATE", |key| print::words(&key["state"])),
    ("UNTIL", until),
    ("SOURCE", |key| print::words(&key["source"])),
];

/// When it ends, of whatever ends it first.
fn until(key: &Json) -> String {
    let ends = [&key["not_after"], &key["retired_from"]];
    let ends = ends.into_iter().filter_map(Json::as_str);
    ends.min().unwrap_or("-").to_owned()
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Create(create) => create.run()?,
        What::List { app, list } => {
            let query: Vec<(&str, &str)> =
                app.as_deref().map(|app| ("app", app)).into_iter().collect();
            list.tell("/v1/keys", &query, COLUMNS)?;
        }
        What::Show { id, at } => shown(at, &format!("/v1/keys/{}", part(id)))?,
        What::Activate { from, one } => {
            let from = from.clone().unwrap_or_else(now);
            let body = json!({ "active_from": from });
            let answer = one.change("keys", (Method::PATCH, ""), Some(body))?;
            // Until a moment to come it is as pending as it was.
            let done = match answer["after"]["state"].as_str() {
                Some("pending") => "scheduled",
                _ => "activated",
            };
            changing::print(&one.how, &format!("{done} key {}", one.id), &answer)?;
        }
        What::Rotate(rotate) => rotate.run()?,
        What::Retire { at_moment, one } => {
            let body = at_moment.as_ref().map(|at| json!({ "at": at }));
            let answer = one.change("keys", (Method::POST, "/retire"), body)?;
            // Until a moment to come it still proves what it did.
            let done = match answer["after"]["state"].as_str() {
                Some("draining") => "draining",
                _ => "retired",
            };
            changing::print(&one.how, &format!("{done} key {}", one.id), &answer)?;
        }
        What::Revoke(one) => ended(one, (Method::POST, "/revoke"), "revoked")?,
        What::Delete(one) => ended(one, (Method::DELETE, ""), "deleted")?,
        What::SafeToRetire { id, quiet, at } => return safe_to_retire(id, quiet, at),
    }
    Ok(ExitCode::SUCCESS)
}

impl Create {
    fn run(&self) -> Result<()> {
        let Self { out, how, .. } = self;
        let mut body = Map::new();
        let texts = [
            ("app", Some(&self.app)),
            ("id", self.id.as_ref()),
            ("kind", self.kind.as_ref()),
            ("active_from", self.active_from.as_ref()),
            ("not_after", self.not_after.as_ref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                body.insert(name.to_owned(), text.as_str().into());
            }
        }
        if self.pending {
            body.insert("active_from".to_owned(), Json::Null);
        }
        if !self.scheme.is_empty() {
            body.insert("schemes".to_owned(), self.scheme.clone().into());
        }
        for (name, flag) in [("honey", self.honey), ("attests", self.attests)] {
            if flag {
                body.insert(name.to_owned(), true.into());
            }
        }
        self.material.say(&mut body)?;
        let file = changing::prepare(how, out)?;
        let made = changing::make(how, "/v1/keys", body.into());
        let mut answer = changing::unless_failed(out, file.as_ref(), made)?;
        let id = visible(answer["after"]["id"].as_str().unwrap_or_default());
        changing::tell_secret(how, out, file, &mut answer, "secret")?;
        changing::print_beside(how, &format!("made key {id}"), &answer)
    }
}

impl Rotate {
    fn run(&self) -> Result<()> {
        let Self { id, out, how, .. } = self;
        let mut body = Map::new();
        if let Some(new) = &self.new_id {
            body.insert("id".to_owned(), new.as_str().into());
        }
        if self.panic {
            body.insert("panic".to_owned(), true.into());
        } else {
            let overlap = seconds(&self.overlap, "--overlap")?;
            body.insert("overlap_seconds".to_owned(), overlap.into());
        }
        self.material.say(&mut body)?;
        let file = changing::prepare(how, out)?;
        let (thing, action) = (("keys", &**id), (Method::POST, "/rotate"));
        let rotated = changing::change(how, &self.matching, thing, action, Some(body.into()));
        let mut answer = changing::unless_failed(out, file.as_ref(), rotated)?;
        let new = visible(answer["made"]["id"].as_str().unwrap_or_default());
        changing::tell_secret(how, out, file, &mut answer, "secret")?;
        changing::print_beside(how, &format!("made key {new} in place of {id}"), &answer)
    }
}

fn ended(one: &One, action: (Method, &str), done: &str) -> Result<()> {
    let answer = one.change("keys", action, None)?;
    changing::print(&one.how, &format!("{done} key {}", one.id), &answer)
}

fn safe_to_retire(id: &str, quiet: &str, at: &Where) -> Result<ExitCode> {
    let reach = Reach::find(at)?;
    let quiet = seconds(quiet, "--quiet")?.to_string();
    let path = format!("/v1/keys/{}/safe-to-retire", part(id));
    let answer = reach
        .ask(&Call::get(&path, &[("quiet_seconds", &quiet)]))?
        .body;
    let safe = answer["safe"].as_bool().unwrap_or_default();
    printed(tell_safety(at, safe, &answer))?;
    Ok(if safe {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn tell_safety(at: &Where, safe: bool, answer: &Json) -> Result<()> {
    let mut out = anstream::stdout().lock();
    if at.json {
        writeln!(out, "{answer:#}")?;
        return Ok(());
    }
    let word = if safe {
        "safe to retire"
    } else {
        "not safe to retire"
    };
    let why = visible(answer["why"].as_str().unwrap_or_default());
    writeln!(out, "{word}: {why}")?;
    let others = visible(&print::words(&answer["other_active_keys"]));
    writeln!(out, "other active keys that can take its place: {others}")?;
    Ok(())
}

fn now() -> String {
    crate::config::date(crate::clock::Clock::system().now().unix_seconds())
}
