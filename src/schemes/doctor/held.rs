//! Why a signature does not help that holds: it is of its key, and something else is wrong.

use super::{Finding, Meant, Mistake, Sample};
use crate::apps::{Key, Scheme};
use crate::clock::Now;
use crate::route::Route;
use crate::schemes::freshness::is_in_milliseconds;
use crate::schemes::{Refused, Timed, Why, hmac_auth};

/// Why `sample`, a signature by `key`, did not keep its request from being `refused`.
pub fn held(
    refused: &Refused,
    sample: &Sample<'_>,
    key: &Key,
    route: &Route,
    now: Now,
) -> Option<Mistake> {
    let is_meant = |meant: &Meant<'_>| meant(refused, &key.verifying);
    // Beside the one that is refused may stand another that holds.
    if !sample.meant.as_ref().is_none_or(is_meant) {
        return None;
    }
    let why = match refused {
        Refused::Skew { of, .. } if *of != Timed::Credential => return None,
        Refused::Skew { theirs, .. } if is_in_milliseconds(*theirs) => {
            return Some(Mistake::Milliseconds);
        }
        Refused::Skew { .. } => return Some(Mistake::ClockOffset),
        Refused::Rejected { why, .. } => why,
        _ => return None,
    };
    // Of two credentials it may be the other one's key.
    match why {
        Why::KeyNotActive if !key.is_active(now.unix_seconds()) => Some(out_of_force(key, now)),
        Why::KeyNotForScheme if !key.schemes.contains(sample.scheme) => {
            Some(Mistake::KeyNotForScheme)
        }
        Why::WrongAlgorithm if !is_taken(sample, key, route) => Some(Mistake::AlgorithmNotTaken),
        Why::WrongAlgorithm => Some(Mistake::WrongAlgorithm),
        _ => None,
    }
}

/// What was `found` in `sample`, which the holder of `key` made, unless whoever mends it is refused all the same: no key
/// like this one is taken there. One that another key has signed is mended by naming that.
pub fn dead_end(found: Finding, sample: &Sample<'_>, key: &Key, route: &Route) -> Finding {
    if found.key.is_none() && !is_taken(sample, key, route) {
        Mistake::AlgorithmNotTaken.into()
    } else {
        found
    }
}

/// Whether callers sign with keys like this one, whatever they name: in the route's dialect, if it is one of theirs,
/// or a token.
fn is_taken(sample: &Sample<'_>, key: &Key, route: &Route) -> bool {
    let algorithm = key.algorithm();
    match sample.scheme {
        Scheme::HmacAuth => route
            .dialect
            .is_none_or(|dialect| hmac_auth::verify::is_of(dialect, algorithm)),
        Scheme::Token => algorithm.is_for_tokens(),
        _ => true,
    }
}

/// What is wrong with a key that is not in force now.
pub(super) fn out_of_force(key: &Key, now: Now) -> Mistake {
    let seconds = now.unix_seconds();
    if key.not_before.is_some_and(|from| seconds < from) {
        Mistake::EarlyKey
    } else {
        Mistake::RetiredKey
    }
}
