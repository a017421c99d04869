//! `[apps]`: the keys themselves, shared secrets and public ones.

use super::Gathered;
use crate::apps::Signer;
use crate::config::file;
use crate::config::read::At;
use crate::config::secrets::{Places, PublicReference, Reference};
use crate::config::view::KeyNote;
use crate::crypto::hmac::{MIN_SECRET, MIN_WEAK_SECRET};
use crate::crypto::{
    Algorithm, BadKey, HmacKey, PrivateKey, PssSalt, PublicKey, SigningKey, VerifyingKey,
};
use crate::route::Sender;
use crate::schemes::webhook::standard;
use crate::secret::Secret;
use std::sync::Arc;

/// The key, by whichever half the gateway has. A shared secret goes to `shared` as well, a private half to `signs`.
pub(super) fn verifying(
    key: &file::Key,
    sender: Option<Sender>,
    places: &Places<'_>,
    shared: &mut Option<Secret>,
    signs: &mut Option<PrivateKey>,
    gathered: &mut Gathered<'_>,
) -> Option<VerifyingKey> {
    let algorithm = key.algorithm.get();
    let word = algorithm.map(|algorithm| algorithm.value);
    salt_has_a_use(key, gathered);
    if let Some(private) = &key.private_key {
        return self::private(key, private, word, places, signs, gathered);
    }
    match (&key.secret, &key.public_key, word) {
        (Some(_), Some(public), _) => {
            gathered.problem(public.problem("this key has a `secret` as well").hint(
                "`secret` is for `hmac-…`, which both sides have; a public key has its secret half with the caller only",
            ));
            None
        }
        (Some(reference), None, Some(algorithm)) if !algorithm.is_mac() => {
            let message = format!("`{algorithm}` takes a `public_key`, not a secret");
            let draft = reference.problem(message);
            gathered.problem(draft.hint(
                "the caller keeps the private half: `openssl pkey -in private.pem -pubout` prints the public one",
            ));
            None
        }
        (None, Some(public), Some(algorithm)) if algorithm.is_mac() => {
            let message = format!("`{algorithm}` takes a `secret`, not a public key");
            gathered.problem(public.problem(message));
            None
        }
        (Some(reference), None, algorithm) => {
            secret(key, sender, reference, algorithm, places, shared, gathered)
        }
        (None, Some(reference), algorithm) => {
            public(key, sender, reference, algorithm, places, gathered)
        }
        (None, None, algorithm) => {
            neither(key, algorithm, gathered);
            None
        }
    }
}

/// A key whose private half we have, since we sign with it.
fn private(
    key: &file::Key,
    reference: &At<PublicReference>,
    algorithm: Option<Algorithm>,
    places: &Places<'_>,
    signs: &mut Option<PrivateKey>,
    gathered: &mut Gathered<'_>,
) -> Option<VerifyingKey> {
    let beside = [
        ("secret", key.secret.is_some()),
        ("public_key", key.public_key.is_some()),
    ];
    if let Some((other, _)) = beside.into_iter().find(|(_, is_there)| *is_there) {
        let draft = reference.problem(format!("this key has a `{other}` as well"));
        gathered.problem(draft.accepted("one of them"));
        return None;
    }
    if !key.attests.value {
        let draft = reference.problem(
            "whoever has the private half is the caller, but for tokens that are made here",
        );
        gathered.problem(
            draft
                .accepted("`attests = true` and `schemes = [\"token\"]` beside it")
                .hint("the key service signs with it; a caller's key is given by its `public_key`"),
        );
        return None;
    }
    let algorithm = algorithm?;
    if algorithm.is_mac() {
        let message = format!("`{algorithm}` takes a `secret`, not a private key");
        gathered.problem(reference.problem(message));
        return None;
    }
    let opened = places.private(reference);
    let opened = gathered.take(reference, opened)?;
    note(key, &reference.value.0, false, gathered);
    let Some(content) = opened.secret else {
        return Some(PublicKey::dummy(algorithm, PssSalt::Digest).into());
    };
    let read =
        PrivateKey::read(algorithm, &content).and_then(|private| Ok((private.public()?, private)));
    match read {
        Ok((public, private)) => {
            *signs = Some(private);
            Some(public.into())
        }
        Err(bad) => {
            gathered.problem(reference.problem(bad.to_string()));
            None
        }
    }
}

/// What signs tokens here, where the key is one that does.
pub(super) fn signer(
    key: &file::Key,
    verifying: Option<&VerifyingKey>,
    private: Option<PrivateKey>,
    gathered: &mut Gathered<'_>,
) -> Option<Arc<Signer>> {
    if !key.attests.value {
        return None;
    }
    let signs = match (private, verifying?.mac()) {
        (Some(private), _) => SigningKey::Private(private),
        (None, Some(mac)) => mac.clone().into(),
        (None, None) => return None,
    };
    match Signer::new(signs) {
        Ok(signer) => Some(Arc::new(signer)),
        Err(bad) => {
            let at = key.private_key.as_ref()?;
            gathered.problem(at.problem(bad.to_string()));
            None
        }
    }
}

/// Keys that are none of the two.
const OTHERS: [&str; 8] = [
    "id",
    "algorithm",
    "weak_secret",
    "any_salt",
    "not_before",
    "not_after",
    "enabled",
    "schemes",
];

fn neither(key: &file::Key, algorithm: Option<Algorithm>, gathered: &mut Gathered<'_>) {
    let Some(id) = key.id.get() else { return };
    let table = id.key.trim_end_matches(".id");
    // One that cannot be read, or is misspelled, is a problem of its own.
    if gathered.problems.any_within(table, &OTHERS) {
        return;
    }
    let (missing, accepted) = match algorithm {
        Some(algorithm) if algorithm.is_mac() => ("`secret`", format!("`{algorithm}` takes one")),
        Some(algorithm) => ("`public_key`", format!("`{algorithm}` takes one")),
        None => ("`secret` or `public_key`", "one of the two".to_owned()),
    };
    let draft = id.problem(format!("this key has no {missing}"));
    gathered.problem(draft.accepted(accepted).of_absence());
}

fn salt_has_a_use(key: &file::Key, gathered: &mut Gathered<'_>) {
    let algorithm = key.algorithm.get().map(|algorithm| algorithm.value);
    if let Some(algorithm) =
        algorithm.filter(|algorithm| key.any_salt.value && !algorithm.has_salt())
    {
        let message = format!("`{algorithm}` has no salt");
        let draft = key.any_salt.problem(message);
        gathered.problem(draft.accepted("`any_salt` is for `rsa-pss-…`"));
    }
}

fn secret(
    key: &file::Key,
    sender: Option<Sender>,
    reference: &At<Reference>,
    algorithm: Option<Algorithm>,
    places: &Places<'_>,
    shared: &mut Option<Secret>,
    gathered: &mut Gathered<'_>,
) -> Option<VerifyingKey> {
    let mut opened = places.open(reference);
    if let (Ok(opened), Some(Sender::StandardWebhooks)) = (&mut opened, sender) {
        // It is base64: a newline at its end is no part of it.
        opened.forgive_newline();
    }
    let opened = gathered.take(reference, opened)?;
    let generated = matches!(reference.value, Reference::Generated(_));
    note(
        key,
        reference,
        generated && opened.secret.is_none(),
        gathered,
    );
    let Some(mut secret) = opened.secret else {
        return Some(HmacKey::dummy(algorithm?).into());
    };
    if sender == Some(Sender::StandardWebhooks) && !places.says_how(&reference.value) {
        let Some(decoded) = standard::secret(secret.expose()) else {
            let draft = reference.problem("the secret is not base64, as Standard Webhooks have it");
            gathered.problem(draft.accepted("`whsec_…`, as the sender shows it"));
            return None;
        };
        secret = Secret::new(decoded);
    }
    let may_be_weak = key.weak_secret.value;
    if may_be_weak {
        let draft = if secret.len() < MIN_SECRET {
            let message = format!("the secret has {} bytes only", secret.len());
            let draft = key.weak_secret.problem(message);
            draft
                .hint("for secrets that were made elsewhere: let a longer one be made when you can")
        } else {
            let draft = key.weak_secret.problem("the secret is long enough");
            draft.hint("take `weak_secret` away")
        };
        gathered.problem(draft.warning());
    }
    let bind = if may_be_weak {
        HmacKey::weak
    } else {
        HmacKey::new
    };
    // A broken algorithm is a problem of its own; the length is looked at all the same.
    let bad = match bind(algorithm.unwrap_or(Algorithm::HmacSha256), &secret) {
        Ok(mac) => {
            *shared = Some(secret);
            return algorithm.map(|_| mac.into());
        }
        Err(bad) => bad,
    };
    let draft = match bad {
        BadKey::Weak(weak) => reference
            .problem(format!(
                "the secret has {} bytes, which is too short",
                weak.found
            ))
            .accepted(format!("at least {} bytes", if may_be_weak { MIN_WEAK_SECRET } else { MIN_SECRET }))
            .hint(if sender.is_some() {
                "one that the sender has made so may be: say `weak_secret = true`"
            } else {
                "`openssl rand -base64 32` makes one; write it as `base64:…`"
            }),
        BadKey::SecretAsJwk(_) => reference.problem(bad.to_string()).hint(ITS_K),
        bad => reference
            .problem(bad.to_string())
            .hint("a key that others may know proves nothing: give it as `public_key`, with the algorithm it is for"),
    };
    gathered.problem(draft);
    None
}

/// What to do about a JWK around a secret.
pub(crate) const ITS_K: &str = "take its `k`, and write it as `base64:…`";

fn public(
    key: &file::Key,
    sender: Option<Sender>,
    reference: &At<PublicReference>,
    algorithm: Option<Algorithm>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<VerifyingKey> {
    let opened = places.public(reference);
    let opened = gathered.take(reference, opened)?;
    note(key, &reference.value.0, false, gathered);
    let (algorithm, salt) = (algorithm?, salt(key));
    let Some(content) = opened.secret else {
        return Some(PublicKey::dummy(algorithm, salt).into());
    };
    let pem = match sender {
        Some(Sender::StandardWebhooks) => standard::public_key(content.expose()),
        _ => None,
    };
    let written = pem.as_ref().map_or(content.expose(), String::as_bytes);
    match PublicKey::read(algorithm, written, salt) {
        Ok(public) => Some(public.into()),
        Err(bad) => {
            let draft = reference.problem(bad.to_string());
            gathered.problem(match bad {
                BadKey::Private => draft.hint(
                    "`openssl pkey -in private.pem -pubout` prints the public half; the gateway must not know the other",
                ),
                _ => draft,
            });
            None
        }
    }
}

fn salt(key: &file::Key) -> PssSalt {
    if key.any_salt.value {
        PssSalt::Any
    } else {
        PssSalt::Digest
    }
}

fn note(
    key: &file::Key,
    reference: &Reference,
    to_be_generated: bool,
    gathered: &mut Gathered<'_>,
) {
    if let Some(id) = key.id.get() {
        gathered.keys.push(KeyNote {
            id: id.value.0.clone(),
            secret: reference.to_string(),
            to_be_generated,
        });
    }
}
