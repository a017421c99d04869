//! Commands that change something: dry runs, tags, and secrets that are shown once.

use super::print;
use super::reach::{Call, Reach};
use super::{Where, part};
use crate::cli::aside;
use crate::cli::paint::{FAINT, GOOD, visible};
use crate::cli::stop::Stop;
use anyhow::Result;
use clap::Args;
use http::Method;
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// How a change is made.
#[derive(Args, Clone, Debug)]
pub(super) struct Changing {
    /// Only tell what would come of it: everything is checked, and nothing is written
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) at: Where,
}

/// Of which revision a change is.
#[derive(Args, Clone, Debug)]
pub(super) struct Matching {
    /// Change it only if it is still as this tag says, `etag` of `show --json`
    #[arg(long, value_name = "TAG")]
    pub(super) if_match: Option<String>,
}

/// What is changed that has an id, and how.
#[derive(Args, Clone, Debug)]
pub(super) struct One {
    /// Its id
    pub(super) id: String,
    #[command(flatten)]
    pub(super) matching: Matching,
    #[command(flatten)]
    pub(super) how: Changing,
}

/// Where a secret goes that is shown once.
#[derive(Args, Clone, Debug)]
pub(super) struct Out {
    /// Write the secret to this new file, which only you can read, and not to standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// Makes something.
pub(super) fn make(how: &Changing, path: &str, body: Json) -> Result<Json> {
    let reach = Reach::to_change(&how.at, how.dry_run)?;
    let query = dry_run(how);
    let call = Call::new(Method::POST, path, query).with(body);
    Ok(reach.ask(&call)?.body)
}

/// Changes what is at `path`, as it is now, or as `--if-match` says it must be.
pub(super) fn change(
    how: &Changing,
    matching: &Matching,
    thing: (&str, &str),
    action: (Method, &str),
    body: Option<Json>,
) -> Result<Json> {
    let reach = Reach::to_change(&how.at, how.dry_run)?;
    let (kind, name) = thing;
    let path = format!("/v1/{kind}/{}", part(name));
    let tag = match &matching.if_match {
        Some(tag) => tag.clone(),
        // What is looked at here is what is changed: somebody else's change in between is not overwritten.
        None => reach
            .ask(&Call::get(&path, &[]))?
            .etag
            .unwrap_or_else(|| "*".to_owned()),
    };
    let (method, end) = action;
    let path = format!("{path}{end}");
    let mut call = Call::new(method, &path, dry_run(how)).matching(&tag);
    if let Some(body) = body {
        call = call.with(body);
    }
    Ok(reach.ask(&call)?.body)
}

impl One {
    /// Changes it, as [`change`] does.
    pub(super) fn change(
        &self,
        kind: &str,
        action: (Method, &str),
        body: Option<Json>,
    ) -> Result<Json> {
        change(&self.how, &self.matching, (kind, &self.id), action, body)
    }
}

const fn dry_run(how: &Changing) -> &'static [(&'static str, &'static str)] {
    if how.dry_run {
        &[("dry_run", "true")]
    } else {
        &[]
    }
}

/// Prints what a change did: the members that differ.
pub(super) fn print(how: &Changing, done: &str, answer: &Json) -> Result<()> {
    let mut out = anstream::stdout().lock();
    if how.at.json {
        writeln!(out, "{answer:#}")?;
    } else {
        write!(out, "{}", told(how, done, answer))?;
    }
    Ok(())
}

/// The same where a secret is made: that alone stands on standard output, what else is told beside it.
pub(super) fn print_beside(how: &Changing, done: &str, answer: &Json) -> Result<()> {
    if how.at.json {
        let printed = print(how, done, answer);
        let mut names = ["secret", "code"].into_iter();
        return match names.find(|name| answer[*name].is_string()) {
            Some(name) => printed.map_err(|why| lost(name, answer, OUTPUT, &why)),
            None => printed,
        };
    }
    // Who does not look at it has the secret all the same.
    let _ = write!(anstream::stderr(), "{}", told(how, done, answer));
    Ok(())
}

fn told(how: &Changing, done: &str, answer: &Json) -> String {
    let mut out = String::new();
    let would = if how.dry_run { "would be " } else { "" };
    let (before, after) = (&answer["before"], &answer["after"]);
    if !before.is_null() && before == after {
        let _ = writeln!(out, "nothing {would}changed: it is so already");
        return out;
    }
    let _ = writeln!(out, "{GOOD}{would}{done}{GOOD:#}");
    for (name, was, is) in differences(before, after) {
        let name = name.replace('_', " ");
        let (was, is) = (visible(&print::words(was)), visible(&print::words(is)));
        if before.is_null() || after.is_null() {
            let value = if before.is_null() { is } else { was };
            let _ = writeln!(out, "  {FAINT}{name}{FAINT:#} {value}");
        } else {
            let _ = writeln!(out, "  {FAINT}{name}{FAINT:#} {was} → {is}");
        }
    }
    out
}

/// The members in which two things differ.
fn differences<'j>(before: &'j Json, after: &'j Json) -> Vec<(&'j str, &'j Json, &'j Json)> {
    let members = |of: &'j Json| of.as_object().into_iter().flatten();
    let mut names: Vec<&str> = members(before)
        .chain(members(after))
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let pairs = names
        .into_iter()
        .map(|name| (name, &before[name], &after[name]));
    pairs.filter(|(_, was, is)| was != is).collect()
}

/// Opens the file for a secret before anything is made, so that none is made that nobody gets.
pub(super) fn prepare(how: &Changing, out: &Out) -> Result<Option<std::fs::File>> {
    let Some(path) = out.out.as_deref().filter(|_| !how.dry_run) else {
        return Ok(None);
    };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|why| {
            Stop::usage(format!("`{}` cannot be made: {why}", path.display()))
                .hint("`--out` takes a file that is not there yet")
        })?;
    Ok(Some(file))
}

/// Takes the file away again when nothing was made.
pub(super) fn unless_failed<T>(
    out: &Out,
    file: Option<&std::fs::File>,
    done: Result<T>,
) -> Result<T> {
    if let (Err(_), Some(_), Some(path)) = (&done, file, &out.out) {
        // It is empty, and was made a moment ago.
        let _ = std::fs::remove_file(path);
    }
    done
}

/// Shows the secret of an answer: on standard output alone, or in the file. In JSON it stays where it is unless there is a file.
pub(super) fn tell_secret(
    how: &Changing,
    out: &Out,
    file: Option<std::fs::File>,
    answer: &mut Json,
    name: &str,
) -> Result<()> {
    let file = file.zip(out.out.as_deref());
    let Some(secret) = answer[name].as_str().map(ToOwned::to_owned) else {
        if let Some((_, path)) = file {
            // As of a public key, and of a pair of the gateway's own.
            let _ = std::fs::remove_file(path);
            if !how.at.json {
                let path = path.display();
                aside(&format_args!(
                    "no {name} is made: there is nothing for {path} to hold"
                ));
            }
        }
        return Ok(());
    };
    if let Some((mut file, path)) = file {
        written(&mut file, &secret).map_err(|why| {
            // A part of it is of no use, and would be in the way of another one.
            let _ = std::fs::remove_file(path);
            lost(name, answer, &format!("`{}`", path.display()), &why)
        })?;
        answer[name] = Json::Null;
        if !how.at.json {
            aside(&format_args!("the {name} is in {}", path.display()));
        }
        return Ok(());
    }
    if !how.at.json {
        // What is made and how goes to standard error, so that a pipe gets the secret alone.
        let mut out = std::io::stdout().lock();
        let shown = writeln!(out, "{secret}").and_then(|()| out.flush());
        shown.map_err(|why| lost(name, answer, OUTPUT, &why))?;
        aside(&format_args!("this is the {name}: it is shown this once"));
    }
    Ok(())
}

/// Where a secret goes that goes into no file.
const OUTPUT: &str = "standard output";

/// What was made and cannot be shown counts all the same, and nobody has it: be it that nobody reads our output any more.
fn lost(name: &str, answer: &Json, place: &str, why: &impl std::fmt::Display) -> anyhow::Error {
    let ids = [&answer["made"]["id"], &answer["after"]["id"]];
    let id = ids.into_iter().find_map(Json::as_str).unwrap_or_default();
    let (end, thing) = if name == "code" {
        ("withdraw", "code")
    } else {
        ("revoke", "key")
    };
    Stop::failed(format!("the {name} cannot be written to {place}: {why}"))
        .hint(format!(
            "it was made, and nobody has it: {end} the {thing} `{id}`, and make another"
        ))
        .into()
}

fn written(file: &mut std::fs::File, secret: &str) -> std::io::Result<()> {
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}
