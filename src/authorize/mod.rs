//! Scopes and assurance → [`Permit`].
//!
//! In: a [`Fresh`] caller and its route. Out: the same as [`Permit`]. This
//! room never: counts, or learns why a scope is missing.

mod heights;

pub use heights::{Heights, Strength};

use crate::apps::{Assurance, Downgrade, Mode};
use crate::replay::{self, Fresh, Recorded};
use crate::route::Route;
use crate::schemes::{Caller, Observed};

/// A caller that may do what its route is for. Made only by [`check`].
#[derive(Debug)]
pub struct Permit {
    fresh: Fresh,
    /// Apart: it is handed on, and mostly none.
    would_refuse: Option<Box<Refused>>,
}

impl Permit {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        self.fresh.caller()
    }

    /// Its proof, where that is still to be written down.
    pub const fn unwritten(&self) -> Option<Recorded> {
        self.fresh.unwritten()
    }

    /// Who says that what is asked of it is only observed.
    pub const fn observed(&self) -> Option<Observed> {
        self.fresh.observed()
    }

    /// Why its proof would not have passed, where that is only observed.
    pub const fn would_replay(&self) -> Option<replay::Refused> {
        self.fresh.would_refuse()
    }

    /// Why it would not have passed here, where that is only observed.
    pub fn would_refuse(&self) -> Option<&Refused> {
        self.would_refuse.as_deref()
    }

    /// Whether it would not have come so far, were all enforced that is only observed.
    pub const fn would_be_refused(&self) -> bool {
        self.would_refuse.is_some() || self.fresh.would_refuse().is_some()
    }
}

/// Why a caller may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It lacks this scope.
    #[error("the scope `{0}` is missing")]
    ScopeMissing(Box<str>),
    /// It is proven less well than is asked for.
    #[error("{} is asked for by the {by}, the request is proven as {}", needed.name(), shown.name())]
    TooLow {
        /// What is asked for.
        needed: Assurance,
        /// How it is proven.
        shown: Assurance,
        /// Who asks: the `route`, or the `plan` of the app.
        by: &'static str,
    },
    /// Its app has moved up to a stronger proof.
    #[error("the app has moved up to {}, the request is proven by {}", reached.name(), shown.name())]
    Downgraded {
        /// What it has moved up to.
        reached: Strength,
        /// What the request shows.
        shown: Strength,
    },
}

/// Checks that the caller has every scope of its route and is proven as well
/// as route and plan ask, and no worse than its app was before, where that
/// counts. One that is proven better than before moves its app up, unless
/// its route only observes. Where all that is only observed, what would be
/// refused passes and says so.
///
/// # Errors
/// [`Refused`] names the first that it lacks.
pub fn check(fresh: Fresh, route: &Route, heights: &Heights) -> Result<Permit, Refused> {
    let would_refuse = match fresh.observed() {
        None => {
            decide(&fresh, route, heights)?;
            None
        }
        // It would not have come here.
        Some(_) if fresh.would_refuse().is_some() || fresh.caller().app().is_none() => None,
        Some(_) => decide(&fresh, route, heights).err().map(Box::new),
    };
    Ok(Permit {
        fresh,
        would_refuse,
    })
}

fn decide(fresh: &Fresh, route: &Route, heights: &Heights) -> Result<(), Refused> {
    let caller = fresh.caller();
    if let Some(scope) = caller.scopes().missing(&route.scopes) {
        return Err(Refused::ScopeMissing(scope.into()));
    }
    let shown = caller.assurance();
    let needs = |needed, by| {
        let refused = || Refused::TooLow { needed, shown, by };
        (shown < needed).then(refused).map_or(Ok(()), Err)
    };
    needs(route.assurance, "route")?;
    if let Some(app) = caller.app() {
        needs(app.assurance(), "plan")?;
        if app.policy.downgrade == Downgrade::Refuse {
            let shown = Strength::of(caller);
            let reach = |mode| heights.reach(&app.name, shown, Strength::of_app(caller), mode);
            let reached = match fresh.observed() {
                Some(Observed::Route) => heights.compare(&app.name, shown),
                Some(Observed::App) => reach(Mode::Observe),
                None => reach(Mode::Enforce),
            };
            reached.map_err(|reached| Refused::Downgraded { reached, shown })?;
        }
    }
    Ok(())
}
