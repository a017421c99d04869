//! What is of a few kinds, and how many there are of each: so that what is not there can be of a kind as well,
//! each kind as often as among those that are there.

use super::beside::hash;
use std::sync::Arc;

/// Kinds that are told apart; of further ones none is made.
const MAX_KINDS: usize = 64;

/// One of each kind, and their number.
#[derive(Debug)]
pub(super) struct Kinds<T>(Vec<(Arc<T>, u64)>);

// Derived ones would ask it of `T`.
impl<T> Clone for Kinds<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Kinds<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Kinds<T> {
    /// One more of the kind that `is_it` knows, of which `make` makes the first.
    pub(super) fn add(&mut self, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T) {
        let has_room = self.0.len() < MAX_KINDS;
        match self.0.iter_mut().find(|(one, _)| is_it(one)) {
            Some((_, count)) => *count += 1,
            None if has_room => self.0.push((Arc::new(make()), 1)),
            None => {}
        }
    }

    /// One less of it.
    pub(super) fn remove(&mut self, is_it: impl Fn(&T) -> bool) {
        if let Some(place) = self.0.iter().position(|(one, _)| is_it(one)) {
            self.0[place].1 = self.0[place].1.saturating_sub(1);
            if self.0[place].1 == 0 {
                self.0.remove(place);
            }
        }
    }

    /// The same one for the same name, as long as the process and its kinds stay, though strangers cannot tell which; by what share is of which
    /// kind, here and among `others`, so that one more changes that for few names.
    pub(super) fn of<'k>(&'k self, others: Option<&'k Self>, name: &str) -> Option<&'k Arc<T>> {
        let ours = self.count();
        let all = ours + others.map_or(0, Self::count);
        let place = ((u128::from(hash(name.as_bytes())) * u128::from(all)) >> 64) as u64;
        match place.checked_sub(ours) {
            None => self.at(place),
            Some(place) => others?.at(place),
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn at(&self, mut place: u64) -> Option<&Arc<T>> {
        for (one, count) in &self.0 {
            if place < *count {
                return Some(one);
            }
            place -= count;
        }
        None
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_and_go_and_are_as_frequent_as_what_is_there() {
        let mut kinds = Kinds::default();
        for number in [1, 2, 2, 2] {
            kinds.add(|one| *one == number, || number);
        }
        let mut others = Kinds::default();
        others.add(|one| *one == 3, || 3);
        let share = |kinds: &Kinds<i32>, others: &Kinds<i32>, wanted| {
            let names = (0..5_000).map(|number| format!("app-{number}"));
            let found = names.filter(|name| **kinds.of(Some(others), name).unwrap() == wanted);
            found.count()
        };
        for (wanted, count) in [(1, 1_000), (2, 3_000), (3, 1_000)] {
            let found = share(&kinds, &others, wanted);
            assert!(found.abs_diff(count) < 250, "{wanted}: {found}");
        }
        kinds.remove(|one| *one == 1);
        assert_eq!(share(&kinds, &others, 1), 0);
        kinds.remove(|one| *one == 7);
        assert!(Kinds::<i32>::default().of(None, "x").is_none());
        // None of them makes this grow without end.
        for number in 100..300 {
            kinds.add(|one| *one == number, || number);
        }
        assert_eq!(kinds.len(), MAX_KINDS);
    }
}
