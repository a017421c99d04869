//! The window of time in which a proof is taken.

use super::{Refused, Timed};
use crate::clock::whole_seconds;
use std::time::Duration;

/// `[freshness]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// How old a proof may be.
    pub window: Duration,
    /// How far ahead a caller's clock may be.
    pub skew: Duration,
}

impl Freshness {
    /// What holds where `gateway.toml` says nothing of it.
    pub const USUAL: Self = Self {
        window: Duration::from_mins(5),
        skew: Duration::from_secs(30),
    };

    /// Checks when a proof was made and, if it says so, when it ends. Gives
    /// back the last second at which it would be accepted.
    ///
    /// # Errors
    /// [`Refused::Skew`] outside the window, [`Refused::Expired`] past its own end.
    pub fn check(&self, created: i64, expires: Option<i64>, now: i64) -> Result<i64, Refused> {
        let oldest = now.saturating_sub(whole_seconds(self.window));
        let newest = now.saturating_add(whole_seconds(self.skew));
        if created < oldest || created > newest {
            return Err(Refused::Skew {
                of: Timed::Credential,
                ours: now,
                theirs: created,
            });
        }
        let last = created.saturating_add(whole_seconds(self.window));
        match expires {
            Some(at) if at < now => Err(Refused::Expired { at }),
            Some(at) => Ok(last.min(at)),
            None => Ok(last),
        }
    }

    /// How long a proof must be remembered after it was made: the window and
    /// both skews.
    pub fn retention(&self) -> Duration {
        self.window + self.skew * 2
    }
}

/// Whether a time must be in milliseconds. None in seconds is that late: year 5138. In
/// milliseconds it was in 1973.
pub const fn is_in_milliseconds(time: i64) -> bool {
    time > 100_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Freshness = Freshness::USUAL;

    #[test]
    fn a_proof_is_taken_from_window_back_to_skew_ahead() {
        for (created, taken) in [(700, true), (699, false), (1_030, true), (1_031, false)] {
            assert_eq!(
                RULES.check(created, None, 1_000).is_ok(),
                taken,
                "{created}"
            );
        }
    }

    #[test]
    fn a_proof_that_says_it_is_over_is_over() {
        assert_eq!(
            RULES.check(900, Some(999), 1_000),
            Err(Refused::Expired { at: 999 })
        );
        assert_eq!(RULES.check(900, Some(1_000), 1_000), Ok(1_000));
    }

    #[test]
    fn no_time_overflows() {
        assert!(RULES.check(i64::MAX, None, 1_000).is_err());
        assert!(RULES.check(i64::MIN, Some(i64::MAX), 1_000).is_err());
    }
}
