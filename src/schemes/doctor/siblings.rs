//! The other keys of an app: whoever names one may have signed with another.

use super::{Finding, Mistake, Sample, Tries, out_of_force};
use crate::apps::{Key, Scheme};
use crate::clock::Now;
use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use std::sync::Arc;

/// Other keys of the same app that are tried.
const MAX_OTHER_KEYS: usize = 8;

/// The one of `others` whose signature it is; `key` is the one that it names.
pub(super) fn find<'k>(
    sample: &Sample<'_>,
    key: &VerifyingKey,
    mut others: impl Iterator<Item = &'k Arc<Key>>,
    now: Now,
    tries: &mut Tries,
) -> Option<Finding> {
    let other = if tries.are_all() {
        // Who has the key needs no stopwatch.
        others.find(|other| holds(sample, &other.verifying, tries.longest()))
    } else {
        in_places(sample, key, others, tries)
    }?;
    Some(Finding {
        mistake: match () {
            () if !other.is_active(now.unix_seconds()) => out_of_force(other, now),
            // None is named: every one that may sign was tried.
            () if sample.scheme == Scheme::Webhook => Mistake::KeyNotForScheme,
            () => Mistake::OtherKey,
        },
        key: Some(other.id.clone()),
    })
}

/// The same, in as many places for an app that has no other key, and for an id that no key has: a
/// stopwatch learns nothing. Nor does it of what kind they are: in each place a key of every kind is
/// tried that costs no more than the named one.
fn in_places<'k>(
    sample: &Sample<'_>,
    key: &VerifyingKey,
    others: impl Iterator<Item = &'k Arc<Key>>,
    tries: &mut Tries,
) -> Option<&'k Arc<Key>> {
    // Shared secrets cost next to nothing. One public key may cost a hundred times what another
    // does: none of another kind is tried.
    let secrets = Algorithm::MACS.map(|algorithm| VerifyingKey::from(HmacKey::dummy(algorithm)));
    let secrets = secrets.iter().filter(|secret| !secret.costs_as(key));
    let kinds: Vec<_> = std::iter::once(key).chain(secrets).collect();
    let places = others.map(Some).chain(std::iter::repeat(None));
    places.take(MAX_OTHER_KEYS).find_map(|other| {
        // What this key may not prove is another matter: its holder learns of the key alone.
        let verifying = other.map(|other| &other.verifying);
        let holds = tries.take() && is_by(sample, verifying, &kinds, tries.longest());
        other.filter(|_| holds)
    })
}

/// Whether the signature is that of `other`, which stands in for its own kind; one of each is asked.
fn is_by(
    sample: &Sample<'_>,
    other: Option<&VerifyingKey>,
    kinds: &[&VerifyingKey],
    longest: usize,
) -> bool {
    kinds.iter().fold(false, |any, &kind| {
        let own = other.filter(|other| other.costs_as(kind));
        any | (holds(sample, own.unwrap_or(kind), longest) && own.is_some())
    })
}

/// Whether the signature is this key's, in one of the forms that are tried.
fn holds(sample: &Sample<'_>, key: &VerifyingKey, longest: usize) -> bool {
    sample.is_by(key, &sample.texts(sample.tried(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::App;
    use crate::crypto::{SigningKey, generate};
    use crate::schemes::doctor::Cost;
    use std::time::Duration;

    const NOW: Now = Now::new(Duration::ZERO, Duration::ZERO);

    fn secret() -> SigningKey {
        HmacKey::dummy(Algorithm::HmacSha512).into()
    }

    fn pair(algorithm: Algorithm) -> SigningKey {
        SigningKey::new(algorithm, &generate(algorithm).unwrap()).unwrap()
    }

    /// A signature by `signer`.
    fn sample(signer: &SigningKey) -> Sample<'static> {
        Sample {
            scheme: Scheme::HttpSignature,
            key_id: "named".into(),
            text: b"text".to_vec(),
            signature: signer.sign(b"text").as_bytes().to_vec().into(),
            offer: None,
            also: Vec::new(),
            by: None,
            meant: None,
        }
    }

    fn other(id: &str, key: &SigningKey) -> Arc<Key> {
        let app = Arc::new(App::new("mobile"));
        Arc::new(Key::new(id, app, key.verifying().unwrap()))
    }

    /// Who signed, where it names `named` and its app has the key that signed beside it.
    fn told(named: &SigningKey, signer: &SigningKey, mut tries: Tries) -> Option<Arc<str>> {
        let (named, others) = (named.verifying().unwrap(), [other("signer", signer)]);
        let found = find(&sample(signer), &named, others.iter(), NOW, &mut tries)?;
        assert_eq!(found.mistake, Mistake::OtherKey);
        found.key
    }

    #[test]
    fn a_key_that_costs_no_more_than_the_named_one_is_recognised() {
        let (cheap, dear) = (pair(Algorithm::Ed25519), pair(Algorithm::EcdsaP384Sha384));
        let shared: SigningKey = HmacKey::dummy(Algorithm::HmacSha256).into();
        for (named, signer, is_told) in [
            (&shared, &secret(), true),
            (&secret(), &shared, true),
            (&dear, &shared, true),
            (&dear, &pair(Algorithm::EcdsaP384Sha384), true),
            (&shared, &dear, false),
            (&cheap, &dear, false),
            (&dear, &cheap, false),
        ] {
            let found = told(named, signer, Tries::of(Cost::PublicKey));
            assert_eq!(found.is_some(), is_told, "{named:?} {signer:?}");
            // To whoever has the key each is told.
            assert_eq!(told(named, signer, Tries::all()).as_deref(), Some("signer"));
        }
    }

    #[test]
    fn the_newest_few_are_tried_and_all_of_them_by_whoever_has_the_key() {
        let (named, signer) = (secret(), secret());
        let strangers = (0..MAX_OTHER_KEYS).map(|number| other(&number.to_string(), &secret()));
        let mut others: Vec<_> = strangers.collect();
        others.push(other("signer", &signer));
        let named = named.verifying().unwrap();
        let find = |others: &[Arc<Key>], mut tries| {
            let found = find(&sample(&signer), &named, others.iter(), NOW, &mut tries);
            found.is_some()
        };
        assert!(!find(&others, Tries::of(Cost::Secret)));
        assert!(find(&others[1..], Tries::of(Cost::Secret)));
        assert!(find(&others, Tries::all()));
    }
}
