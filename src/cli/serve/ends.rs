//! When the certificates end that the configuration in force names, as metrics show it.

use crate::observe::{Kind, Observer, One};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Whose, and the last second of the first that ends.
#[derive(Clone)]
pub(super) struct Ends(Arc<ArcSwap<Vec<(String, i64)>>>);

impl Ends {
    /// Shows them, and what is put in their place.
    pub(super) fn shown(observer: &Observer, ends: Vec<(String, i64)>) -> Self {
        let all = Self(Arc::new(ArcSwap::from_pointee(ends)));
        let shown = all.clone();
        observer.series(
            Kind::Gauge,
            "certificate_not_after_timestamp",
            "When the first certificate of a file ends, in Unix time",
            move || shown.read(),
        );
        all
    }

    /// Other certificates are in force.
    pub(super) fn replace(&self, ends: Vec<(String, i64)>) {
        self.0.store(Arc::new(ends));
    }

    fn read(&self) -> Vec<One> {
        let one = |(of, end): &(String, i64)| One {
            labels: vec![("of", of.clone())],
            value: u64::try_from(*end).unwrap_or(0),
        };
        self.0.load().iter().map(one).collect()
    }
}
