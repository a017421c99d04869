//! `[plans.NAME]` as written.

use crate::config::paces::Pace;
use crate::config::read::At;
use crate::config::table::table;
use crate::config::values::Count;
use crate::config::words::{Asked, Limit};

table! {
    /// Limits of an app. What is not said has no limit.
    pub struct Plan {
        /// Requests in a time.
        pub rate: Option<Pace>,
        /// How many may come at once. The rate's count where it is not said.
        pub burst: Option<At<Count>>,
        /// Requests in flight. Given by a reload where there was none, it counts from then on.
        pub concurrency: Option<Count>,
        /// Tokens of the key service that each app with this plan may get, in place of `[tokens] app_rate`.
        pub tokens: Option<Limit>,
        /// Tokens that each instance, or workload, of such an app may get, in place of `[tokens] instance_rate`.
        pub instance_tokens: Option<Limit>,
        /// How well an app with this plan must be proven, whatever the route; less is refused with 403
        /// `assurance-too-low`. `"key"`: by anything; `"signed"`, `"attested"`, `"attested+signed"`: as on a route.
        pub assurance: Option<At<Asked>>,
        /// Limits in place of those above for requests that are proven `signed` or better. What is not said here is
        /// as above, but the `burst` of a `rate` that is said here: that is its own count. Requests that fall under
        /// another table are counted apart.
        pub signed: Option<At<Better>>,
        /// As `signed`, for those that are proven `attested` or better.
        pub attested: Option<At<Better>>,
        /// As `signed`, for those that are proven `attested+signed`.
        pub attested_signed: Option<At<Better>>,
    }
}

table! {
    /// Limits in place of a plan's own, for requests that are proven well.
    pub struct Better {
        /// Requests in a time.
        pub rate: Option<Pace>,
        /// How many may come at once. The rate's count where it is not said.
        pub burst: Option<At<Count>>,
        /// Requests in flight. Given by a reload where there was none, it counts from then on.
        pub concurrency: Option<Count>,
    }
}
