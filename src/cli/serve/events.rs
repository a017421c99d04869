//! Where events of this program go.

use crate::cli::stop::Stop;
use crate::observe;
use crate::observe::events::{BadEvents, EventFormat};

/// Sends events to standard error: text on a terminal, JSON on a pipe.
///
/// # Errors
/// When `PORTCULLIS_LOG` is no filter.
pub fn init_events() -> anyhow::Result<()> {
    let format = EventFormat::of_stderr(crate::config::no_color());
    observe::init_events(format, &crate::config::event_filter()).map_err(|bad| match bad {
        BadEvents::Filter(_) => Stop::usage(format!("`PORTCULLIS_LOG`: {bad}")),
        BadEvents::Level(ref word) => Stop::usage(format!("`PORTCULLIS_LOG`: {bad}")).hint(
            format!("if it is a part of a program whose events you want, write `{word}=trace`"),
        ),
        _ => Stop::failed(bad.to_string()),
    })?;
    Ok(())
}
