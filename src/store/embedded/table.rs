//! The proofs that were used, in memory.

use super::crowd::{Crowd, is_crowded};
use super::lines::Lines;
use crate::clock::Now;
use crate::replay::{Memory, Once, ProofId, Recorded, Refused};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many proofs share a lock when all are there: what a sweep holds it for.
const SHARD: usize = 16_384;
const FEWEST_SHARDS: usize = 16;
const MOST_SHARDS: usize = 4_096;

/// How much longer a proof is kept than it must be, in seconds, while there
/// is room: should the wall clock be set back by less, what was used before
/// is still known, and what is new is still told apart from it.
pub(super) const LINGER: i64 = 600;

/// The longest a proof may have to be remembered, in seconds. It bounds for how long one that says its end itself can
/// take up room, and lies beyond all that the settings allow: none of their durations is longer than 366 days, and four
/// add up, since a proof may be made `skew` ahead, is good for a window or a lifetime, and is remembered for two skews more.
const LONGEST: i64 = 4 * 366 * 24 * 3600;

/// Every proof that was used and could still be accepted. Bounded; forgets
/// none of them to make room for another.
///
/// A proof takes a third of 64 bytes in a table that is, as it grows, between a half and three quarters full:
/// 28 to 43 bytes.
#[derive(Debug)]
pub struct Table {
    seed: Seed,
    shards: Box<[Mutex<Lines>]>,
    len: AtomicUsize,
    capacity: AtomicUsize,
    /// Nothing that ends at this second or later was ever forgotten.
    forgotten: AtomicI64,
    /// The second in which all was swept and nothing found to forget.
    full_at: AtomicI64,
    /// The shard whose turn it is to be swept.
    turn: AtomicUsize,
    crowd: Crowd,
}

impl Memory for Table {
    fn record(&self, once: Once, now: Now) -> Result<Recorded, Refused> {
        self.insert(once.id, once.until, None, now)
            .map(|()| Recorded::NOWHERE)
    }

    fn record_of(&self, app: &Arc<str>, once: Once, now: Now) -> Result<Recorded, Refused> {
        self.insert(once.id, once.until, Some(app), now)
            .map(|()| Recorded::NOWHERE)
    }

    fn look(&self, once: Once, now: Now) -> Result<(), Refused> {
        let now = now.unix_seconds();
        let id = number(once.id.0);
        let hash = self.seed.hash(id);
        let mut shard = self.shard(hash);
        // Read under the lock, as by whoever records it.
        if once.until < now.max(self.forgotten()) {
            return Err(Refused::MaybeReplayed);
        }
        match shard.end_of(id, hash) {
            Some(end) if i64::from(*end) >= now => Err(Refused::Replayed),
            _ => Ok(()),
        }
    }

    fn expect(&self, id: ProofId) {
        let id = number(id.0);
        let hash = self.seed.hash(id);
        // Whoever holds it has more to do than we would gain by waiting.
        if let Ok(shard) = self.shards[self.place(hash)].try_lock() {
            shard.expect(hash);
        }
    }

    /// It is gone with the process.
    fn write_down(&self, _: Recorded) -> Result<(), Refused> {
        Ok(())
    }
}

impl Table {
    /// An empty table for `capacity` proofs, which has forgotten nothing.
    pub fn new(capacity: usize) -> Self {
        let shards = (capacity / SHARD)
            .next_power_of_two()
            .clamp(FEWEST_SHARDS, MOST_SHARDS);
        Self {
            seed: Seed::random(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
            capacity: AtomicUsize::new(capacity),
            forgotten: AtomicI64::new(i64::MIN),
            full_at: AtomicI64::new(i64::MIN),
            turn: AtomicUsize::new(0),
            crowd: Crowd::default(),
        }
    }

    /// Records `id` of `app` until the second `until`, unless it is there.
    pub(super) fn insert(
        &self,
        id: ProofId,
        until: i64,
        app: Option<&Arc<str>>,
        now: Now,
    ) -> Result<(), Refused> {
        let now = now.unix_seconds();
        let expires = match u32::try_from(until) {
            Ok(expires) if until <= now.saturating_add(LONGEST) => expires,
            _ if until < now => return Err(Refused::MaybeReplayed),
            _ => return Err(Refused::Full),
        };
        let (id, expires) = (number(id.0), expires.max(1));
        let hash = self.seed.hash(id);
        loop {
            let mut shard = self.shard(hash);
            // Read under the lock under which a sweep of this shard raises it.
            if until < now.max(self.forgotten()) {
                return Err(Refused::MaybeReplayed);
            }
            let refused = match shard.end_of(id, hash) {
                Some(end) if i64::from(*end) >= now => return Err(Refused::Replayed),
                Some(end) => {
                    *end = expires;
                    return Ok(());
                }
                None => {
                    let others = self.len.fetch_add(1, Ordering::AcqRel);
                    match self.room_beside(others, app, until, now) {
                        Ok(()) => {
                            shard.add(id, expires, |id| self.seed.hash(id));
                            return Ok(());
                        }
                        Err(refused) => {
                            self.len.fetch_sub(1, Ordering::AcqRel);
                            refused
                        }
                    }
                }
            };
            drop(shard);
            if !self.make_room(now) {
                return Err(refused);
            }
        }
    }

    /// Whether there is room for one more beside so many others, and for this app.
    fn room_beside(
        &self,
        others: usize,
        app: Option<&Arc<str>>,
        until: i64,
        now: i64,
    ) -> Result<(), Refused> {
        let capacity = self.capacity();
        if others >= capacity {
            return Err(Refused::Full);
        }
        match app {
            Some(app) if is_crowded(others + 1, capacity) => {
                self.crowd.enter(app, capacity - others, until, now)
            }
            _ => Ok(()),
        }
    }

    /// Tells whoever keeps the gateway, now and then, that there was no room, and which app has added most since.
    pub(super) fn tell_of(&self, refused: Refused, now: Now) {
        let (remembered, capacity) = (self.len(), self.capacity());
        let is_for_room = matches!(refused, Refused::Full | Refused::Crowded { .. });
        // One is refused as well that would have to be remembered for ever, whatever room there is.
        if !is_for_room || !is_crowded(remembered, capacity) {
            return;
        }
        if let Some((app, added)) = self.crowd.to_tell(now) {
            let app = app.as_deref();
            tracing::warn!(
                app,
                added,
                remembered,
                "single-use requests are refused: the memory of proofs is crowded"
            );
        }
    }

    /// Proofs that are remembered, with those that linger.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Proofs that can be remembered.
    pub fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Changes how many can be remembered. None that is remembered is
    /// forgotten for it: with fewer, new ones are refused until enough have expired.
    pub fn resize(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
        self.full_at.store(i64::MIN, Ordering::Release);
    }

    /// Makes room for what [`Self::load`] will bring.
    pub(super) fn reserve(&self, more: usize) {
        // Shards fill unevenly; an eighth more spares most of them a move.
        let each = more.div_ceil(self.shards.len());
        for shard in &self.shards {
            hold(shard).reserve(each + each / 8, |id| self.seed.hash(id));
        }
    }

    /// Takes in a proof from an earlier process, room or not.
    pub(super) fn load(&self, id: [u8; 16], until: i64) {
        let expires = u32::try_from(until.max(1)).unwrap_or(u32::MAX);
        let id = number(id);
        let hash = self.seed.hash(id);
        let mut shard = self.shard(hash);
        if let Some(end) = shard.end_of(id, hash) {
            *end = expires.max(*end);
        } else {
            shard.add(id, expires, |id| self.seed.hash(id));
            self.len.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The second before which proofs may end that were forgotten.
    pub(super) fn forgotten(&self) -> i64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Notes that proofs that end before `second` are not known any more.
    pub(super) fn forget_before(&self, second: i64) {
        self.forgotten.fetch_max(second, Ordering::AcqRel);
    }

    /// Sweeps the next `1 / parts` of the shards. To be called now and then,
    /// so that no request has to.
    pub(super) fn sweep_some(&self, parts: usize, now: i64) {
        let crowded = is_crowded(self.len(), self.capacity());
        let before = if crowded { now } else { now - LINGER };
        for _ in 0..self.shards.len().div_ceil(parts) {
            self.sweep_next(before);
        }
    }

    /// Sweeps until something is free. All is swept once a second at most.
    fn make_room(&self, now: i64) -> bool {
        if self.full_at.load(Ordering::Acquire) == now {
            return false;
        }
        for _ in 0..self.shards.len() {
            if self.sweep_next(now) > 0 {
                return true;
            }
        }
        self.full_at.store(now, Ordering::Release);
        false
    }

    /// Forgets what ended before the second `before` in one shard; how many that were.
    fn sweep_next(&self, before: i64) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let mut shard = hold(&self.shards[turn]);
        let were = shard.len();
        let second = u32::try_from(before.max(0)).unwrap_or(u32::MAX);
        if let Some(last) = shard.forget(second, |id| self.seed.hash(id)) {
            self.forget_before(i64::from(last) + 1);
        }
        let swept = were - shard.len();
        self.len.fetch_sub(swept, Ordering::AcqRel);
        swept
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Lines> {
        hold(&self.shards[self.place(hash)])
    }

    /// By the lowest bits: a shard finds its lines by the highest.
    const fn place(&self, hash: u64) -> usize {
        hash as usize % self.shards.len()
    }
}

/// No panic leaves a shard half changed: what is done under the lock does not panic.
fn hold<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn number(id: [u8; 16]) -> u128 {
    u128::from_ne_bytes(id)
}

/// Ids are digests and already evenly spread; what is left to do is that
/// nobody can find two nonces that meet, which takes a secret and one multiplication.
#[derive(Clone, Copy)]
struct Seed(u64, u64);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    fn random() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(0), random.hash_one(1))
    }

    const fn hash(self, id: u128) -> u64 {
        super::format::fold(id as u64 ^ self.0, (id >> 64) as u64 ^ self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: i64 = 1_700_000_000;

    fn at(second: i64) -> Now {
        Now::new(Duration::from_secs(second as u64), Duration::ZERO)
    }

    fn id(number: u64) -> ProofId {
        ProofId::of(&[number.to_be_bytes(), [7; 8]].concat())
    }

    fn record(table: &Table, number: u64, until: i64, now: i64) -> Result<(), Refused> {
        table.insert(id(number), until, None, at(now))
    }

    fn record_of(table: &Table, app: &str, number: u64, now: i64) -> Result<(), Refused> {
        table.insert(id(number), NOW + 360, Some(&app.into()), at(now))
    }

    #[test]
    fn a_proof_is_recorded_once_until_it_expires() {
        let table = Table::new(100);
        assert_eq!(record(&table, 1, NOW + 10, NOW), Ok(()));
        assert_eq!(record(&table, 1, NOW + 10, NOW), Err(Refused::Replayed));
        assert_eq!(
            record(&table, 1, NOW + 20, NOW + 10),
            Err(Refused::Replayed)
        );
        assert_eq!(record(&table, 1, NOW + 30, NOW + 11), Ok(()));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn what_is_only_expected_is_not_recorded() {
        let table = Table::new(100);
        for number in 0..200 {
            table.expect(id(number % 100));
            let first = number < 100;
            let expected = first.then_some(()).ok_or(Refused::Replayed);
            assert_eq!(record(&table, number % 100, NOW + 10, NOW), expected);
        }
    }

    #[test]
    fn a_look_says_what_is_there_and_records_nothing() {
        let table = Table::new(100);
        let look = |until, now| {
            let once = Once::new(id(1), NOW, until);
            table.look(once, at(now))
        };
        for _ in 0..2 {
            assert_eq!(look(NOW + 10, NOW), Ok(()));
        }
        assert!(table.is_empty());
        assert_eq!(record(&table, 1, NOW + 10, NOW), Ok(()));
        assert_eq!(look(NOW + 10, NOW), Err(Refused::Replayed));
        assert_eq!(look(NOW + 20, NOW + 10), Err(Refused::Replayed));
        assert_eq!(look(NOW + 30, NOW + 11), Ok(()));
        assert_eq!(look(NOW + 10, NOW + 11), Err(Refused::MaybeReplayed));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn of_two_hundred_copies_one_is_recorded() {
        let table = Table::new(1_000);
        for number in 0..20 {
            let passed = AtomicUsize::new(0);
            let start = std::sync::Barrier::new(200);
            std::thread::scope(|scope| {
                for _ in 0..200 {
                    scope.spawn(|| {
                        start.wait();
                        if record(&table, number, NOW + 10, NOW).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(passed.into_inner(), 1);
        }
    }

    #[test]
    fn a_full_table_refuses_and_forgets_nothing() {
        let table = Table::new(1_000);
        for number in 0..1_000 {
            assert_eq!(record(&table, number, NOW + 10, NOW), Ok(()));
        }
        for number in 1_000..3_000 {
            assert_eq!(
                record(&table, number, NOW + 10, NOW + 10),
                Err(Refused::Full)
            );
        }
        for number in 0..1_000 {
            assert_eq!(
                record(&table, number, NOW + 10, NOW + 10),
                Err(Refused::Replayed)
            );
        }
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn one_app_leaves_room_for_others() {
        let table = Table::new(80);
        let passed = |app, numbers: std::ops::Range<u64>| {
            let passes = |number: &u64| record_of(&table, app, *number, NOW).is_ok();
            numbers.filter(passes).count()
        };
        // Half of it, and seven eighths of what is left.
        assert_eq!(passed("one", 0..200), 75);
        let refused = record_of(&table, "one", 300, NOW + 10);
        assert!(
            matches!(refused, Err(Refused::Crowded { seconds: 351..=374 })),
            "{refused:?}"
        );
        // What is there is refused for that, and what is used up costs no share.
        assert_eq!(record_of(&table, "one", 7, NOW), Err(Refused::Replayed));
        assert_eq!(passed("two", 1_000..1_002), 2);
        assert_eq!(passed("three", 2_000..2_001), 1);
        // Nobody's have no share, and the last place is the end of it for all.
        for number in 3_000..3_002 {
            assert_eq!(record(&table, number, NOW + 360, NOW), Ok(()));
        }
        assert_eq!(record_of(&table, "four", 4_000, NOW), Err(Refused::Full));
        assert_eq!(table.len(), 80);
    }

    #[test]
    fn an_app_that_adds_without_end_leaves_others_what_they_need_steadily() {
        let table = Table::new(2_000);
        let mut number = 0;
        let mut add = |app: &str, now: i64| {
            number += 1;
            let app = Some(app.into());
            table.insert(id(number), now + 360, app.as_ref(), at(now))
        };
        let mut refused = 0;
        for second in 0..1_800 {
            let now = NOW + second;
            for _ in 0..100 {
                let _ = add("much", now);
            }
            let is_refused = add("little", now).is_err();
            // In the last of five lifetimes.
            refused += usize::from(is_refused && second >= 1_440);
        }
        assert_eq!(refused, 0);
    }

    #[test]
    fn a_crowd_of_what_has_ended_keeps_no_app_out() {
        let table = Table::new(80);
        for number in 0..75 {
            record_of(&table, "one", number, NOW).unwrap();
        }
        assert!(record_of(&table, "one", 75, NOW + 360).is_err());
        // Nobody has swept it.
        for number in 0..40 {
            let (app, until) = ("one".into(), NOW + 800);
            let fresh = table.insert(id(100 + number), until, Some(&app), at(NOW + 361));
            assert_eq!(fresh, Ok(()));
        }
    }

    #[test]
    fn what_expired_makes_room_wherever_it_lies() {
        let table = Table::new(100);
        for number in 0..100 {
            record(&table, number, NOW + number as i64, NOW).unwrap();
        }
        assert_eq!(record(&table, 1_000, NOW + 200, NOW), Err(Refused::Full));
        for number in 1..=100 {
            let now = NOW + number;
            assert_eq!(
                record(&table, 1_000 + number as u64, now + 200, now),
                Ok(())
            );
            assert_eq!(record(&table, 2_000, now + 200, now), Err(Refused::Full));
        }
    }

    #[test]
    fn a_smaller_capacity_forgets_nothing() {
        let table = Table::new(100);
        for number in 0..100 {
            record(&table, number, NOW + 10, NOW).unwrap();
        }
        table.resize(10);
        assert_eq!(record(&table, 100, NOW + 10, NOW), Err(Refused::Full));
        assert_eq!(record(&table, 7, NOW + 10, NOW), Err(Refused::Replayed));
        table.resize(101);
        assert_eq!(record(&table, 100, NOW + 10, NOW), Ok(()));
    }

    #[test]
    fn what_cannot_be_remembered_is_refused() {
        let table = Table::new(100);
        assert_eq!(record(&table, 1, NOW - 1, NOW), Err(Refused::MaybeReplayed));
        for until in [NOW + LONGEST + 1, i64::MAX] {
            assert_eq!(record(&table, 2, until, NOW), Err(Refused::Full));
        }
        assert_eq!(
            record(&table, 3, i64::MIN, NOW),
            Err(Refused::MaybeReplayed)
        );
        assert_eq!(record(&table, 4, 5, -5), Ok(()));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn what_is_good_for_as_long_as_settings_allow_is_remembered_to_its_end() {
        const DAY: i64 = 24 * 3600;
        let table = Table::new(100);
        for (number, days) in [9, 30, 366, 4 * 366].into_iter().enumerate() {
            let (number, until) = (number as u64, NOW + days * DAY);
            assert_eq!(record(&table, number, until, NOW), Ok(()), "{days} days");
            table.sweep_some(1, until);
            let again = record(&table, number, until, until);
            assert_eq!(again, Err(Refused::Replayed), "{days} days");
        }
    }

    #[test]
    fn a_clock_set_back_lets_no_replay_pass_and_refuses_nothing_new() {
        let table = Table::new(1_000);
        record(&table, 1, NOW + 60, NOW).unwrap();
        table.sweep_some(1, NOW + 600);
        let back = NOW;
        assert_eq!(record(&table, 1, NOW + 60, back), Err(Refused::Replayed));
        assert_eq!(record(&table, 2, back + 60, back), Ok(()));
    }

    #[test]
    fn a_clock_set_back_beyond_what_is_known_refuses_what_may_have_been_used() {
        let table = Table::new(1_000);
        record(&table, 1, NOW + 60, NOW).unwrap();
        table.sweep_some(1, NOW + 60 + LINGER + 1);
        assert_eq!(table.len(), 0);
        let refused = record(&table, 1, NOW + 60, NOW);
        assert_eq!(refused, Err(Refused::MaybeReplayed));
    }

    #[test]
    fn a_clock_that_was_far_ahead_for_a_while_refuses_nothing_new() {
        let table = Table::new(1_000);
        record(&table, 1, NOW + 60, NOW).unwrap();
        table.sweep_some(1, NOW + 1_000_000_000);
        assert_eq!(record(&table, 2, NOW + 61, NOW), Ok(()));
        let refused = record(&table, 1, NOW + 60, NOW);
        assert_eq!(refused, Err(Refused::MaybeReplayed));
    }

    #[test]
    fn lingering_proofs_go_when_the_table_is_half_full() {
        let table = Table::new(100);
        for number in 0..50 {
            record(&table, number, NOW + 10, NOW).unwrap();
        }
        table.sweep_some(1, NOW + 11);
        assert_eq!(table.len(), 50);
        record(&table, 50, NOW + 10, NOW).unwrap();
        table.sweep_some(1, NOW + 11);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn sweeping_in_parts_reaches_every_shard() {
        let table = Table::new(10 * SHARD);
        for number in 0..5_000 {
            record(&table, number, NOW, NOW).unwrap();
        }
        for _ in 0..16 {
            table.sweep_some(16, NOW + LINGER + 1);
        }
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn shards_fill_evenly() {
        let table = Table::new(64 * SHARD);
        for number in 0..64_000 {
            record(&table, number, NOW + 10, NOW).unwrap();
        }
        for shard in &table.shards {
            assert!((700..1_300).contains(&hold(shard).len()));
        }
    }
}
