//! From a key's hash to its app.

use super::read::Presented;
use crate::apps::Registry;
use crate::clock::Now;
use crate::schemes::signed::rejected;
use crate::schemes::{Caller, Refused, Why};

/// The caller that a static key stands for. Nothing of it passes once only: it
/// is the same in every request.
///
/// # Errors
/// [`Refused`]: nobody has this key, or it is not in force.
pub fn verify(presented: &Presented<'_>, registry: &Registry, now: Now) -> Result<Caller, Refused> {
    let known = presented.known(registry);
    let known = known.ok_or(rejected(Why::UnknownKey))?;
    let seconds = now.unix_seconds();
    let is_over = registry.sunset().is_some_and(|at| seconds >= at);
    if is_over || !known.is_active(seconds) {
        return Err(rejected(Why::KeyNotActive));
    }
    if !known.app.is_enabled() {
        return Err(Refused::AppDisabled);
    }
    known.uses.count();
    Ok(Caller::by_static_key(known))
}
