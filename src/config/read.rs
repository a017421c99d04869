//! The reader of a parsed file: every value knows how it is read, and how
//! that is told to editors and to readers of the reference page.
//!
//! A value that cannot be used becomes a problem and nothing else: what
//! depends on it sees its default, or nothing, so that no problem is told twice.

use super::nearest::nearest;
use super::problem::{Problem, Severity, clamp, position};
use std::ops::{Deref, Range};
use std::sync::Arc;
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
}

/// What a value looks like.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// One value: what it takes, in words, and its schema.
    Word(String, serde_json::Value),
    /// Keys that we name.
    Table(TableShape),
    /// Keys that the user names.
    Named(Box<Shape>),
    /// Values in a row.
    List(Box<Shape>),
    /// One value, or several in a row.
    OneOrMore(Box<Shape>),
    /// One of these.
    Either(Vec<Shape>),
}

/// A table whose keys we name.
#[derive(Clone, Debug)]
pub(super) struct TableShape {
    /// What it is for.
    pub(super) about: String,
    /// Its keys, in documented order.
    pub(super) fields: Vec<FieldShape>,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub(super) struct FieldShape {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: String,
    /// What it takes.
    pub(super) shape: Shape,
    /// Whether it can be left out.
    pub(super) presence: Presence,
}

/// Whether a key can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// No.
    Required,
    /// Yes; then there is none.
    Optional,
    /// Yes; then it is this, as TOML.
    Default(&'static str),
}

/// The field of a table: `T` with a default, `Option<T>`, or [`Required`].
pub(super) trait Field: Sized {
    /// Reads what stands under the key, if anything does.
    fn read(
        found: Option<&Found<'_>>,
        default: Option<&'static str>,
        table: &mut Table<'_, '_>,
    ) -> Self;

    /// What it takes.
    fn shape() -> Shape;

    /// Whether it can be left out.
    fn presence(default: Option<&'static str>) -> Presence;
}

/// A value that must be there. Without it there is a problem, and no configuration.
#[derive(Debug)]
pub(super) struct Required<T>(Option<T>);

impl<T> Required<T> {
    /// The value, unless there is a problem with it.
    pub(super) const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Value> Field for T {
    fn read(
        found: Option<&Found<'_>>,
        default: Option<&'static str>,
        table: &mut Table<'_, '_>,
    ) -> Self {
        let default = default.expect("a field that is neither optional nor required has a default");
        found
            .and_then(|found| T::read(found, table.reader))
            .unwrap_or_else(|| table.default(default))
    }

    fn shape() -> Shape {
        <T as Value>::shape()
    }

    fn presence(default: Option<&'static str>) -> Presence {
        Presence::Default(default.unwrap_or_default())
    }
}

impl<T: Value> Field for Option<T> {
    fn read(found: Option<&Found<'_>>, _: Option<&'static str>, table: &mut Table<'_, '_>) -> Self {
        found.and_then(|found| T::read(found, table.reader))
    }

    fn shape() -> Shape {
        <T as Value>::shape()
    }

    fn presence(_: Option<&'static str>) -> Presence {
        Presence::Optional
    }
}

impl<T: Value> Field for Required<T> {
    fn read(found: Option<&Found<'_>>, _: Option<&'static str>, table: &mut Table<'_, '_>) -> Self {
        let Some(found) = found else {
            table.missing(&<T as Value>::shape());
            return Self(None);
        };
        Self(T::read(found, table.reader))
    }

    fn shape() -> Shape {
        <T as Value>::shape()
    }

    fn presence(_: Option<&'static str>) -> Presence {
        Presence::Required
    }
}

/// A problem in the making.
#[derive(Debug)]
pub(super) struct Draft {
    span: Range<usize>,
    key: String,
    message: String,
    accepted: Option<String>,
    hint: Option<String>,
    severity: Severity,
    absence: bool,
}

impl Draft {
    pub(super) const fn new(span: Range<usize>, key: String, message: String) -> Self {
        Self {
            span,
            key,
            message,
            accepted: None,
            hint: None,
            severity: Severity::Error,
            absence: false,
        }
    }

    /// Says what is accepted.
    pub(super) fn accepted(mut self, text: impl Into<String>) -> Self {
        self.accepted = Some(text.into());
        self
    }

    /// Says that a value of this shape is accepted.
    pub(super) fn takes(self, shape: &Shape) -> Self {
        let text = format!("takes {}", shape.words());
        self.accepted(text)
    }

    /// Says what to do.
    pub(super) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Says which of `known` may be meant, and which there are.
    pub(super) fn nearest<'n>(
        mut self,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
        noun: &str,
    ) -> Self {
        if let Some(near) = nearest(name, known.clone()) {
            self = self.hint(format!("did you mean `{near}`?"));
        }
        let names: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        self.accepted(match names.is_empty() {
            true => format!("there is no {noun} yet"),
            false => format!("accepted: {}", names.join(", ")),
        })
    }

    /// The configuration can be used all the same.
    pub(super) const fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// It is about something that is not there: not told where broken syntax may hide it.
    pub(super) const fn of_absence(mut self) -> Self {
        self.absence = true;
        self
    }
}

/// Where problems are gathered.
#[derive(Debug)]
pub(super) struct Problems {
    text: Arc<str>,
    file: Arc<str>,
    list: Vec<Problem>,
    /// Parts of the text that must not be shown.
    masks: Vec<Range<usize>>,
    /// Lines with broken syntax: what follows from them is not told.
    broken: Vec<usize>,
}

impl Problems {
    pub(super) fn new(text: &str, file: &str) -> Self {
        Self {
            text: text.into(),
            file: file.into(),
            list: Vec::new(),
            masks: super::mask::secrets_in(text),
            broken: Vec::new(),
        }
    }

    /// Adds a problem.
    pub(super) fn push(&mut self, draft: Draft) {
        if draft.absence && !self.broken.is_empty() {
            return;
        }
        let problem = self.place(draft);
        if !self.broken.contains(&problem.line) {
            self.list.push(problem);
        }
    }

    /// Finds line and column.
    pub(super) fn place(&self, draft: Draft) -> Problem {
        let span = clamp(&self.text, &draft.span);
        let (line, column) = position(&self.text, span.start);
        Problem {
            severity: draft.severity,
            file: self.file.to_string(),
            line,
            column,
            key: draft.key,
            message: draft.message,
            accepted: draft.accepted,
            hint: draft.hint,
            span: Some(span),
        }
    }

    /// Whether there is a problem with this very key.
    pub(super) fn any_at(&self, key: &str) -> bool {
        self.list.iter().any(|problem| problem.key == key)
    }

    /// Adds what is no TOML at all.
    pub(super) fn push_syntax(&mut self, errors: &[toml::de::Error]) {
        let mut lines = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or_default();
            let start = clamp(&self.text, &span).start;
            lines.push(position(&self.text, start).0);
            self.masks
                .extend(super::mask::suspects_in_line(&self.text, start));
            let message = error.message().lines().next().unwrap_or("this is no TOML");
            self.push(Draft::new(span, String::new(), message.to_owned()));
        }
        self.broken = lines;
    }

    /// Whether the text is no TOML in some place.
    pub(super) const fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Keeps a part of the text from being shown.
    pub(super) fn mask(&mut self, span: Range<usize>) {
        self.masks.push(span);
    }

    /// Whether a problem forbids to go on.
    pub(super) fn any_error(&self) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Everything gathered, and the text with its secrets masked.
    pub(super) fn finish(self) -> (Vec<Problem>, Arc<str>) {
        let masked = super::mask::apply(&self.text, &self.masks);
        (self.list, masked.into())
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

#[derive(Debug)]
enum Step {
    Key(&'static str),
    Name(String),
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
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Index(at) => out.push_str(&format!("[{at}]")),
                Step::Key(name) => push_key(&mut out, name),
                Step::Name(name) => push_key(&mut out, name),
            }
        }
        out
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
        kind.starts_with("apps.keys") || kind.starts_with("server.tls")
    }

    /// The start of a problem with `found`.
    pub(super) fn problem(&self, found: &Found<'_>, message: impl Into<String>) -> Draft {
        let span = self.given.clone().unwrap_or_else(|| found.span());
        Draft::new(span, self.key(), message.into())
    }

    /// Says that `found` is of the wrong type.
    pub(super) fn mistyped(&mut self, found: &Found<'_>, shape: &Shape) {
        if self.near_secrets() {
            self.problems.mask(found.span());
        }
        let message = format!("found {}", type_words(found.get_ref()));
        let mut draft = self.problem(found, message).takes(shape);
        let word = matches!(shape, Shape::Word(..));
        if word
            && matches!(
                found.get_ref(),
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_)
            )
        {
            draft = draft.hint("the value stands in quotes");
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
        if self.near_secrets() || !is_plain(value.get_ref()) {
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
        }
        self.problems.push(draft);
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Table<'r, 'p> {
    reader: &'r mut Reader<'p>,
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
    fn missing(&mut self, shape: &Shape) {
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

    fn default<T: Value>(&mut self, text: &'static str) -> T {
        let value = DeValue::parse(text).expect("defaults are TOML: a test reads them all");
        let outer = self.reader.given.replace(self.span.clone());
        let read = T::read(&value, self.reader).expect("defaults are good: a test reads them all");
        self.reader.given = outer;
        read
    }
}

/// Writes a table once: as a struct, as its reader, as its documentation.
macro_rules! table {
    ($(#[doc = $about:literal])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* pub $field:ident: $kind:ty $(= $default:tt)?,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub(in crate::config) struct $name {
            $($(#[doc = $doc])* pub(in crate::config) $field: $kind,)*
        }

        impl $crate::config::read::Value for $name {
            fn read(
                found: &$crate::config::read::Found<'_>,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                const NAMES: &[&str] = &[$(stringify!($field)),*];
                let (mut table, found) =
                    reader.open(found, NAMES, <Self as $crate::config::read::Value>::shape)?;
                Some(Self {
                    $($field: table.field(found, stringify!($field), table!(@default $($default)?)),)*
                })
            }

            fn shape() -> $crate::config::read::Shape {
                $crate::config::read::Shape::Table($crate::config::read::TableShape {
                    about: $crate::config::read::paragraph(&[$($about),*]),
                    fields: vec![$($crate::config::read::FieldShape {
                        name: stringify!($field),
                        about: $crate::config::read::paragraph(&[$($doc),*]),
                        shape: <$kind as $crate::config::read::Field>::shape(),
                        presence: <$kind as $crate::config::read::Field>::presence(
                            table!(@default $($default)?),
                        ),
                    }),*],
                })
            }
        }
    };
    (@default) => { None };
    (@default $default:tt) => { Some(stringify!($default)) };
}

pub(super) use table;

/// Lines of a doc comment as one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ").trim().to_owned()
}

impl Shape {
    /// What it takes, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Word(words, _) => words.clone(),
            Self::Table(table) => {
                let names: Vec<String> = table
                    .fields
                    .iter()
                    .map(|field| format!("`{}`", field.name))
                    .collect();
                format!("a table with {}", names.join(", "))
            }
            Self::Named(item) => format!("a table of names, each {}", item.words()),
            Self::List(item) => format!("a list, each {}", item.words()),
            Self::OneOrMore(item) => format!("{}, or a list of such", item.words()),
            Self::Either(shapes) => {
                let words: Vec<String> = shapes.iter().map(Self::words).collect();
                words.join(", or ")
            }
        }
    }
}

/// A stranger's text as it may stand in a message: short, without control characters.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    // A quote is as harmless here as it is in the file.
    out.replace("\\\"", "\"").replace("\\'", "'")
}

fn push_key(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('.');
    }
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match bare {
        true => out.push_str(name),
        false => out.push_str(&format!("\"{}\"", shown(name))),
    }
}

/// Whether a value can hardly be a secret.
const fn is_plain(value: &DeValue<'_>) -> bool {
    !matches!(
        value,
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_)
    )
}

const fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
