//! What the program itself has to tell – start, reload, drain, warnings – on standard error.

use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Events cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadEvents {
    /// The filter cannot be read.
    #[error("the filter `{0}` is not like `info` or `portcullis=debug,warn`")]
    Filter(String),
    /// Events of this process go elsewhere already.
    #[error("events are set up already")]
    Twice,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFormat {
    /// One JSON object a line, rather than text for people.
    pub json: bool,
    /// Whether text has colours.
    pub colour: bool,
}

impl EventFormat {
    /// Text on a terminal, coloured unless `no_color`; JSON on a pipe.
    pub fn of_stderr(no_color: bool) -> Self {
        let is_terminal = stderr().is_terminal();
        Self {
            json: !is_terminal,
            colour: is_terminal && !no_color,
        }
    }
}

/// Sends the `tracing` events of this process to standard error, as far as
/// `filter` lets them.
///
/// # Errors
/// [`BadEvents`].
pub fn init_events(format: EventFormat, filter: &str) -> Result<(), BadEvents> {
    let filter = EnvFilter::try_new(filter).map_err(|_| BadEvents::Filter(filter.to_owned()))?;
    let events = fmt()
        .with_writer(stderr)
        .with_env_filter(filter)
        .with_ansi(format.colour)
        .with_target(false);
    let set = if format.json {
        events.json().flatten_event(true).try_init()
    } else {
        events.try_init()
    };
    set.map_err(|_| BadEvents::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let format = EventFormat {
            json: true,
            colour: false,
        };
        let bad = init_events(format, "portcullis=loud").unwrap_err();
        assert!(bad.to_string().contains("`portcullis=loud`"));
    }
}
