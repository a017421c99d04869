//! Proofs by their ids, such that one is found, or not, by reading one line of
//! memory: in a large table that line is in no cache, and waiting for it is all
//! that it costs. Whoever knows early what will be asked has it fetched meanwhile.

use prefetch_index::prefetch_index;

/// Proofs in a line.
const IN_LINE: usize = 3;
/// A table grows when it is fuller than `MOST_FULL / 8`…
const MOST_FULL: usize = 6;
/// …and shrinks when it is emptier than `LEAST_FULL / 8` after a sweep.
const LEAST_FULL: usize = 2;
/// What it is then filled to, of eight.
const BEST_FULL: usize = 4;
const FEWEST: usize = 8;

/// A line of the processor's cache: ids, and when each ends; zero where there is none.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    ids: [u128; IN_LINE],
    ends: [u32; IN_LINE],
}

impl Line {
    const EMPTY: Self = Self {
        ids: [0; IN_LINE],
        ends: [0; IN_LINE],
    };
}

/// Ids, each with the second in which it ends, which is not zero.
///
/// An id lies in the line that its hash names, or in the next ones that were
/// full before it came; none is taken out but by making all of it anew.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Box<[Line]>,
    len: usize,
}

impl Lines {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Has the line of `hash` fetched from memory, without waiting for it.
    pub(super) fn expect(&self, hash: u64) {
        if !self.lines.is_empty() {
            prefetch_index(&*self.lines, self.first(hash));
        }
    }

    /// When this one ends, if it is there.
    pub(super) fn end_of(&mut self, id: u128, hash: u64) -> Option<&mut u32> {
        let (line, place) = self.find(id, hash)?;
        let end = &mut self.lines[line].ends[place];
        (*end != 0).then_some(end)
    }

    /// Adds one that is not there. `hash_of` is every id's.
    pub(super) fn add(&mut self, id: u128, end: u32, hash_of: impl Fn(u128) -> u64) {
        if (self.len + 1) * 8 > self.lines.len() * IN_LINE * MOST_FULL {
            let lines = (self.lines.len() + self.lines.len() / 2).max(FEWEST);
            self.make_anew(lines, 0, &hash_of);
        }
        self.put(id, end, hash_of(id));
    }

    /// Makes room for `more`.
    pub(super) fn reserve(&mut self, more: usize, hash_of: impl Fn(u128) -> u64) {
        let lines = lines_for(self.len + more, MOST_FULL);
        if lines > self.lines.len() {
            self.make_anew(lines, 0, hash_of);
        }
    }

    /// Forgets all that end before the second `before`; the last of these ends, if there are any.
    pub(super) fn forget(&mut self, before: u32, hash_of: impl Fn(u128) -> u64) -> Option<u32> {
        let ends = self.lines.iter().flat_map(|line| line.ends);
        let over = ends.filter(|end| *end != 0 && *end < before);
        let (gone, last) = over.fold((0, None), |(gone, last), end| {
            (gone + 1, last.max(Some(end)))
        });
        if gone > 0 {
            let fewest = lines_for(self.len - gone, LEAST_FULL);
            let lines = if self.lines.len() > fewest {
                lines_for(self.len - gone, BEST_FULL)
            } else {
                self.lines.len()
            };
            self.make_anew(lines, before, hash_of);
        }
        last
    }

    /// Moves those that do not end before `before` into so many new lines.
    fn make_anew(&mut self, lines: usize, before: u32, hash_of: impl Fn(u128) -> u64) {
        let new = vec![Line::EMPTY; lines].into_boxed_slice();
        let old = std::mem::replace(&mut self.lines, new);
        self.len = 0;
        for line in old {
            for (id, end) in line.ids.into_iter().zip(line.ends) {
                if end != 0 && end >= before {
                    self.put(id, end, hash_of(id));
                }
            }
        }
    }

    /// Puts one that is not there where there is room for it.
    fn put(&mut self, id: u128, end: u32, hash: u64) {
        if let Some((line, place)) = self.find(id, hash) {
            let line = &mut self.lines[line];
            (line.ids[place], line.ends[place]) = (id, end);
            self.len += 1;
        }
    }

    /// Where this one is, or else where it belongs. A table that is there is never full.
    fn find(&self, id: u128, hash: u64) -> Option<(usize, usize)> {
        let first = self.first(hash);
        for at in (first..self.lines.len()).chain(0..first) {
            let line = &self.lines[at];
            for place in 0..IN_LINE {
                if line.ids[place] == id || line.ends[place] == 0 {
                    return Some((at, place));
                }
            }
        }
        None
    }

    /// The line of `hash`, by its highest bits.
    const fn first(&self, hash: u64) -> usize {
        ((hash as u128 * self.lines.len() as u128) >> 64) as usize
    }
}

fn lines_for(proofs: usize, full: usize) -> usize {
    (proofs * 8).div_ceil(IN_LINE * full).max(FEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// All that are alike in their lowest six bits hash alike.
    const fn crowded(id: u128) -> u64 {
        (id as u64) << 58
    }

    const fn even(id: u128) -> u64 {
        (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn find(lines: &mut Lines, id: u128, hash: u64) -> Option<u32> {
        lines.end_of(id, hash).copied()
    }

    #[test]
    fn a_line_is_one_of_the_processors() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }

    #[test]
    fn there_is_room_for_what_was_reserved() {
        let mut lines = Lines::default();
        lines.reserve(1_000, even);
        let reserved = lines.lines.len();
        for id in 0..1_000 {
            lines.add(id, 1, even);
        }
        assert_eq!(lines.lines.len(), reserved);
    }

    #[test]
    fn memory_follows_what_is_held() {
        let mut lines = Lines::default();
        for id in 0..100_000 {
            lines.add(id, 1 + u32::from(id < 100), even);
        }
        assert!(lines.lines.len() * IN_LINE <= 200_000);
        lines.forget(2, even);
        assert_eq!(lines.len(), 100);
        assert!(lines.lines.len() <= 100);
    }

    #[test]
    fn what_is_expected_may_be_anywhere_or_nowhere() {
        let mut lines = Lines::default();
        lines.expect(u64::MAX);
        lines.add(7, 1, even);
        lines.expect(u64::MAX);
        assert_eq!(find(&mut lines, 7, even(7)), Some(1));
    }

    proptest! {
        /// Whatever comes in which order, it holds what a map holds.
        #[test]
        fn it_is_a_map(
            steps in prop::collection::vec((0_u128..200, 1_u32..50, 0..20), 0..600),
            is_crowded: bool,
        ) {
            let hash_of = if is_crowded { crowded } else { even };
            let (mut lines, mut map) = (Lines::default(), HashMap::new());
            for (id, end, what) in steps {
                match what {
                    0 => {
                        let over = map.values().filter(|one| **one < end).max().copied();
                        prop_assert_eq!(lines.forget(end, hash_of), over);
                        map.retain(|_, one| *one >= end);
                    }
                    1 => lines.reserve(id as usize, hash_of),
                    _ => if let Some(held) = lines.end_of(id, hash_of(id)) {
                        prop_assert_eq!(Some(end), map.insert(id, end).map(|was| {
                            let same = *held == was;
                            *held = end;
                            if same { end } else { 0 }
                        }));
                    } else {
                        prop_assert_eq!(map.insert(id, end), None);
                        lines.add(id, end, hash_of);
                    },
                }
                prop_assert_eq!(lines.len(), map.len());
            }
            for id in 0..200 {
                prop_assert_eq!(find(&mut lines, id, hash_of(id)), map.get(&id).copied());
            }
        }
    }
}
