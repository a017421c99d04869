//! Scopes → [`Permit`].
//!
//! In: a [`Fresh`] caller and its route. Out: the same as [`Permit`]. This
//! room never: counts, or learns why a scope is missing.

use crate::replay::{Fresh, Recorded};
use crate::route::Route;
use crate::schemes::Caller;

/// A caller that may do what its route is for. Made only by [`check`].
#[derive(Debug)]
pub struct Permit(Fresh);

impl Permit {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        self.0.caller()
    }

    /// Its proof, where that is still to be written down.
    pub const fn unwritten(&self) -> Option<Recorded> {
        self.0.unwritten()
    }
}

/// The caller lacks this scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scope `{0}` is missing")]
pub struct ScopeMissing(pub Box<str>);

/// Checks that the caller has every scope of its route.
///
/// # Errors
/// [`ScopeMissing`] names the first that it lacks.
pub fn check(fresh: Fresh, route: &Route) -> Result<Permit, ScopeMissing> {
    match fresh.caller().scopes().missing(&route.scopes) {
        Some(scope) => Err(ScopeMissing(scope.into())),
        None => Ok(Permit(fresh)),
    }
}
