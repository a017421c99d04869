//! gateway.toml → settings. Opens no socket.
//!
//! In: the file's text, the environment, the files it refers to. Out:
//! [`Config`], every room's settings, or a [`Report`] of all that is wrong.
//! This room never: starts anything, or lets a secret into a message.

mod addresses;
mod balance;
mod beyond;
mod byte_rate;
mod certificates;
mod changes;
mod file;
mod gather;
mod lent;
mod lists;
mod mask;
mod minted;
mod nearest;
mod nesting;
mod outside;
mod paces;
mod planned;
mod problem;
mod read;
mod reference;
mod references;
mod registry;
mod resolve;
mod secrets;
mod servers;
mod shape;
mod static_keys;
mod successor;
mod table;
mod times;
mod values;
mod view;
mod words;

pub use changes::{changes, loses_its_apps, loses_its_routes};
pub use problem::{Problem, Report, Severity};
pub use reference::{reference_page, schema_json};
pub(crate) use resolve::{ITS_K, checked_static_key};
pub(crate) use secrets::{decode, says_how};
pub(crate) use static_keys::{is_key_id, place_of_key};
pub(crate) use successor::Successor;
pub(crate) use times::period;
pub use view::{KeyNote, Resolved, date, server};
pub(crate) use view::{issuers_of, size, time};
pub(crate) use words::place_of_token;

use crate::apps::KeyHash;
use crate::secret::Secret;
use crate::{admin, gateway, server, store};
use data_encoding::HEXLOWER;
use file::File;
use gather::Problems;
use read::{Reader, Value};
use secrets::{Mode, Places, Reference};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use values::Word as _;

/// Every room's settings, complete.
#[derive(Debug)]
pub struct Config {
    /// Sockets and connections.
    pub server: server::Settings,
    /// How many workers the file asks for, unless that is left to us: then it is as many as we had cores for
    /// when the file was read, which another reading of the same file may find to be others.
    pub said_workers: Option<usize>,
    /// Whether the file says what one address may have of the connections.
    pub says_per_address: bool,
    /// Health and metrics.
    pub admin: admin::Settings,
    /// What must outlive the process.
    pub state: store::Settings,
    /// Where apps are kept that are made at run time, if they are.
    pub registry: Option<store::registry::Settings>,
    /// The names in `[plans]`, which apps that are made at run time may have too.
    pub plans: Vec<String>,
    /// The way of a request.
    pub gateway: gateway::Blueprint,
    /// What comes before a gateway that stops accepts no more.
    pub goodbye: server::Goodbye,
    /// How long to wait for a state directory that a gateway before us has.
    pub wait_for_state: std::time::Duration,
    /// Whose certificates end when: of each file the last second, Unix time, of the one that ends first.
    pub certificates_end: Vec<(String, i64)>,
    /// Every file that was read to make this: the configuration, secrets,
    /// certificates. A change of any is a reason to reload.
    pub files: Vec<PathBuf>,
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What someone should know about it.
    pub warnings: Vec<Problem>,
    /// The same for people and programs to read, without secrets.
    pub resolved: Resolved,
    /// What is a warning at its time.
    pub(crate) dated: Dated,
    /// Secrets are still to be made for it.
    unmade: bool,
}

impl Loaded {
    /// Whether it can be looked at only: a secret of it is still to be made.
    pub(crate) const fn lacks_secrets(&self) -> bool {
        self.unmade
    }

    /// What is past its date at `unix_seconds`, or near it: waivers that no longer
    /// waive, keys no longer in force, certificates that are to be renewed.
    pub fn lapsed(&self, unix_seconds: i64) -> impl Iterator<Item = &Problem> {
        self.dated.at(unix_seconds)
    }
}

/// Warnings that hold from a time on, or for a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dated(Vec<(Range<i64>, Problem)>);

impl Dated {
    /// Those that hold at `unix_seconds`.
    pub(crate) fn at(&self, unix_seconds: i64) -> impl Iterator<Item = &Problem> {
        let all = self.0.iter();
        let held = all.filter(move |(during, _)| during.contains(&unix_seconds));
        held.map(|(_, problem)| problem)
    }
}

/// The largest configuration file; ten thousand apps fit in many times over.
const MAX_FILE: u64 = 32 << 20;

impl Config {
    /// Reads the file at `path` to run on it: missing `generated:` secrets are made.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Loaded, Report> {
        Self::read(path, Mode::Serve)
    }

    /// Reads the file at `path` to look at it; makes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(path: &Path) -> Result<Loaded, Report> {
        Self::read(path, Mode::Check)
    }

    /// Reads the file at `path` for its text alone: no secret is opened, and every key is one that nobody knows. So who
    /// may not read the gateway's secrets learns where it is.
    ///
    /// # Errors
    /// Everything that is wrong with its text.
    pub fn skim(path: &Path) -> Result<Loaded, Report> {
        Self::read(path, Mode::Text)
    }

    /// Reads `text` to run on it. It is called `name` in messages, paths in it
    /// are relative to `directory`, variables are what `env` says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_text(
        text: &str,
        name: &str,
        directory: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Report> {
        Self::of_text(text, name, directory, env, Mode::Serve)
    }

    /// As [`Config::from_text`], but to look at it; makes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn check_text(
        text: &str,
        name: &str,
        directory: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Report> {
        Self::of_text(text, name, directory, env, Mode::Check)
    }

    fn of_text(
        text: &str,
        name: &str,
        directory: &Path,
        env: &dyn Fn(&str) -> Option<String>,
        mode: Mode,
    ) -> Result<Loaded, Report> {
        Self::understand(text, name, &Places::new(directory, env, mode))
    }

    fn understand(text: &str, name: &str, places: &Places<'_>) -> Result<Loaded, Report> {
        let mut problems = Problems::new(text, name);
        let document = parse(text, &mut problems);
        let mut reader = Reader::new(&mut problems);
        let file = File::read(&document, &mut reader).expect("a document is a table");
        let mut gathered = resolve::Gathered::new(&mut problems);
        let config = resolve::resolve(&file, places, &mut gathered);
        let resolve::Gathered {
            fingerprints,
            dated,
            near,
            keys,
            unmade,
            ..
        } = gathered;
        let dated = dated
            .into_iter()
            .map(|(at, draft)| (at..i64::MAX, draft))
            .chain(near)
            .map(|(during, draft)| (during, problems.place(draft)))
            .collect();
        match config {
            Some(config) if !problems.any_error() => Ok(Loaded {
                resolved: Resolved::new(&config, keys, fingerprints.by_names(&file)),
                config,
                warnings: Report::new(problems).into_problems(),
                dated: Dated(dated),
                unmade,
            }),
            _ => Err(Report::new(problems)),
        }
    }

    fn read(path: &Path, mode: Mode) -> Result<Loaded, Report> {
        // It follows none.
        Successor::read(path, &[])?.understand(mode)
    }
}

/// The text of the file at `path`.
fn text_of(path: &Path, name: &str) -> Result<String, Report> {
    let (bytes, _) = secrets::read(path, MAX_FILE).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => Some("`-c PATH` names another file".to_owned()),
            std::io::ErrorKind::PermissionDenied => Some(secrets::READABLE.to_owned()),
            _ => None,
        };
        Report::of_file(name, format!("`{name}` cannot be read: {error}"), hint)
    })?;
    std::str::from_utf8(&bytes)
        .map(str::to_owned)
        .map_err(|error| {
            let line = bytes
                .iter()
                .take(error.valid_up_to())
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            let hint = "save it as UTF-8".to_owned();
            Report::of_file(
                name,
                format!("`{name}` is not UTF-8 in line {line}"),
                Some(hint),
            )
        })
}

/// The hash of a static key, as it stands in the file at `path`, whatever else is wrong with that: the
/// entry of this very key may be what is missing. A pepper that is still to be made is made.
///
/// # Errors
/// Why there is no pepper; within, why this is no key.
pub(crate) fn hash_static_key(path: &Path, key: &Secret) -> Result<Result<String, String>, Report> {
    let key = match checked_static_key(key.expose()) {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    let name = path.display().to_string();
    let text = text_of(path, &name)?;
    let mut others = Problems::new(&text, &name);
    let document = parse(&text, &mut others);
    if others.any_error() {
        return Err(Report::new(others));
    }
    let file = File::read(&document, &mut Reader::new(&mut others));
    let file = file.expect("a document is a table");
    // Hashed under another pepper than the one that is meant, the key would never be known again.
    let decisive = ["api_keys", "api_keys.pepper", "state", "state.directory"];
    if decisive.iter().any(|key| others.any_at(key)) {
        return Err(Report::new(others));
    }
    let places = Places::new(store::folder_of(path), &variable, Mode::Serve);
    let mut problems = Problems::new(&text, &name);
    let mut gathered = resolve::Gathered::new(&mut problems);
    match resolve::pepper(&file, &places, &mut gathered) {
        Some(pepper) => {
            let digits = HEXLOWER.encode(&KeyHash::of(&pepper, key).0);
            Ok(Ok(format!("{}{digits}", static_keys::HASH_PREFIX)))
        }
        None => Err(Report::new(problems)),
    }
}

/// The secret of a key of the file at `path`, as it is written where `note` says, and not as the
/// gateway takes it: to learn how a caller may have misread it.
pub(crate) fn written_secret(path: &Path, note: &KeyNote) -> Option<Secret> {
    let places = Places::new(store::folder_of(path), &variable, Mode::Check);
    let reference = Reference::parse(&note.secret).ok()?;
    let written = places.written(&reference)?;
    Some(Secret::new(written.to_vec()))
}

/// The admin token that `reference` leads to, as the file at `path` names it.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn admin_token(path: &Path, reference: &str) -> Result<Secret, secrets::Closed> {
    let places = Places::new(store::folder_of(path), &variable, Mode::Check);
    let missing = || secrets::Closed {
        message: format!("`{reference}` is not there yet"),
        hint: None,
    };
    let reference = Reference::parse(reference).map_err(|_| missing())?;
    let opened = places.as_written(&reference, Default::default)?;
    opened.secret.ok_or_else(missing)
}

/// Reads `text` for itself: no file and no variable is looked at, and
/// nothing is made, whatever it says. Every key is one that nobody knows.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_text(text: &str, name: &str) -> Result<Loaded, Report> {
    let places = Places::new(Path::new("."), &|_| None, Mode::Text);
    Config::understand(text, name, &places)
}

/// Whether the user asked for no colours (`NO_COLOR`, no-color.org).
pub fn no_color() -> bool {
    variable("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Which events are written to standard error (`PORTCULLIS_LOG`, such as
/// `warn` or `portcullis::server=debug`); `info` unless it is set to something.
pub fn event_filter() -> String {
    said_or_info(variable("PORTCULLIS_LOG"))
}

fn said_or_info(filter: Option<String>) -> String {
    filter
        .filter(|filter| !filter.trim().is_empty())
        .unwrap_or_else(|| "info".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that may read the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What can be read of the text; what cannot is a problem.
fn parse<'t>(text: &'t str, problems: &mut Problems) -> Spanned<DeValue<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    problems.push_syntax(&errors);
    let span = table.span();
    Spanned::new(span.start..span.start, DeValue::Table(table.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_events_that_is_set_to_nothing_is_not_set() {
        for nothing in [None, Some(""), Some(" ")] {
            assert_eq!(said_or_info(nothing.map(str::to_owned)), "info");
        }
        assert_eq!(said_or_info(Some("off".to_owned())), "off");
    }
}
