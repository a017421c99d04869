//! The registry of a gateway that runs.

use crate::apps::made::Store as _;
use crate::observe::Observer;
use crate::store::registry::{OpenError, Registry, Settings};
use std::sync::Arc;

/// Opens it, where there is to be one.
pub(super) fn open(settings: Option<&Settings>) -> Result<Option<Arc<Registry>>, OpenError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let registry = Registry::open(settings)?;
    let (path, revision) = (registry.path().display(), registry.revision().0);
    tracing::info!(%path, revision, "registry opened");
    Ok(Some(Arc::new(registry)))
}

/// Shows whether it can be written.
pub(super) fn show(observer: &Observer, registry: Option<&Arc<Registry>>) {
    let Some(registry) = registry else {
        return;
    };
    let shown = Arc::downgrade(registry);
    observer.gauge(
        "registry_writable",
        "1, or 0 while changes of apps and keys are refused since the registry cannot be written.",
        move || {
            let registry = shown.upgrade();
            registry.map_or(0, |registry| registry.is_writable().into())
        },
    );
}
