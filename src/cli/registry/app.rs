//! `portcullis app`: who may call.

use super::changing::{self, Changing, Matching};
use super::reach::{Call, Reach, Reply};
use super::{Listing, USUAL, Where, lacking, list, part, print};
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value as Json, json};
use std::io::Write as _;
use std::process::ExitCode;

/// Make, show and change the apps that may call
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  An app that may order, under a plan of the configuration; then a key for it:
    portcullis app create mobile --plan standard --scope orders
    portcullis key create mobile --out mobile.key
  Refuse all its keys for now, and see what that would do first:
    portcullis app disable mobile --dry-run && portcullis app disable mobile
  Every app, those of gateway.toml too, for a program to read:
    portcullis app list --json

A gateway that runs is asked through its admin API; where none runs, the registry is opened itself.
Apps of gateway.toml are shown, and changed there.";

#[derive(Subcommand)]
enum What {
    /// Make an app
    Create {
        /// Its name
        name: String,
        #[command(flatten)]
        said: Said,
        #[command(flatten)]
        how: Changing,
    },
    /// List every app
    List(Listing),
    /// Show one app and its keys
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        at: Where,
    },
    /// Change an app
    Change {
        /// Its name
        name: String,
        #[command(flatten)]
        said: Said,
        /// Without a plan it has no limits
        #[arg(long, conflicts_with = "plan")]
        no_plan: bool,
        /// Without a scope
        #[arg(long, conflicts_with = "scope")]
        no_scope: bool,
        #[command(flatten)]
        matching: Matching,
        #[command(flatten)]
        how: Changing,
    },
    /// Refuse every key of an app
    Disable(One),
    /// Take them again
    Enable(One),
    /// Delete an app with its keys, instances and codes
    Delete(One),
    /// Let a build of an app get tokens of the key service
    TakeBuild(Build),
    /// Let a build of an app get none, and prove nothing by those it has
    RefuseBuild(Build),
}

#[derive(ClapArgs)]
struct One {
    /// Its name
    name: String,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    how: Changing,
}

#[derive(ClapArgs)]
struct Build {
    /// The app
    name: String,
    /// The build
    build: String,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    how: Changing,
}

/// What an app is to be.
#[derive(ClapArgs)]
struct Said {
    /// Its limits: the name of a plan in the configuration
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// What it may do; may be given again
    #[arg(long, value_name = "NAME")]
    scope: Vec<String>,
    /// Whether its callers are told what they did wrong
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    explain: Option<bool>,
    /// `enforce` what is asked of it, or only `observe` it
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// `allow` it to fall back to a weaker proof, or `refuse` that
    #[arg(long, value_name = "WHICH")]
    downgrade: Option<String>,
    /// How the key service serves it: JSON, as `tokens` of an app in gateway.toml; `null` is not at all
    #[arg(long, value_name = "JSON")]
    tokens: Option<String>,
}

impl Said {
    fn body(&self) -> Result<Map<String, Json>> {
        let mut body = Map::new();
        let mut add = |name: &str, value: Json| body.insert(name.to_owned(), value);
        if let Some(plan) = &self.plan {
            add("plan", plan.as_str().into());
        }
        if !self.scope.is_empty() {
            add("scopes", self.scope.clone().into());
        }
        if let Some(explain) = self.explain {
            add("explain", explain.into());
        }
        if let Some(mode) = &self.mode {
            add("mode", mode.as_str().into());
        }
        if let Some(downgrade) = &self.downgrade {
            add("downgrade", downgrade.as_str().into());
        }
        if let Some(tokens) = &self.tokens {
            let tokens = serde_json::from_str(tokens)
                .map_err(|why| super::Stop::usage(format!("`--tokens` is not JSON: {why}")))?;
            add("tokens", tokens);
        }
        Ok(body)
    }

    /// What the app still lacks, where this is about its tokens.
    fn tell_lacking(&self, how: &Changing, name: &str) {
        if self.tokens.is_some() && !how.dry_run {
            lacking::tell(&how.at, name, false);
        }
    }
}

const COLUMNS: print::Columns = &[
    ("APP", |app| print::words(&app["name"])),
    ("PLAN", |app| print::words(&app["plan"])),
    ("SCOPES", |app| print::words(&app["scopes"])),
    ("STATE", state),
    ("SOURCE", |app| print::words(&app["source"])),
];

fn state(app: &Json) -> String {
    let is = |name: &str| app[name].as_bool().unwrap_or_default();
    let state = match (is("in_force"), is("enabled")) {
        // The configuration has another of that name.
        (false, _) => "not in force",
        (true, true) => "enabled",
        (true, false) => "disabled",
    };
    state.to_owned()
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Create { name, said, how } => {
            let mut body = said.body()?;
            body.insert("name".to_owned(), name.as_str().into());
            let answer = changing::make(how, "/v1/apps", body.into())?;
            changing::print(how, &format!("made app {name}"), &answer)?;
            said.tell_lacking(how, name);
        }
        What::List(list) => list.tell("/v1/apps", &[], COLUMNS)?,
        What::Show { name, at } => show(name, at)?,
        What::Change {
            name,
            said,
            no_plan,
            no_scope,
            matching,
            how,
        } => {
            let mut body = said.body()?;
            if *no_plan {
                body.insert("plan".to_owned(), Json::Null);
            }
            if *no_scope {
                body.insert("scopes".to_owned(), json!([]));
            }
            patch(how, matching, name, body.into(), "changed")?;
            said.tell_lacking(how, name);
        }
        What::Disable(one) => enable(one, false)?,
        What::Enable(one) => enable(one, true)?,
        What::TakeBuild(one) => builds(one, Method::PUT, "build is taken")?,
        What::RefuseBuild(one) => builds(one, Method::DELETE, "build is refused")?,
        What::Delete(one) => {
            let action = (Method::DELETE, "");
            let thing = ("apps", &*one.name);
            let answer = changing::change(&one.how, &one.matching, thing, action, None)?;
            changing::print(&one.how, &format!("deleted app {}", one.name), &answer)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn builds(one: &Build, method: Method, done: &str) -> Result<()> {
    let end = format!("/builds/{}", part(&one.build));
    let action = (method, &*end);
    let thing = ("apps", &*one.name);
    let answer = changing::change(&one.how, &one.matching, thing, action, None)?;
    changing::print(&one.how, done, &answer)
}

fn enable(one: &One, enabled: bool) -> Result<()> {
    let done = if enabled { "enabled" } else { "disabled" };
    let body = json!({ "enabled": enabled });
    patch(&one.how, &one.matching, &one.name, body, done)
}

fn patch(how: &Changing, matching: &Matching, name: &str, body: Json, done: &str) -> Result<()> {
    let action = (Method::PATCH, "");
    let answer = changing::change(how, matching, ("apps", name), action, Some(body))?;
    changing::print(how, &format!("{done} app {name}"), &answer)
}

fn show(name: &str, at: &Where) -> Result<()> {
    let reach = Reach::find(at)?;
    let path = format!("/v1/apps/{}", part(name));
    let Reply { mut body, etag } = reach.ask(&Call::get(&path, &[]))?;
    let (keys, more) = list(&reach, "/v1/keys", &[("app", name)], USUAL)?;
    let mut out = anstream::stdout().lock();
    if at.json {
        body["etag"] = etag.into();
        body["keys"] = keys.into();
        writeln!(out, "{body:#}")?;
        return Ok(());
    }
    write!(out, "{}", print::members(&body))?;
    if !keys.is_empty() {
        write!(out, "\n{}", print::table(super::key::COLUMNS, &keys))?;
    }
    if more {
        writeln!(out, "and more: `portcullis key list --app {name}`")?;
    }
    lacking::say(&body, &keys, false);
    Ok(())
}
