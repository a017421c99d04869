//! Where problems are gathered, and how one is worded.

use super::mask;
use super::nearest::nearest;
use super::problem::{Problem, Severity, clamp, position};
use super::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

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
        if names.is_empty() {
            return self.accepted(format!("there is no {noun} yet"));
        }
        self.accepted(format!("accepted: {}", names.join(", ")))
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

/// How many errors, and how many warnings, are gathered: who made more than these begins with them.
const MAX_GATHERED: usize = 1_000;

/// How the parser's words for a value without quotes begin.
const UNQUOTED: [&str; 5] = [
    "string values must be quoted",
    "invalid float",
    "invalid integer",
    "invalid datetime",
    "invalid unquoted",
];
const QUOTES: &str = "addresses, durations, rates, sizes, names and paths stand in quotes, `\"`";

/// Where problems are gathered.
#[derive(Debug)]
pub(super) struct Problems {
    text: Arc<str>,
    file: Arc<str>,
    list: Vec<Problem>,
    errors: usize,
    warnings: usize,
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
            errors: 0,
            warnings: 0,
            masks: mask::secrets_in(text),
            broken: Vec::new(),
        }
    }

    /// Adds a problem.
    pub(super) fn push(&mut self, draft: Draft) {
        if draft.absence && self.is_broken() {
            return;
        }
        // Errors and warnings are counted apart: no number of warnings hides an error.
        let count = match draft.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count > MAX_GATHERED {
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

    /// Whether there is a problem with a key of this table, `besides` these.
    pub(super) fn any_within(&self, table: &str, besides: &[&str]) -> bool {
        self.list.iter().any(|problem| {
            let key = problem.key.strip_prefix(table);
            let name = key.and_then(|rest| rest.strip_prefix('.'));
            name.is_some_and(|name| !besides.iter().any(|known| name.starts_with(known)))
        })
    }

    /// Adds what is no TOML at all.
    pub(super) fn push_syntax(&mut self, errors: &[toml::de::Error]) {
        let mut lines = Vec::new();
        for error in errors.iter().take(MAX_GATHERED) {
            let span = error.span().unwrap_or_default();
            let start = clamp(&self.text, &span).start;
            lines.push(position(&self.text, start).0);
            self.masks.extend(mask::suspects_in_line(&self.text, start));
            let message = error.message().lines().next().unwrap_or("this is no TOML");
            let draft = Draft::new(span, String::new(), message.to_owned());
            let is_unquoted = UNQUOTED.iter().any(|start| message.starts_with(start));
            self.push(if is_unquoted {
                draft.hint(QUOTES)
            } else {
                draft
            });
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
    pub(super) const fn any_error(&self) -> bool {
        self.errors > 0
    }

    /// Everything gathered, and the text with its secrets masked.
    pub(super) fn finish(self) -> (Vec<Problem>, Arc<str>) {
        let masked = mask::apply(&self.text, &self.masks);
        (self.list, masked.into())
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
