//! The key service: its secret, its memory, its numbers.

use super::registry::Made;
use crate::apps::made::Store;
use crate::mint::Service;
use crate::observe::{Kind, Observer, One};
use crate::store;
use anyhow::Context as _;
use std::sync::Arc;

/// Answered challenges that are remembered besides those that were answered rightly.
const ANSWERED: usize = 16_384;

/// Makes the service, and shows what it counts.
pub(super) fn service(
    state: &store::Settings,
    observer: &Observer,
    made: Option<&Made>,
) -> anyhow::Result<Arc<Service>> {
    let secret = store::kept_secret::read_or_make(&state.directory, "challenge.key")?;
    let answered = Arc::new(store::embedded::Table::new(ANSWERED));
    let service = Service::new(&secret, answered)
        .context("`challenge.key` in `[state] directory` cannot be used")?;
    let registry = made.map(|made| -> Arc<dyn Store> { made.store.clone() });
    let service = Arc::new(service.with_store(registry));
    let shown = Arc::downgrade(&service);
    observer.series(
        Kind::Counter,
        "token_requests",
        "Answers to challenges, by what they got and why: `minted`, a token; `decoy` or `refused`, none.",
        move || {
            let counts = shown.upgrade().map(|service| service.counts());
            let counts = counts.into_iter().flatten();
            counts
                .map(|(outcome, reason, value)| One {
                    labels: vec![("outcome", outcome.into()), ("reason", reason.into())],
                    value,
                })
                .collect()
        },
    );
    Ok(service)
}
