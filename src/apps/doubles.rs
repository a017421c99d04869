//! Keys that nobody has, for the ids that no key has.
//!
//! Keys of different kinds cost differently to verify with. If all unknown ids
//! cost the same, a stopwatch would tell which ids are known. So each unknown id
//! has a kind of its own as well, and kinds are as frequent among them as among our keys.

use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// A double for each kind of key, and how many keys there are of that kind.
#[derive(Debug)]
pub(super) struct Doubles {
    first: (VerifyingKey, u64),
    others: Vec<(VerifyingKey, u64)>,
}

impl Doubles {
    pub(super) fn new<'k>(keys: impl Iterator<Item = &'k VerifyingKey>) -> Self {
        let mut all: Vec<(VerifyingKey, u64)> = Vec::new();
        for key in keys {
            match all.iter_mut().find(|(double, _)| double.costs_as(key)) {
                Some((_, count)) => *count += 1,
                None => all.push((key.double(), 1)),
            }
        }
        let mut all = all.into_iter();
        Self {
            first: all
                .next()
                .unwrap_or_else(|| (HmacKey::dummy(Algorithm::HmacSha256).into(), 1)),
            others: all.collect(),
        }
    }

    /// The same one for the same id, as long as the process and the kinds of its keys stay.
    pub(super) fn of(&self, id: &str) -> &VerifyingKey {
        /// Strangers cannot tell which id has which kind.
        static HASH: OnceLock<RandomState> = OnceLock::new();
        let (first, count) = &self.first;
        if self.others.is_empty() {
            return first;
        }
        let all = count + self.others.iter().map(|(_, count)| count).sum::<u64>();
        let mut place = HASH.get_or_init(RandomState::new).hash_one(id) % all;
        for (double, count) in std::iter::once(&self.first).chain(&self.others) {
            if place < *count {
                return double;
            }
            place -= count;
        }
        first
    }
}

impl Default for Doubles {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{PssSalt, PublicKey};

    fn public(algorithm: Algorithm, file: &str) -> VerifyingKey {
        let key = PublicKey::read(algorithm, file.as_bytes(), PssSalt::Digest);
        key.unwrap().into()
    }

    fn all() -> Vec<VerifyingKey> {
        let rsa = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-rsa-pss.pub.pem");
        let ed25519 = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-ed25519.pub.pem");
        let p256 = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-ecc-p256.pub.pem");
        let hmac = || HmacKey::dummy(Algorithm::HmacSha256).into();
        vec![
            hmac(),
            hmac(),
            hmac(),
            public(Algorithm::Ed25519, ed25519),
            public(Algorithm::EcdsaP256Sha256, p256),
            public(Algorithm::RsaPssSha512, rsa),
            public(Algorithm::RsaV15Sha256, rsa),
        ]
    }

    #[test]
    fn unknown_ids_have_kinds_as_frequent_as_those_of_keys() {
        let keys = all();
        let doubles = Doubles::new(keys.iter());
        assert_eq!(doubles.others.len(), 4);
        let ids: Vec<String> = (0..7_000).map(|number| format!("key-{number}")).collect();
        for (kind, wanted) in [(&keys[0], 3_000), (&keys[3], 1_000), (&keys[6], 1_000)] {
            let count = ids
                .iter()
                .filter(|id| doubles.of(id).costs_as(kind))
                .count();
            assert!(count.abs_diff(wanted) < 250, "{kind:?}: {count}");
        }
        for id in &ids[..100] {
            assert!(std::ptr::eq(doubles.of(id), doubles.of(id)));
        }
    }

    #[test]
    fn a_double_verifies_nothing_and_costs_as_its_key() {
        for key in all() {
            let double = key.double();
            assert!(double.costs_as(&key));
            for length in [0, 32, 64, 96, 256, 512] {
                assert!(double.verify(b"text", &vec![7; length]).is_none());
            }
        }
    }
}
