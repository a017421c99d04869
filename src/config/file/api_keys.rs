//! Static keys as written: `[api_keys]`, and those of apps.

use crate::config::lists::Several;
use crate::config::read::At;
use crate::config::secrets::{Given, Reference};
use crate::config::static_keys::{Hash, Link, Parameter, PlaceOfKey};
use crate::config::table::{Required, table};
use crate::config::times::Moment;
use crate::config::values::KeyId;

table! {
    /// Where static keys stand in a request, and what their callers are told. For callers that cannot prove
    /// themselves in a better way yet: see docs/api-keys.md.
    pub struct ApiKeys {
        /// The secret that keys are hashed under. Who has it and a hash can try keys; without it no hash here is of use.
        /// Where it is not said, it is in the file `api-keys.pepper` of `[state] directory`, made at the first start.
        pub pepper: Option<At<Reference>>,
        /// Fields that a key may stand in: `"X-Api-Key"`, or `"Authorization: Bearer"`, `"Authorization: ApiKey"`,
        /// `"Authorization: Basic"`, which are looked at on routes that accept `"api-key"`. A field of its own is
        /// forwarded by no route but one with `keep_proof`.
        pub headers: Several<At<PlaceOfKey>> = ["X-Api-Key"],
        /// A parameter of the query that may hold a key. Unsafe: queries are kept in logs, histories and caches of
        /// others. It is taken out of the query before the request is forwarded.
        pub unsafe_query_parameter: Option<At<Parameter>>,
        /// Since when callers are told that static keys are deprecated. Where it is not said, 2026-11-01.
        pub deprecation: Option<At<Moment>>,
        /// The first day, or the first second, at which no static key is taken any more. Callers are told.
        pub sunset: Option<At<Moment>>,
        /// A page that says what to use instead. Callers are told.
        pub link: Option<At<Link>>,
    }
}

table! {
    /// A static key of an app, by its hash or by where it is. It has 16 to 512 visible ASCII characters.
    pub struct ApiKey {
        /// What it is called in logs and for the upstream. No other key has the same.
        pub id: Required<At<KeyId>>,
        /// What `portcullis hash-key` prints: its HMAC-SHA-256 under the `pepper`.
        pub hash: Option<At<Hash>>,
        /// Where the key itself is, `env:NAME` or `file:PATH`. Only its hash is kept in memory.
        pub secret: Option<Given>,
        /// The first day, or the first second, at which it may be used.
        pub not_before: Option<At<Moment>>,
        /// The first day, or the first second, at which it may no longer be used.
        pub not_after: Option<At<Moment>>,
        /// `false` refuses it.
        pub enabled: bool = true,
    }
}
