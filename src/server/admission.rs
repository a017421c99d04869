//! Who may come in: a cap on connections in all, one per address, and a
//! reserve for those who look whether we live.

use super::counts::{Counts, Open};
use super::forwarded::Forwarders;
use super::network::Networks;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that only health checkers may have, beyond `max_connections`.
pub const RESERVED_FOR_HEALTH: usize = 16;

/// Caps on connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// In all.
    pub connections: usize,
    /// From one address; IPv6 by /64.
    pub per_address: u32,
    /// Who has a reserve, and no cap of its own.
    pub health_checkers: Networks,
}

/// What one address may have of a cap that leaves a few at all.
const LEAST_OF_AN_ADDRESS: usize = 16;
const MOST_OF_AN_ADDRESS: usize = 1_000;

impl Caps {
    /// How many connections one address may have where nothing is said of it: so many that it alone does not
    /// shut out all others.
    pub fn usual_per_address(connections: usize) -> u32 {
        (connections / 4).clamp(LEAST_OF_AN_ADDRESS, MOST_OF_AN_ADDRESS) as u32
    }
}

/// What all workers share of the way in.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) forwarders: Forwarders,
    pub(super) counts: Arc<Counts>,
    places: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    health_checkers: Networks,
    per_address: u32,
    addresses: Arc<Addresses>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    _open: Open,
    counted: Option<Counted>,
}

impl Admission {
    pub(super) fn new(caps: &Caps, forwarders: Forwarders, counts: Arc<Counts>) -> Self {
        Self {
            forwarders,
            counts,
            places: Arc::new(Semaphore::new(caps.connections.min(Semaphore::MAX_PERMITS))),
            reserve: Arc::new(Semaphore::new(RESERVED_FOR_HEALTH)),
            health_checkers: caps.health_checkers.clone(),
            per_address: caps.per_address,
            addresses: Arc::default(),
        }
    }

    /// A place for a connection from there, before a byte of it is read.
    /// `None` closes it. A trusted proxy and a Unix socket have connections of many.
    pub(super) fn enter(&self, from: Option<IpAddr>) -> Option<Place> {
        let reserved = || {
            let may = if self.forwarders.proxy_protocol {
                // Its header tells whether it is a check: until then it may be.
                !self.health_checkers.0.is_empty() && self.forwarders.trusted.contain(from)
            } else {
                self.looks_after_us(from)
            };
            may.then(|| self.reserve.clone().try_acquire_owned().ok())?
        };
        let permit = self.places.clone().try_acquire_owned().ok();
        let Some(permit) = permit.or_else(reserved) else {
            self.counts.at_the_cap();
            return None;
        };
        let mut place = Place {
            permit,
            _open: self.counts.one_opens(),
            counted: None,
        };
        let speaks_for_others = self.forwarders.trusted.contain(from);
        (speaks_for_others || self.count(&mut place, from)).then_some(place)
    }

    /// Whether it is one of `health_checkers`.
    pub(super) fn looks_after_us(&self, address: Option<IpAddr>) -> bool {
        self.health_checkers.contain(address)
    }

    /// Leaves the reserve to health checks, now that a connection is known to be one or not; false when there is no
    /// other place.
    pub(super) fn keep(&self, place: &mut Place, is_check: bool) -> bool {
        if is_check || !Arc::ptr_eq(place.permit.semaphore(), &self.reserve) {
            return true;
        }
        let Ok(permit) = self.places.clone().try_acquire_owned() else {
            self.counts.at_the_cap();
            return false;
        };
        place.permit = permit;
        true
    }

    /// Counts a connection with those of its address; false when there are too many.
    pub(super) fn count(&self, place: &mut Place, from: Option<IpAddr>) -> bool {
        let Some(address) = from else { return true };
        if self.looks_after_us(from) {
            return true;
        }
        place.counted = self.addresses.count(address, self.per_address);
        if place.counted.is_none() {
            self.counts.at_the_cap_of_an_address(address);
        }
        place.counted.is_some()
    }
}

/// Counters that addresses share.
const COUNTERS: usize = 1 << 15;

/// How many connections addresses have, in a fixed number of counters: 256 KiB,
/// whoever comes. An address has one in each of two rows, and as many connections as
/// the lower of them says at most. Strangers who meet it in one row do it no harm.
#[derive(Debug)]
struct Addresses {
    /// Random, so that nobody can choose addresses that meet.
    hasher: RandomState,
    rows: [Box<[AtomicU32]>; 2],
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            rows: [(); 2].map(|()| (0..COUNTERS).map(|_| AtomicU32::new(0)).collect()),
        }
    }
}

/// A connection that is counted.
#[derive(Debug)]
struct Counted {
    addresses: Arc<Addresses>,
    places: [usize; 2],
}

impl Addresses {
    fn count(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Counted> {
        let counted = Counted {
            addresses: self.clone(),
            places: self.places(address),
        };
        let before = counted
            .counters()
            .map(|one| one.fetch_add(1, Ordering::Relaxed));
        // Else it is dropped, and counted down again.
        before.iter().any(|count| *count < most).then_some(counted)
    }

    fn places(&self, address: IpAddr) -> [usize; 2] {
        let whose = match address.to_canonical() {
            IpAddr::V4(address) => (4, u64::from(address.to_bits())),
            // Whoever has one address of a /64 has them all.
            IpAddr::V6(address) => (6, (address.to_bits() >> 64) as u64),
        };
        let hash = self.hasher.hash_one(whose);
        [hash, hash >> 32].map(|half| half as usize % COUNTERS)
    }
}

impl Counted {
    fn counters(&self) -> [&AtomicU32; 2] {
        let [first, second] = &self.addresses.rows;
        let [one, other] = self.places;
        [&first[one], &second[other]]
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for counter in self.counters() {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, per_address: u32) -> Admission {
        let caps = Caps {
            connections,
            per_address,
            health_checkers: Networks(vec!["10.0.0.5".parse().unwrap()]),
        };
        let forwarders = Forwarders {
            trusted: Networks(vec!["10.0.0.9".parse().unwrap()]),
            ..Forwarders::default()
        };
        Admission::new(&caps, forwarders, Arc::default())
    }

    #[expect(clippy::unnecessary_wraps, reason = "a peer may have none")]
    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test]
    async fn over_the_cap_nobody_comes_in_but_health_checkers_up_to_their_reserve() {
        let admission = admission(2, 100);
        let held = [admission.enter(at("192.0.2.1")), admission.enter(None)];
        assert!(held.iter().all(Option::is_some));
        assert!(admission.enter(at("192.0.2.2")).is_none());
        assert!(admission.enter(None).is_none());
        let checks: Vec<_> = (0..=RESERVED_FOR_HEALTH)
            .map(|_| admission.enter(at("10.0.0.5")))
            .collect();
        assert_eq!(checks.iter().flatten().count(), RESERVED_FOR_HEALTH);
        assert_eq!(admission.counts.full(), 3);
        drop(held);
        assert!(admission.enter(at("192.0.2.2")).is_some());
    }

    #[tokio::test]
    async fn behind_proxy_headers_the_reserve_is_for_whom_they_tell_to_be_a_check() {
        let mut admission = admission(1, 100);
        admission.forwarders.proxy_protocol = true;
        let proxy = || admission.enter(at("10.0.0.9"));
        let held = proxy();
        assert!(admission.enter(at("10.0.0.5")).is_none(), "it is no proxy");
        let mut checks: Vec<_> = (0..=RESERVED_FOR_HEALTH).map(|_| proxy()).collect();
        assert!(checks.pop().unwrap().is_none());
        let mut client = checks.pop().unwrap().unwrap();
        assert!(admission.keep(&mut client, true));
        assert!(!admission.keep(&mut client, false));
        assert_eq!(admission.counts.full(), 3);
        // Meanwhile another has left, and the reserve is whole again.
        drop(held);
        assert!(admission.keep(&mut client, false));
        assert_eq!(admission.reserve.available_permits(), 1);
        drop(client);
        assert_eq!(admission.reserve.available_permits(), 1);
        assert!(proxy().is_some());
    }

    #[tokio::test]
    async fn an_address_has_so_many_connections_and_a_64_is_one() {
        let admission = admission(100, 2);
        let enter = |text| admission.enter(at(text));
        let one = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(one.iter().all(Option::is_some));
        assert!(enter("192.0.2.1").is_none());
        let two = [enter("2001:db8::1"), enter("2001:db8::ffff:2")];
        assert!(two.iter().all(Option::is_some));
        assert!(enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::3").is_some());
        assert_eq!(admission.counts.per_address(), 2);
        // Those who have connections of many, and those who look after us.
        for many in [None, at("10.0.0.9"), at("10.0.0.5")] {
            let held: Vec<_> = (0..9).map(|_| admission.enter(many)).collect();
            assert!(held.iter().all(Option::is_some), "{many:?}");
        }
        drop(one);
        assert!(enter("192.0.2.1").is_some());
    }

    #[test]
    fn a_million_addresses_leave_nothing_behind_and_take_no_memory() {
        let addresses: Arc<Addresses> = Arc::default();
        let bytes: usize = addresses.rows.iter().map(|row| size_of_val(&**row)).sum();
        assert_eq!(bytes, 256 * 1024);
        for number in 0..1_000_000_u32 {
            assert!(addresses.count(IpAddr::V4(number.into()), 1).is_some());
        }
        let counters = addresses.rows.iter().flatten();
        assert!(
            counters
                .map(|one| one.load(Ordering::Relaxed))
                .all(|count| count == 0)
        );
    }

    #[test]
    fn many_connections_of_others_do_not_use_up_an_address() {
        let addresses: Arc<Addresses> = Arc::default();
        let held: Vec<_> = (0..10_000_u32)
            .map(|number| addresses.count(IpAddr::V4(number.into()), 1_000))
            .collect();
        assert!(held.iter().all(Option::is_some));
    }

    #[test]
    fn many_threads_never_get_more_than_the_cap_of_an_address() {
        let addresses: Arc<Addresses> = Arc::default();
        let address = IpAddr::V4(7.into());
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let held: Vec<_> = (0..1_000)
                            .filter_map(|_| addresses.count(address, 500))
                            .collect();
                        let count = held.len();
                        std::mem::forget(held);
                        count
                    })
                })
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(passed, 500);
    }
}
