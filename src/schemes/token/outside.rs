//! Whose key outside a token is signed with, and whose keys are asked for where it is none of those that are here.

use super::issuer::Issuer;
use super::jwt::Compact;
use super::key_set::{KeySet, SetKey};
use crate::crypto::{Algorithm, Tag};
use crate::schemes::Why;
use std::sync::Arc;

/// Keys of issuers that one token is tried with: several have its `kid` only where issuers share a field.
pub const MAX_TRIED: usize = 4;

/// Those of `issuers` with a key that no token is tried with: it has no name, and as many of its algorithm stand before
/// it as are tried.
pub fn never_tried<'i>(
    issuers: impl Iterator<Item = &'i Issuer>,
) -> impl Iterator<Item = &'i Issuer> {
    let mut before: Vec<Algorithm> = Vec::new();
    issuers.filter(move |issuer| {
        let keys = issuer.keys.current();
        let mut is_beyond = false;
        for key in keys.named(None).filter(|key| key.id.is_none()) {
            let algorithm = key.verifying.algorithm();
            let earlier = before.iter().filter(|one| **one == algorithm);
            is_beyond |= earlier.count() >= MAX_TRIED;
            before.push(algorithm);
        }
        is_beyond
    })
}

/// Issuers that a token may be of, with the keys that each has at the moment.
pub(super) struct Outside<'s> {
    sets: Vec<Set<'s>>,
}

/// One of them.
pub(super) struct Set<'s> {
    /// Where it stands among all issuers.
    pub(super) place: usize,
    pub(super) issuer: &'s Issuer,
    pub(super) keys: Arc<KeySet>,
    is_stale: bool,
}

/// The key that a signature is of.
pub(super) struct Signer<'o, 's> {
    pub(super) set: &'o Set<'s>,
    pub(super) key: &'o SetKey,
    pub(super) tag: Tag,
}

/// That it is of none of them.
pub(super) struct Unsigned {
    pub(super) why: Why,
    /// Whether a signature was checked at all.
    pub(super) was_tried: bool,
}

impl<'s> Outside<'s> {
    /// Those that are given with their places, as they are at `now`.
    pub(super) fn of(issuers: impl Iterator<Item = (usize, &'s Issuer)>, now: i64) -> Self {
        let sets = issuers.map(|(place, issuer)| Set {
            place,
            issuer,
            keys: issuer.keys.current(),
            is_stale: issuer.keys.are_stale(now),
        });
        Self {
            sets: sets.collect(),
        }
    }

    /// The key that the token is signed with. A key for another algorithm than the token names is no try, and those of
    /// its very name come first: what has no name stands for every one, and would use up the tries of what has. Of a
    /// token that names none it is those without a name that come first.
    pub(super) fn signer<'o>(&'o self, token: &'o Compact<'_>) -> Result<Signer<'o, 's>, Unsigned> {
        let id = token.key_id.as_deref();
        let fresh = self.sets.iter().filter(|set| !set.is_stale);
        let keys = fresh.flat_map(|set| set.keys.named(id).map(move |key| (set, key)));
        let (mut fitting, others): (Vec<_>, Vec<_>) =
            keys.partition(|(_, key)| token.is_for(&key.verifying));
        fitting.sort_by_key(|(_, key)| key.id.as_deref() != id);
        let mut why = if others.is_empty() {
            Why::UnknownKey
        } else {
            Why::WrongAlgorithm
        };
        for (set, key) in fitting.iter().copied().take(MAX_TRIED) {
            match token.verify(&key.verifying) {
                Ok(tag) => return Ok(Signer { set, key, tag }),
                Err(other) => why = other,
            }
        }
        Err(Unsigned {
            why,
            was_tried: !fitting.is_empty(),
        })
    }

    /// Leaves a note with each whose keys are too old, or lack the one of this name: it may be there by now, whatever
    /// the others call theirs.
    pub(super) fn ask_for(&self, id: Option<&str>) {
        for set in &self.sets {
            if set.is_stale || id.is_some_and(|id| !set.keys.knows(id)) {
                set.issuer.keys.ask();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Keys, Settings, Whose, assertion, sign_claims};
    use super::*;
    use crate::apps::{App, ClaimRule, Workload};
    use crate::crypto::HmacKey;
    use crate::secret::Secret;
    use data_encoding::BASE64URL_NOPAD;
    use serde_json::json;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    const NOW: i64 = 1_800_000_000;

    fn secret(number: u8) -> HmacKey {
        HmacKey::new(Algorithm::HmacSha256, &Secret::new(vec![number; 32])).unwrap()
    }

    /// A set of the secret of this number.
    fn set(id: Option<&str>, number: u8) -> KeySet {
        KeySet::of_secret(id, secret(number))
    }

    fn issuer(name: &str, keys: Keys) -> Issuer {
        Issuer {
            name: name.into(),
            iss: None,
            audiences: Vec::new(),
            fields: Vec::new(),
            attests: false,
            max_lifetime: Duration::from_hours(1),
            whose: Whose::App(Arc::new(App::new("mobile"))),
            signature_key: None,
            signature_secret: None,
            scopes: None,
            algorithms: vec![Algorithm::HmacSha256],
            keys: Arc::new(keys),
            keys_from: "here".into(),
        }
    }

    /// Issuers whose keys have no name, one for each of these secrets.
    fn nameless(numbers: std::ops::Range<u8>) -> Vec<Issuer> {
        let all = numbers.map(|number| issuer(&number.to_string(), Keys::fixed(set(None, number))));
        all.collect()
    }

    /// A token that names the key `id`, signed with the secret of this number.
    fn token(id: &str, number: u8) -> String {
        let claims = json!({ "iat": NOW, "exp": NOW + 300, "sub": "someone" });
        sign_claims(id, &secret(number).into(), &claims).unwrap()
    }

    /// As [`token`], but it names no key.
    fn unnamed(number: u8) -> String {
        let encode = |part: &serde_json::Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let claims = json!({ "iat": NOW, "exp": NOW + 300, "sub": "someone" });
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let tag = secret(number).sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_bytes()))
    }

    /// Who of them has signed it.
    fn signer(issuers: &[Issuer], text: &str) -> Option<Arc<str>> {
        let token = Compact::read(text).unwrap();
        let outside = Outside::of(issuers.iter().enumerate(), NOW);
        let signer = outside.signer(&token).ok()?;
        Some(signer.set.issuer.name.clone())
    }

    /// Whether the keys of an issuer were asked for since the last time.
    fn is_asked(issuer: &Issuer) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(issuer.keys.asked()).poll(&mut context).is_ready()
    }

    #[test]
    fn a_key_of_the_very_name_is_tried_before_all_that_have_none() {
        let mut issuers = nameless(1..6);
        issuers.push(issuer("z", Keys::fixed(set(Some("z"), 9))));
        assert_eq!(signer(&issuers, &token("z", 9)).as_deref(), Some("z"));
        assert_eq!(signer(&issuers, &token("z", 2)).as_deref(), Some("2"));
        assert_eq!(signer(&issuers, &token("other", 9)), None);
    }

    #[test]
    fn a_token_without_a_name_is_tried_with_the_keys_that_have_none_before_others() {
        let mut issuers: Vec<Issuer> = ["b", "c", "d", "e"]
            .into_iter()
            .zip(2..)
            .map(|(name, number)| issuer(name, Keys::fixed(set(Some(name), number))))
            .collect();
        issuers.push(issuer("a", Keys::fixed(set(None, 1))));
        assert_eq!(signer(&issuers, &unnamed(1)).as_deref(), Some("a"));
        assert_eq!(signer(&issuers, &unnamed(2)).as_deref(), Some("b"));
        assert_eq!(signer(&issuers, &unnamed(9)), None);
    }

    #[test]
    fn what_has_no_name_is_tried_within_a_bound_and_who_is_beyond_it_is_told() {
        let issuers = nameless(1..7);
        assert_eq!(signer(&issuers, &token("any", 4)).as_deref(), Some("4"));
        assert_eq!(signer(&issuers, &token("any", 5)), None);
        let told = |some: &[Issuer]| -> Vec<String> {
            let never = never_tried(some.iter());
            never.map(|issuer| issuer.name.to_string()).collect()
        };
        assert_eq!(told(&issuers), ["5", "6"]);
        assert!(told(&issuers[..4]).is_empty());
        let mut with_name = nameless(1..5);
        with_name.push(issuer("z", Keys::fixed(set(Some("z"), 9))));
        assert!(told(&with_name).is_empty());
    }

    #[test]
    fn keys_are_asked_for_where_the_name_is_not_known_and_nowhere_else() {
        let issuers = ["a", "b"].map(|name| issuer(name, Keys::fixed(set(Some(name), 1))));
        let asked_for = |id| {
            Outside::of(issuers.iter().enumerate(), NOW).ask_for(id);
            [is_asked(&issuers[0]), is_asked(&issuers[1])]
        };
        assert_eq!(asked_for(Some("a")), [false, true]);
        assert_eq!(asked_for(Some("c")), [true, true]);
        assert_eq!(asked_for(None), [false, false]);
    }

    #[test]
    fn keys_that_are_too_old_are_asked_for_whatever_a_token_names() {
        let keys = Keys::to_be_fetched();
        keys.replace(set(Some("a"), 1), NOW - 200, NOW);
        let issuers = [issuer("a", keys)];
        for id in [Some("a"), Some("c"), None] {
            Outside::of(issuers.iter().enumerate(), NOW - 1).ask_for(Some("a"));
            assert!(!is_asked(&issuers[0]));
            Outside::of(issuers.iter().enumerate(), NOW).ask_for(id);
            assert!(is_asked(&issuers[0]), "{id:?}");
        }
    }

    #[test]
    fn an_assertion_asks_for_keys_that_are_too_old() {
        let keys = Keys::to_be_fetched();
        keys.replace(set(Some("a"), 1), NOW - 200, NOW);
        let skew = Duration::from_secs(30);
        let settings = Settings::new(None, Duration::from_hours(1), skew);
        let double = HmacKey::dummy(Algorithm::HmacSha256).into();
        let settings = settings.with_issuers(vec![issuer("a", keys)], double);
        let workloads = [Workload {
            issuer: "a".into(),
            claims: vec![ClaimRule {
                claim: vec!["sub".into()],
                value: vec!["someone".into()],
            }],
            single_use: true,
        }];
        let text = token("a", 1);
        assert!(assertion::open(&text, &workloads, &settings, NOW - 1).is_ok());
        assert!(!is_asked(&settings.issuers()[0]));
        assert!(assertion::open(&text, &workloads, &settings, NOW).is_err());
        assert!(is_asked(&settings.issuers()[0]));
    }
}
