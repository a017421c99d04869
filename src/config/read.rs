//! The reader of a parsed file: every value knows how it is read, and how
//! that is told to editors and to readers of the reference page.
//!
//! A value that cannot be used becomes a problem and nothing else: what
//! depends on it sees its default, or nothing, so that no problem is told twice.

use super::gather::{Draft, Problems, shown};
use super::nearest::nearest;
use super::nesting;
use super::shape::Shape;
use super::table::Field;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::{Deref, Range};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value of the file.
pub(super) type Found<'t> = Spanned<DeValue<'t>>;

/// A kind of value.
pub(super) trait Value: Sized {
    /// Reads it; when that fails, says so to `reader`.
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self>;

    /// What it looks like.
    fn shape() -> Shape;

    /// What a word says that may be spelled in several ways: a list has each once.
    fn said(text: &str) -> Cow<'_, str> {
        text.into()
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Where in the text.
    pub(super) span: Range<usize>,
    /// The path of its key.
    pub(super) key: String,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> At<T> {
    /// The same place with what `change` makes of the value.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: change(self.value),
            span: self.span,
            key: self.key,
        }
    }

    /// The start of a problem with this value.
    pub(super) fn problem(&self, message: impl Into<String>) -> Draft {
        Draft::new(self.span.clone(), self.key.clone(), message.into())
    }
}

impl<T: Value> Value for At<T> {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let value = T::read(found, reader)?;
        Some(Self {
            value,
            span: reader.given.clone().unwrap_or_else(|| found.span()),
            key: reader.key(),
        })
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn said(text: &str) -> Cow<'_, str> {
        T::said(text)
    }
}

/// Reads values, and knows where in the file it is.
#[derive(Debug)]
pub(super) struct Reader<'p> {
    path: Vec<Step>,
    /// Where the text in force stands, while a default is read.
    given: Option<Range<usize>>,
    pub(super) problems: &'p mut Problems,
}

/// A step on the way to a value.
#[derive(Debug)]
pub(super) enum Step {
    /// A key that we name.
    Key(&'static str),
    /// One that the user names.
    Name(String),
    /// A place in a list.
    Index(usize),
}

impl<'p> Reader<'p> {
    pub(super) const fn new(problems: &'p mut Problems) -> Self {
        Self {
            path: Vec::new(),
            given: None,
            problems,
        }
    }

    /// The path of the key that is being read.
    pub(super) fn key(&self) -> String {
        key_of(&self.path)
    }

    /// The same without the names and numbers that the user chose.
    fn kind(&self) -> String {
        let keys = self.path.iter().filter_map(|step| match step {
            Step::Key(name) => Some(*name),
            _ => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }

    /// Whether secrets are written around here.
    fn near_secrets(&self) -> bool {
        let kind = self.kind();
        kind.starts_with("apps.keys")
            || kind.starts_with("server.tls")
            || kind.starts_with("upstreams.tls")
            || kind.starts_with("routes.inject")
            || kind.starts_with("issuers")
            || kind.starts_with("state.master_key")
            || kind.starts_with("tokens.nonce_secret")
            || kind == "admin"
            || kind.starts_with("admin.token")
            || kind.starts_with("admin.read_token")
    }

    /// The start of a problem with `found`.
    pub(super) fn problem(&self, found: &Found<'_>, message: impl Into<String>) -> Draft {
        let span = self.given.clone().unwrap_or_else(|| found.span());
        Draft::new(span, self.key(), message.into())
    }

    /// Says that `found` is of the wrong type.
    pub(super) fn mistyped(&mut self, found: &Found<'_>, shape: &Shape) {
        if self.near_secrets() || holds_at(found.get_ref()) {
            self.problems.mask(found.span());
        }
        let message = format!("found {}", type_words(found.get_ref()));
        let mut draft = self.problem(found, message).takes(shape);
        let is_text = matches!(shape, Shape::Word(_, schema) if schema["type"] == "string");
        if is_text
            && matches!(
                found.get_ref(),
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_)
            )
        {
            draft = draft.hint("the value stands in quotes, with its unit if it has one");
        }
        if let (Shape::List(_), DeValue::Table(_)) = (shape, found.get_ref()) {
            draft = draft.hint(format!("each of several starts with `[[{}]]`", self.key()));
        }
        self.problems.push(draft);
    }

    /// Reads the values of a list; those that cannot be read are left out.
    pub(super) fn items<T: Value>(&mut self, items: &[Found<'_>]) -> Vec<T> {
        let read = |(at, item)| {
            self.path.push(Step::Index(at));
            let value = T::read(item, self);
            self.path.pop();
            value
        };
        items.iter().enumerate().filter_map(read).collect()
    }

    /// Reads a table whose keys the user names.
    pub(super) fn named<T: Value>(&mut self, table: &DeTable<'_>) -> Vec<(At<String>, Option<T>)> {
        let mut entries = Vec::with_capacity(table.len());
        for (key, found) in table {
            self.path.push(Step::Name(key.get_ref().to_string()));
            let name = At {
                value: key.get_ref().to_string(),
                span: key.span(),
                key: self.key(),
            };
            if !super::values::is_name(&name) {
                self.problems.push(
                    name.problem("this name cannot be used")
                        .accepted("a name has 1 to 64 letters, digits, `-`, `_` and `.`"),
                );
            }
            entries.push((name, T::read(found, self)));
            self.path.pop();
        }
        entries
    }

    /// Opens a table whose keys are `names`; keys of any other name are problems.
    pub(super) fn open<'r, 'f, 't>(
        &'r mut self,
        found: &'f Found<'t>,
        names: &[&'static str],
        shape: fn() -> Shape,
    ) -> Option<(Table<'r, 'p>, &'f DeTable<'t>)> {
        let DeValue::Table(table) = found.get_ref() else {
            self.mistyped(found, &shape());
            return None;
        };
        let mut meant = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            if !names.contains(&name) {
                self.unknown(name, key.span(), value, names);
                meant.extend(nearest(name, names.iter().copied()));
            }
        }
        let span = self.given.clone().unwrap_or_else(|| found.span());
        let table_here = Table {
            reader: self,
            span,
            meant,
        };
        Some((table_here, table))
    }

    fn unknown(
        &mut self,
        name: &str,
        span: Range<usize>,
        value: &Found<'_>,
        names: &[&'static str],
    ) {
        // It may be a misspelled secret.
        let header = value.span().start < span.end;
        if !header && (self.near_secrets() || !is_plain(value.get_ref())) {
            self.problems.mask(value.span());
        }
        // After a broken `[section]` its keys seem to stand at the top.
        if self.path.is_empty() && self.problems.is_broken() {
            return;
        }
        self.path.push(Step::Name(name.to_owned()));
        let key = self.key();
        self.path.pop();
        let mut kind = self.kind();
        push_key(&mut kind, name);
        let mut draft = Draft::new(span, key, "unknown key".to_owned());
        draft = draft.nearest(name, names.iter().copied(), "key");
        if super::planned::is_planned(&kind) {
            draft = draft.hint(super::planned::hint(name));
        } else if let Some(hint) = nesting::hint(&self.path, name) {
            draft = draft.hint(hint);
        }
        self.problems.push(draft);
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Table<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    span: Range<usize>,
    /// Keys that a misspelled one was most likely meant to be.
    meant: Vec<&'static str>,
}

impl Table<'_, '_> {
    /// Reads the field of that name.
    pub(super) fn field<F: Field>(
        &mut self,
        table: &DeTable<'_>,
        name: &'static str,
        default: Option<&'static str>,
    ) -> F {
        self.reader.path.push(Step::Key(name));
        let field = F::read(table.get(name), default, self);
        self.reader.path.pop();
        field
    }

    /// Says that the key in hand is missing, unless a misspelled one was said to be it.
    pub(super) fn missing(&mut self, shape: &Shape) {
        let told =
            matches!(self.reader.path.last(), Some(Step::Key(name)) if self.meant.contains(name));
        if !told {
            let draft = Draft::new(
                self.span.clone(),
                self.reader.key(),
                "this key is missing".to_owned(),
            );
            self.reader.problems.push(draft.takes(shape).of_absence());
        }
    }

    /// Reads a default.
    pub(super) fn default<T: Value>(&mut self, text: &'static str) -> T {
        let value = DeValue::parse(text).expect("defaults are TOML: a test reads them all");
        let outer = self.reader.given.replace(self.span.clone());
        let read = T::read(&value, self.reader).expect("defaults are good: a test reads them all");
        self.reader.given = outer;
        read
    }
}

/// The path of a key.
pub(super) fn key_of(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Index(at) => {
                let _ = write!(out, "[{at}]");
            }
            Step::Key(name) => push_key(&mut out, name),
            Step::Name(name) => push_key(&mut out, name),
        }
    }
    out
}

fn push_key(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('.');
    }
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare {
        out.push_str(name);
    } else {
        let _ = write!(out, "\"{}\"", shown(name));
    }
}

/// Whether a value can hardly be a secret.
const fn is_plain(value: &DeValue<'_>) -> bool {
    !matches!(
        value,
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_)
    )
}

/// Whether an `@` stands in it: before that one of a URL a password may.
fn holds_at(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains('@'),
        DeValue::Array(items) => items.iter().any(|item| holds_at(item.get_ref())),
        DeValue::Table(table) => table.values().any(|item| holds_at(item.get_ref())),
        _ => false,
    }
}

const fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
