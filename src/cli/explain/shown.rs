//! What a request shows: its signatures and its token, taken apart for a reader.

use super::judge::Ground;
use super::misread;
use super::report::{Compared, Parameter, Part as PartShown, Report, Signature, State, Token};
use super::{api_key, hmac_auth};
use crate::apps::{Key, Scopes};
use crate::cli::compare::{self, Seen, first_difference};
use crate::clock::Now;
use crate::crypto::{Algorithm, VerifyingKey, ecdsa_side_by_side};
use crate::route::{Part, Route};
use crate::schemes::explained::veiled;
use crate::schemes::http_signature::base::{self, NoBase, identifier};
use crate::schemes::http_signature::read::{Bare, Candidate, Input};
use crate::schemes::http_signature::verify::{component_for, covered};
use crate::schemes::http_signature::{Presented, SIGNATURE_INPUT};
use crate::schemes::token::MAX_TOKEN;
use crate::schemes::{Received, coverage};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use http::header::{AUTHORIZATION, HOST};
use serde_json::Value;

/// Takes down every credential that `received` shows.
pub(super) fn credentials(
    report: &mut Report,
    received: &Received<'_>,
    route: &Route,
    ground: &Ground,
    caller_base: Option<&str>,
    now: Now,
) {
    report.token = token(received, route, ground, now);
    api_key::credential(report, received, route, ground);
    hmac_auth::credential(report, received, route, ground, caller_base, now);
    // What cannot be read is told by the step that refuses it.
    let Ok(Some(presented)) = Presented::read(received.fields()) else {
        return;
    };
    for candidate in presented.candidates() {
        let key = candidate
            .input
            .key_id
            .and_then(|id| ground.registry.key(&base::unescaped(id)));
        let seen = seen(received, candidate, presented.candidates().len());
        let (shown, text) = signature(
            candidate,
            received,
            route,
            key.map(|key| (&**key, ground)),
            &seen,
            now,
        );
        if report.compared.is_none()
            && let (Some(caller), Some(text)) = (caller_base, text)
        {
            report.compared = Some(compared(&text, caller, &seen));
        }
        report.signatures.push(shown);
    }
}

/// Scope names for a sentence.
pub(super) fn names(scopes: &Scopes) -> String {
    if scopes.is_empty() {
        return "no scope".to_owned();
    }
    let names: Vec<String> = scopes.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// How long ago `at` is.
pub(super) fn ago(at: i64, now: i64) -> String {
    let seconds = now.abs_diff(at);
    let span = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if at > now {
        format!("in {span}")
    } else {
        format!("{span} ago")
    }
}

fn signature(
    candidate: &Candidate<'_>,
    received: &Received<'_>,
    route: &Route,
    key: Option<(&Key, &Ground)>,
    seen: &Seen,
    now: Now,
) -> (Signature, Option<String>) {
    let input = &candidate.input;
    let mut bytes = Vec::new();
    let written = base::write(&mut bytes, received, input);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let verifying = key.map(|(key, _)| &key.verifying);
    let (no_base, holds) = match &written {
        Ok(()) => (
            None,
            verifying.map(|key| key.verify(&bytes, &candidate.signature).is_some()),
        ),
        Err(NoBase::Absent(component)) => (
            Some(format!("the request does not carry `{component}`")),
            None,
        ),
        Err(NoBase::Unsupported(why)) => (Some(why.clone()), None),
    };
    let likely = match (holds, key) {
        (Some(false), Some((key, ground))) => {
            let signature = &candidate.signature;
            mistake(&key.verifying, &text, signature, seen).or_else(|| {
                misread::of(&ground.misread, &key.id, &bytes, signature).map(str::to_owned)
            })
        }
        _ => None,
    };
    let base = no_base
        .is_none()
        .then(|| veiled(&text).split('\n').map(str::to_owned).collect());
    let text = no_base.is_none().then_some(text);
    let shown = Signature {
        label: candidate.label.to_owned(),
        covers: input.components.iter().map(identifier).collect(),
        parameters: parameters(input, now.unix_seconds()),
        parts: parts(input, received, route, now.unix_seconds()),
        base,
        no_base,
        holds,
        likely,
    };
    (shown, text)
}

/// The mistake that the caller made: the one whose text the signature is of.
pub(super) fn mistake(
    key: &VerifyingKey,
    text: &str,
    signature: &[u8],
    seen: &Seen,
) -> Option<String> {
    let found = compare::MISTAKES.iter().find(|mistake| {
        key.verify(mistake.make(text, seen).as_bytes(), signature)
            .is_some()
    });
    if let Some(mistake) = found {
        return Some(mistake.what.to_owned());
    }
    if let Some(what) = of_a_pair(key, text, signature) {
        return Some(what.to_owned());
    }
    // Hexadecimal digits between the colons are base64 by chance.
    let digits = BASE64.encode(signature);
    [signature, digits.as_bytes()]
        .into_iter()
        .find_map(|digits| {
            let decoded = HEXLOWER_PERMISSIVE.decode(digits).ok()?;
            key.verify(text.as_bytes(), &decoded)?;
            Some(
                "the signature is written in hexadecimal: base64 of its bytes is accepted"
                    .to_owned(),
            )
        })
}

/// The usual mistakes of libraries with a private key.
fn of_a_pair(key: &VerifyingKey, text: &str, signature: &[u8]) -> Option<&'static str> {
    let VerifyingKey::Public(key) = key else {
        return None;
    };
    let size = match key.algorithm() {
        Algorithm::EcdsaP256Sha256 => 32,
        Algorithm::EcdsaP384Sha384 => 48,
        algorithm if algorithm.has_salt() => {
            let longer = key.with_any_salt().verify(text.as_bytes(), signature);
            return longer.then_some(
                "the salt is the longest that fits: sign with one of 64 bytes, or give the key `any_salt = true`",
            );
        }
        _ => return None,
    };
    let plain = ecdsa_side_by_side(signature, size)?;
    key.verify(text.as_bytes(), &plain).then_some(
        "the signature is written as DER: its two numbers side by side are accepted (`ieee-p1363` in Node's crypto)",
    )
}

fn seen(received: &Received<'_>, candidate: &Candidate<'_>, candidates: usize) -> Seen {
    let fields = received.fields();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    // With several labels the member's own text is not cut out: its canonical form stands for it.
    let input = fields
        .get(SIGNATURE_INPUT)
        .filter(|_| candidates == 1)
        .map(text)
        .and_then(|line| Some(line.split_once('=')?.1.to_owned()))
        .unwrap_or_else(|| {
            let mut out = Vec::new();
            base::write_parameters(&mut out, &candidate.input);
            String::from_utf8_lossy(&out).into_owned()
        });
    Seen {
        host: fields.get(HOST).map(text).unwrap_or_default(),
        scheme: received.scheme().to_owned(),
        target: received.target().to_owned(),
        decoded_path: received.path().canonical().to_owned(),
        input,
        label: candidate.label.to_owned(),
    }
}

pub(super) fn compared(ours: &str, caller: &str, seen: &Seen) -> Compared {
    let mut difference = first_difference(ours, caller);
    if let Some(difference) = &mut difference {
        difference.gateway_line = veiled(&difference.gateway_line).into();
        difference.caller_line = veiled(&difference.caller_line).into();
    }
    Compared {
        same: difference.is_none(),
        likely: difference
            .is_some()
            .then(|| compare::likely(ours, caller, seen))
            .flatten()
            .map(str::to_owned),
        difference,
    }
}

fn parameters(input: &Input<'_>, now: i64) -> Vec<Parameter> {
    input
        .parameters
        .iter()
        .map(|(name, value)| Parameter {
            name: (*name).to_owned(),
            value: match value {
                Bare::Integer(number) => number.to_string(),
                Bare::String(text) => base::unescaped(text),
                Bare::Token(text) | Bare::Bytes(text) => (*text).to_owned(),
                Bare::Boolean(value) => value.to_string(),
            },
            note: match (*name, value) {
                ("created" | "expires", Bare::Integer(at)) => Some(moment(*at, now)),
                _ => None,
            },
        })
        .collect()
}

pub(super) fn moment(at: i64, now: i64) -> String {
    match jiff::Timestamp::from_second(at) {
        Ok(time) => format!("{time}, {}", ago(at, now)),
        Err(_) => ago(at, now),
    }
}

fn parts(input: &Input<'_>, received: &Received<'_>, route: &Route, now: i64) -> Vec<PartShown> {
    let covered = covered(&input.components, received);
    Part::ALL
        .into_iter()
        .map(|part| PartShown {
            part: part.name(),
            component: component_for(part, received),
            state: if !coverage::is_present(part, received) {
                State::Absent
            } else if covered.has(part) {
                State::Covered
            } else if route.waives(part, now) {
                State::Waived
            } else {
                State::Missing
            },
        })
        .collect()
}

/// Header and claims of the token, if there is one to read. Its signature is left where it is.
fn token(received: &Received<'_>, route: &Route, ground: &Ground, now: Now) -> Option<Token> {
    let (field, text) = route.token_fields.iter().find_map(|name| {
        let value = received.fields().get(name)?.to_str().ok()?;
        let text = if name == AUTHORIZATION {
            value
                .get(..7)
                .filter(|word| word.eq_ignore_ascii_case("bearer "))?;
            value[7..].trim_start()
        } else {
            value
        };
        (text.len() <= MAX_TOKEN).then_some((name, text))
    })?;
    let mut pieces = text.split('.');
    let mut decode = || {
        let bytes = BASE64URL_NOPAD.decode(pieces.next()?.as_bytes()).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let (header, claims) = (decode()?, decode()?);
    let times = ["iat", "nbf", "exp"]
        .into_iter()
        .filter_map(|name| {
            let at = claims.get(name)?.as_i64()?;
            Some(Parameter {
                name: name.to_owned(),
                value: at.to_string(),
                note: Some(moment(at, now.unix_seconds())),
            })
        })
        .collect();
    let likely = text.rsplit_once('.').and_then(|(signed, signature)| {
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        let key_id = header.get("kid")?.as_str()?;
        misread::of(&ground.misread, key_id, signed.as_bytes(), &signature)
    });
    Some(Token {
        likely,
        field: crate::cli::curl::shown(field),
        header,
        claims,
        times,
    })
}
