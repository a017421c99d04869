//! What wakes a running gateway: signals, and files that changed.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

/// How long to wait after a file changed: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(200);

/// Why the gateway wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// To read its configuration again: a file changed.
    Changed,
    /// To read its configuration again: someone asks for it, and waits for an answer.
    Asked,
    /// Its configuration was read again by somebody else.
    Reloaded,
    /// To stop.
    Stop,
}

/// Everything that can wake a gateway.
pub(super) struct Wakes {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    changed: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    names: Names,
}

/// The names of the watched files. Others change in the same folders, some
/// all the time: the memory of proofs may lie beside a key.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashSet<OsString>>>);

impl Names {
    fn set(&self, files: &[PathBuf]) {
        let names = files.iter().filter_map(|file| file.file_name());
        let names = names.map(ToOwned::to_owned).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn may_have_changed(&self, event: &notify::Event) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |path: &PathBuf| {
            path.file_name().is_none_or(|name| {
                // Orchestrators swap a link, `..data`, behind the file.
                names.contains(name) || name.as_encoded_bytes().starts_with(b"..")
            })
        };
        !event.kind.is_access() && event.paths.iter().any(is_ours)
    }
}

impl Wakes {
    /// Watches the folders of `files`: editors and orchestrators replace
    /// files, which a watch on the file itself would miss.
    ///
    /// # Errors
    /// When signals cannot be received. A watch that cannot be set up is a
    /// warning: SIGHUP still works.
    pub(super) fn new(files: &[PathBuf]) -> std::io::Result<Self> {
        // One waiting wake stands for any number of changes.
        let (sender, changed) = mpsc::channel(1);
        let names = Names::default();
        let wanted = names.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // What cannot be told may be a change.
            if event.map_or(true, |event| wanted.may_have_changed(&event)) {
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|why| tracing::warn!("files are not watched ({why}); SIGHUP reloads"))
            .ok();
        let mut wakes = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            changed,
            watcher,
            watched: Vec::new(),
            names,
        };
        wakes.watch(files);
        Ok(wakes)
    }

    /// Watches the folders of `files` from now on.
    pub(super) fn watch(&mut self, files: &[PathBuf]) {
        self.names.set(files);
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut folders: Vec<PathBuf> = files.iter().map(|file| folder(file)).collect();
        folders.sort_unstable();
        folders.dedup();
        for gone in self.watched.iter().filter(|old| !folders.contains(old)) {
            let _ = watcher.unwatch(gone);
        }
        for new in folders.iter().filter(|new| !self.watched.contains(new)) {
            if let Err(why) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!("`{}` is not watched ({why}); SIGHUP reloads", new.display());
            }
        }
        self.watched = folders;
    }

    /// Waits for the next reason to wake, which may be that `reloaded` rings.
    pub(super) async fn next(&mut self, reloaded: &Notify) -> Wake {
        tokio::select! {
            () = reloaded.notified() => Wake::Reloaded,
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hang_up.recv() => Wake::Asked,
            Some(()) = self.changed.recv() => {
                // Whoever asks meanwhile does not wait.
                tokio::select! {
                    () = tokio::time::sleep(SETTLE) => {}
                    _ = self.hang_up.recv() => return Wake::Asked,
                    _ = self.terminate.recv() => return Wake::Stop,
                    _ = self.interrupt.recv() => return Wake::Stop,
                }
                let _ = self.changed.try_recv();
                Wake::Changed
            }
        }
    }

    /// Waits until the gateway is told to stop, be it once more.
    pub(super) async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
