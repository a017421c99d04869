//! `portcullis instance`: the instances of apps, and the codes by which they enrol.

use super::changing::{self, Changing, Matching, One, Out};
use super::{Listing, Where, lacking, part, print, seconds, shown};
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value as Json};
use std::process::ExitCode;

/// Let instances of apps enrol, show and revoke them
#[derive(ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  A code by which one instance may enrol within an hour:
    portcullis instance enrol-code mobile
  For ten of one build, within a day, into a file:
    portcullis instance enrol-code mobile --uses 10 --build 1.4.2 --expires-in 24h --out code
  Who has enrolled, and one that shall prove nothing any more:
    portcullis instance list mobile
    portcullis instance revoke 0193a1c2

A code is shown once, when it is made: alone on standard output, or in the file of `--out`.";

#[derive(Subcommand)]
enum What {
    /// Make a code by which instances of an app enrol
    EnrolCode {
        /// The app
        app: String,
        /// Only for this build
        #[arg(long, value_name = "BUILD")]
        build: Option<String>,
        /// How long it may be used
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires_in: String,
        /// How many instances may enrol by it
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        uses: u32,
        #[command(flatten)]
        out: Out,
        #[command(flatten)]
        how: Changing,
    },
    /// List the codes of an app
    Codes {
        /// The app
        app: String,
        #[command(flatten)]
        list: Listing,
    },
    /// Withdraw a code
    Withdraw {
        /// Its id, as `codes` lists it
        id: String,
        #[command(flatten)]
        how: Changing,
    },
    /// List the instances of an app, with the builds as which they were last seen
    List {
        /// The app
        app: String,
        #[command(flatten)]
        list: Listing,
    },
    /// Show one instance
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        at: Where,
    },
    /// Let an instance prove nothing any more
    Revoke(One),
}

const INSTANCES: print::Columns = &[
    ("INSTANCE", |one| print::words(&one["id"])),
    ("BUILD", |one| print::words(&one["build"])),
    ("STATE", |one| {
        let enabled = one["enabled"].as_bool().unwrap_or_default();
        if enabled { "enrolled" } else { "revoked" }.to_owned()
    }),
    ("ENROLLED", |one| print::words(&one["enrolled_at"])),
    ("LAST SEEN", |one| print::words(&one["last_seen"])),
];

const CODES: print::Columns = &[
    ("CODE", |one| print::words(&one["id"])),
    ("BUILD", |one| print::words(&one["build"])),
    ("USES LEFT", |one| print::words(&one["uses_left"])),
    ("EXPIRES", |one| print::words(&one["expires"])),
];

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::EnrolCode {
            app,
            build,
            expires_in,
            uses,
            out,
            how,
        } => {
            let expires_in = seconds(expires_in, "--expires-in")?;
            let mut body = Map::new();
            body.insert("app".to_owned(), app.as_str().into());
            body.insert("uses".to_owned(), (*uses).into());
            body.insert("expires_in".to_owned(), expires_in.into());
            if let Some(build) = build {
                body.insert("build".to_owned(), build.as_str().into());
            }
            let file = changing::prepare(how, out)?;
            let made = changing::make(how, "/v1/enrolments", Json::Object(body));
            let mut answer = changing::unless_failed(out, file.as_ref(), made)?;
            changing::tell_secret(how, out, file, &mut answer, "code")?;
            changing::print_beside(how, &format!("made a code for {app}"), &answer)?;
            if !how.dry_run {
                lacking::tell(&how.at, app, true);
            }
        }
        What::Codes { app, list } => {
            list.tell("/v1/enrolments", &[("app", app)], CODES)?;
        }
        What::Withdraw { id, how } => {
            let any = Matching {
                // It can only be used or withdrawn.
                if_match: Some("*".to_owned()),
            };
            let action = (Method::DELETE, "");
            let answer = changing::change(how, &any, ("enrolments", id), action, None)?;
            changing::print(how, "withdrew the code", &answer)?;
        }
        What::List { app, list } => {
            list.tell("/v1/instances", &[("app", app)], INSTANCES)?;
        }
        What::Show { id, at } => shown(at, &format!("/v1/instances/{}", part(id)))?,
        What::Revoke(one) => {
            let answer = one.change("instances", (Method::POST, "/revoke"), None)?;
            changing::print(&one.how, &format!("revoked instance {}", one.id), &answer)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
