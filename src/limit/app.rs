//! Per app: a rate with a burst, and requests in flight.

use super::Refused;
use crate::clock::Now;
use std::time::Duration;

/// The limits of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name in `[plans.NAME]`, and in `RateLimit-Policy`.
    pub name: String,
    /// Requests per period, and how many may come at once.
    pub rate: Option<Rate>,
    /// Requests in flight.
    pub concurrency: Option<u32>,
}

/// So many requests in so long a time; `burst` of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub period: Duration,
    /// How many at once.
    pub burst: u32,
}

/// How an app stands with its rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The value of `RateLimit-Policy`, made once per configuration.
    pub policy: http::HeaderValue,
    /// The plan's name.
    pub plan: std::sync::Arc<str>,
    /// How many more may come at once.
    pub remaining: u32,
    /// How long until the burst is whole again, in seconds.
    pub reset: u64,
}

/// The limits of every app of one configuration, by `App::index`.
#[derive(Debug)]
pub struct AppLimits {}

/// One app's place among its requests in flight; dropping it frees the place.
#[derive(Debug)]
pub struct Place {}

impl AppLimits {
    /// The limits of a new configuration. An app that `before` knew by the
    /// same name keeps what it has used and what it has in flight.
    pub fn new(
        apps: &[(std::sync::Arc<str>, Option<std::sync::Arc<Plan>>)],
        before: Option<&Self>,
    ) -> Self {
        let _ = (apps, before);
        todo!("limit")
    }

    /// Charges one request.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn charge(
        &self,
        app: usize,
        now: Now,
    ) -> Result<(Option<Place>, Option<Standing>), Refused> {
        let _ = (app, now);
        todo!("limit")
    }
}
