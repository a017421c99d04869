//! `portcullis key`: what callers prove themselves with.

use super::changing::{self, Changing, Matching, Out};
use super::material::Material;
use super::reach::{Call, Reach};
use super::{USUAL, Where, listed, part, print, shown};
use crate::cli::paint::visible;
use crate::cli::stop::Stop;
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
  Whether anybody still uses it (exit code 1 if so), and its end:
    portcullis key safe-to-retire mobile-2026 && portcullis key retire mobile-2026

A secret is shown once, when it is made: alone on standard output, or in the file of `--out`.";

#[derive(Subcommand)]
enum What {
    /// Make a key for an app
    Create {
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
    },
    /// List keys
    List {
        /// Only those of this app
        #[arg(long, value_name = "NAME")]
        app: Option<String>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = USUAL)]
        limit: usize,
        #[command(flatten)]
        at: Where,
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
        /// Its id
        id: String,
        /// Since when [default: at once]
        #[arg(long, value_name = "MOMENT")]
        from: Option<String>,
        #[command(flatten)]
        matching: Matching,
        #[command(flatten)]
        how: Changing,
    },
    /// Put a new key in place of an old one
    Rotate {
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
    },
    /// End a key, now, or at a moment until which it drains
    Retire {
        /// Its id
        id: String,
        /// When: a moment or a date [default: at once]
        #[arg(long, value_name = "MOMENT")]
        at_moment: Option<String>,
        #[command(flatten)]
        matching: Matching,
        #[command(flatten)]
        how: Changing,
    },
    /// End a key at once, since somebody else has it
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        matching: Matching,
        #[command(flatten)]
        how: Changing,
    },
    /// Delete a key that is retired
    Delete {
        /// Its id
        id: String,
        #[command(flatten)]
        matching: Matching,
        #[command(flatten)]
        how: Changing,
    },
    /// Tell whether anybody still uses a key: exit code 1 if so
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
        What::Create { .. } => create(&args.what)?,
        What::List { app, limit, at } => {
            let query: Vec<(&str, &str)> =
                app.as_deref().map(|app| ("app", app)).into_iter().collect();
            listed(at, "/v1/keys", &query, *limit, COLUMNS)?;
        }
        What::Show { id, at } => shown(at, &format!("/v1/keys/{}", part(id)))?,
        What::Activate {
            id,
            from,
            matching,
            how,
        } => {
            let from = from.clone().unwrap_or_else(now);
            let body = json!({ "active_from": from });
            ended(
                how,
                matching,
                id,
                (Method::PATCH, ""),
                Some(body),
                "activated",
            )?;
        }
        What::Rotate { .. } => rotate(&args.what)?,
        What::Retire {
            id,
            at_moment,
            matching,
            how,
        } => {
            let body = at_moment.as_ref().map(|at| json!({ "at": at }));
            ended(
                how,
                matching,
                id,
                (Method::POST, "/retire"),
                body,
                "retired",
            )?;
        }
        What::Revoke { id, matching, how } => {
            ended(
                how,
                matching,
                id,
                (Method::POST, "/revoke"),
                None,
                "revoked",
            )?;
        }
        What::Delete { id, matching, how } => {
            ended(how, matching, id, (Method::DELETE, ""), None, "deleted")?;
        }
        What::SafeToRetire { id, quiet, at } => return safe_to_retire(id, quiet, at),
    }
    Ok(ExitCode::SUCCESS)
}

fn create(what: &What) -> Result<()> {
    let What::Create {
        app,
        id,
        kind,
        material,
        scheme,
        active_from,
        pending,
        not_after,
        honey,
        attests,
        out,
        how,
    } = what
    else {
        return Ok(());
    };
    let mut body = Map::new();
    let texts = [
        ("app", Some(app)),
        ("id", id.as_ref()),
        ("kind", kind.as_ref()),
        ("active_from", active_from.as_ref()),
        ("not_after", not_after.as_ref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.to_owned(), text.as_str().into());
        }
    }
    if *pending {
        body.insert("active_from".to_owned(), Json::Null);
    }
    if !scheme.is_empty() {
        body.insert("schemes".to_owned(), scheme.clone().into());
    }
    for (name, flag) in [("honey", *honey), ("attests", *attests)] {
        if flag {
            body.insert(name.to_owned(), true.into());
        }
    }
    material.say(&mut body)?;
    let file = changing::prepare(how, out)?;
    let made = changing::make(how, "/v1/keys", body.into());
    let mut answer = changing::unless_failed(out, file.as_ref(), made)?;
    let id = visible(answer["after"]["id"].as_str().unwrap_or_default());
    changing::tell_secret(how, out, file, &mut answer, "secret")?;
    changing::print_beside(how, &format!("made key {id}"), &answer)
}

fn rotate(what: &What) -> Result<()> {
    let What::Rotate {
        id,
        new_id,
        overlap,
        panic,
        material,
        out,
        matching,
        how,
    } = what
    else {
        return Ok(());
    };
    let mut body = Map::new();
    if let Some(new) = new_id {
        body.insert("id".to_owned(), new.as_str().into());
    }
    if *panic {
        body.insert("panic".to_owned(), true.into());
    } else {
        body.insert(
            "overlap_seconds".to_owned(),
            seconds(overlap, "--overlap")?.into(),
        );
    }
    material.say(&mut body)?;
    let file = changing::prepare(how, out)?;
    let action = (Method::POST, "/rotate");
    let rotated = changing::change(how, matching, ("keys", id), action, Some(body.into()));
    let mut answer = changing::unless_failed(out, file.as_ref(), rotated)?;
    let new = visible(answer["made"]["id"].as_str().unwrap_or_default());
    changing::tell_secret(how, out, file, &mut answer, "secret")?;
    changing::print_beside(how, &format!("made key {new} in place of {id}"), &answer)
}

fn ended(
    how: &Changing,
    matching: &Matching,
    id: &str,
    action: (Method, &str),
    body: Option<Json>,
    done: &str,
) -> Result<()> {
    let answer = changing::change(how, matching, ("keys", id), action, body)?;
    changing::print(how, &format!("{done} key {id}"), &answer)
}

fn safe_to_retire(id: &str, quiet: &str, at: &Where) -> Result<ExitCode> {
    let reach = Reach::find(at)?;
    let quiet = seconds(quiet, "--quiet")?.to_string();
    let path = format!("/v1/keys/{}/safe-to-retire", part(id));
    let answer = reach
        .ask(&Call::get(&path, &[("quiet_seconds", &quiet)]))?
        .body;
    let safe = answer["safe"].as_bool().unwrap_or_default();
    let mut out = anstream::stdout().lock();
    if at.json {
        writeln!(out, "{answer:#}")?;
    } else {
        let word = if safe {
            "safe to retire"
        } else {
            "still in use"
        };
        let why = visible(answer["why"].as_str().unwrap_or_default());
        writeln!(out, "{word}: {why}")?;
        let others = &answer["other_active_keys"];
        writeln!(
            out,
            "other active keys of its app: {}",
            visible(&print::words(others))
        )?;
    }
    Ok(if safe {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn seconds(text: &str, option: &str) -> Result<u64> {
    let period = crate::config::period(text).map_err(|why| {
        Stop::usage(format!("`{option}` `{text}`: {why}")).hint("`30m`, `24h`, `7d`")
    })?;
    Ok(period.as_secs().max(1))
}

fn now() -> String {
    crate::config::date(crate::clock::Clock::system().now().unix_seconds())
}
