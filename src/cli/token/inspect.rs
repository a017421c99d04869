//! `portcullis token inspect`: what a token says, and whether its signature holds.

use crate::apps::Registry;
use crate::cli::message::read_bounded;
use crate::cli::paint::{BAD, FAINT, GOOD, TITLE, visible};
use crate::cli::printed;
use crate::cli::stop::{FAILED, Stop};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Algorithm;
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::token::MAX_TOKEN;
use anyhow::Result;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show what a token says, what binds it, and whether its signature holds; the network is never asked
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A file that holds the token, with or without `Bearer`; standard input when left out
    token: Option<PathBuf>,
    /// Check the signature with the keys of this configuration's apps
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  portcullis token get -c gateway.toml --app mobile --dev my-laptop | portcullis token inspect -c gateway.toml
  portcullis token inspect token.txt

The token is never taken from the command line, where every process sees it.
Exits with 1 when the signature was checked and does not hold, or the token is over; else with 0.";

/// Bytes that are read: a token, a word before it, line ends.
const MAX_INPUT: u64 = MAX_TOKEN as u64 + 64;

/// What was found out about the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    NotChecked,
    Holds,
    DoesNotHold,
    OtherAlgorithm,
    UnknownKey,
}

impl Signature {
    const fn word(self) -> &'static str {
        match self {
            Self::NotChecked => "not-checked",
            Self::Holds => "holds",
            Self::DoesNotHold => "does-not-hold",
            Self::OtherAlgorithm => "other-algorithm",
            Self::UnknownKey => "unknown-key",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::NotChecked => "not checked: `-c gateway.toml` names the keys",
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold, or the token is a decoy",
            Self::OtherAlgorithm => "is not looked at: `alg` is not the key's",
            Self::UnknownKey => {
                "cannot be checked: no key of the configuration has this `kid`; those of issuers outside and of apps made at run time are not known here"
            }
        }
    }
}

/// A token, taken apart.
struct Parts<'t> {
    signed: &'t str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode> {
    let bytes = match &args.token {
        Some(path) => {
            let shown = path.display().to_string();
            let file = std::fs::File::open(path)
                .map_err(|why| Stop::usage(format!("`{shown}` cannot be opened: {why}")))?;
            read_bounded(file, &shown, MAX_INPUT)?
        }
        None => read_bounded(std::io::stdin().lock(), "standard input", MAX_INPUT)?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| no_token("it is no text"))?;
    let token = text.split_ascii_whitespace().last().unwrap_or_default();
    let parts = Parts::read(token)?;
    let registry = match &args.config {
        Some(path) => {
            // To look at, not to run on: no secret is made for it.
            let loaded = Config::check(path).map_err(|report| Stop::bad_config(&report))?;
            let gateway = loaded.config.gateway;
            Some(Registry::new(gateway.apps, gateway.keys, 1)?)
        }
        None => None,
    };
    let (signature, app) = parts.check(registry.as_ref());
    let now = Clock::system().now().unix_seconds();
    let times = parts.times(now);
    let bindings = parts.bindings();
    let told: Result<()> = if args.json {
        let shown = json!({
            "header": parts.header,
            "claims": parts.claims,
            "times": times.iter().map(|(name, words)| (name.to_string(), json!(words))).collect::<Map<_, _>>(),
            "bound_to": bindings,
            "signature": signature.word(),
            "app": app,
        });
        writeln!(std::io::stdout().lock(), "{shown:#}").map_err(Into::into)
    } else {
        print(&parts, &times, &bindings, signature, app.as_deref())
    };
    printed(told)?;
    let is_over = parts.time("exp").is_some_and(|exp| exp <= now);
    let is_bad = matches!(
        signature,
        Signature::DoesNotHold | Signature::OtherAlgorithm
    );
    Ok(if is_over || is_bad {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

fn print(
    parts: &Parts<'_>,
    times: &[(&'static str, String)],
    bindings: &[String],
    signature: Signature,
    app: Option<&str>,
) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for (title, members) in [("header", &parts.header), ("claims", &parts.claims)] {
        writeln!(out, "{TITLE}{title}{TITLE:#}")?;
        for (name, value) in members {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            write!(out, "  {}: {}", visible(name), visible(&value))?;
            match times.iter().find(|(known, _)| known == name) {
                Some((_, words)) => writeln!(out, "  {FAINT}{words}{FAINT:#}")?,
                None => writeln!(out)?,
            }
        }
    }
    writeln!(out, "{TITLE}bound to{TITLE:#}")?;
    if bindings.is_empty() {
        writeln!(out, "  nothing: whoever has it can use it")?;
    }
    for binding in bindings {
        writeln!(out, "  {}", visible(binding))?;
    }
    let paint = match signature {
        Signature::Holds => GOOD,
        Signature::NotChecked | Signature::UnknownKey => FAINT,
        _ => BAD,
    };
    writeln!(
        out,
        "{TITLE}signature{TITLE:#}\n  {paint}{}{paint:#}",
        signature.words()
    )?;
    if let Some(app) = app {
        writeln!(out, "  of the app {app}")?;
    }
    Ok(())
}

fn no_token(why: &str) -> Stop {
    Stop::usage(format!("this is no token: {why}"))
        .hint("a JWT is three parts in base64url, joined by `.`")
}

impl<'t> Parts<'t> {
    fn read(token: &'t str) -> Result<Self, Stop> {
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or_else(|| no_token("it has no `.`"))?;
        let (header, claims) = signed
            .split_once('.')
            .filter(|(_, claims)| !claims.contains('.'))
            .ok_or_else(|| no_token("it has not three parts"))?;
        let decoded = |part: &str, what: &str| {
            BASE64URL_NOPAD
                .decode(part.as_bytes())
                .map_err(|_| no_token(&format!("its {what} is no base64url")))
        };
        let object = |part: &str, what: &str| {
            serde_json::from_slice(&decoded(part, what)?)
                .map_err(|_| no_token(&format!("its {what} is no JSON object")))
        };
        Ok(Self {
            signed,
            header: object(header, "header")?,
            claims: object(claims, "payload")?,
            signature: decoded(signature, "signature")?,
        })
    }

    /// Whether the signature is that of the key which the header names, and whose that is.
    fn check(&self, registry: Option<&Registry>) -> (Signature, Option<String>) {
        let Some(registry) = registry else {
            return (Signature::NotChecked, None);
        };
        let id = self.header.get("kid").and_then(Value::as_str);
        let Some(key) = id.and_then(|id| registry.key(id)) else {
            return (Signature::UnknownKey, None);
        };
        let app = Some(key.app.name.to_string());
        let named = self.header.get("alg").and_then(Value::as_str);
        let algorithm = named.and_then(Algorithm::from_jose_name);
        if algorithm != Some(key.verifying.algorithm()) {
            return (Signature::OtherAlgorithm, app);
        }
        let tag = key
            .verifying
            .verify(self.signed.as_bytes(), &self.signature);
        match tag {
            Some(_) => (Signature::Holds, app),
            None => (Signature::DoesNotHold, app),
        }
    }

    /// A moment, in whole seconds, as the gateway takes it.
    fn time(&self, name: &str) -> Option<i64> {
        let time = self.claims.get(name)?;
        let whole = time.as_i64();
        whole.or_else(|| Some(time.as_f64()?.floor() as i64))
    }

    /// Times in words.
    fn times(&self, now: i64) -> Vec<(&'static str, String)> {
        ["iat", "nbf", "exp"]
            .into_iter()
            .filter_map(|name| Some((name, words(name, self.time(name)?, now))))
            .collect()
    }

    /// What must be shown beside it.
    fn bindings(&self) -> Vec<String> {
        let mut bindings = Vec::new();
        if let Some(pay) = self.claims.get("pay").and_then(Value::as_str) {
            bindings.push(format!(
                "the `Authorization` whose SHA-256 is {pay} (`pay`)"
            ));
        }
        let members = self.claims.get("cnf").and_then(Value::as_object);
        for (name, value) in members.into_iter().flatten() {
            let shown = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            bindings.push(match name.as_str() {
                "jkt" => format!("the key with the thumbprint {shown} (`cnf.jkt`)"),
                "jwk" => format!("the key {shown} (`cnf.jwk`)"),
                "x5t#S256" => format!("the certificate with the SHA-256 {shown} (`cnf.x5t#S256`)"),
                other => format!("`cnf.{other}`, which no gateway of ours can check"),
            });
        }
        bindings
    }
}

/// `time`, beside `now`.
fn words(name: &str, time: i64, now: i64) -> String {
    if is_in_milliseconds(time) {
        return "in milliseconds: times are whole seconds".to_owned();
    }
    let apart = span(time.abs_diff(now));
    match (name, time <= now) {
        ("exp", true) => format!("over for {apart}"),
        ("exp", false) => format!("good for {apart} more"),
        ("nbf", true) => format!("in force for {apart}"),
        ("nbf", false) => format!("not before {apart} from now"),
        (_, true) => format!("made {apart} ago"),
        (_, false) => format!("made {apart} from now: a clock is wrong"),
    }
}

fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_beside_the_clock() {
        for (name, time, told) in [
            ("exp", 1_060, "good for 1 min 0 s more"),
            ("exp", 1_000, "over for 0 s"),
            ("exp", 400, "over for 10 min 0 s"),
            ("iat", 940, "made 1 min 0 s ago"),
            ("iat", 1_005, "made 5 s from now: a clock is wrong"),
            ("nbf", 8_200, "not before 2 h 0 min from now"),
            ("exp", 1_000 + 90_000, "good for 1 d 1 h more"),
            (
                "iat",
                1_800_000_000_000,
                "in milliseconds: times are whole seconds",
            ),
            (
                "exp",
                1_800_000_000_000,
                "in milliseconds: times are whole seconds",
            ),
        ] {
            assert_eq!(words(name, time, 1_000), told);
        }
    }
}
