//! Keys that nobody has, for the ids that no key has.
//!
//! Keys of different kinds cost differently to verify with. If all unknown ids
//! cost the same, a stopwatch would tell which ids are known. So each unknown id
//! has a kind of its own as well, and kinds are as frequent among them as among our keys.
//!
//! AWS's signers use a key of the day, which is kept where it is in use: an unknown id costs what
//! one of our keys costs in that too, each its own one.

use super::beside::hash;
use super::kinds::Kinds;
use crate::crypto::aws4::DayKeys;
use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use std::sync::{Arc, OnceLock};

/// A double for each kind of key, and how many keys there are of that kind.
#[derive(Clone, Debug, Default)]
pub struct Doubles(Kinds<VerifyingKey>);

impl Doubles {
    pub(super) fn new<'k>(keys: impl Iterator<Item = &'k VerifyingKey>) -> Self {
        let mut all = Self::default();
        for key in keys {
            all.add(key);
        }
        all
    }

    /// One more key of the kind of `key`.
    pub(super) fn add(&mut self, key: &VerifyingKey) {
        self.0.add(|one| one.costs_as(key), || key.double());
    }

    /// One less.
    pub fn remove(&mut self, key: &VerifyingKey) {
        self.0.remove(|one| one.costs_as(key));
    }

    /// The same one for the same id, as long as the process and the kinds of its keys stay; by what share of the
    /// keys is of which kind, so that one key more changes that for few ids.
    pub(super) fn of(&self, others: Option<&Self>, id: &str) -> Arc<VerifyingKey> {
        let others = others.map(|others| &others.0);
        let found = self.0.of(others, id);
        found.unwrap_or_else(|| nobodys()).clone()
    }
}

/// Of each of our keys, by the hash of its id: what AWS's signers make of it, if they can.
#[derive(Debug, Default)]
pub(super) struct Days(Box<[(u64, Option<Arc<DayKeys>>)]>);

impl Days {
    pub(super) fn new<'k>(keys: impl Iterator<Item = (&'k str, &'k VerifyingKey)>) -> Self {
        let all =
            keys.map(|(id, key)| (hash(id.as_bytes()), key.mac().and_then(HmacKey::shared_aws)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|(hash, _)| *hash);
        Self(all.into())
    }

    /// The keys of that key of ours whose state decides what this unknown id costs: the next one
    /// by the hash of its id, so that few ids get another when keys come and go.
    pub(super) fn of(&self, id: &str) -> Option<&Arc<DayKeys>> {
        let wanted = hash(id.as_bytes());
        let at = self.0.partition_point(|(hash, _)| *hash < wanted);
        let (_, keys) = self.0.get(at).or_else(|| self.0.first())?;
        keys.as_ref()
    }
}

/// What is verified with where there is no key at all.
fn nobodys() -> &'static Arc<VerifyingKey> {
    static NOBODYS: OnceLock<Arc<VerifyingKey>> = OnceLock::new();
    NOBODYS.get_or_init(|| Arc::new(HmacKey::dummy(Algorithm::HmacSha256).into()))
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
        assert_eq!(doubles.0.len(), 5);
        let ids: Vec<String> = (0..7_000).map(|number| format!("key-{number}")).collect();
        for (kind, wanted) in [(&keys[0], 3_000), (&keys[3], 1_000), (&keys[6], 1_000)] {
            let count = ids
                .iter()
                .filter(|id| doubles.of(None, id).costs_as(kind))
                .count();
            assert!(count.abs_diff(wanted) < 250, "{kind:?}: {count}");
        }
        for id in &ids[..100] {
            assert!(Arc::ptr_eq(&doubles.of(None, id), &doubles.of(None, id)));
        }
    }

    #[test]
    fn an_unknown_id_has_the_days_of_a_key_of_ours_always_of_the_same() {
        let keys: Vec<VerifyingKey> = (0..50)
            .map(|_| HmacKey::dummy(Algorithm::HmacSha256).into())
            .collect();
        let ids: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
        let named = || ids.iter().map(|id| &**id).zip(&keys);
        let (all, fewer) = (Days::new(named()), Days::new(named().skip(1)));
        let unknown: Vec<String> = (0..1_000).map(|number| format!("none-{number}")).collect();
        let same = |one: Option<&Arc<DayKeys>>, other: Option<&Arc<DayKeys>>| {
            Arc::ptr_eq(one.unwrap(), other.unwrap())
        };
        let of = |key: &VerifyingKey| key.mac().unwrap().shared_aws().unwrap();
        let used = keys.iter().filter(|key| {
            let own = of(key);
            unknown.iter().any(|id| same(all.of(id), Some(&own)))
        });
        assert!(used.count() > 25);
        assert!(unknown.iter().all(|id| same(all.of(id), all.of(id))));
        // One key in fifty was taken away, and few ids have another now.
        let moved = unknown.iter().filter(|id| !same(all.of(id), fewer.of(id)));
        assert!(moved.count() < 300);
        assert!(Days::default().of("x").is_none());
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
