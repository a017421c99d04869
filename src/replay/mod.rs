//! Seen before? → [`Fresh`].
//!
//! In: a [`Caller`], whose proof holds. Out: the same caller as [`Fresh`]:
//! its proof, if it may be used once only, is now used. This room never:
//! forgets a proof that could still be accepted, or lets one pass that it
//! could not write down.

use crate::clock::Now;
use crate::route::{ReplayPolicy, Route};
use crate::schemes::Caller;
use http::Method;

pub use crate::schemes::ProofId;

/// A caller whose proof has not been used before. Made only by [`check`].
#[derive(Debug)]
pub struct Fresh(Caller);

impl Fresh {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        &self.0
    }
}

/// Why a proof does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It was used before.
    #[error("the proof was used before")]
    Replayed,
    /// It was made at a time of which the memory is lost, so that it may have been used before.
    #[error("the proof may have been used before the memory of proofs was lost")]
    MaybeReplayed,
    /// There is no room to remember it.
    #[error("the memory of proofs is full")]
    Full,
    /// The memory cannot be written.
    #[error("the memory of proofs cannot be written")]
    Unavailable,
}

/// What this room needs from a store: one call that checks and records.
pub trait Memory: Send + Sync {
    /// Records `id` until the second `until`; `created` is when the proof says it was made.
    ///
    /// # Errors
    /// [`Refused`] when it is there already or cannot be recorded.
    fn record(&self, id: ProofId, created: i64, until: i64, now: Now) -> Result<(), Refused>;
}

/// Whether a request passes once only, by its route, its method and its proof.
fn is_single_use(policy: ReplayPolicy, method: &Method, has_nonce: bool, reusable: bool) -> bool {
    match policy {
        ReplayPolicy::Off => false,
        ReplayPolicy::Strict => true,
        ReplayPolicy::Standard => !reusable && (has_nonce || !method.is_safe()),
    }
}

/// Uses the caller's proof up, if it may be used once only. `slack` is how
/// long beyond its last second a proof is remembered: both skews.
///
/// # Errors
/// [`Refused`].
pub fn check(
    caller: Caller,
    route: &Route,
    method: &Method,
    memory: &dyn Memory,
    slack: std::time::Duration,
    now: Now,
) -> Result<Fresh, Refused> {
    if let Some(proof) = caller.proof()
        && is_single_use(route.replay, method, proof.nonce.is_some(), proof.reusable)
    {
        let slack = i64::try_from(slack.as_secs()).unwrap_or(i64::MAX);
        let until = proof.last_second.saturating_add(slack);
        memory.record(proof.nonce.unwrap_or(proof.text), proof.created, until, now)?;
    }
    Ok(Fresh(caller))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_once_follows_from_route_method_and_proof() {
        use ReplayPolicy::{Off, Standard, Strict};
        let (get, post) = (Method::GET, Method::POST);
        for (policy, method, has_nonce, reusable, once) in [
            (Standard, &get, false, false, false),
            (Standard, &get, true, false, true),
            (Standard, &post, false, false, true),
            (Standard, &post, true, false, true),
            (Standard, &get, true, true, false),
            (Standard, &post, false, true, false),
            (Strict, &get, false, false, true),
            (Strict, &get, false, true, true),
            (Off, &post, true, false, false),
        ] {
            assert_eq!(
                is_single_use(policy, method, has_nonce, reusable),
                once,
                "{policy:?} {method} nonce {has_nonce} reusable {reusable}"
            );
        }
    }
}
