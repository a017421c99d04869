//! The states of a key, which dates alone bring about.

use serde::{Deserialize, Serialize};

/// Since when a key is in which state, Unix time. A state is entered at its
/// second, whoever looks; nothing has to happen then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// Before it, and without it, the key is pending: it proves nothing yet.
    #[serde(default)]
    pub active: Option<i64>,
    /// From it on another key should be used, and this one still proves what it did. No token is signed with it.
    #[serde(default)]
    pub draining: Option<i64>,
    /// From it on it proves nothing. Without a date at which it was active it was ended at once, and
    /// proves nothing before it either.
    #[serde(default)]
    pub retired: Option<i64>,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// It proves nothing yet.
    Pending,
    /// It is in use.
    Active,
    /// It is to be replaced, and still proves what it did.
    Draining,
    /// It proves nothing any more.
    Retired,
}

impl KeyState {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }
}

/// A step that a key cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSo {
    /// It is retired, which is the end.
    #[error("the key is retired, and stays so: make another")]
    Retired,
    /// It was never active.
    #[error("the key is pending: it has to be active before it can be drained")]
    Pending,
    /// It is active already.
    #[error("the key is active already, or was")]
    WasActive,
    /// It would end before it begins.
    #[error("the key would be retired before it is drained, or drained before it is active")]
    Order,
}

impl Life {
    /// Active from `at` on.
    pub const fn active_from(at: i64) -> Self {
        Self {
            active: Some(at),
            draining: None,
            retired: None,
        }
    }

    /// Whether it was ended at once: it is retired at every second, so that no clock that is set back revives it.
    pub const fn is_revoked(&self) -> bool {
        self.retired.is_some() && self.active.is_none()
    }

    /// The state at a second.
    pub fn state(&self, at: i64) -> KeyState {
        let since = |date: Option<i64>| date.is_some_and(|date| at >= date);
        if self.is_revoked() || since(self.retired) {
            KeyState::Retired
        } else if !since(self.active) {
            KeyState::Pending
        } else if since(self.draining) {
            KeyState::Draining
        } else {
            KeyState::Active
        }
    }

    /// Whether the states follow each other.
    pub fn is_in_order(&self) -> bool {
        let known = [self.active, self.draining, self.retired];
        let known: Vec<i64> = known.into_iter().flatten().collect();
        known.is_sorted() && (self.draining.is_none() || self.active.is_some())
    }

    /// A pending key becomes active at `from`.
    ///
    /// # Errors
    /// [`NotSo`]: it is not pending at `now`.
    pub fn activate(&self, from: i64, now: i64) -> Result<Self, NotSo> {
        match self.state(now) {
            KeyState::Pending => self.with(|life| life.active = Some(from)),
            KeyState::Retired => Err(NotSo::Retired),
            KeyState::Active | KeyState::Draining => Err(NotSo::WasActive),
        }
    }

    /// It is drained from `from` on, and retired at `retired` where that is said.
    ///
    /// # Errors
    /// [`NotSo`]: it is pending or retired at `now`.
    pub fn drain(&self, from: i64, retired: Option<i64>, now: i64) -> Result<Self, NotSo> {
        match self.state(now) {
            KeyState::Pending => Err(NotSo::Pending),
            KeyState::Retired => Err(NotSo::Retired),
            KeyState::Active | KeyState::Draining => self.with(|life| {
                let before = life.draining.unwrap_or(from);
                life.draining = Some(from.min(before));
                life.retired = retired.or(life.retired);
            }),
        }
    }

    /// It is retired at once and for good, in whatever state it is. No date stays at which it was in use:
    /// the clock may be set back to before `now`.
    ///
    /// # Errors
    /// [`NotSo::Retired`].
    pub fn revoke(&self, now: i64) -> Result<Self, NotSo> {
        if self.state(now) == KeyState::Retired {
            return Err(NotSo::Retired);
        }
        Ok(Self {
            active: None,
            draining: None,
            retired: Some(now),
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Result<Self, NotSo> {
        change(&mut self);
        self.is_in_order().then_some(self).ok_or(NotSo::Order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_pending_then_active_then_draining_then_retired_by_its_dates_alone() {
        let life = Life {
            active: Some(10),
            draining: Some(20),
            retired: Some(30),
        };
        let states = [9, 10, 19, 20, 29, 30, 99].map(|at| life.state(at).name());
        assert_eq!(
            states,
            [
                "pending", "active", "active", "draining", "draining", "retired", "retired"
            ]
        );
        assert_eq!(Life::default().state(i64::MAX), KeyState::Pending);
    }

    #[test]
    fn no_step_leads_back_and_retired_is_the_end() {
        let fresh = Life::default();
        assert_eq!(fresh.drain(5, None, 5), Err(NotSo::Pending));
        let active = fresh.activate(5, 4).unwrap();
        assert_eq!(active.activate(9, 6), Err(NotSo::WasActive));
        assert_eq!(active.drain(4, None, 6), Err(NotSo::Order));
        assert_eq!(active.drain(7, Some(6), 6), Err(NotSo::Order));
        let draining = active.drain(7, Some(20), 6).unwrap();
        // Asked for again, it does not become active in between.
        assert_eq!(draining.drain(9, None, 8).unwrap().draining, Some(7));
        let retired = draining.revoke(8).unwrap();
        assert_eq!(retired.state(8), KeyState::Retired);
        for step in [
            retired.activate(9, 9),
            retired.drain(9, None, 9),
            retired.revoke(9),
        ] {
            assert_eq!(step, Err(NotSo::Retired));
        }
    }

    #[test]
    fn one_that_is_revoked_is_retired_and_stays_so_when_the_clock_is_set_back() {
        let active = Life::active_from(5);
        let draining = active.drain(50, Some(2_000), 50).unwrap();
        for life in [Life::default(), active, Life::active_from(5_000), draining] {
            let life = life.revoke(1_000).unwrap();
            assert!(life.is_in_order());
            assert_eq!(life.retired, Some(1_000));
            for back in [i64::MIN, 0, 5, 900, 1_000, i64::MAX] {
                assert_eq!(life.state(back), KeyState::Retired);
                for step in [
                    life.activate(back, back),
                    life.drain(back, None, back),
                    life.revoke(back),
                ] {
                    assert_eq!(step, Err(NotSo::Retired));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_steps_are_taken_dates_stay_in_order_and_states_only_go_on(
            steps in proptest::collection::vec((0..3_u8, 0..100_i64, proptest::option::of(0..100_i64)), 0..12),
        ) {
            let mut life = Life::default();
            let mut now = 0;
            for (step, at, later) in steps {
                now += 3;
                let before = life.state(now);
                let taken = match step {
                    0 => life.activate(at, now),
                    1 => life.drain(at, later, now),
                    _ => life.revoke(now),
                };
                life = taken.unwrap_or(life);
                prop_assert!(life.is_in_order(), "{life:?}");
                prop_assert!(life.state(now) >= before, "{life:?} at {now}, before {before:?}");
            }
            let states: Vec<_> = (0..200).map(|at| life.state(at)).collect();
            prop_assert!(states.is_sorted());
        }
    }
}
