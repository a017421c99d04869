//! The keys of an issuer outside: a JWK Set (RFC 7517, section 5) as it came,
//! or one secret.
//!
//! A set is a stranger's bytes. Keys in it that we cannot use are passed over,
//! as section 5 asks for; what has two readings is refused whole.

use super::json::{Json, read_object};
use super::jwk::Jwk;
use super::jwt::MAX_KEY_ID;
use super::outside::MAX_TRIED;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, HmacKey, Tag, VerifyingKey};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes a key set may have.
pub const MAX_KEY_SET: usize = 256 * 1024;
/// Keys a set may have, those that we cannot use among them.
pub const MAX_KEYS: usize = 64;

/// Keys that tokens of one issuer are verified with. Never changes; a fetch makes another.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<SetKey>,
    digest: [u8; 32],
    number: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct SetKey {
    /// What a token calls it by; without one it stands for every name.
    pub(super) id: Option<Box<str>>,
    pub(super) verifying: VerifyingKey,
    /// What tells it from others of its algorithm.
    pub(super) mark: Tag,
}

/// Why a key set is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// More than [`MAX_KEY_SET`] bytes.
    #[error("it has more than {MAX_KEY_SET} bytes")]
    TooLong,
    /// No JSON with a list `keys`.
    #[error("it is not a JWK Set: a JSON object with every name once and a list `keys`")]
    NotASet,
    /// More than [`MAX_KEYS`] keys.
    #[error("it has {0} keys; at most {MAX_KEYS} are accepted")]
    TooManyKeys(usize),
    /// None of the algorithms that are accepted of this issuer.
    #[error("none of its keys can be used: they are for other purposes or algorithms")]
    NoKey,
    /// No key at all.
    #[error("none of its keys can be used: it lists none")]
    Empty,
    /// More keys of one algorithm without a name than a token is tried with.
    #[error(
        "more than {MAX_TRIED} of its keys for one algorithm have no name: a token is tried with no more"
    )]
    Nameless,
    /// Two keys of one name and one algorithm.
    #[error("two different keys in it have the same name and algorithm")]
    Twice,
}

impl KeySet {
    /// No key at all, until some are known.
    pub fn empty() -> Self {
        Self::of(Vec::new(), [0; 32])
    }

    /// One secret, which stands for every name unless it has one.
    pub fn of_secret(id: Option<&str>, secret: HmacKey) -> Self {
        let key = SetKey::new(id, secret.into());
        Self::of(vec![key], [0; 32])
    }

    /// Reads a JWK Set, for tokens signed with one of `algorithms`. A key that does not name its
    /// algorithm is for the first of them that it can be used with.
    ///
    /// # Errors
    /// [`BadKeySet`].
    pub fn read(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, BadKeySet> {
        if bytes.len() > MAX_KEY_SET {
            return Err(BadKeySet::TooLong);
        }
        let members = read_object(bytes).map_err(|_| BadKeySet::NotASet)?;
        let list = members.iter().find(|(name, _)| name == "keys");
        let Some((_, Json::List(list))) = list else {
            return Err(BadKeySet::NotASet);
        };
        if list.len() > MAX_KEYS {
            return Err(BadKeySet::TooManyKeys(list.len()));
        }
        if list.is_empty() {
            return Err(BadKeySet::Empty);
        }
        let mut keys: Vec<SetKey> = Vec::new();
        for key in list.iter().filter_map(|one| key(one, algorithms)) {
            let alike = keys.iter().filter(|known| known.is_named_as(&key));
            if alike.clone().any(|known| known.is_same(&key)) {
                continue;
            }
            // Without a name, the signature shows which of them it is.
            match (&key.id, alike.count()) {
                (Some(_), 1..) => return Err(BadKeySet::Twice),
                (None, MAX_TRIED..) => return Err(BadKeySet::Nameless),
                _ => keys.push(key),
            }
        }
        if keys.is_empty() {
            return Err(BadKeySet::NoKey);
        }
        Ok(Self::of(keys, sha256(&[bytes])))
    }

    fn of(keys: Vec<SetKey>, digest: [u8; 32]) -> Self {
        /// No two sets of a process have the same number.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            keys,
            digest,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Which set of this process it is.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether it was read from the same bytes.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.digest == other.digest && !self.is_empty()
    }

    /// The keys that a token with this `kid` may be signed with: those of that name, and all that have none. A token
    /// without one may be of these, or of the only key there is.
    pub(super) fn named<'s>(&'s self, id: Option<&'s str>) -> impl Iterator<Item = &'s SetKey> {
        let is_alone = self.keys.len() == 1;
        self.keys.iter().filter(move |key| match (&key.id, id) {
            (None, _) => true,
            (Some(known), Some(id)) => **known == *id,
            (Some(_), None) => is_alone,
        })
    }

    /// The names of its keys that have one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.id.as_deref())
    }

    /// Whether a key has this very name.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }
}

impl SetKey {
    fn new(id: Option<&str>, verifying: VerifyingKey) -> Self {
        Self {
            id: id.map(Box::from),
            mark: verifying.mark(),
            verifying,
        }
    }

    /// Whether both are one key, whatever they are called: what the one has signed, the other has.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.verifying.algorithm() == other.verifying.algorithm()
            && self.mark.is(other.mark.as_bytes())
    }

    fn is_named_as(&self, other: &Self) -> bool {
        self.id == other.id && self.verifying.algorithm() == other.verifying.algorithm()
    }
}

/// A key of a set, if it is one that we can use.
fn key(value: &Json<'_>, algorithms: &[Algorithm]) -> Option<SetKey> {
    let Json::Object(members) = value else {
        return None;
    };
    let jwk = Jwk::read(members)?;
    if jwk.is_for_others || jwk.is_private || !jwk.id.is_none_or(is_name) {
        return None;
    }
    let named = jwk.algorithm.map(Algorithm::from_jose_name);
    let mut fitting = algorithms.iter().filter(|algorithm| {
        jwk.key.suits(**algorithm) && named.is_none_or(|named| named == Some(**algorithm))
    });
    let key = jwk.key.key(*fitting.next()?).ok()?;
    Some(SetKey::new(jwk.id, key.into()))
}

/// It stands in logs and in what the upstream gets.
fn is_name(id: &str) -> bool {
    (1..=MAX_KEY_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;
    use serde_json::json;

    const P256: &str = r#""kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA""#;
    const OTHER_P256: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;
    const ED25519: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const BOTH: [Algorithm; 2] = [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519];

    fn read(keys: &[String]) -> Result<KeySet, BadKeySet> {
        let text = format!(r#"{{"keys":[{}],"more":1}}"#, keys.join(","));
        KeySet::read(text.as_bytes(), &BOTH)
    }

    fn named(members: &str, id: &str) -> String {
        format!(r#"{{{members},"kid":"{id}"}}"#)
    }

    fn with(more: &str) -> String {
        format!(r#"{{{ED25519},"kid":"b",{more}}}"#)
    }

    #[test]
    fn keys_are_found_by_name_and_bound_to_one_algorithm() {
        let set = read(&[named(P256, "a"), with(r#""alg":"EdDSA","use":"sig""#)]).unwrap();
        assert_eq!(set.len(), 2);
        let algorithms = |id| -> Vec<_> {
            let keys = set.named(id);
            keys.map(|key| key.verifying.algorithm()).collect()
        };
        assert_eq!(algorithms(Some("a")), [Algorithm::EcdsaP256Sha256]);
        assert_eq!(algorithms(Some("b")), [Algorithm::Ed25519]);
        assert!(algorithms(Some("c")).is_empty());
        // Which of the two?
        assert!(algorithms(None).is_empty());
        let alone = read(&[named(P256, "a")]).unwrap();
        assert_eq!(alone.named(None).count(), 1);
        let nameless = read(&[format!("{{{P256}}}")]).unwrap();
        assert_eq!(nameless.named(Some("any")).count(), 1);
        assert!(!nameless.knows("any"));
    }

    #[test]
    fn keys_that_cannot_be_used_are_passed_over() {
        for other in [
            "1".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"kty":"oct","k":"AAAA"}"#.to_owned(),
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#.to_owned(),
            r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#.to_owned(),
            r#"{"kty":["EC"]}"#.to_owned(),
            with(r#""use":"enc""#),
            with(r#""key_ops":["sign"]"#),
            with(r#""key_ops":"verify""#),
            with(r#""alg":"ES256""#),
            with(r#""alg":"none""#),
            with(r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#),
            format!(r#"{{{ED25519},"kid":"not visible"}}"#),
            format!(r#"{{{ED25519},"kid":""}}"#),
            format!(r#"{{{ED25519},"kid":"{}"}}"#, "k".repeat(MAX_KEY_ID + 1)),
            format!("{{{}}}", P256.replace("9VE4", "8VE4")),
            // Anybody can sign under it.
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
                "A".repeat(43)
            ),
        ] {
            let alone = read(std::slice::from_ref(&other));
            assert!(
                matches!(alone, Err(BadKeySet::NoKey | BadKeySet::NotASet)),
                "{other}"
            );
            if alone != Err(BadKeySet::NotASet) {
                assert_eq!(read(&[other, named(P256, "a")]).unwrap().len(), 1);
            }
        }
    }

    #[test]
    fn an_rsa_key_whose_numbers_begin_with_zeros_is_the_same_key() {
        let keys = include_str!("../../../tests/it/vectors/rfc9421/keys.json");
        let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
        let jwk = &keys["test-key-rsa"]["jwk"];
        let with = |zeros: &[u8]| {
            let number = |member: &str| {
                let number = jwk[member].as_str().unwrap().as_bytes();
                let number = BASE64URL_NOPAD.decode(number).unwrap();
                BASE64URL_NOPAD.encode(&[zeros, &number].concat())
            };
            json!({ "kty": "RSA", "kid": "a", "n": number("n"), "e": number("e") })
        };
        let set = |keys: &[serde_json::Value]| {
            let text = json!({ "keys": keys }).to_string();
            KeySet::read(text.as_bytes(), &[Algorithm::RsaV15Sha256])
        };
        let plain = set(&[with(&[])]).unwrap();
        for zeros in [&[0][..], &[0, 0]] {
            let read = set(&[with(zeros)]).unwrap();
            assert_eq!(read.len(), 1);
            assert!(read.keys[0].is_same(&plain.keys[0]));
            // Both of one name are no two keys.
            assert_eq!(set(&[with(&[]), with(zeros)]).unwrap().len(), 1);
        }
        let mut none = with(&[]);
        none["n"] = "AAAA".into();
        assert_eq!(set(&[none]).unwrap_err(), BadKeySet::NoKey);
        assert_eq!(set(&[]).unwrap_err(), BadKeySet::Empty);
    }

    #[test]
    fn a_key_that_stands_twice_is_one_and_two_of_one_name_are_none() {
        let once = read(&[named(P256, "a"), named(P256, "a")]).unwrap();
        assert_eq!(once.len(), 1);
        let twice = read(&[named(P256, "a"), named(OTHER_P256, "a")]);
        assert_eq!(twice.unwrap_err(), BadKeySet::Twice);
        // Of two algorithms there is no doubt: a token names one of them.
        assert_eq!(
            read(&[named(P256, "a"), named(ED25519, "a")])
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn keys_without_a_name_are_no_two_of_one_name_and_each_is_there_once() {
        let nameless = |members: &str| format!("{{{members}}}");
        let set = read(&[
            nameless(P256),
            nameless(OTHER_P256),
            nameless(P256),
            named(P256, "a"),
        ]);
        let set = set.unwrap();
        let found = |id| set.named(id).count();
        assert_eq!((found(None), found(Some("a")), found(Some("z"))), (2, 3, 2));
        // Whoever is beyond them would never be tried.
        let number = |number: u8| nameless(&ED25519.replace("11qY", &format!("11q{number}")));
        let many: Vec<String> = (0..=MAX_TRIED as u8).map(number).collect();
        assert_eq!(read(&many[1..]).unwrap().len(), MAX_TRIED);
        assert_eq!(read(&many).unwrap_err(), BadKeySet::Nameless);
        let twice = [named(P256, "a"), nameless(P256), named(OTHER_P256, "a")];
        assert_eq!(read(&twice).unwrap_err(), BadKeySet::Twice);
    }

    #[test]
    fn what_is_no_set_or_over_a_bound_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[{"kty":"EC","kty":"EC"}]}"#,
        ] {
            let refused = KeySet::read(text.as_bytes(), &BOTH).unwrap_err();
            assert_eq!(refused, BadKeySet::NotASet, "{text}");
        }
        let many: Vec<String> = (0..=MAX_KEYS)
            .map(|n| named(P256, &n.to_string()))
            .collect();
        assert_eq!(read(&many[1..]).unwrap().len(), MAX_KEYS);
        assert_eq!(
            read(&many).unwrap_err(),
            BadKeySet::TooManyKeys(MAX_KEYS + 1)
        );
        let long = vec![b' '; MAX_KEY_SET + 1];
        assert_eq!(KeySet::read(&long, &BOTH).unwrap_err(), BadKeySet::TooLong);
    }

    impl PartialEq for KeySet {
        fn eq(&self, other: &Self) -> bool {
            self.digest == other.digest
        }
    }
}
