//! Keys that nobody has, for the ids that no key has.
//!
//! Keys of different kinds cost differently to verify with. If all unknown ids
//! cost the same, a stopwatch would tell which ids are known. So each unknown id
//! has a kind of its own as well, and kinds are as frequent among them as among our keys.

use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

/// A double for each kind of key, and how many keys there are of that kind.
#[derive(Clone, Debug, Default)]
pub struct Doubles {
    kinds: Vec<(Arc<VerifyingKey>, u64)>,
}

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
        match self.kinds.iter_mut().find(|(one, _)| one.costs_as(key)) {
            Some((_, count)) => *count += 1,
            None => self.kinds.push((Arc::new(key.double()), 1)),
        }
    }

    /// One less.
    pub fn remove(&mut self, key: &VerifyingKey) {
        if let Some((_, count)) = self.kinds.iter_mut().find(|(one, _)| one.costs_as(key)) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many keys there are.
    fn count(&self) -> u64 {
        self.kinds.iter().map(|(_, count)| count).sum()
    }

    fn at(&self, mut place: u64) -> Option<&Arc<VerifyingKey>> {
        for (double, count) in &self.kinds {
            if place < *count {
                return Some(double);
            }
            place -= count;
        }
        None
    }

    /// The same one for the same id, as long as the process and the kinds of its keys stay; by what share of the
    /// keys is of which kind, so that one key more changes that for few ids.
    pub(super) fn of(&self, others: Option<&Self>, id: &str) -> Arc<VerifyingKey> {
        /// Strangers cannot tell which id has which kind.
        static HASH: OnceLock<RandomState> = OnceLock::new();
        let ours = self.count();
        let all = ours + others.map_or(0, Self::count);
        let hash = HASH.get_or_init(RandomState::new).hash_one(id);
        let place = ((u128::from(hash) * u128::from(all)) >> 64) as u64;
        let found = match place.checked_sub(ours) {
            None => self.at(place),
            Some(place) => others.and_then(|others| others.at(place)),
        };
        found.unwrap_or_else(|| nobodys()).clone()
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
        assert_eq!(doubles.kinds.len(), 5);
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
