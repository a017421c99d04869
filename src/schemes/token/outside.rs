//! Whose key outside a token is signed with, and whose keys are asked for where it is none of those that are here.

use super::claims::Read;
use super::issuer::Issuer;
use super::jwt::Compact;
use super::key_set::{KeySet, SetKey};
use crate::crypto::{Algorithm, Tag};
use crate::schemes::{Refused, Why};
use std::sync::Arc;

/// Keys of issuers that one token is tried with: several may be meant where issuers share a field, or name no keys. A
/// key that several issuers have is one.
pub const MAX_TRIED: usize = 4;

/// Those of `issuers` with a key that no token is tried with: it has no name, and as many of its algorithm stand before
/// it as are tried.
pub fn never_tried<'i>(
    issuers: impl Iterator<Item = &'i Issuer>,
) -> impl Iterator<Item = &'i Issuer> {
    let mut before: Vec<(Algorithm, Tag)> = Vec::new();
    issuers.filter(move |issuer| {
        let keys = issuer.keys.current();
        let mut is_beyond = false;
        for key in keys.named(None).filter(|key| key.id.is_none()) {
            let algorithm = key.verifying.algorithm();
            let of_its_kind = || before.iter().filter(move |(one, _)| *one == algorithm);
            let known = of_its_kind().position(|(_, mark)| mark.is(key.mark.as_bytes()));
            is_beyond |= known.unwrap_or_else(|| of_its_kind().count()) >= MAX_TRIED;
            if known.is_none() {
                before.push((algorithm, key.mark));
            }
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

/// A signature that holds, and those that have the key which it is of, one at least.
pub(super) struct Signed<'o, 's> {
    holders: Vec<(&'o Set<'s>, &'o SetKey)>,
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

    /// Whose key the token is signed with. A key for another algorithm than the token names is no try, and those of
    /// its very name come first: what has no name stands for every one, and would use up the tries of what has. Of a
    /// token that names none it is those without a name that come first.
    pub(super) fn signed<'o>(&'o self, token: &'o Compact<'_>) -> Result<Signed<'o, 's>, Unsigned> {
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
        let was_tried = !fitting.is_empty();
        for _ in 0..MAX_TRIED {
            let Some((_, key)) = fitting.first().copied() else {
                break;
            };
            match token.verify(&key.verifying) {
                Ok(tag) => {
                    fitting.retain(|(_, other)| other.is_same(key));
                    let holders = fitting;
                    return Ok(Signed { holders, tag });
                }
                Err(other) => why = other,
            }
            // Under another issuer it is no other try.
            fitting.retain(|(_, other)| !other.is_same(key));
        }
        Err(Unsigned { why, was_tried })
    }

    /// Leaves a note with each whose keys are too old, or lack the one of this name: it may be there by now, whatever
    /// the others call theirs.
    pub(super) fn ask_for(&self, id: Option<&str>) {
        self.ask(id, |_| true);
    }

    /// The same with those alone that the claims are of. Another's key has signed them: of theirs we may not know yet
    /// that it is the same.
    pub(super) fn ask_of(&self, read: &Read<'_>, id: Option<&str>) {
        self.ask(id, |issuer| read.fits(issuer));
    }

    fn ask(&self, id: Option<&str>, is_meant: impl Fn(&Issuer) -> bool) {
        for set in self.sets.iter().filter(|set| is_meant(set.issuer)) {
            if set.is_stale || id.is_some_and(|id| !set.keys.knows(id)) {
                set.issuer.keys.ask();
            }
        }
    }
}

impl<'o, 's> Signed<'o, 's> {
    /// The issuer that the token is of, and what that calls the key: several may have the same one, and then it is the
    /// first of them whose `iss` and `aud` the token has.
    ///
    /// # Errors
    /// It has those of none.
    pub(super) fn by(&self, read: &Read<'_>) -> Result<(&'o Set<'s>, &'o SetKey), Refused> {
        let mut holders = self.holders.iter().copied();
        holders
            .find(|(set, _)| read.fits(set.issuer))
            .ok_or_else(|| read.misfit(self.holders.iter().map(|(set, _)| set.issuer)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::read_object;
    use super::super::{Cache, Keys, Presented, Settings, Whose, assertion, open, sign_claims};
    use super::*;
    use crate::apps::{App, ClaimRule, Registry, Workload};
    use crate::clock::Now;
    use crate::crypto::{HmacKey, Work};
    use crate::route::{IssuerSet, Takers};
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
        let signed = outside.signed(&token).ok()?;
        let claims = token.claims().unwrap();
        let claims = read_object(&claims).unwrap();
        let (set, _) = signed.by(&Read::of(&claims).unwrap()).ok()?;
        Some(set.issuer.name.clone())
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

    /// As [`token`], with `iss` and `aud`.
    fn token_of(iss: &str, aud: &str, number: u8) -> String {
        let claims =
            json!({ "iat": NOW, "exp": NOW + 300, "sub": "someone", "iss": iss, "aud": aud });
        sign_claims("k", &secret(number).into(), &claims).unwrap()
    }

    /// An issuer whose key is the secret of this number.
    fn issuer_of(name: &str, iss: &str, aud: &str, number: u8) -> Issuer {
        Issuer {
            iss: Some(iss.into()),
            audiences: vec!["another".into(), aud.into()],
            ..issuer(name, Keys::fixed(set(Some("k"), number)))
        }
    }

    /// Six of one key, of two `iss` and three `aud`, and one of another key.
    fn sharing() -> Vec<Issuer> {
        let mut issuers = Vec::new();
        for iss in ["x", "y"] {
            for aud in ["1", "2", "3"] {
                issuers.push(issuer_of(&format!("{iss}{aud}"), iss, aud, 1));
            }
        }
        issuers.push(issuer_of("other", "x", "1", 2));
        issuers
    }

    #[test]
    fn of_issuers_that_have_one_key_it_is_the_first_whose_iss_and_aud_the_token_has() {
        let issuers = sharing();
        let of = |iss: &str, aud: &str, number| signer(&issuers, &token_of(iss, aud, number));
        for iss in ["x", "y"] {
            for aud in ["1", "2", "3"] {
                assert_eq!(of(iss, aud, 1).as_deref(), Some(&*format!("{iss}{aud}")));
            }
        }
        assert_eq!(of("x", "another", 1).as_deref(), Some("x1"));
        // Six that have another key use up no tries of it, and are not asked whether it is theirs.
        assert_eq!(of("x", "1", 2).as_deref(), Some("other"));
        assert_eq!(of("x", "2", 2), None);
        assert_eq!(of("x", "1", 3), None);
    }

    #[test]
    fn a_token_of_none_of_those_that_have_its_key_is_told_what_is_wrong() {
        let issuers = sharing();
        let why = |iss: &str, aud: &str| {
            let text = token_of(iss, aud, 1);
            let token = Compact::read(&text).unwrap();
            let outside = Outside::of(issuers.iter().enumerate(), NOW);
            let Ok(signed) = outside.signed(&token) else {
                panic!("it is signed");
            };
            let claims = token.claims().unwrap();
            let claims = read_object(&claims).unwrap();
            match signed.by(&Read::of(&claims).unwrap()) {
                Err(Refused::Rejected { why, .. }) => why,
                _ => panic!("it is of none of them"),
            }
        };
        assert_eq!(why("y", "4"), Why::Claim("aud"));
        assert_eq!(why("z", "1"), Why::Claim("iss"));
    }

    #[test]
    fn a_key_that_many_issuers_have_is_tried_once_whoever_has_signed() {
        let issuers = sharing();
        let outside = Outside::of(issuers.iter().enumerate(), NOW);
        let tries = |number: u8| {
            let text = token_of("y", "3", number);
            let token = Compact::read(&text).unwrap();
            Work::taken();
            let _ = outside.signed(&token);
            Work::taken().len()
        };
        assert_eq!((tries(1), tries(2), tries(3)), (1, 2, 2));
        let six: Vec<Issuer> = (0..6)
            .map(|number| issuer(&number.to_string(), Keys::fixed(set(None, 1))))
            .collect();
        assert_eq!(never_tried(six.iter()).count(), 0);
    }

    #[test]
    fn an_issuer_whose_token_anothers_key_has_signed_is_asked_for_that_key() {
        // They share their keys, and the second has not fetched the newest yet.
        let mut second = issuer_of("b", "x", "2", 9);
        second.keys = Arc::new(Keys::fixed(set(Some("old"), 9)));
        let issuers = vec![
            issuer_of("a", "x", "1", 1),
            second,
            issuer_of("c", "x", "3", 1),
        ];
        let settings = Settings::new(None, Duration::from_hours(1), Duration::from_secs(30));
        let double = HmacKey::dummy(Algorithm::HmacSha256).into();
        let settings = settings.with_issuers(issuers, double);
        let (cache, text) = (Cache::new(8), token_of("x", "2", 1));
        assert!(shown(&settings, &cache, &text, &[0, 1, 2]).is_none());
        let asked = settings.issuers().iter().map(is_asked);
        assert_eq!(asked.collect::<Vec<_>>(), [false, true, false]);
    }

    /// Whose a token is that is shown where these are taken: the name of its key.
    fn shown(settings: &Settings, cache: &Cache, text: &str, places: &[usize]) -> Option<String> {
        let issuers = places.iter().copied();
        let presented = Presented {
            text,
            in_authorization: false,
            as_dpop: false,
            takers: Takers {
                own: false,
                issuers: issuers.fold(IssuerSet::NONE, IssuerSet::with),
            },
            is_attestation: false,
        };
        let registry = Registry::new(Vec::new(), Vec::new(), 1).unwrap();
        let now = Now::new(Duration::from_secs(NOW as u64), Duration::ZERO);
        let held = open(&presented, &registry, settings, cache, now).ok()?;
        Some(held.key.id.to_string())
    }

    #[test]
    fn what_is_remembered_of_a_token_is_of_the_issuer_that_is_chosen_where_it_is_shown() {
        let issuers = vec![
            issuer_of("a", "x", "1", 1),
            issuer_of("b", "x", "1", 1),
            issuer_of("c", "x", "2", 1),
        ];
        let settings = Settings::new(None, Duration::from_hours(1), Duration::from_secs(30));
        let double = HmacKey::dummy(Algorithm::HmacSha256).into();
        let settings = settings.with_issuers(issuers, double);
        let (cache, text) = (Cache::new(8), token_of("x", "1", 1));
        let shown = |places: &[usize]| shown(&settings, &cache, &text, places);
        for _ in 0..2 {
            assert_eq!(shown(&[1, 2]).as_deref(), Some("b/k"));
            assert_eq!(shown(&[0, 1, 2]).as_deref(), Some("a/k"));
            assert_eq!(shown(&[0]).as_deref(), Some("a/k"));
            assert_eq!(shown(&[2]), None);
        }
        // Where nothing else could be chosen it is verified once.
        Work::taken();
        assert!(shown(&[0, 2]).is_some() && shown(&[0, 1, 2]).is_some());
        assert_eq!(Work::taken().len(), 0);
    }

    #[test]
    fn an_assertion_is_of_the_issuer_that_it_names_where_several_have_its_key() {
        let settings = Settings::new(None, Duration::from_hours(1), Duration::from_secs(30));
        let double = HmacKey::dummy(Algorithm::HmacSha256).into();
        let settings = settings.with_issuers(sharing(), double);
        let workloads = ["x1", "y3"].map(|name| Workload {
            issuer: name.into(),
            claims: vec![ClaimRule {
                claim: vec!["sub".into()],
                value: vec!["someone".into()],
            }],
            single_use: true,
        });
        let of = |iss: &str, aud: &str| {
            let text = token_of(iss, aud, 1);
            let opened = assertion::open(&text, &workloads, &settings, NOW).ok()?;
            opened.workload.map(|workload| workload.issuer.to_string())
        };
        assert_eq!(of("x", "1").as_deref(), Some("x1"));
        assert_eq!(of("y", "3").as_deref(), Some("y3"));
        // That one has the key too, but is none of theirs.
        assert_eq!(of("x", "2"), None);
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
