//! What a gateway tells of who still uses static keys.

use super::registry::{Made, static_uses};
use crate::gateway::Shared;
use crate::observe::Kind;
use std::sync::{Arc, Weak};

/// Shows how often each app has shown one.
pub(super) fn show(shared: &Arc<Shared>, made: Option<&Made>) {
    let shown = Arc::downgrade(shared);
    let live = made.map(|made| Arc::downgrade(&made.live));
    shared.observer.series(
        Kind::Counter,
        "api_key_requests",
        "Requests that an app proved by a static key",
        move || {
            let shared = shown.upgrade();
            let live = live.as_ref().and_then(Weak::upgrade);
            let ours = shared.map(|shared| shared.settings.load().static_key_uses());
            let others = live.map(|live| static_uses(&live));
            ours.into_iter().chain(others).flatten().collect()
        },
    );
}
