//! What `check` notes beside its warnings.

use super::{hosts, places, strangers, tunnels};
use crate::cli::files::{self, Need};
use crate::config::Loaded;
use std::path::Path;

/// What is good to know, and not counted as a warning.
pub(super) fn of(loaded: &Loaded) -> Vec<String> {
    let config = &loaded.config;
    let mut notes = tunnels::notes(config);
    notes.extend(strangers::notes(config));
    notes.extend(hosts::note(config));
    notes.extend(places::note(config));
    // Of this shell, not of the configuration.
    let shortage = Need::of(config).shortage(files::most());
    notes.extend(
        shortage
            .map(|shortage| format!("started from here, too few files may be open: {shortage}")),
    );
    notes.extend(no_state(&config.state.directory));
    notes
}

/// Why a start from here would end at `[state] directory`. Nothing is left behind: the file that is tried has no name.
fn no_state(directory: &Path) -> Option<String> {
    let there = directory.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or_else(|| Path::new("."));
    let why = tempfile::tempfile_in(there).err()?;
    Some(format!(
        "started from here, `[state] directory` cannot be used: nothing can be written in `{}` ({why}); \
         hint: the user that the gateway runs as must be allowed to; run `check` as that user",
        there.display()
    ))
}
