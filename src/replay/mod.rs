//! Seen before? → [`Fresh`].
//!
//! In: a [`Caller`], whose proof holds. Out: the same caller as [`Fresh`]:
//! its proof, if it may be used once only, is now used. This room never:
//! forgets a proof that could still be accepted, or lets one pass that it
//! could not write down.

use crate::clock::{Now, whole_seconds};
use crate::route::{ReplayPolicy, Route};
use crate::schemes::{Caller, Observed};
use http::Method;
use std::sync::Arc;

pub use crate::schemes::ProofId;

/// A caller whose proof has not been used before. Made only by [`check`].
#[derive(Debug)]
pub struct Fresh {
    caller: Caller,
    unwritten: Option<Recorded>,
    observed: Option<Observed>,
    would_refuse: Option<Refused>,
}

impl Fresh {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Its proof, where that is used up now and the next process is still to
    /// be told so; see [`write_down`].
    pub const fn unwritten(&self) -> Option<Recorded> {
        self.unwritten
    }

    /// Who says that what is asked of it is only observed.
    pub const fn observed(&self) -> Option<Observed> {
        self.observed
    }

    /// Why it would not have passed here, where that is only observed.
    pub const fn would_refuse(&self) -> Option<Refused> {
        self.would_refuse
    }
}

/// The memories of proofs.
#[derive(Clone, Copy)]
pub struct Memories<'m> {
    /// Of what is enforced.
    pub enforced: &'m dyn Memory,
    /// Of what is only observed: it takes no room of the other, and uses up nothing that counts there.
    pub observed: &'m dyn Memory,
}

/// A proof that the memory has recorded, by the number that the memory gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded(pub u64);

impl Recorded {
    /// In a memory that writes nothing.
    pub const NOWHERE: Self = Self(0);
}

/// What may be used once. All times are Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// What it is known by.
    pub id: ProofId,
    /// When it says it was made.
    pub made: i64,
    /// Until when it is remembered.
    pub until: i64,
    /// Its last second, by what holds now.
    pub last: i64,
    /// Its last second where it says that itself, whatever window is in force.
    pub own_end: Option<i64>,
}

impl Once {
    /// Of what is remembered for as long as it is good.
    pub const fn new(id: ProofId, made: i64, until: i64) -> Self {
        Self::within(id, made, until, 0)
    }

    /// Of what is good to the second `last`, by the window or before that ends, and remembered `slack` longer.
    pub const fn within(id: ProofId, made: i64, last: i64, slack: i64) -> Self {
        Self {
            id,
            made,
            until: last.saturating_add(slack),
            last,
            own_end: None,
        }
    }

    /// Of what is good to the second `last`, which it says itself, and remembered `slack` longer.
    pub const fn ending(id: ProofId, made: i64, last: i64, slack: i64) -> Self {
        Self {
            own_end: Some(last),
            ..Self::within(id, made, last, slack)
        }
    }
}

/// What had to be written down before the request passes is written. Made
/// only by [`write_down`].
#[derive(Debug)]
pub struct Written(());

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
    /// There is little room to remember it, and its app has its share of that.
    #[error("the memory of proofs is crowded, and the app has its share of it")]
    Crowded {
        /// When the app may have more, in seconds.
        seconds: u32,
    },
    /// The memory cannot be written, or was given up.
    #[error("the memory of proofs cannot be written, or was given up at a stop")]
    Unavailable,
}

/// What this room needs from a store: one call that checks and records, and
/// one that makes it last.
pub trait Memory: Send + Sync {
    /// Records what may be used once.
    ///
    /// # Errors
    /// [`Refused`] when it is there already or cannot be recorded.
    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused>;

    /// Records what `app` may use once. Where there is little room one app gets a share of it, so that there is some for
    /// others too.
    ///
    /// # Errors
    /// As [`Self::record`].
    fn record_of(&self, _: &Arc<str>, once: Once, now: Now) -> Result<Recorded, Refused> {
        self.record(once, now)
    }

    /// Is told which proof may be recorded next, once it has been verified: to have ready by then what is far away.
    fn expect(&self, _: ProofId) {}

    /// What [`Self::record`] would say of it now, as far as that can be seen; nothing is recorded. Whoever records it
    /// later may be told otherwise, and that counts.
    ///
    /// # Errors
    /// [`Refused`].
    fn look(&self, _: Once, _: Now) -> Result<(), Refused> {
        Ok(())
    }

    /// Costs what it costs to record one, and records nothing: whoever fails must not learn by a stopwatch that there
    /// was nothing to record. [`Self::write_down`] takes its number like any other.
    fn blank(&self) -> Recorded {
        Recorded::NOWHERE
    }

    /// Sees to it that the proof, with all that were recorded before it,
    /// outlives this process.
    ///
    /// # Errors
    /// [`Refused::Unavailable`]; it stays recorded.
    fn write_down(&self, proof: Recorded) -> Result<(), Refused>;
}

/// Whether a request passes once only, by its route, what it may change and its proof.
const fn is_single_use(policy: ReplayPolicy, changes: bool, nonce: bool, reusable: bool) -> bool {
    match policy {
        ReplayPolicy::Off => false,
        ReplayPolicy::Strict => true,
        ReplayPolicy::Standard => !reusable && (nonce || changes),
    }
}

/// Uses the caller's proof up, if it may be used once only: a request that
/// `switches` to another protocol writes there what it likes, whatever its
/// method. `slack` is how long beyond its last second a proof is remembered:
/// both skews. Where that is only observed, what would be refused passes and
/// says so.
///
/// # Errors
/// [`Refused`].
pub fn check(
    caller: Caller,
    route: &Route,
    method: &Method,
    switches: bool,
    memories: Memories<'_>,
    slack: std::time::Duration,
    now: Now,
) -> Result<Fresh, Refused> {
    let observed = caller.observed_on(route);
    let (mut unwritten, mut would_refuse) = (None, None);
    let changes = switches || !method.is_safe();
    if let Some(proof) = caller.proof()
        && is_single_use(route.replay, changes, proof.nonce.is_some(), proof.reusable)
    {
        let slack = whole_seconds(slack);
        let id = proof.nonce.unwrap_or(proof.text);
        let (made, last) = (proof.created, proof.last_second);
        let once = if proof.says_its_end {
            Once::ending(id, made, last, slack)
        } else {
            Once::within(id, made, last, slack)
        };
        let memory = match observed {
            None => memories.enforced,
            Some(_) => memories.observed,
        };
        let recorded = match caller.app() {
            Some(app) => memory.record_of(&app.name, once, now),
            None => memory.record(once, now),
        };
        match observed {
            None => unwritten = Some(recorded?),
            Some(_) => would_refuse = recorded.err(),
        }
    }
    Ok(Fresh {
        caller,
        unwritten,
        observed,
        would_refuse,
    })
}

/// Writes a used proof down, if there is one, with all that were recorded
/// before: whoever lets others have their turn first pays one write for all.
///
/// # Errors
/// [`Refused::Unavailable`].
pub fn write_down(unwritten: Option<Recorded>, memory: &dyn Memory) -> Result<Written, Refused> {
    if let Some(proof) = unwritten {
        memory.write_down(proof)?;
    }
    Ok(Written(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_once_follows_from_the_route_what_it_may_change_and_its_proof() {
        use ReplayPolicy::{Off, Standard, Strict};
        for (policy, changes, nonce, reusable, once) in [
            (Standard, false, false, false, false),
            (Standard, false, true, false, true),
            (Standard, true, false, false, true),
            (Standard, true, true, false, true),
            (Standard, false, true, true, false),
            (Standard, true, false, true, false),
            (Strict, false, false, false, true),
            (Strict, false, false, true, true),
            (Off, true, true, false, false),
        ] {
            assert_eq!(
                is_single_use(policy, changes, nonce, reusable),
                once,
                "{policy:?} changes {changes} nonce {nonce} reusable {reusable}"
            );
        }
    }
}
