//! Names of servers that cannot be looked up any more, of all workers: nobody would know while their old addresses work.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that were told. As many as were configured since the start, at most.
static LOST: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn lost() -> MutexGuard<'static, BTreeSet<String>> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that a look-up failed, and tells it where it is the first.
pub(super) fn is_lost(host: &str, port: u16, why: &io::Error) {
    let server = format!("{host}:{port}");
    if lost().insert(server.clone()) {
        tracing::warn!(server, %why, "a name cannot be looked up; the known addresses stay");
    }
}

/// Notes that a look-up went well, and tells it where others failed before.
pub(super) fn is_found(host: &str, port: u16) {
    let mut lost = lost();
    if lost.is_empty() {
        return;
    }
    let server = format!("{host}:{port}");
    if lost.remove(&server) {
        tracing::info!(server, "a name can be looked up again");
    }
}
