//! A configuration read for its text alone: who asks a gateway where it is need not be allowed to read its secrets.

use super::stop::Stop;
use crate::config::Config;
use anyhow::Result;
use std::path::Path;

/// What the file at `path` says of its gateway, with keys that nobody knows.
pub(super) fn skimmed(path: &Path) -> Result<Config> {
    // What is wrong is told together, that of its secrets, too.
    let loaded = Config::skim(path).or_else(|_| Config::check(path));
    let loaded = loaded.map_err(|report| Stop::bad_config(&report))?;
    Ok(loaded.config)
}
