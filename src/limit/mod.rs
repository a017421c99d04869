//! How much a caller may ask → [`Admitted`].
//!
//! In: a [`Permit`]. Out: [`Admitted`], which holds the caller's place among
//! its app's requests in flight until it is dropped. This room never: charges
//! an app for a request that is not proven to be its own.

pub mod app;
pub mod peer;

mod account;

use crate::authorize::Permit;
use crate::clock::Now;
use crate::schemes::Caller;
use app::{AppLimits, Place, Standing};
use std::time::Duration;

/// A caller within its limits: what `forward` takes. Made only by [`admit`].
#[derive(Debug)]
pub struct Admitted {
    permit: Permit,
    place: Option<Place>,
    standing: Option<Standing>,
}

impl Admitted {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        self.permit.caller()
    }

    /// How its app stands with its rate, for `RateLimit`; `None` where no rate applies.
    pub const fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Takes the place among the requests in flight out: whoever ends the
    /// response keeps it until then.
    pub const fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }
}

/// Why a caller has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its rate is used up.
    Rate {
        /// How its app stands.
        standing: Standing,
        /// When one more request will be admitted.
        retry_after: Duration,
    },
    /// As many of its requests are in flight as may be.
    Concurrency {
        /// How many that is.
        limit: u32,
        /// How its app stands with its rate.
        standing: Option<Standing>,
    },
}

/// Charges the caller's app for one request. Anonymous callers have no app and pass.
///
/// # Errors
/// [`Refused`] tells when to come again.
pub fn admit(permit: Permit, limits: &AppLimits, now: Now) -> Result<Admitted, Refused> {
    let Some(app) = permit.caller().app() else {
        return Ok(Admitted {
            permit,
            place: None,
            standing: None,
        });
    };
    let (place, standing) = limits.charge(app.index, now)?;
    Ok(Admitted {
        permit,
        place,
        standing,
    })
}
