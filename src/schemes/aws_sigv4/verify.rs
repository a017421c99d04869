//! Verifying: policy first, since it needs no key; then time; then the
//! signature; then what only a proven caller may learn.

use super::chunked::Chunks;
use super::forms::{Forms, MAX_TRIED};
use super::payload::Payload;
use super::read::Presented;
use super::{EMPTY_SHA256, UNSIGNED_PAYLOAD, coverage, text};
use crate::apps::{Key, Scheme};
use crate::clock::Now;
use crate::crypto::aws4::DayKeys;
use crate::crypto::{Algorithm, DigestAlgorithm, HmacKey, Tag, VerifyingKey};
use crate::route::{Part, Route, SigV4};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::digest::{BodyProof, CONTENT_DIGEST, Digests};
use crate::schemes::explained::{Explained, veiled};
use crate::schemes::freshness::Freshness;
use crate::schemes::received::Received;
use crate::schemes::signed::{self, Rules};
use crate::schemes::{Refused, Why};
use data_encoding::HEXLOWER;
use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The caller that the request's signature proves.
///
/// # Errors
/// [`Refused`] says why it proves none; [`Refused::Unread`] that the body's
/// hash is a part of what is signed, and `received` does not have it.
pub fn verify(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    now: Now,
) -> Result<Caller, Refused> {
    let seconds = now.unix_seconds();
    check_scope(presented, &route.sigv4)?;
    let last_second = check_time(presented, &route.sigv4, rules.freshness, seconds)?;
    let missing = coverage::missing(presented, received, route, seconds);
    if !missing.is_empty() {
        return Err(Refused::Coverage(missing));
    }
    signed::check_connection(received, |name| presented.signed.has(name))?;
    let digests = digests(presented, received)?;
    if let Payload::Chunked(chunked) = presented.payload
        && !received.has_body()
    {
        return Err(Refused::Malformed(format!(
            "`{}` announces a body, and there is none",
            chunked.word
        )));
    }
    let is_waived = route.waives(Part::Body, seconds);
    let payloads = payloads(presented, received, is_waived)?;

    let (key, tag, payload) = check_signature(presented, received, route, rules, &payloads)?;
    // Only the owner of the key comes this far.
    signed::check_key(&key, Scheme::AwsSigv4, seconds)?;
    if payload == UNSIGNED_PAYLOAD && received.has_body() && !is_waived {
        return Err(Refused::coverage(["body"]));
    }
    let body = match presented.payload {
        Payload::Chunked(chunked) => {
            let day = chunked.is_signed.then(|| {
                let keys = keys_of(Some(&key.verifying));
                keys.derive(presented.credential.scope())
            });
            BodyProof::Chunked(Arc::new(Chunks::new(presented, chunked, day)))
        }
        _ => signed::body_proof(received, digests)?,
    };
    let proof = Proof {
        nonce: None,
        // The tag is a function of the signed text and the key, and we computed it ourselves.
        text: ProofId::of(tag.as_bytes()),
        last_second,
        created: presented.time.seconds,
        reusable: false,
    };
    let scopes = key.app.scopes.clone();
    Ok(Caller::proven(
        key,
        Scheme::AwsSigv4,
        Assurance::Signed,
        scopes,
        proof,
        body,
    ))
}

fn check_scope(presented: &Presented<'_>, settings: &SigV4) -> Result<(), Refused> {
    let scope = presented.credential.scope();
    if presented.time.text.get(..8) != Some(scope.date) {
        return Err(Refused::Malformed(format!(
            "the day of `Credential`, `{}`, is not that of the time it was signed at, `{}`",
            scope.date, presented.time.text
        )));
    }
    if !settings.takes(scope.region, scope.service) {
        let list = |names: &[Box<str>]| match names {
            [] => "any".to_owned(),
            names => format!("`{}`", names.join("`, `")),
        };
        return Err(Refused::Malformed(format!(
            "it is signed for the region `{}` and the service `{}`; here regions are {}, services {}",
            scope.region,
            scope.service,
            list(&settings.regions),
            list(&settings.services)
        )));
    }
    Ok(())
}

/// The last second at which it would be accepted.
fn check_time(
    presented: &Presented<'_>,
    settings: &SigV4,
    freshness: Freshness,
    now: i64,
) -> Result<i64, Refused> {
    let created = presented.time.seconds;
    if !presented.in_query {
        return freshness.check(created, None, now);
    }
    let window = match presented.expires {
        Some(expires) => Duration::from_secs(u64::from(expires)),
        // Signers that leave it out mean no time in particular: as any other proof.
        None => freshness.window.min(settings.presigned),
    };
    if window > settings.presigned {
        return Err(Refused::Malformed(format!(
            "the presigned URL: `X-Amz-Expires` is {}, and may be at most {} here",
            window.as_secs(),
            settings.presigned.as_secs()
        )));
    }
    let at = created.saturating_add(i64::try_from(window.as_secs()).unwrap_or(i64::MAX));
    if at < now {
        return Err(Refused::Expired { at });
    }
    let freshness = Freshness {
        window,
        skew: freshness.skew,
    };
    freshness.check(created, None, now)
}

/// The digests that the body must have.
fn digests(presented: &Presented<'_>, received: &Received<'_>) -> Result<Option<Digests>, Refused> {
    let hash = match presented.payload {
        Payload::Hash(_, hash) => Some(hash),
        Payload::NotTold => received.body_hash(),
        Payload::Unsigned | Payload::Chunked(_) => None,
    };
    let hash = hash.map(|hash| Digests::from_iter([(DigestAlgorithm::Sha256, hash.to_vec())]));
    if !presented.signed.has(CONTENT_DIGEST.as_str()) {
        return Ok(hash);
    }
    let more =
        Digests::read(received.fields()).map_err(|bad| Refused::Malformed(bad.to_string()))?;
    Ok(match (hash, more) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    })
}

/// What may stand for the body in the last line: two where signers differ.
///
/// # Errors
/// [`Refused::Unread`] where that is its hash, and `received` does not have it.
pub fn payloads(
    presented: &Presented<'_>,
    received: &Received<'_>,
    is_waived: bool,
) -> Result<Vec<String>, Refused> {
    let one = match presented.payload {
        Payload::Hash(text, _) => text,
        Payload::Unsigned => UNSIGNED_PAYLOAD,
        Payload::Chunked(chunked) => chunked.word,
        Payload::NotTold => match (received.has_body(), presented.in_query) {
            (false, false) => EMPTY_SHA256,
            // Presigned URLs of S3 sign no body, those of other services an empty one.
            (false, true) => {
                return Ok(vec![EMPTY_SHA256.to_owned(), UNSIGNED_PAYLOAD.to_owned()]);
            }
            (true, true) if is_waived => UNSIGNED_PAYLOAD,
            (true, in_query) => {
                let hash = received.body_hash().ok_or(Refused::Unread)?;
                let mut all = vec![HEXLOWER.encode(&hash)];
                // Only so that the key's owner is told that the body is not signed.
                all.extend(in_query.then(|| UNSIGNED_PAYLOAD.to_owned()));
                return Ok(all);
            }
        },
    };
    Ok(vec![one.to_owned()])
}

/// The keys of `key`, or of one that nobody has where it is none or not of this scheme.
pub(super) fn keys_of(key: Option<&VerifyingKey>) -> &DayKeys {
    static NOBODYS: OnceLock<HmacKey> = OnceLock::new();
    key.and_then(|key| key.mac()?.aws()).unwrap_or_else(|| {
        let nobodys = NOBODYS.get_or_init(|| HmacKey::dummy(Algorithm::HmacSha256));
        nobodys.aws().expect("it is one of HMAC with SHA-256")
    })
}

/// The key that is named, our tag, and what stood for the body, when the signature is the
/// key's, of one of the forms.
fn check_signature<'p>(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    payloads: &'p [String],
) -> Result<(Arc<Key>, Tag, &'p str), Refused> {
    let key = rules.registry.key(presented.credential.key_id());
    let keys = keys_of(key.as_ref().map(|key| &key.verifying));
    let scope = presented.credential.scope();
    let mut fields = Vec::with_capacity(512);
    text::write_fields(&mut fields, received, &presented.signed)?;
    let forms = Forms::of(received, presented.in_query, &route.sigv4);

    let kept = keys.kept(scope);
    let was_kept = kept.is_some();
    let day = kept.unwrap_or_else(|| keys.derive(scope));
    let mut front = Vec::with_capacity(256);
    let mut hashed = 0;
    let mut found = None;
    'forms: for (path, query) in forms.all() {
        for payload in payloads {
            if hashed > MAX_TRIED {
                break 'forms;
            }
            front.clear();
            text::write_front(&mut front, received, path, query);
            let canonical = [front.as_slice(), &fields, payload.as_bytes()];
            hashed += canonical.iter().map(|part| part.len()).sum::<usize>();
            let time = &presented.time.text;
            let text = text::string_to_sign(time, presented.credential.scope_text(), &canonical);
            let tag = day.sign(&text);
            if bool::from(tag.as_bytes().ct_eq(&presented.signature)) {
                found = Some((tag, payload.as_str()));
                break 'forms;
            }
        }
    }
    if let (Some(key), Some((tag, payload))) = (&key, found) {
        if !was_kept {
            keys.keep(scope, &day);
        }
        return Ok((key.clone(), tag, payload));
    }
    if was_kept {
        // A stopwatch would tell for whom a day's key is kept, and so which ids are known.
        black_box(keys.derive(scope));
    }
    let why = match &key {
        Some(key) if key.algorithm() != Algorithm::HmacSha256 => Why::WrongAlgorithm,
        Some(_) => Why::WrongSignature,
        None => Why::UnknownKey,
    };
    let open = rules.explain || key.as_ref().is_some_and(|key| key.app.explain);
    let explained = open.then(|| explain(received, &forms, &fields, payloads));
    Err(Refused::Rejected {
        why,
        explained: explained.flatten().map(Box::new),
    })
}

/// The canonical request as we see it: the caller's own, where it told us its digest, else the first.
fn explain(
    received: &Received<'_>,
    forms: &Forms<'_>,
    fields: &[u8],
    payloads: &[String],
) -> Option<Explained> {
    let mut first = None;
    for (path, query) in forms.all() {
        for payload in payloads {
            let mut whole = Vec::new();
            text::write_front(&mut whole, received, path, query);
            whole.extend_from_slice(fields);
            whole.extend_from_slice(payload.as_bytes());
            let explained = Explained::new(&whole, received);
            if explained.same_text == Some(true) {
                return Some(told(&explained));
            }
            first.get_or_insert(explained);
        }
    }
    first.as_ref().map(told)
}

fn told(explained: &Explained) -> Explained {
    Explained {
        base: told_veiled(&explained.base),
        same_text: explained.same_text,
    }
}

/// `text` with the tokens in a query digested too.
pub fn told_veiled(text: &str) -> Box<str> {
    const TOKEN: &str = "X-Amz-Security-Token=";
    let text = veiled(text);
    let Some(at) = text.find(TOKEN) else {
        return text;
    };
    let (front, rest) = text.split_at(at + TOKEN.len());
    let end = rest.find(['&', '\n']).unwrap_or(rest.len());
    format!("{front}<a token>{}", rest.get(end..).unwrap_or_default()).into()
}
