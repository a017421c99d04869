//! `cors` of a route, and of the key service, as written.

use crate::config::beyond::FieldName;
use crate::config::lists::{List, Several};
use crate::config::read::At;
use crate::config::table::{Required, table};
use crate::config::times::Seconds;
use crate::route::Origin;
use http::Method;

table! {
    /// Whose pages may call from a browser (CORS).
    pub struct Cors {
        /// Whose: `"https://app.example"`, `"https://*.example"` (all names below it), or `"*"` alone.
        pub origins: Required<Several<At<Origin>>>,
        /// With which methods. Where they are not said, every method that the route takes.
        pub methods: Option<Several<Method>>,
        /// With which fields. Where they are not said, `Authorization`, `Content-Type`, and those that the route takes
        /// proofs in, such as `Signature`, `Portcullis-Token` or `X-Api-Key`.
        pub headers: Option<List<FieldName>>,
        /// Which fields of answers the page may read, besides the few that every page may. With `[tokens]
        /// dpop_nonce`, pages that prove by DPoP need `DPoP-Nonce` here, and `WWW-Authenticate`, which asks for it.
        pub expose: List<FieldName> = [],
        /// Whether the browser may send cookies and the like. Not with `"*"`.
        pub credentials: bool = false,
        /// How long the browser may remember it.
        pub max_age: Seconds = "10m",
    }
}

table! {
    /// Whose pages may ask the key service from a browser (CORS): to post JSON, and to read what they are answered.
    pub struct CorsOfTokens {
        /// Whose: `"https://app.example"`, `"https://*.example"` (all names below it), or `"*"` alone.
        pub origins: Required<Several<At<Origin>>>,
        /// How long the browser may remember it.
        pub max_age: Seconds = "10m",
    }
}
