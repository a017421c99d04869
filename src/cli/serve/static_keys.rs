//! What a gateway tells of who still uses static keys.

use crate::gateway::Shared;
use crate::observe::Kind;
use std::sync::Arc;

/// Shows how often each app has shown one.
pub(super) fn show(shared: &Arc<Shared>) {
    let shown = Arc::downgrade(shared);
    shared.observer.series(
        Kind::Counter,
        "api_key_requests",
        "Requests that an app proved by a static key",
        move || {
            let shared = shown.upgrade();
            shared.map_or_else(Vec::new, |shared| shared.settings.load().static_key_uses())
        },
    );
}
