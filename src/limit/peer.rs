//! Per client address, before any cryptography.
//!
//! Addresses are strangers: the tables are of a fixed size, and whoever is
//! deepest in debt is the last to be forgotten.

use super::account::as_many;
use super::app::Rate;
use crate::clock::Now;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// `[peers]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Refused requests an address may cause.
    pub failures: Option<Rate>,
    /// Requests of any kind.
    pub rate: Option<Rate>,
}

/// Why an address has to wait, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has caused too many refusals.
    Failures(Duration),
    /// It has asked too much.
    Requests(Duration),
}

impl Refused {
    /// How long it has to wait.
    pub const fn wait(self) -> Duration {
        match self {
            Self::Failures(wait) | Self::Requests(wait) => wait,
        }
    }
}

/// Addresses a table remembers: at 16 bytes each, 1 MiB.
const ADDRESSES: usize = 65_536;
/// Places in which an address may be found. A set of them fills a cache line.
const WAYS: usize = 4;
const SETS: usize = ADDRESSES / WAYS;
/// Locks that writers share out among the sets.
const LOCKS: usize = 256;
/// How long an address waits at most beyond what its rate alone would ask:
/// requests that were already under way when the limit was reached count too.
const MOST_EXTRA_DEBT: Duration = Duration::from_mins(1);

/// What every address has caused, in tables of fixed size.
#[derive(Debug)]
pub struct Peers {
    /// Random, so that nobody can choose addresses that meet in one set.
    hasher: RandomState,
    failures: Table,
    requests: Table,
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Peers {
    /// Empty tables.
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            failures: Table::new(),
            requests: Table::new(),
        }
    }

    /// Whether the address may ask at all, and counts the request where requests of any kind are limited.
    ///
    /// # Errors
    /// [`Refused`]: it has to wait.
    pub fn check(
        &self,
        settings: &PeerSettings,
        peer: Option<IpAddr>,
        now: Now,
    ) -> Result<(), Refused> {
        if settings.failures.is_none() && settings.rate.is_none() {
            return Ok(());
        }
        let (tag, now) = (self.tag(peer), nanos(now));
        if let Some(rate) = &settings.failures {
            let within = self.failures.check(tag, rate, now);
            within.map_err(Refused::Failures)?;
        }
        if let Some(rate) = &settings.rate {
            let within = self.requests.admit(tag, rate, now);
            within.map_err(Refused::Requests)?;
        }
        Ok(())
    }

    /// Counts a refused request.
    pub fn failed(&self, settings: &PeerSettings, peer: Option<IpAddr>, now: Now) {
        if let Some(rate) = &settings.failures {
            self.failures.charge(self.tag(peer), rate, nanos(now));
        }
    }

    /// 64 bits that stand for an address.
    fn tag(&self, peer: Option<IpAddr>) -> u64 {
        self.hasher.hash_one(whose(peer))
    }
}

/// Who is at an address.
pub(super) fn whose(peer: Option<IpAddr>) -> u128 {
    const IPV4: u128 = 1 << 64;
    const UNIX: u128 = 2 << 64;
    match peer.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => IPV4 | u128::from(address.to_bits()),
        // Whoever has one address of a /64 has them all.
        Some(IpAddr::V6(address)) => address.to_bits() >> 64,
        // Those without an address share what one may cause.
        None => UNIX,
    }
}

pub(super) fn nanos(now: Now) -> u64 {
    now.monotonic().as_nanos() as u64
}

/// Who owes how much: by the generic cell rate algorithm the time at which an
/// address will have paid for all that it caused. Reading takes no lock.
#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Set]>,
    locks: Box<[Mutex<()>]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    /// Whose each place is, and in the lowest bits what a request cost him. 0: it is free.
    tags: [AtomicU64; WAYS],
    paid_at: [AtomicU64; WAYS],
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            sets: (0..SETS).map(|_| Set::default()).collect(),
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
        }
    }

    fn set(&self, tag: u64) -> (&Set, &Mutex<()>) {
        let place = tag as usize % SETS;
        (&self.sets[place], &self.locks[place % LOCKS])
    }

    /// How long an address has to wait, if it does.
    pub(super) fn check(&self, tag: u64, rate: &Rate, now: u64) -> Result<(), Duration> {
        let (set, lock) = self.set(tag);
        let Some((way, cost)) = set.find(tag) else {
            return Ok(());
        };
        // Where a writer gives the place to another address between the two
        // reads, we see that one's debt, this once.
        let mut paid_at = set.paid_at[way].load(Ordering::Acquire);
        if cost != short(rate.interval()) || paid_at > most_debt(rate, now) {
            // It was run up under another rate, before a reload, and would be
            // waited for as long as that one asked.
            let _writer = hold(lock);
            paid_at = set.take_over(tag, rate, now);
        }
        wait(rate, paid_at, now)
    }

    /// Counts, whatever the address owes.
    fn charge(&self, tag: u64, rate: &Rate, now: u64) {
        let (set, lock) = self.set(tag);
        let _writer = hold(lock);
        set.charge(tag, rate, now);
    }

    /// Counts unless the address has to wait.
    pub(super) fn admit(&self, tag: u64, rate: &Rate, now: u64) -> Result<(), Duration> {
        // Those in debt are turned away without the lock.
        self.check(tag, rate, now)?;
        let (set, lock) = self.set(tag);
        let _writer = hold(lock);
        let paid_at = set
            .find(tag)
            .map_or(0, |(way, _)| set.paid_at[way].load(Ordering::Relaxed));
        wait(rate, paid_at, now)?;
        set.charge(tag, rate, now);
        Ok(())
    }

    /// Takes back what was counted once, unless that is forgotten.
    pub(super) fn take_back(&self, tag: u64, rate: &Rate) {
        let (set, lock) = self.set(tag);
        let _writer = hold(lock);
        if let Some((way, cost)) = set.find(tag) {
            let before = set.paid_at[way].load(Ordering::Relaxed);
            let paid_at = before.saturating_sub(one(rate, cost));
            set.paid_at[way].store(paid_at, Ordering::Release);
        }
    }
}

/// A panic cannot leave a set half written: the lock guards single stores.
fn hold(lock: &Mutex<()>) -> MutexGuard<'_, ()> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When an address has paid at the latest.
fn most_debt(rate: &Rate, now: u64) -> u64 {
    now + rate.refill().0 + MOST_EXTRA_DEBT.as_nanos() as u64
}

/// How long an address that has paid at `paid_at` waits; none is within its burst.
pub(super) fn wait(rate: &Rate, paid_at: u64, now: u64) -> Result<(), Duration> {
    let tolerated = rate.refill().0 - rate.interval();
    match paid_at.saturating_sub(tolerated).saturating_sub(now) {
        0 => Ok(()),
        wait => Err(Duration::from_nanos(wait)),
    }
}

/// Bits of a tag that tell what a request cost.
const COST: u64 = 0xffff;

/// What a request costs, in so many bits: the first eleven of it that count, and how many follow.
fn short(interval: u64) -> u64 {
    let cut = u64::from(u64::BITS - interval.leading_zeros()).saturating_sub(11);
    (cut << 10) + (interval >> cut)
}

/// What [`short`] was made of, but for the bits that were cut.
fn long(cost: u64) -> u64 {
    let cut = (cost >> 10).saturating_sub(1);
    (cost - (cut << 10)) << cut
}

/// One request, in the unit of what is owed: under another rate than this one it may cost something else.
fn one(rate: &Rate, cost: u64) -> u64 {
    let interval = rate.interval();
    if cost == short(interval) {
        interval
    } else {
        long(cost)
    }
}

/// Whose place it is: no word of a free one.
const fn owner(tag: u64) -> u64 {
    (tag | 1 << 63) & !COST
}

impl Set {
    /// The same number of requests owed, at what one costs under `rate`; nobody owes more than its burst then.
    /// Gives back when they will have been paid for. Only whoever holds the lock may call this.
    fn take_over(&self, tag: u64, rate: &Rate, now: u64) -> u64 {
        let Some((way, theirs)) = self.find(tag) else {
            return 0;
        };
        let mine = short(rate.interval());
        let owed = self.paid_at[way].load(Ordering::Relaxed);
        let owed = owed.saturating_sub(now);
        let paid_at = now + as_many(owed, long(theirs), long(mine), rate.refill().0);
        self.paid_at[way].store(paid_at, Ordering::Release);
        self.tags[way].store(owner(tag) | mine, Ordering::Release);
        paid_at
    }

    /// Only whoever holds the lock may call this.
    fn charge(&self, tag: u64, rate: &Rate, now: u64) {
        if let Some((way, cost)) = self.find(tag) {
            let before = self.paid_at[way].load(Ordering::Relaxed);
            // A request that began before a reload may be counted behind it.
            let paid_at = before.max(now) + one(rate, cost);
            // What it owes may be of later moments than this one: nothing of that is forgiven.
            let paid_at = paid_at.min(most_debt(rate, now)).max(before);
            self.paid_at[way].store(paid_at, Ordering::Release);
            return;
        }
        let paid_at = now + rate.interval();
        let (way, least) = self.least_in_debt();
        if least <= paid_at {
            self.paid_at[way].store(paid_at, Ordering::Release);
            let tag = owner(tag) | short(rate.interval());
            self.tags[way].store(tag, Ordering::Release);
        }
    }

    /// Which place is his, and what a request cost him, as [`short`] has it.
    fn find(&self, tag: u64) -> Option<(usize, u64)> {
        let tags = self.tags.iter().map(|known| known.load(Ordering::Acquire));
        let is_his = |known: u64| (known & !COST == owner(tag)).then_some(known & COST);
        tags.enumerate()
            .find_map(|(way, known)| is_his(known).map(|cost| (way, cost)))
    }

    /// The place to give away first. A free one owes nothing.
    fn least_in_debt(&self) -> (usize, u64) {
        let debts = self.paid_at.each_ref().map(|it| it.load(Ordering::Relaxed));
        let mut least = (0, debts[0]);
        for (way, &paid_at) in debts.iter().enumerate() {
            if paid_at < least.1 {
                least = (way, paid_at);
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const PER_SECOND: PeerSettings = PeerSettings {
        failures: Some(Rate {
            count: 20,
            period: Duration::from_secs(1),
            burst: 200,
        }),
        rate: None,
    };
    const OFF: PeerSettings = PeerSettings {
        failures: None,
        rate: None,
    };

    fn at(millis: u64) -> Now {
        let since = Duration::from_millis(millis);
        Now::new(Duration::from_secs(1_700_000_000) + since, since)
    }

    #[expect(clippy::unnecessary_wraps, reason = "a peer may have none")]
    fn address(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(number).into())
    }

    fn fail(peers: &Peers, settings: &PeerSettings, peer: Option<IpAddr>, times: usize, now: Now) {
        for _ in 0..times {
            peers.failed(settings, peer, now);
        }
    }

    #[test]
    fn an_address_may_fail_a_burst_and_then_by_the_rate() {
        let (peers, peer) = (Peers::new(), address(7));
        fail(&peers, &PER_SECOND, peer, 199, at(0));
        assert_eq!(peers.check(&PER_SECOND, peer, at(0)), Ok(()));
        fail(&peers, &PER_SECOND, peer, 1, at(0));
        let waits = Refused::Failures(Duration::from_millis(50));
        assert_eq!(peers.check(&PER_SECOND, peer, at(0)), Err(waits));
        assert_eq!(peers.check(&PER_SECOND, peer, at(50)), Ok(()));
        assert_eq!(peers.check(&PER_SECOND, address(8), at(0)), Ok(()));
    }

    #[test]
    fn requests_that_pass_cost_an_address_nothing() {
        let (peers, peer) = (Peers::new(), address(7));
        for _ in 0..100_000 {
            peers.check(&PER_SECOND, peer, at(0)).unwrap();
        }
        let used = |set: &Set| set.tags.iter().any(|tag| tag.load(Ordering::Relaxed) != 0);
        assert!(!peers.failures.sets.iter().any(used));
    }

    #[test]
    fn requests_of_any_kind_are_limited_where_config_says_so() {
        let settings = PeerSettings {
            rate: PER_SECOND.failures,
            ..OFF
        };
        let (peers, peer) = (Peers::new(), address(7));
        for _ in 0..200 {
            peers.check(&settings, peer, at(0)).unwrap();
        }
        let waits = Refused::Requests(Duration::from_millis(50));
        assert_eq!(peers.check(&settings, peer, at(0)), Err(waits));
        peers.failed(&settings, peer, at(0));
        assert!(peers.check(&settings, peer, at(50)).is_ok());
        assert!(peers.check(&settings, peer, at(50)).is_err());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let (peers, peer) = (Peers::new(), address(7));
        fail(&peers, &OFF, peer, 10_000, at(0));
        assert_eq!(peers.check(&OFF, peer, at(0)), Ok(()));
        assert_eq!(peers.check(&PER_SECOND, peer, at(0)), Ok(()));
    }

    #[test]
    fn a_debt_has_an_end_however_many_requests_were_under_way() {
        let (peers, peer) = (Peers::new(), address(7));
        fail(&peers, &PER_SECOND, peer, 100_000, at(0));
        let refused = peers.check(&PER_SECOND, peer, at(0)).unwrap_err();
        assert!(refused.wait() <= MOST_EXTRA_DEBT + Duration::from_millis(50));
    }

    #[test]
    fn a_request_that_began_long_ago_forgives_nothing() {
        let (peers, peer) = (Peers::new(), address(7));
        let later = at(100_000);
        fail(&peers, &PER_SECOND, peer, 300, later);
        let waits = || peers.check(&PER_SECOND, peer, later).unwrap_err().wait();
        let owed = waits();
        fail(&peers, &PER_SECOND, peer, 1, at(0));
        let wait = waits();
        assert!(wait >= owed, "{wait:?} after {owed:?}");
    }

    #[test]
    fn a_debt_of_a_slower_rate_is_not_waited_for_after_a_reload() {
        let slow = PeerSettings {
            failures: Some(Rate {
                count: 1,
                period: Duration::from_hours(1),
                burst: 10,
            }),
            rate: None,
        };
        let (peers, peer) = (Peers::new(), address(7));
        fail(&peers, &slow, peer, 10, at(0));
        assert!(peers.check(&slow, peer, at(0)).is_err());
        assert!(peers.check(&PER_SECOND, peer, at(0)).is_ok());
        // They count as ten of two hundred.
        fail(&peers, &PER_SECOND, peer, 189, at(0));
        assert!(peers.check(&PER_SECOND, peer, at(0)).is_ok());
        fail(&peers, &PER_SECOND, peer, 2, at(0));
        assert!(peers.check(&PER_SECOND, peer, at(0)).is_err());
        assert!(peers.check(&PER_SECOND, peer, at(101)).is_ok());
    }

    #[test]
    fn a_rate_that_is_raised_blocks_nobody_for_longer_than_before() {
        for (rate, asked, raised) in [
            // What is owed is less than a minute in each case.
            ((1, 1, 50), 51, (1_000, 1, 10_000)),
            ((5, 60, 5), 5, (1_000, 1, 1_000)),
            ((20, 1, 200), 201, (200, 1, 200)),
            ((1, 3_600, 10), 5, (2, 3_600, 10)),
        ] {
            let settings = |(count, secs, burst)| PeerSettings {
                failures: Some(Rate {
                    count,
                    period: Duration::from_secs(secs),
                    burst,
                }),
                rate: None,
            };
            let (peers, peer) = (Peers::new(), address(7));
            let (rate, raised) = (settings(rate), settings(raised));
            fail(&peers, &rate, peer, asked, at(0));
            let before = peers.check(&rate, peer, at(0));
            let _ = peers.check(&raised, peer, at(10));
            let after = peers.check(&raised, peer, at(20));
            assert!(
                after.is_ok(),
                "{after:?} under {raised:?}, {before:?} under {rate:?}"
            );
        }
    }

    #[test]
    fn a_request_that_ends_behind_a_reload_counts_as_one_under_the_rate_in_force() {
        let slow = PeerSettings {
            failures: Some(Rate {
                count: 5,
                period: Duration::from_mins(1),
                burst: 5,
            }),
            rate: None,
        };
        let (peers, peer) = (Peers::new(), address(7));
        fail(&peers, &slow, peer, 5, at(0));
        peers.check(&PER_SECOND, peer, at(10)).unwrap();
        fail(&peers, &slow, peer, 3, at(10));
        assert!(peers.check(&PER_SECOND, peer, at(10)).is_ok());
    }

    #[test]
    fn what_a_request_costs_fits_in_few_bits() {
        for interval in [
            1,
            2,
            1_023,
            1_024,
            2_047,
            2_048,
            2_049,
            50_000_000,
            u64::MAX,
        ] {
            let cost = short(interval);
            assert!((1..=COST).contains(&cost), "{interval}");
            assert!(interval - long(cost) <= interval / 1_024, "{interval}");
            assert_eq!(short(long(cost)), cost, "{interval}");
        }
    }

    #[test]
    fn many_threads_get_a_burst_once() {
        let settings = PeerSettings {
            rate: PER_SECOND.failures,
            ..OFF
        };
        let (peers, passed) = (Peers::new(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if peers.check(&settings, address(7), at(0)).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 200);
    }

    #[test]
    fn ipv6_counts_by_its_prefix_and_mapped_ipv4_as_ipv4() {
        let peers = Peers::new();
        let six = |text: &str| Some(IpAddr::from(text.parse::<Ipv6Addr>().unwrap()));
        fail(&peers, &PER_SECOND, six("2001:db8:1:2::1"), 200, at(0));
        let refused = |peer| peers.check(&PER_SECOND, peer, at(0)).is_err();
        assert!(refused(six("2001:db8:1:2:ffff::9")));
        assert!(!refused(six("2001:db8:1:3::1")));

        fail(&peers, &PER_SECOND, six("::ffff:192.0.2.1"), 200, at(0));
        assert!(refused(Some(Ipv4Addr::new(192, 0, 2, 1).into())));
        assert!(!refused(Some(Ipv4Addr::new(192, 0, 2, 2).into())));
        assert!(!refused(six("::1")));
    }

    #[test]
    fn those_without_an_address_share_one_count() {
        let peers = Peers::new();
        fail(&peers, &PER_SECOND, None, 200, at(0));
        assert!(peers.check(&PER_SECOND, None, at(0)).is_err());
        assert!(peers.check(&PER_SECOND, address(0), at(0)).is_ok());
    }

    #[test]
    fn a_million_addresses_displace_none_that_is_in_debt_and_take_no_memory() {
        let (peers, peer) = (Peers::new(), address(7));
        fail(&peers, &PER_SECOND, peer, 200, at(0));
        for stranger in 0..1_000_000 {
            peers.failed(&PER_SECOND, address(0x0a00_0000 + stranger), at(0));
        }
        assert!(peers.check(&PER_SECOND, peer, at(0)).is_err());

        let table = |table: &Table| size_of_val(&*table.sets) + size_of_val(&*table.locks);
        assert!(table(&peers.failures) + table(&peers.requests) < 4 << 20);
    }

    #[test]
    fn a_debt_that_is_paid_makes_room() {
        let peers = Peers::new();
        for stranger in 0..1_000_000 {
            fail(&peers, &PER_SECOND, address(stranger), 2, at(0));
        }
        let peer = address(0x0a00_0000);
        fail(&peers, &PER_SECOND, peer, 200, at(1_000));
        assert!(peers.check(&PER_SECOND, peer, at(1_000)).is_err());
    }

    #[test]
    fn many_threads_lose_no_failure() {
        let (peers, peer) = (Peers::new(), address(7));
        let settings = PeerSettings {
            failures: Some(Rate {
                count: 1,
                period: Duration::from_hours(1),
                burst: 4_000,
            }),
            ..OFF
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (peers, settings) = (&peers, &settings);
                let times = if thread == 0 { 999 } else { 1_000 };
                scope.spawn(move || fail(peers, settings, peer, times, at(0)));
            }
        });
        assert_eq!(peers.check(&settings, peer, at(0)), Ok(()));
        peers.failed(&settings, peer, at(0));
        assert!(peers.check(&settings, peer, at(0)).is_err());
    }

    #[test]
    fn strange_rates_and_times_do_not_overflow() {
        for (count, period, burst) in [(0, 0, 0), (1, u64::MAX, u32::MAX), (u32::MAX, 1, u32::MAX)]
        {
            let rate = Some(Rate {
                count,
                period: Duration::from_secs(period),
                burst,
            });
            let settings = PeerSettings {
                failures: rate,
                rate,
            };
            let (peers, late) = (Peers::new(), at(4_000_000_000_000));
            fail(&peers, &settings, address(1), 3, late);
            let _ = peers.check(&settings, address(1), late);
            let _ = peers.check(&settings, address(1), at(0));
        }
    }
}
