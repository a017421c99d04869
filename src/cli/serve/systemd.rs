//! What the service manager is told (`sd_notify`(3)), where it asks to be told.

use crate::server::Pulse;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// We listen, on the configuration that is in force.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] ends it.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// We are about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the watchdog, if there is one, that we live, as long as every worker
/// does. Workers that have ended since we `stop` are no reason to be killed, and one that waits for the disk is
/// none: a new process would wait for the same disk, and those that serve would end.
pub(super) async fn keep_alive(
    pulse: Pulse,
    disk_answers: impl Fn() -> bool,
    stop: CancellationToken,
) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Twice within its patience, as it asks for, and time to find out.
    let mut beat = tokio::time::interval(patience / 4);
    loop {
        beat.tick().await;
        let lives = pulse.silent(patience / 4).await.is_none();
        if stop.is_cancelled() || lives || !disk_answers() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Where nobody asked, nothing is told; who asked and does not listen is not our concern.
    let _ = sd_notify::notify(state);
}
