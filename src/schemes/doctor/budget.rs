//! How much is tried: for one request, and in a second over all workers. So a
//! flood of wrong signatures costs no more than is said here.

use super::{MAX_TEXT, MAX_TEXT_OF_ALL};
use crate::clock::Now;
use std::sync::atomic::{AtomicU64, Ordering};

/// What trying one text costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Against a shared secret: the unit, one or two microseconds.
    Secret,
    /// Against a key that is derived of a shared secret first: in so many forms, since all of them share it.
    Derived(u32),
    /// Against a public key.
    PublicKey,
}

impl Cost {
    const fn units(self) -> u32 {
        match self {
            Self::Secret => 1,
            Self::Derived(forms) => forms.saturating_add(3),
            Self::PublicKey => 32,
        }
    }
}

/// What may be tried for one request: 128 texts, or 32 under a public key.
pub const FOR_ONE: u32 = 1_024;
/// Texts that are tried under a shared secret, whatever they cost.
pub const MAX_TRIES: u32 = 128;
/// What may be tried in a second, over all workers and for all callers: a few hundredths of one core. Texts are
/// counted, not their bytes: where each is as long as may be, it is a third of one.
pub const IN_A_SECOND: u32 = 16 * FOR_ONE;
/// What a request costs at least, whatever is found in it.
const LEAST: u32 = MAX_TRIES * Cost::Secret.units();

/// What is left of this second.
#[derive(Debug, Default)]
pub struct Budget {
    /// The second in the upper half, what was spent of it in the lower.
    spent: AtomicU64,
}

impl Budget {
    /// That a request may be looked at now; `None` when this second's is used up. The least that it costs is spent.
    pub(super) fn open(&self, now: Now) -> Option<Opened<'_>> {
        let budget = self;
        self.spend(LEAST, now).then_some(Opened { budget, now })
    }

    /// Spends so much of this second's, where it is there.
    fn spend(&self, cost: u32, now: Now) -> bool {
        let second = now.monotonic().as_secs() & u64::from(u32::MAX);
        let cost = u64::from(cost);
        let with_this = |before: u64| {
            let is_of_now = before >> 32 == second;
            let so_far = if is_of_now {
                before & u64::from(u32::MAX)
            } else {
                0
            };
            let after = so_far + cost;
            (after <= u64::from(IN_A_SECOND)).then_some(second << 32 | after)
        };
        let order = Ordering::Relaxed;
        self.spent.fetch_update(order, order, with_this).is_ok()
    }
}

/// A request that may be looked at.
pub(super) struct Opened<'b> {
    budget: &'b Budget,
    now: Now,
}

impl Opened<'_> {
    /// What may be tried for it at this cost; `None` when this second's is used up.
    pub(super) fn grant(self, cost: Cost) -> Option<Tries> {
        let tries = Tries::of(cost);
        let more = (tries.left * tries.each).saturating_sub(LEAST);
        self.budget.spend(more, self.now).then_some(tries)
    }
}

/// How many texts may still be tried.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    left: u32,
    each: u32,
}

impl Tries {
    /// What may be tried for one request at this cost.
    pub fn of(cost: Cost) -> Self {
        let each = cost.units();
        let left = (FOR_ONE / each).min(MAX_TRIES);
        Self { left, each }
    }

    /// As many as there are: for whoever has the key, and spends a machine of its own.
    pub const fn all() -> Self {
        Self {
            left: u32::MAX,
            each: 0,
        }
    }

    /// Whether these are [`Tries::all`].
    pub(super) const fn are_all(self) -> bool {
        self.each == 0
    }

    /// Bytes of a text that is tried.
    pub const fn longest(self) -> usize {
        if self.are_all() {
            MAX_TEXT_OF_ALL
        } else {
            MAX_TEXT
        }
    }

    /// Whether one more may be.
    pub(super) const fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Now {
        Now::new(Duration::ZERO, Duration::from_secs(seconds))
    }

    #[test]
    fn a_second_has_an_end_and_the_next_begins_anew() {
        for (cost, granted) in [
            (Cost::Secret, 128),
            (Cost::Derived(1), 32),
            (Cost::Derived(8), 16),
            (Cost::PublicKey, 16),
        ] {
            let budget = Budget::default();
            for second in [5, 6, 5_000_000_000] {
                let granted_at = |now| budget.open(now)?.grant(cost);
                let count = (0..1_000)
                    .filter(|_| granted_at(at(second)).is_some())
                    .count();
                assert_eq!(count, granted, "{cost:?}");
            }
        }
    }

    #[test]
    fn what_is_opened_and_finds_nothing_to_try_has_its_price() {
        let budget = Budget::default();
        let opened = (0..1_000).filter(|_| budget.open(at(5)).is_some());
        assert_eq!(opened.count(), (IN_A_SECOND / LEAST) as usize);
        assert!(budget.open(at(6)).is_some());
    }

    #[test]
    fn tries_end() {
        for (cost, count) in [
            (Cost::Secret, 128),
            (Cost::Derived(1), 128),
            (Cost::Derived(8), 93),
            (Cost::Derived(u32::MAX), 0),
            (Cost::PublicKey, 32),
        ] {
            let mut tries = Tries::of(cost);
            assert_eq!((0..1_000).filter(|_| tries.take()).count(), count);
        }
    }
}
