//! How much a caller may ask → [`Admitted`].
//!
//! In: a [`Permit`]. Out: [`Admitted`], which holds the caller's place among
//! the requests in flight, of its app and of all, until it is dropped. This
//! room never: charges an app for a request that is not proven to be its own,
//! or gives a place to one that a route refuses, or more than their share to those that are not proven.

pub mod app;
pub mod overload;
pub mod peer;

mod account;
mod debts;
mod made;
mod standing;

pub use debts::{AppDebts, Debts};

use crate::authorize::Permit;
use crate::clock::Now;
use crate::replay::{Recorded, Written};
use crate::schemes::{Caller, Observed};
use app::{AppLimits, Standing};
use overload::{Seat, Who};
use std::time::Duration;

/// A caller within its limits, without a place yet. Made only by [`charge`].
#[derive(Debug)]
pub struct Charged(Box<Passed>);

/// What has passed all steps so far, in one place: from here on it is handed
/// through many hands.
#[derive(Debug)]
struct Passed {
    permit: Permit,
    app_place: Option<app::Place>,
    place: Option<Place>,
    standing: Option<Standing>,
    would_refuse: Option<Box<Refused>>,
}

/// What apps may ask, and what they have used of it.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'l> {
    /// Of what is enforced.
    pub enforced: &'l AppLimits,
    /// Of what is only observed, on accounts of its own.
    pub observed: &'l AppLimits,
}

impl Charged {
    /// Who it is, and how it came so far.
    pub fn permit(&self) -> &Permit {
        &self.0.permit
    }

    /// Why it would have to wait, where that is only observed.
    pub fn would_refuse(&self) -> Option<&Refused> {
        self.0.would_refuse.as_deref()
    }

    /// How its app stands with its rate, where it has one.
    pub fn standing(&self) -> Option<&Standing> {
        self.0.standing.as_ref()
    }

    /// Whose places it may take. A copy that passes where that is only observed is anybody's.
    pub fn who(&self) -> Who {
        let permit = &self.0.permit;
        if permit.caller().app().is_some() && permit.would_replay().is_none() {
            Who::Proven
        } else {
            Who::Unproven
        }
    }

    /// Its proof, where that is still to be written down.
    pub fn unwritten(&self) -> Option<Recorded> {
        self.0.permit.unwritten()
    }

    /// Lets it in, now that its proof is written down.
    pub fn seated(mut self, seat: Seat, _: Written) -> Admitted {
        self.0.place = Some(Place {
            _app: self.0.app_place.take(),
            seat: Some(seat),
        });
        Admitted(self.0)
    }
}

/// A caller within its limits, with a place among the requests in flight:
/// what `forward` takes. Made only by [`Charged::seated`].
#[derive(Debug)]
pub struct Admitted(Box<Passed>);

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
        self.0.permit.caller()
    }

    /// Whether a body that is not the one that was proven is only observed. That is for the
    /// route to say: the body is part of what proves a request to be its app's.
    pub fn observes_body(&self) -> bool {
        self.0.permit.observed() == Some(Observed::Route)
    }

    /// Takes out how its app stands with its rate, for `RateLimit`; `None` where no rate applies.
    pub fn take_standing(&mut self) -> Option<Standing> {
        self.0.standing.take()
    }

    /// Takes the place among the requests in flight out: whoever ends the
    /// response keeps it until then.
    pub fn take_place(&mut self) -> Option<Place> {
        self.0.place.take()
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

impl Refused {
    /// How its app stands with its rate, where it has one.
    pub const fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Rate { standing, .. } => Some(standing),
            Self::Concurrency { standing, .. } => standing.as_ref(),
        }
    }
}

/// Whether the caller's app has used its rate up. Nothing is charged: [`charge`] has the last word.
///
/// # Errors
/// [`Refused::Rate`].
pub fn look(caller: &Caller, limits: &AppLimits, now: Now) -> Result<(), Refused> {
    let app = caller.app();
    app.map_or(Ok(()), |app| limits.look(app, caller.assurance(), now))
}

/// Charges the caller's app for one request. Anonymous callers have no app and pass.
/// Where that is only observed, another account is charged, and who would have
/// to wait passes and says so.
///
/// # Errors
/// [`Refused`] tells when to come again.
pub fn charge(permit: Permit, limits: Limits<'_>, now: Now) -> Result<Charged, Refused> {
    let (mut app_place, mut standing, mut would_refuse) = (None, None, None);
    if let Some(app) = permit.caller().app() {
        let assurance = permit.caller().assurance();
        match permit.observed() {
            None => (app_place, standing) = limits.enforced.charge_app(app, assurance, now)?,
            // It would not have come here.
            Some(_) if permit.would_be_refused() => {}
            Some(_) => match limits.observed.charge_app(app, assurance, now) {
                Ok((taken, _)) => app_place = taken,
                Err(refused) => would_refuse = Some(Box::new(refused)),
            },
        }
    }
    Ok(Charged(Box::new(Passed {
        permit,
        app_place,
        place: None,
        standing,
        would_refuse,
    })))
}
