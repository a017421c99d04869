//! Rates by names of any kind, in a table of fixed size: addresses, apps, instances.

use super::app::Rate;
use super::peer::{Table, nanos, whose};
use crate::clock::Now;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Who owes how much of what it has asked for. Whoever is deepest in debt is the last to be forgotten.
#[derive(Debug)]
pub struct Debts {
    hasher: RandomState,
    table: Table,
}

impl Default for Debts {
    fn default() -> Self {
        Self::new()
    }
}

impl Debts {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            table: Table::new(),
        }
    }

    /// Counts one for `name`, unless it has to wait.
    ///
    /// # Errors
    /// How long it has to.
    pub fn admit(&self, name: impl Hash, rate: &Rate, now: Now) -> Result<(), Duration> {
        let tag = self.hasher.hash_one(name) | 1;
        self.table.admit(tag, rate, nanos(now))
    }

    /// The same for whoever is at `peer` (IPv6 by /64).
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn admit_peer(&self, peer: Option<IpAddr>, rate: &Rate, now: Now) -> Result<(), Duration> {
        self.admit(whose(peer), rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn each_name_has_a_rate_of_its_own() {
        let (clock, hand) = Clock::by_hand(1_800_000_000);
        let rate = Rate {
            count: 1,
            period: Duration::from_secs(1),
            burst: 2,
        };
        let debts = Debts::new();
        for name in ["a", "b"] {
            assert!(debts.admit(name, &rate, clock.now()).is_ok());
            assert!(debts.admit(name, &rate, clock.now()).is_ok());
            let wait = debts.admit(name, &rate, clock.now()).unwrap_err();
            assert_eq!(wait, Duration::from_secs(1));
        }
        hand.advance(Duration::from_secs(1));
        assert!(debts.admit("a", &rate, clock.now()).is_ok());
        assert!(debts.admit("a", &rate, clock.now()).is_err());
    }

    #[test]
    fn an_address_of_version_6_stands_for_its_network() {
        let (clock, _) = Clock::by_hand(1_800_000_000);
        let rate = Rate {
            count: 1,
            period: Duration::from_secs(1),
            burst: 1,
        };
        let debts = Debts::new();
        let ask = |text: &str| debts.admit_peer(Some(text.parse().unwrap()), &rate, clock.now());
        assert!(ask("2001:db8::1").is_ok());
        assert!(ask("2001:db8::2").is_err());
        assert!(ask("2001:db8:0:1::1").is_ok());
        assert!(ask("192.0.2.1").is_ok());
        assert!(ask("::ffff:192.0.2.1").is_err());
    }
}
