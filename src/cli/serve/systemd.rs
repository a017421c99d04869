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
/// does. Workers that have ended since we `stop` are no reason to be killed.
pub(super) async fn keep_alive(pulse: Pulse, stop: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Twice within its patience, as it asks for, and time to find out.
    let mut beat = tokio::time::interval(patience / 4);
    loop {
        beat.tick().await;
        let lives = tokio::time::timeout(patience / 4, pulse.beats());
        if stop.is_cancelled() || lives.await == Ok(true) {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Where nobody asked, nothing is told; who asked and does not listen is not our concern.
    let _ = sd_notify::notify(state);
}
