//! Chance for choices between servers: cheap, a thread's own, no secret.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

/// A generator (`SplitMix64`).
#[derive(Debug)]
pub(super) struct Dice(Cell<u64>);

thread_local! {
    static OWN: Dice = Dice::seeded(RandomState::new().hash_one("dice"));
}

/// Throws this thread's dice.
pub(super) fn throw<T>(use_them: impl FnOnce(&Dice) -> T) -> T {
    OWN.with(use_them)
}

/// From here on this thread's dice fall as they always do after this.
#[cfg(test)]
pub(super) fn seed(seed: u64) {
    OWN.with(|own| own.0.set(seed));
}

impl Dice {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of so many, at least one.
    pub(super) fn below(&self, many: usize) -> usize {
        // The high half of a product: no division, and a bias nobody can see.
        ((u128::from(self.next()) * many as u128) >> 64) as usize
    }

    /// Two different ones of so many, at least two.
    pub(super) fn two_below(&self, many: usize) -> (usize, usize) {
        let first = self.below(many);
        let second = self.below(many - 1);
        (first, second + usize::from(second >= first))
    }

    /// From 0 to 1.
    pub(super) fn part(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_never_the_same_and_each_comes_as_often() {
        let dice = Dice::seeded(1);
        let mut seen = [0_u32; 5];
        for _ in 0..10_000 {
            let (first, second) = dice.two_below(5);
            assert_ne!(first, second);
            seen[first] += 1;
            seen[second] += 1;
            let part = dice.part();
            assert!((0.0..1.0).contains(&part));
        }
        assert!(
            seen.iter().all(|seen| (3_700..4_300).contains(seen)),
            "{seen:?}"
        );
    }
}
