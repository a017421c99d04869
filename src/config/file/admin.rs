//! `[admin]`: where it listens, and who may use it.

use crate::config::addresses::ListenOrOff;
use crate::config::read::At;
use crate::config::secrets::{Reference, ReferenceOrOff};
use crate::config::table::table;

table! {
    /// Health, readiness, metrics and the admin API, on a listener of their own.
    pub struct Admin {
        /// Where to listen. Whoever reaches it is told of health and metrics: keep it on this machine or in a closed
        /// network.
        pub listen: At<ListenOrOff> = "127.0.0.1:9180",
        /// Who shows it as `Authorization: Bearer …` may change things by the admin API: 32 characters or more.
        /// `"off"`: nobody. Where it is not said, it is in the file `admin.token` of `[state] directory`, made at the
        /// first start.
        pub token: Option<At<ReferenceOrOff>>,
        /// Who shows this one may look, and change nothing.
        pub read_token: Option<At<Reference>>,
        /// The API may be reached from other machines: without it, an address that is not of this machine alone is
        /// refused while there is a token. Tokens then travel in the clear: let a tunnel, a mesh or a proxy with TLS
        /// stand before it.
        pub exposed: bool = false,
    }
}
