//! Verifying: what the head shows first, since it needs no key; then the body,
//! once it is there, with each of the keys that may have signed it.

use super::read::{Message, Presented};
use crate::apps::{Key, Scheme};
use crate::clock::Now;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, HmacKey, VerifyingKey};
use crate::route::{Part, Route, Sender, Webhooks};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::digest::BodyProof;
use crate::schemes::freshness::Freshness;
use crate::schemes::received::{Field, Received};
use crate::schemes::signed::{self, Rules};
use crate::schemes::{Explained, Refused, Why};
use http::Method;
use std::sync::{Arc, OnceLock};

/// Keys of one app that are tried: a webhook names none.
pub const MAX_KEYS: usize = 4;

/// Bytes of a body that are shown to who may see what was verified: it is the sender's own.
const MAX_SHOWN: usize = 16 * 1024;

/// The caller that the webhook proves.
///
/// # Errors
/// [`Refused`] says why it proves none; [`Refused::Unread`], that all is well so far, and the body
/// is still to be read.
pub fn verify(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    let seconds = now.unix_seconds();
    // Read only where the route has it.
    let webhooks = route.webhooks.as_ref().ok_or(Refused::Missing)?;
    check_what_nobody_signs(received, route, webhooks, seconds)?;
    signed::check_connection(received, |name| {
        let sender = presented.sender;
        let mut fields = sender.proof_fields().iter().chain(sender.signed_fields());
        fields.any(|field| name.eq_ignore_ascii_case(field))
    })?;
    let message = &presented.message;
    let freshness = freshness(webhooks, rules.freshness);
    // Where no time is signed, it is as new as it can be.
    let created = message.time.unwrap_or(seconds);
    freshness.check(created, None, seconds)?;
    // No sender signs for which route: another one may take it for longer.
    let last_second = rules.freshness.check(created, None, seconds)?;
    let body = match received.body() {
        Some(body) => body,
        None if received.has_body() => return Err(Refused::Unread),
        None => b"",
    };
    let keys = rules.registry.webhook_keys(webhooks.app);
    let key = signer(message, body, keys).ok_or_else(|| {
        let open = rules.explain || keys.first().is_some_and(|key| key.app.explain);
        let text = || [message.front.as_bytes(), body].concat();
        let explained =
            (open && body.len() <= MAX_SHOWN).then(|| Box::new(Explained::new(&text(), received)));
        Refused::Rejected {
            why: Why::WrongSignature,
            explained,
        }
    })?;
    // Only the owner of a key comes this far.
    signed::check_key(key, Scheme::Webhook, seconds)?;
    let proof = Proof {
        nonce: None,
        text: proof_id(key, message, body),
        last_second,
        says_its_end: false,
        created,
        reusable: false,
    };
    Ok(Caller::proven(
        key.clone(),
        Scheme::Webhook,
        // Its body and its time, and nothing else of the request.
        Assurance::Key,
        key.app.scopes.clone(),
        proof,
        BodyProof::Unproven,
    ))
}

/// Whether `sender` signs with `algorithm`.
pub const fn is_of(sender: Sender, algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::HmacSha256 => true,
        Algorithm::Ed25519 => matches!(sender, Sender::StandardWebhooks),
        _ => false,
    }
}

/// No sender signs a method, a query or `Authorization`: what could be put there by anyone is not taken.
fn check_what_nobody_signs(
    received: &Received<'_>,
    route: &Route,
    webhooks: &Webhooks,
    seconds: i64,
) -> Result<(), Refused> {
    let unsigned = [
        ("@method", Part::Method, *received.method() != Method::POST),
        (
            "@query",
            Part::Query,
            received.query().is_some() && !webhooks.query,
        ),
        (
            "authorization",
            Part::Authorization,
            received.shows(Field::Authorization),
        ),
    ];
    let missing: Vec<_> = unsigned
        .into_iter()
        .filter(|(_, part, is_there)| *is_there && !route.waives(*part, seconds))
        .map(|(name, _, _)| name.into())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refused::NobodySigns(missing))
    }
}

/// How old a webhook may be: no older than any request, and less where its route says so.
pub fn freshness(webhooks: &Webhooks, rules: Freshness) -> Freshness {
    Freshness {
        window: webhooks
            .window
            .map_or(rules.window, |window| window.min(rules.window)),
        ..rules
    }
}

/// The key that has signed. All are tried with all signatures, whichever fits: what is right takes as
/// long as what is wrong.
fn signer<'k>(message: &Message<'_>, body: &[u8], keys: &'k [Arc<Key>]) -> Option<&'k Arc<Key>> {
    static NOBODYS: OnceLock<HmacKey> = OnceLock::new();
    let mut text = Vec::new();
    let mut found = None;
    for key in keys.iter().take(MAX_KEYS) {
        let holds = match &key.verifying {
            VerifyingKey::Mac(mac) => holds(mac, message, body),
            VerifyingKey::Public(public) => {
                if text.is_empty() {
                    text.extend_from_slice(message.front.as_bytes());
                    text.extend_from_slice(body);
                }
                let tried = message.pairs.iter();
                tried.fold(false, |any, one| any | public.verify(&text, one))
            }
        };
        if holds && found.is_none() {
            found = Some(key);
        }
    }
    if keys.is_empty() {
        // Nobody has this key: the same work, and the same answer.
        let nobodys = NOBODYS.get_or_init(|| HmacKey::dummy(Algorithm::HmacSha256));
        holds(nobodys, message, body);
    }
    found
}

/// Whether any of the signatures is this key's.
pub fn holds(key: &HmacKey, message: &Message<'_>, body: &[u8]) -> bool {
    let tag = key.sign_parts(&[message.front.as_bytes(), body]);
    let tried = message.macs.iter();
    tried.fold(false, |any, one| any | tag.is(one))
}

/// The same whichever of several keys and signatures was looked at: it is of what was signed, not by whom.
fn proof_id(key: &Key, message: &Message<'_>, body: &[u8]) -> ProofId {
    let app = key.app.name.as_bytes();
    let length = (app.len() as u64).to_be_bytes();
    let front = message.front.as_bytes();
    let hash = sha256(&[body]);
    ProofId::of(&sha256(&[b"webhook", &length, app, &hash, front]))
}
