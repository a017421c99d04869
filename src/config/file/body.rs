//! `body` of a route, as written.

use crate::config::table::table;
use crate::config::values::Size;
use crate::route::BodyVerify;

table! {
    /// How long bodies may be, and when they are checked.
    pub struct Body {
        /// The longest body.
        pub limit: Size = "10 MiB",
        /// When a signed digest is checked. `"before-forwarding"`: whole, before the upstream hears of the request;
        /// `"while-forwarding"`: as it streams, the end held back until the digest matches.
        pub verify: BodyVerify = "before-forwarding",
    }
}
