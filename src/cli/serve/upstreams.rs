//! What a gateway tells of its upstreams, and the checks of their servers.

use crate::forward::upstream::Upstream;
use crate::forward::upstream::checks::Checks;
use crate::gateway::{Settings, Shared};
use crate::observe::{Kind, One};
use std::sync::Arc;

/// Shows the servers of each upstream by state, and its retries.
pub(super) fn show(shared: &Arc<Shared>) {
    let read = |tell: fn(&Upstream) -> Vec<(&'static str, u64)>, label: &'static str| {
        let shared = Arc::downgrade(shared);
        move || {
            let Some(shared) = shared.upgrade() else {
                return Vec::new();
            };
            let settings = shared.settings.load();
            let of_one = |upstream: &Upstream| {
                let name = upstream.settings().name.to_string();
                tell(upstream).into_iter().map(move |(word, value)| One {
                    labels: vec![("upstream", name.clone()), (label, word.to_owned())],
                    value,
                })
            };
            settings.upstreams().iter().flat_map(of_one).collect()
        }
    };
    let states = |upstream: &Upstream| {
        let states = upstream.servers_by_state().into_iter();
        states.map(|(state, many)| (state, many as u64)).collect()
    };
    shared.observer.series(
        Kind::Gauge,
        "upstream_servers",
        "Servers of an upstream by state",
        read(states, "state"),
    );
    shared.observer.series(
        Kind::Counter,
        "upstream_retries",
        "Requests that were sent to a second server, or were not since the budget was used up",
        read(|upstream| upstream.retries().into(), "result"),
    );
}

/// Checks what `settings` asks for, and nothing else.
pub(super) fn check(checks: &Checks, settings: &Settings) {
    let wanted = settings.upstreams().iter().flat_map(Upstream::checks);
    if let Err(error) = checks.set(wanted.collect()) {
        tracing::error!(%error, "servers cannot be checked: there is no thread for it");
    }
}
