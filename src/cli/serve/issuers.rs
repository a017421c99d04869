//! What a gateway tells of the issuers whose keys it fetches, and the fetches.

use crate::gateway::{Settings, Shared};
use crate::issuers::{Fetches, START_WAIT, Source, settle};
use crate::observe::{Kind, One};
use std::sync::Arc;

/// Numbers of an issuer, and which result each is of.
type Told = Vec<(Option<&'static str>, u64)>;

/// Shows how often the keys of each issuer were fetched, how many there are and how old they are.
pub(super) fn show(shared: &Arc<Shared>) {
    let read = |tell: fn(&Source, i64) -> Told| {
        let shared = Arc::downgrade(shared);
        move || {
            let Some(shared) = shared.upgrade() else {
                return Vec::new();
            };
            let now = shared.clock.now().unix_seconds();
            let of_one = |source: &Source| {
                let name = source.settings.name.to_string();
                let told = tell(source, now).into_iter();
                told.map(move |(result, value)| {
                    let mut labels = vec![("issuer", name.clone())];
                    labels.extend(result.map(|result| ("result", result.to_owned())));
                    One { labels, value }
                })
            };
            let settings = shared.settings.load();
            settings.sources().iter().flat_map(of_one).collect()
        }
    };
    shared.observer.series(
        Kind::Counter,
        "issuer_fetches",
        "Fetches of an issuer's keys",
        read(|source, _| {
            let (successes, failures) = source.known.counts();
            vec![(Some("success"), successes), (Some("failure"), failures)]
        }),
    );
    shared.observer.series(
        Kind::Gauge,
        "issuer_keys",
        "Keys of an issuer that are in force",
        read(|source, now| {
            let keys = source.known.keys();
            let count = if keys.are_stale(now) {
                0
            } else {
                keys.current().len()
            };
            vec![(None, count as u64)]
        }),
    );
    shared.observer.series(
        Kind::Gauge,
        "issuer_keys_age_seconds",
        "How long ago the keys of an issuer were fetched",
        read(|source, now| {
            let at = source.known.keys().fetched_at();
            at.map(|at| (None, now.saturating_sub(at).max(0) as u64))
                .into_iter()
                .collect()
        }),
    );
}

/// Fetches the first keys, and waits for them for a while: no token is refused because we have just begun.
pub(super) fn begin(fetches: &Fetches, shared: &Shared) {
    let settings = shared.settings.load();
    fetch(fetches, &settings);
    settle(settings.sources(), START_WAIT, &shared.clock);
}

/// Fetches what `settings` asks for, and nothing else. Whoever reloads has perhaps mended what failed.
pub(super) fn fetch(fetches: &Fetches, settings: &Settings) {
    if let Err(error) = fetches.set(settings.sources().to_vec()) {
        tracing::error!(%error, "the keys of issuers cannot be fetched: there is no thread for it");
    }
    settings.sources().iter().for_each(Source::try_again);
}
