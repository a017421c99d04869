//! Tokens that were verified lately, so that one shown again costs a look-up.
//!
//! Only a token that passed every check enters, so strangers cannot push any
//! out. What is found was verified under the same configuration; what time can
//! change – the token's own times, the key's dates, an issuer's keys – is checked
//! by the caller of `Cache::find` at every request.

use super::claims::Verified;
use crate::apps::Key;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use subtle::ConstantTimeEq;

/// Places in a set: a token may lie in any place of the one set its hash names.
const WAYS: usize = 8;

/// Verified tokens, at most as many as it was made for. Shared by all workers.
pub struct Cache {
    sets: Box<[Mutex<Set>]>,
    hash: RandomState,
}

#[derive(Default)]
struct Set {
    places: [Option<Entry>; WAYS],
    /// The place whose token has been there longest.
    oldest: usize,
}

struct Entry {
    hash: u64,
    generation: u64,
    signed: Box<str>,
    signature: Box<str>,
    token: Arc<Verified>,
    key: Owner,
}

/// The key that a token is of.
enum Owner {
    /// An app's. Not kept alive: one that a reload took away is gone; one that was made at run time says
    /// itself when it was replaced.
    App(Weak<Key>),
    /// What an issuer's key stands for, which lives here alone.
    Outside(Arc<Key>),
}

impl Owner {
    fn of(token: &Verified, key: &Arc<Key>) -> Self {
        match token.outside {
            None => Self::App(Arc::downgrade(key)),
            Some(_) => Self::Outside(key.clone()),
        }
    }

    fn key(&self) -> Option<Arc<Key>> {
        match self {
            Self::App(key) => key.upgrade().filter(|key| key.is_current()),
            Self::Outside(key) => Some(key.clone()),
        }
    }
}

impl Cache {
    /// Room for `capacity` tokens, rounded up to whole sets of a power of two.
    pub fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            hash: RandomState::new(),
        }
    }

    /// What was found out about this very text under the configuration `generation`.
    pub(super) fn find(&self, text: &str, generation: u64) -> Option<(Arc<Verified>, Arc<Key>)> {
        let (signed, signature) = text.rsplit_once('.')?;
        let hash = self.hash.hash_one(signature);
        let set = self.set(hash);
        let entry = set.places.iter().flatten().find(|entry| {
            entry.hash == hash
                && entry.generation == generation
                && bool::from(entry.signature.as_bytes().ct_eq(signature.as_bytes()))
                && *entry.signed == *signed
        })?;
        Some((entry.token.clone(), entry.key.key()?))
    }

    /// Keeps a token that has just passed every check.
    pub(super) fn keep(
        &self,
        text: &str,
        generation: u64,
        token: &Arc<Verified>,
        key: &Arc<Key>,
        now: i64,
    ) {
        let Some((signed, signature)) = text.rsplit_once('.') else {
            return;
        };
        let hash = self.hash.hash_one(signature);
        let entry = Entry {
            hash,
            generation,
            signed: signed.into(),
            signature: signature.into(),
            token: token.clone(),
            key: Owner::of(token, key),
        };
        self.set(hash).put(entry, now);
    }

    fn set(&self, hash: u64) -> MutexGuard<'_, Set> {
        // The number of sets is a power of two.
        let index = hash as usize & (self.sets.len() - 1);
        self.sets[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    /// Puts `entry` where the same token, none, or one that is over lies; else
    /// where the oldest does.
    fn put(&mut self, entry: Entry, now: i64) {
        let same = self
            .places
            .iter()
            .position(|place| place.as_ref().is_some_and(|old| old.is_same(&entry)));
        let free = || {
            self.places
                .iter()
                .position(|place| place.as_ref().is_none_or(|old| old.is_over(now)))
        };
        let index = same.or_else(free).unwrap_or_else(|| {
            let oldest = self.oldest;
            self.oldest = (oldest + 1) % WAYS;
            oldest
        });
        self.places[index] = Some(entry);
    }
}

impl Entry {
    fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash && self.signature == other.signature && self.signed == other.signed
    }

    fn is_over(&self, now: i64) -> bool {
        let is_gone = match &self.key {
            Owner::App(key) => key.strong_count() == 0,
            Owner::Outside(_) => false,
        };
        is_gone || now >= self.token.exp
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} places)", self.sets.len() * WAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{App, Scopes};
    use crate::crypto::{Algorithm, HmacKey};
    use crate::schemes::ProofId;

    fn key() -> Arc<Key> {
        Arc::new(Key::new(
            "k",
            Arc::new(App::new("a")),
            HmacKey::dummy(Algorithm::HmacSha256),
        ))
    }

    fn token(exp: i64) -> Arc<Verified> {
        Arc::new(Verified {
            client: None,
            instance: None,
            scopes: Scopes::none(),
            exp,
            iat: None,
            nbf: None,
            max_life: 900,
            pay: None,
            bound: None,
            signing: None,
            id: ProofId([0; 16]),
            outside: None,
        })
    }

    fn count(cache: &Cache) -> usize {
        let sets = cache.sets.iter().map(|set| set.lock().unwrap());
        sets.map(|set| set.places.iter().flatten().count()).sum()
    }

    #[test]
    fn only_the_very_text_is_found_and_only_under_its_configuration() {
        let (cache, key) = (Cache::new(64), key());
        cache.keep("head.claims.mac", 1, &token(10), &key, 0);
        assert!(cache.find("head.claims.mac", 1).is_some());
        assert!(cache.find("head.claims.mac", 2).is_none());
        for other in [
            "head.claimS.mac",
            "head.claims.maC",
            "head.claims.",
            "mac",
            "",
        ] {
            assert!(cache.find(other, 1).is_none(), "{other}");
        }
    }

    #[test]
    fn it_never_holds_more_than_it_was_made_for() {
        let (cache, key) = (Cache::new(64), key());
        for number in 0..1_000 {
            cache.keep(&format!("h.c.{number}"), 1, &token(10), &key, 0);
        }
        assert_eq!(count(&cache), 64);
    }

    #[test]
    fn a_token_that_is_over_makes_room_before_one_that_is_not() {
        let (cache, key) = (Cache::new(WAYS), key());
        for number in 0..WAYS {
            let exp = if number == 5 { 10 } else { 1_000 };
            cache.keep(&format!("h.c.{number}"), 1, &token(exp), &key, 0);
        }
        cache.keep("h.c.new", 1, &token(1_000), &key, 10);
        for number in 0..WAYS {
            let found = cache.find(&format!("h.c.{number}"), 1).is_some();
            assert_eq!(found, number != 5, "{number}");
        }
        cache.keep("h.c.newer", 1, &token(1_000), &key, 10);
        assert!(cache.find("h.c.0", 1).is_none());
        assert!(cache.find("h.c.1", 1).is_some());
    }

    #[test]
    fn a_token_kept_twice_takes_one_place() {
        let (cache, key) = (Cache::new(WAYS), key());
        cache.keep("h.c.m", 1, &token(10), &key, 0);
        cache.keep("h.c.m", 2, &token(10), &key, 0);
        assert_eq!(count(&cache), 1);
        assert!(cache.find("h.c.m", 2).is_some());
    }

    #[test]
    fn a_key_that_is_gone_takes_its_tokens_with_it() {
        let (cache, key) = (Cache::new(WAYS), key());
        cache.keep("h.c.m", 1, &token(10), &key, 0);
        drop(key);
        assert!(cache.find("h.c.m", 1).is_none());
    }
}
