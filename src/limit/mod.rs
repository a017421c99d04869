//! How much a caller may ask → [`Admitted`].
//!
//! In: a [`Permit`]. Out: [`Admitted`], which holds the caller's place among
//! the requests in flight, of its app and of all, until it is dropped. This
//! room never: charges an app for a request that is not proven to be its own,
//! or gives an unproven one a place.

pub mod app;
pub mod overload;
pub mod peer;

mod account;

use crate::authorize::Permit;
use crate::clock::Now;
use crate::replay::{Recorded, Written};
use crate::schemes::Caller;
use app::{AppLimits, Standing};
use overload::Seat;
use std::time::Duration;

/// A caller within its limits, without a place yet. Made only by [`charge`].
#[derive(Debug)]
pub struct Charged {
    permit: Permit,
    place: Option<app::Place>,
    standing: Option<Standing>,
}

impl Charged {
    /// Its proof, where that is still to be written down.
    pub const fn unwritten(&self) -> Option<Recorded> {
        self.permit.unwritten()
    }

    /// Lets it in, now that its proof is written down.
    pub fn seated(self, seat: Seat, _: Written) -> Admitted {
        let place = Place {
            _app: self.place,
            seat: Some(seat),
        };
        Admitted {
            permit: self.permit,
            place: Some(place),
            standing: self.standing,
        }
    }
}

/// A caller within its limits, with a place among the requests in flight:
/// what `forward` takes. Made only by [`Charged::seated`].
#[derive(Debug)]
pub struct Admitted {
    permit: Permit,
    place: Option<Place>,
    standing: Option<Standing>,
}

/// A place among the requests in flight, of its app where that has a bound,
/// and of all; dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    _app: Option<app::Place>,
    seat: Option<Seat>,
}

impl Place {
    /// Gives the place among all requests up, and keeps that among its app's.
    pub fn give_seat_up(&mut self) {
        self.seat = None;
    }
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
pub fn charge(permit: Permit, limits: &AppLimits, now: Now) -> Result<Charged, Refused> {
    let Some(app) = permit.caller().app() else {
        return Ok(Charged {
            permit,
            place: None,
            standing: None,
        });
    };
    let (place, standing) = limits.charge(app.index, now)?;
    Ok(Charged {
        permit,
        place,
        standing,
    })
}
