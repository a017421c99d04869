//! What credentials are verified against: one app, one key, one route, one moment.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::apps::{App, Key, Registry};
use portcullis::clock::Now;
use portcullis::crypto::{Algorithm, HmacKey};
use portcullis::route::{Bind, Route};
use portcullis::schemes::{Received, Surroundings, token};
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

/// A token of this header and these claims, signed by the key.
pub(super) fn token(header: &[u8], claims: &[u8]) -> HeaderValue {
    let signed = [header, claims].map(|part| BASE64URL_NOPAD.encode(part));
    let signed = signed.join(".");
    let tag = BASE64URL_NOPAD.encode(key().sign(signed.as_bytes()).as_bytes());
    HeaderValue::try_from(format!("{signed}.{tag}")).expect("base64url")
}

/// What stands in the two fields of a token that is bound to a key, and of the proof of that key: in `bytes` the claims,
/// which begin with `{`, beside a proof that cannot be read, or the proof beside the usual claims.
pub(super) fn beside_proof(header: &str, usual: &str, bytes: &[u8]) -> Option<[HeaderValue; 2]> {
    let is_claims = bytes.first() == Some(&b'{');
    let (claims, proof) = if is_claims {
        (bytes, &b"a.b.c"[..])
    } else {
        (usual.as_bytes(), bytes)
    };
    let proof = HeaderValue::from_bytes(proof).ok()?;
    Some([token(header.as_bytes(), claims), proof])
}

/// Whether a token lets a request of these fields in.
pub(super) fn takes_token(method: &Method, uri: &Uri, fields: &HeaderMap, route: &Route) -> bool {
    let received =
        Received::read(method, uri, fields, around(false)).expect("nothing but the proof is odd");
    let (life, skew) = (Duration::from_mins(15), Duration::from_secs(30));
    let settings = token::Settings::new(None, life, skew);
    let cache = token::Cache::new(1);
    let Ok(Some(presented)) = token::read(&received, route) else {
        return false;
    };
    let registry = registry();
    token::verify(
        &presented,
        &received,
        route,
        &registry,
        &settings,
        &cache,
        now(),
    )
    .is_ok()
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
