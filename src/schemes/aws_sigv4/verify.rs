//! Verifying: policy first, since it needs no key; then time; then the
//! signature; then what only a proven caller may learn.

use super::chunked::Chunks;
use super::forms::{Forms, MAX_TRIED};
use super::payload::{Payload, Payloads};
use super::read::Presented;
use super::told::explain;
use super::{ALGORITHM, EMPTY_SHA256, UNSIGNED_PAYLOAD, coverage, text};
use crate::apps::{Key, Scheme};
use crate::clock::{Now, whole_seconds};
use crate::crypto::aws4::{Begun, DayKey, DayKeys, Scope};
use crate::crypto::digest::Begun256;
use crate::crypto::{Algorithm, DigestAlgorithm, HmacKey, Tag, VerifyingKey};
use crate::route::{Part, Route, SigV4};
use crate::schemes::caller::{Assurance, Caller, Proof, ProofId};
use crate::schemes::digest::{BodyProof, CONTENT_DIGEST, Digests};
use crate::schemes::freshness::Freshness;
use crate::schemes::received::Received;
use crate::schemes::signed::{self, Rules};
use crate::schemes::{Refused, Why};
use data_encoding::HEXLOWER;
use http::header::CONTENT_LENGTH;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The caller that the request's signature proves.
///
/// # Errors
/// [`Refused`] says why it proves none; [`Refused::Unread`] that the body's hash is,
/// or where it is waived may be, a part of what is signed, and `received` does not have it.
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

    let checked = check_signature(presented, received, route, rules, &payloads);
    // What the head alone does not prove may be proven with the body's hash, where that can be had.
    if payloads.lacks_hash()
        && matches!(checked, Err(Refused::Rejected { .. }))
        && is_short(received, route)
    {
        return Err(Refused::Unread);
    }
    let (key, tag, is_unsigned) = checked?;
    // Only the owner of the key comes this far.
    signed::check_key(&key, Scheme::AwsSigv4, seconds)?;
    if is_unsigned && received.has_body() && !is_waived {
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
        says_its_end: presented.expires.is_some(),
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
    let at = created.saturating_add(whole_seconds(window));
    if at < now {
        return Err(Refused::Expired { at });
    }
    let own = Freshness {
        window,
        skew: freshness.skew,
    };
    let last = own.check(created, None, now)?;
    // Where the caller says no end, it would be another one as soon as the route takes longer lives.
    let longest = whole_seconds(freshness.window);
    Ok(match presented.expires {
        Some(_) => last,
        None => created.saturating_add(longest),
    })
}

/// The digests that the body must have.
fn digests(presented: &Presented<'_>, received: &Received<'_>) -> Result<Option<Digests>, Refused> {
    let hash = match presented.payload {
        // Of nothing, where nothing is: there is nothing to check.
        Payload::Hash(EMPTY_SHA256, _) if !received.has_body() => None,
        Payload::Hash(_, hash) => Some(hash),
        Payload::NotTold => received.body_hash(),
        Payload::Unsigned | Payload::Chunked(_) => None,
    };
    let hash = hash.map(|hash| Digests::from_iter([(DigestAlgorithm::Sha256, hash.to_vec())]));
    if !presented.signed.has(CONTENT_DIGEST.as_str()) {
        return Ok(hash);
    }
    if let Payload::Chunked(chunked) = presented.payload {
        return Err(Refused::Malformed(format!(
            "`Content-Digest` stands beside a body in pieces, `{}`, which has checks of its own; send one of them",
            chunked.word
        )));
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
/// [`Refused::Unread`] where that must be its hash, and `received` does not have it.
pub fn payloads<'p>(
    presented: &Presented<'p>,
    received: &Received<'_>,
    is_waived: bool,
) -> Result<Payloads<'p>, Refused> {
    let one = match presented.payload {
        Payload::Hash(text, _) => text,
        Payload::Unsigned => UNSIGNED_PAYLOAD,
        Payload::Chunked(chunked) => chunked.word,
        Payload::NotTold => match (received.has_body(), presented.in_query) {
            // Presigned URLs of S3 sign no body, seldom an empty one; those of other services an empty one.
            (false, true) if is_s3(presented) => {
                let unsigned = Cow::Borrowed(UNSIGNED_PAYLOAD);
                return Ok(Payloads::new(unsigned, Some(EMPTY_SHA256)));
            }
            (false, _) => EMPTY_SHA256,
            (true, in_query) => {
                let Some(hash) = received.body_hash() else {
                    // By a waiver it may be signed all the same: it is read where it turns out that it must be.
                    let is_enough = in_query && is_waived;
                    return is_enough
                        .then(Payloads::without_hash)
                        .ok_or(Refused::Unread);
                };
                let hash = Cow::Owned(HEXLOWER.encode(&hash));
                // Without a waiver only so that the key's owner is told that the body is not signed.
                let is_unsigned = in_query && (is_waived || is_s3(presented));
                return Ok(Payloads::new(hash, is_unsigned.then_some(UNSIGNED_PAYLOAD)));
            }
        },
    };
    Ok(Payloads::new(Cow::Borrowed(one), None))
}

/// Whether the body says that it is short enough to be read before its proof.
fn is_short(received: &Received<'_>, route: &Route) -> bool {
    let length = received.fields().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: u64| length <= route.hold(false))
}

/// Whether it is signed for the service whose signers have ways of their own, or one of its kind (`s3-outposts`).
fn is_s3(presented: &Presented<'_>) -> bool {
    presented.credential.scope().service.starts_with("s3")
}

/// The keys of `key`, or of one that nobody has where it is none or not of this scheme.
pub(super) fn keys_of(key: Option<&VerifyingKey>) -> &DayKeys {
    static NOBODYS: OnceLock<HmacKey> = OnceLock::new();
    key.and_then(|key| key.mac()?.aws()).unwrap_or_else(|| {
        let nobodys = NOBODYS.get_or_init(|| HmacKey::dummy(Algorithm::HmacSha256));
        nobodys.aws().expect("it is one of HMAC with SHA-256")
    })
}

/// The key of the day to verify with, and whether it was kept. That of a known id is kept since its
/// caller used it; else it takes four HMACs. An unknown id takes them where a known one would: that
/// of our keys which stands for it decides. So a stopwatch tells nobody's id from no other.
fn day_of(key: Option<&Key>, id: &str, scope: Scope<'_>, rules: Rules<'_>) -> (DayKey, bool) {
    static NOBODYS: OnceLock<DayKey> = OnceLock::new();
    let keys = keys_of(key.map(|key| &key.verifying));
    let kept = if key.is_some() {
        keys.kept(scope)
    } else {
        let double = rules.registry.double_of_days(id);
        let kept = double.and_then(|keys| keys.kept(scope));
        kept.map(|_| NOBODYS.get_or_init(|| keys.derive(scope)).clone())
    };
    let was_kept = kept.is_some();
    (kept.unwrap_or_else(|| keys.derive(scope)), was_kept)
}

/// What every try to find the signed text begins with.
struct Tries<'t> {
    received: &'t Received<'t>,
    signature: &'t [u8; 32],
    payloads: &'t Payloads<'t>,
    /// The lines behind the query.
    fields: &'t [u8],
    /// The string to sign, up to the hash.
    to_sign: Begun,
    /// Bytes that were hashed.
    hashed: usize,
}

impl Tries<'_> {
    /// Our tag, and whether the body is not signed, if the signature is of this form. Where two words may stand for the
    /// body, both are tried also when the first one holds: a wrong signature then costs no more than a right one.
    fn form(&mut self, front: &mut Vec<u8>, path: &str, query: &str) -> Option<(Tag, bool)> {
        front.clear();
        text::write_front(front, self.received, path, query);
        let begun = Begun256::new(&[front, self.fields]);
        let mut found = None;
        for payload in self.payloads.all() {
            if self.hashed > MAX_TRIED {
                break;
            }
            self.hashed += front.len() + self.fields.len() + payload.len();
            let mut digits = [0; 64];
            HEXLOWER.encode_mut(&begun.end(payload.as_bytes()), &mut digits);
            let tag = self.to_sign.end(&digits);
            if tag.is(self.signature) {
                found = Some((tag, payload == UNSIGNED_PAYLOAD));
            }
        }
        found
    }
}

/// The key that is named, our tag, and whether the body is not signed, when the signature is the
/// key's, of one of the forms.
fn check_signature(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    rules: Rules<'_>,
    payloads: &Payloads<'_>,
) -> Result<(Arc<Key>, Tag, bool), Refused> {
    thread_local! {
        /// One request at a time; they are as large as the largest head.
        static TEXTS: RefCell<[Vec<u8>; 3]> = const { RefCell::new([const { Vec::new() }; 3]) };
    }
    let id = presented.credential.key_id();
    let key = rules.registry.key(id);
    let scope = presented.credential.scope();
    let (day, was_kept) = day_of(key.as_deref(), id, scope, rules);
    TEXTS.with_borrow_mut(|[fields, front, to_sign]| {
        fields.clear();
        text::write_fields(fields, received, &presented.signed)?;
        to_sign.clear();
        for line in [
            ALGORITHM,
            &presented.time.text,
            presented.credential.scope_text(),
        ] {
            to_sign.extend_from_slice(line.as_bytes());
            to_sign.push(b'\n');
        }
        let mut tries = Tries {
            received,
            signature: &presented.signature,
            payloads,
            fields,
            to_sign: day.begin(to_sign),
            hashed: 0,
        };
        let (in_query, settings) = (presented.in_query, &route.sigv4);
        let first = Forms::first(received, in_query, settings);
        // Of a right signature too: a wrong one then costs no more.
        let is_only = Forms::is_only(in_query, settings, &first);
        let mut found = tries.form(front, &first.0, &first.1);
        if found.is_none() && !is_only {
            let all = Forms::of(received, in_query, settings);
            let mut rest = all.all().skip(1);
            found = rest.find_map(|(path, query)| tries.form(front, path, query));
        }
        if let (Some(key), Some((tag, is_unsigned))) = (&key, found) {
            if !was_kept {
                keys_of(Some(&key.verifying)).keep(scope, &day);
            }
            return Ok((key.clone(), tag, is_unsigned));
        }
        let why = match &key {
            Some(key) if key.algorithm() != Algorithm::HmacSha256 => Why::WrongAlgorithm,
            Some(_) => Why::WrongSignature,
            None => Why::UnknownKey,
        };
        let open = rules.explain || key.as_ref().is_some_and(|key| key.app.explain);
        let forms = open.then(|| Forms::of(received, in_query, settings));
        let explained =
            forms.and_then(|forms| explain(received, &forms, fields, to_sign, payloads));
        Err(Refused::Rejected {
            why,
            explained: explained.map(Box::new),
        })
    })
}
