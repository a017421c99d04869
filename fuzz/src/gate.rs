//! What credentials are verified against: one app, one key, one route, one moment.

use portcullis::apps::{App, Key, Registry, SchemeSet};
use portcullis::clock::Now;
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::route::{Bind, Route};
use portcullis::schemes::Surroundings;
use portcullis::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

/// The moment at which every input is looked at.
pub(super) const NOW: i64 = 1_800_000_000;
/// The key's id.
pub(super) const KEY_ID: &str = "mobile-2026";
/// What the app may do.
pub(super) const SCOPES: [&str; 2] = ["orders", "read"];

/// [`NOW`], as rooms take it.
pub(super) fn now() -> Now {
    let time = Duration::from_secs(NOW.unsigned_abs());
    Now::new(time, time)
}

/// The key's secret: published here, so that inputs can be signed.
pub(super) fn secret() -> Secret {
    Secret::new(b"a secret of the fuzz targets only".to_vec())
}

/// The key itself.
pub(super) fn key() -> HmacKey {
    HmacKey::new(Algorithm::HmacSha256, &secret()).expect("the secret is long enough")
}

/// A registry of the one key.
pub(super) fn registry() -> Registry {
    let app = Arc::new(App {
        scopes: SCOPES.into_iter().collect(),
        ..App::new("mobile")
    });
    let key = Key::new(KEY_ID, app.clone(), key());
    Registry::new(vec![app], vec![key], 1).expect("there is one key")
}

/// A route that takes every scheme.
pub(super) fn route(bind: Bind) -> Route {
    Route {
        bind,
        ..Route::any("orders")
    }
}

/// A plain connection.
pub(super) fn around<'r>(has_body: bool) -> Surroundings<'r> {
    Surroundings {
        tls: false,
        http2: false,
        has_body,
        public_url: None,
    }
}
