//! What a gateway writes down of its requests, and what of them is on the page of metrics from its start.

use crate::gateway::refusal::Code;
use crate::observe::{AccessLog, Format, Observer, Settings};
use std::io::Write;

/// Writes access records to `sink`, or to the standard output.
pub(super) fn observer(
    sink: Option<Box<dyn Write + Send>>,
    readable: bool,
    workers: usize,
) -> Observer {
    let access_log = match sink {
        Some(sink) if readable => AccessLog::to(sink, Format::Readable { colour: true }),
        Some(sink) => AccessLog::to(sink, Format::Json),
        None => AccessLog::stdout(Format::of_stdout(crate::config::no_color())),
    };
    // Those that docs/observe.md has alerts for.
    let shown = Code::ALL
        .iter()
        .filter(|code| code.status().is_server_error() || **code == Code::ClockSkew);
    Observer::new(Settings {
        access_log: Some(access_log),
        workers,
        codes: Code::ALL.iter().map(|code| code.word()).collect(),
        shown: shown
            .map(|code| (code.status().as_u16(), code.word()))
            .collect(),
    })
}
