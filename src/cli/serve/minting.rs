//! The key service: its secret, its memory, its numbers.

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
) -> anyhow::Result<Arc<Service>> {
    let secret = store::kept_secret::read_or_make(&state.directory, "challenge.key")?;
    let answered = Arc::new(store::embedded::Table::new(ANSWERED));
    let service = Service::new(&secret, answered)
        .context("`challenge.key` in `[state] directory` cannot be used")?;
    let service = Arc::new(service);
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
