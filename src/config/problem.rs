//! One problem of a configuration: where it is, what was found, what is accepted, a hint.

use super::gather::Problems;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

/// How many problems are told in one run; more are only counted.
const MAX_PROBLEMS: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, and someone should know.
    Warning,
}

/// One thing that is wrong. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named to us.
    pub file: String,
    /// Line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Column in characters, counted from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// The key's path, `routes[0].upstream`; empty where no key is meant.
    pub key: String,
    /// What is wrong, with what was found in backticks.
    pub message: String,
    /// What is accepted there.
    pub accepted: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    #[serde(skip)]
    pub(super) span: Option<Range<usize>>,
}

impl fmt::Display for Problem {
    /// One line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.title())?;
        if let Some(accepted) = &self.accepted {
            write!(f, "; {accepted}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl Problem {
    fn title(&self) -> String {
        if self.key.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.key, self.message)
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
    /// The text with secrets masked.
    source: Arc<str>,
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.problems.serialize(serializer)
    }
}

impl Report {
    pub(super) fn new(gathered: Problems) -> Self {
        let (mut problems, source) = gathered.finish();
        problems.sort_by_key(|problem| {
            let at = problem.span.as_ref().map_or(0, |span| span.start);
            (problem.severity == Severity::Warning, at)
        });
        problems.dedup();
        Self { problems, source }
    }

    /// A report of one problem with the file as a whole.
    pub(super) fn of_file(name: &str, message: String, hint: Option<String>) -> Self {
        let problem = Problem {
            severity: Severity::Error,
            file: name.into(),
            line: 0,
            column: 0,
            key: String::new(),
            message,
            accepted: None,
            hint,
            span: None,
        };
        Self {
            problems: vec![problem],
            source: "".into(),
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Every problem, errors first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The same with colours, for a terminal.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    /// `{"ok": false, "problems": […]}`, for programs.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "ok": false, "problems": self.problems })
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut out = String::new();
        for problem in self.problems.iter().take(MAX_PROBLEMS) {
            out.push_str(&self.render_one(problem, renderer));
            out.push_str("\n\n");
        }
        let (total, shown) = (self.problems.len(), self.problems.len().min(MAX_PROBLEMS));
        if shown < total {
            let _ = write!(out, "… and {} more\n\n", total - shown);
        }
        let noun = if total == 1 { "problem" } else { "problems" };
        let _ = write!(out, "{total} {noun} found");
        out
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(problem.title());
        let mut group = match &problem.span {
            None => title.element(annotate_snippets::Origin::path(problem.file.as_str())),
            Some(span) => {
                let excerpt = lines_of(&self.source, span);
                let start = span.start - excerpt.start;
                let end = span.end.min(excerpt.end).max(span.start) - excerpt.start;
                let mark = AnnotationKind::Primary
                    .span(start..end)
                    .label(problem.accepted.as_deref());
                title.element(
                    Snippet::source(&self.source[excerpt])
                        .line_start(problem.line)
                        .path(problem.file.as_str())
                        .annotation(mark),
                )
            }
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The whole first line of `span`: what stands around it is no part of the problem.
fn lines_of(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = source[span.start..]
        .find('\n')
        .map_or(source.len(), |at| span.start + at);
    start..end
}

/// Makes a span usable: within the text, on character boundaries.
pub(super) fn clamp(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(source, span.start);
    start..floor(source, span.end).max(start)
}

fn floor(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Line and column of a byte, both from 1.
pub(super) fn position(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..floor(source, at)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
