//! What stops a command, as its user reads it.

use crate::config::Report;
use std::fmt;

/// A message, what to do about it, and the exit code that goes with it.
#[derive(Debug)]
pub(super) struct Stop {
    exit: u8,
    text: String,
    hint: Option<String>,
    /// The text says by itself that it is an error.
    is_report: bool,
}

/// Refused or failed.
pub(super) const FAILED: u8 = 1;
/// The command line or the configuration is at fault.
pub(super) const USAGE: u8 = 2;

impl Stop {
    /// The command line is at fault.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    /// What was asked for did not work.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::new(FAILED, text)
    }

    fn new(exit: u8, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
            hint: None,
            is_report: false,
        }
    }

    /// The configuration is at fault, in the ways that `report` lists.
    pub(super) fn bad_config(report: &Report) -> Self {
        Self {
            is_report: true,
            ..Self::usage(report.coloured())
        }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the text is a report, with a form of its own.
    pub(super) const fn is_report(&self) -> bool {
        self.is_report
    }

    /// The exit code.
    pub(super) const fn exit(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Stop {}
