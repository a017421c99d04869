//! `webhook` of a route, as written.

use crate::config::read::At;
use crate::config::table::{Required, table};
use crate::config::times::Seconds;
use crate::config::values::{Name, Size};
use crate::route::Sender;

table! {
    /// Whose webhooks a route takes. No sender signs method, path or query, and none names its key.
    pub struct Webhook {
        /// In whose way they are signed: `"standard-webhooks"`, `"github"`, `"stripe"` or `"slack"`.
        pub sender: Required<At<Sender>>,
        /// The app whose keys are tried: those with `schemes = ["webhook"]`, at most 4.
        pub app: Required<At<Name>>,
        /// Whether there may be a query, which nobody signs.
        pub query: bool = false,
        /// How old a webhook may be, if less than `[freshness] window`. Without effect for `"github"`, who says no time.
        pub window: Option<At<Seconds>>,
        /// Bytes of a body that are read before its proof is known: at most `"16 MiB"`. Such bodies share 64 MiB of
        /// memory, those of one address 16 MiB.
        pub hold: At<Size> = "1 MiB",
    }
}
