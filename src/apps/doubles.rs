//! Keys that nobody has, for the ids that no key has.
//!
//! Keys of different kinds cost differently to verify with. If all unknown ids
//! cost the same, a stopwatch would tell which ids are known. So each unknown id
//! has a kind of its own as well, and kinds are as frequent among them as among our keys.
//!
//! AWS's signers use a key of the day, which is kept where it is in use: an unknown id costs what
//! one of our keys costs in that too, each its own one.

use crate::crypto::aws4::DayKeys;
use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

/// A double for each kind of key, and how many keys there are of that kind.
#[derive(Debug)]
pub(super) struct Doubles {
    first: (VerifyingKey, u64),
    others: Vec<(VerifyingKey, u64)>,
    /// Of each of our keys, by the hash of its id: what AWS's signers make of it, if they can.
    aws: Box<[(u64, Option<Arc<DayKeys>>)]>,
}

impl Doubles {
    pub(super) fn new<'k>(keys: impl Iterator<Item = (&'k str, &'k VerifyingKey)>) -> Self {
        let mut all: Vec<(VerifyingKey, u64)> = Vec::new();
        let mut aws = Vec::new();
        for (id, key) in keys {
            aws.push((hash(id), key.mac().and_then(HmacKey::shared_aws)));
            match all.iter_mut().find(|(double, _)| double.costs_as(key)) {
                Some((_, count)) => *count += 1,
                None => all.push((key.double(), 1)),
            }
        }
        aws.sort_unstable_by_key(|(hash, _)| *hash);
        let mut all = all.into_iter();
        Self {
            aws: aws.into(),
            first: all
                .next()
                .unwrap_or_else(|| (HmacKey::dummy(Algorithm::HmacSha256).into(), 1)),
            others: all.collect(),
        }
    }

    /// The same one for the same id, as long as the process and the kinds of its keys stay.
    pub(super) fn of(&self, id: &str) -> &VerifyingKey {
        let (first, count) = &self.first;
        if self.others.is_empty() {
            return first;
        }
        let all = count + self.others.iter().map(|(_, count)| count).sum::<u64>();
        let mut place = hash(id) % all;
        for (double, count) in std::iter::once(&self.first).chain(&self.others) {
            if place < *count {
                return double;
            }
            place -= count;
        }
        first
    }

    /// The keys of that key of ours whose state decides what this unknown id costs: the next one
    /// by the hash of its id, so that few ids get another when keys come and go.
    pub(super) fn aws(&self, id: &str) -> Option<&DayKeys> {
        let wanted = hash(id);
        let at = self.aws.partition_point(|(hash, _)| *hash < wanted);
        let (_, keys) = self.aws.get(at).or_else(|| self.aws.first())?;
        keys.as_deref()
    }
}

/// Strangers cannot tell which id has which kind.
fn hash(id: &str) -> u64 {
    static HASH: OnceLock<RandomState> = OnceLock::new();
    HASH.get_or_init(RandomState::new).hash_one(id)
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
        let doubles = Doubles::new(keys.iter().map(|key| ("", key)));
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
    fn an_unknown_id_has_the_days_of_a_key_of_ours_always_of_the_same() {
        let keys: Vec<VerifyingKey> = (0..50)
            .map(|_| HmacKey::dummy(Algorithm::HmacSha256).into())
            .collect();
        let ids: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
        let named = || ids.iter().map(|id| &**id).zip(&keys);
        let (all, fewer) = (Doubles::new(named()), Doubles::new(named().skip(1)));
        let unknown: Vec<String> = (0..1_000).map(|number| format!("none-{number}")).collect();
        let same = |one: Option<&DayKeys>, other: Option<&DayKeys>| {
            std::ptr::eq(one.unwrap(), other.unwrap())
        };
        let of = |key: &VerifyingKey| key.mac().unwrap().shared_aws().unwrap();
        let used = keys.iter().filter(|key| {
            let own = of(key);
            unknown.iter().any(|id| same(all.aws(id), Some(&own)))
        });
        assert!(used.count() > 25);
        assert!(unknown.iter().all(|id| same(all.aws(id), all.aws(id))));
        // One key in fifty was taken away, and few ids have another now.
        let moved = unknown
            .iter()
            .filter(|id| !same(all.aws(id), fewer.aws(id)));
        assert!(moved.count() < 300);
        assert!(Doubles::default().aws("x").is_none());
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
