//! Work beside the main loop that may wait for a file system which does not answer.

use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// How long files may take before that is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Begins `work` on a thread of its own, and tells when it takes long. `None` comes of a panic. Whoever drops the
/// handle does not end it.
pub(super) fn begin<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<Option<T>> {
    tokio::spawn(async move {
        let mut work = spawn_blocking(work);
        if let Ok(done) = timeout(PATIENCE, &mut work).await {
            return done.ok();
        }
        tracing::warn!(
            "the files of the configuration do not answer: no change of them is taken over till they do"
        );
        let done = work.await;
        tracing::info!("the files of the configuration answer again");
        done.ok()
    })
}
