//! The folder: a file for each route and way, the keys, and a page that tells what is what.

use super::keys::{Holders, Written};
use crate::cli::stop::Stop;
use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The requests of one route that are proven in one way.
#[derive(Serialize)]
pub(super) struct File {
    pub(super) route: String,
    pub(super) scheme: &'static str,
    pub(super) dialect: Option<&'static str>,
    /// Whose webhooks they are.
    pub(super) sender: Option<&'static str>,
    /// When the gateway judges, Unix seconds.
    pub(super) time: u64,
    pub(super) cases: Vec<Case>,
}

/// One request, and what becomes of it.
#[derive(Serialize)]
pub(super) struct Case {
    pub(super) title: &'static str,
    pub(super) key: String,
    pub(super) algorithm: &'static str,
    pub(super) request: Request,
    /// The text that was signed; none for a token.
    pub(super) text: Option<String>,
    pub(super) verdict: Verdict,
}

/// What is sent.
#[derive(Serialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) target: String,
    pub(super) headers: Vec<[String; 2]>,
    pub(super) body: Option<String>,
}

/// What the gateway says.
#[derive(Serialize)]
pub(super) struct Verdict {
    pub(super) passes: bool,
    pub(super) status: Option<u16>,
    pub(super) code: Option<&'static str>,
}

/// Where all of it goes.
pub(super) struct Folder {
    path: PathBuf,
    /// Whether what it holds passes the gateway of the configuration: then it is for its owner alone.
    is_real: bool,
}

impl Folder {
    /// A folder that is empty, or that is made now; one for its owner alone is closed to others either way.
    pub(super) fn new(path: &Path, is_real: bool) -> Result<Self> {
        let shown = path.display();
        let bad = |why: std::io::Error| Stop::usage(format!("`{shown}` cannot be used: {why}"));
        DirBuilder::new()
            .recursive(true)
            .mode(if is_real { 0o700 } else { 0o777 })
            .create(path)
            .map_err(bad)?;
        if fs::read_dir(path).map_err(bad)?.next().is_some() {
            return Err(Stop::usage(format!("the folder `{shown}` is not empty"))
                .hint("name one that is, or is not there yet: nothing is written over")
                .into());
        }
        if is_real {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(bad)?;
        }
        Ok(Self {
            path: path.to_owned(),
            is_real,
        })
    }

    pub(super) fn write(
        &self,
        files: &[File],
        holders: &Holders,
        skipped: &[String],
        time: u64,
    ) -> Result<()> {
        let mut list = String::new();
        for (number, file) in files.iter().enumerate() {
            let name = format!(
                "{:03}-{}-{}.json",
                number + 1,
                plain(&file.route),
                plain(file.scheme)
            );
            self.put(&name, &serde_json::to_string_pretty(file)?)?;
            let manner = { file.dialect }
                .or(file.sender)
                .map_or_else(String::new, |name| format!(", `{name}`"));
            writeln!(
                list,
                "| `{name}` | `{}` | `{}`{manner} | {} |",
                file.route.replace('|', "\\|"),
                file.scheme,
                file.cases.len()
            )?;
        }
        self.put("keys.json", &serde_json::to_string_pretty(&keys(holders))?)?;
        let none = skipped
            .iter()
            .map(|one| format!("\nThere is none for {one}.\n"));
        let none: String = none.collect();
        let whose = if self.is_real {
            "**These are signed with the configuration's own secrets: what passes here passes your gateway, for as long as its window is open. Keep them as you keep the secrets.**"
        } else {
            "The keys are thrown away: put them into the gateway that you test, never into one that serves. Those of pairs are known to everybody (RFC 9421, appendix B.1)."
        };
        self.put("README.md", &format!(
            "# Test vectors\n\nWritten by `portcullis vectors` for one configuration. {whose}\n\n\
             | file | route | proven by | requests |\n| --- | --- | --- | --- |\n{list}{none}\n\
             Each request has a `title`, the `key` that it names, the `request` as it goes over the wire (`headers` in order, `body` as text, or\n\
             `null`), the `text` that was signed (none for a token), and the `verdict`: `passes`, or the `status` and `code` of the refusal\n\
             (docs/refusals.md). It is the verdict of a gateway with this configuration and these keys (`keys.json`), at `time` ({time}), that has not\n\
             seen the request before and whose limits are not used up. What stands in `DPoP` is by `test-key-ed25519` of RFC 9421, appendix B.1.\n\
             Whoever writes a client makes `text` and the headers again; whoever tests a gateway sends the requests.\n"
        ))
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if self.is_real { 0o600 } else { 0o666 })
            .open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|why| {
            Stop::failed(format!("`{}` cannot be written: {why}", path.display())).into()
        })
    }
}

fn keys(holders: &Holders) -> serde_json::Value {
    let keys = holders.iter().map(|holder| {
        let mut key = json!({
            "id": &*holder.id, "app": &*holder.app, "algorithm": holder.algorithm.name(),
        });
        match &holder.written {
            Written::Secret(secret) => key["secret"] = json!(secret),
            Written::Pair(private, public) => {
                key["private_key"] = json!(private);
                key["public_key"] = json!(public);
            }
            Written::Nothing => {}
        }
        key
    });
    json!({ "keys": keys.collect::<Vec<_>>() })
}

/// A name of a file, whatever a route is called.
fn plain(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    name.chars().take(60).collect()
}
