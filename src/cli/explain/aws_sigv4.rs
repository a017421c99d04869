//! What a signature of `aws-sigv4` says and signs, for a reader.

use super::case::Case;
use super::report::{Parameter, Part as PartShown, Report, Signature};
use super::shown::moment;
use crate::cli::compare::{as_edited, is_same};
use crate::crypto::VerifyingKey;
use crate::crypto::aws4::DayKey;
use crate::route::{Part, Route};
use crate::schemes::aws_sigv4::text::NoText;
use crate::schemes::aws_sigv4::{Presented, coverage, mistakes, text};
use crate::schemes::doctor::{Mistake, Sample, Tries};
use crate::schemes::{Received, Refused};
use std::borrow::Cow;

/// What a string to sign begins with.
const TO_SIGN: &[u8] = b"AWS4-HMAC-SHA256";

/// Takes down the signature, if the request shows one that can be read.
/// What cannot be is told by the step that refuses it.
pub(super) fn credential(report: &mut Report, case: Case<'_>) {
    let Ok(Some(presented)) = Presented::read(case.received, case.route) else {
        return;
    };
    let key = case.ground.registry.key(presented.claimed_key());
    let day = key.as_ref().and_then(|key| key.mac()?.aws());
    let day = day.map(|keys| keys.derive(presented.credential.scope()));
    let mut shown = Signature {
        label: if presented.in_query {
            "a presigned URL of aws-sigv4".to_owned()
        } else {
            "aws-sigv4".to_owned()
        },
        covers: presented.signed.names().map(str::to_owned).collect(),
        parameters: parameters(&presented, case.now.unix_seconds()),
        parts: parts(&presented, case),
        ..Signature::default()
    };
    let now = case.now.unix_seconds();
    match mistakes::sample(&presented, case.received, case.route, now) {
        Err(Refused::Absent(name)) => shown.no_base = Some(NoText::Absent(name).to_string()),
        Err(_) => shown.no_base = Some(NO_HASH.to_owned()),
        Ok(sample) => {
            let sample = sample.led_by(|text| {
                let holds = day.as_ref().is_some_and(|day| is_of(day, &presented, text));
                let apart = || case.callers_text.map(|mine| apart(&presented, text, mine));
                if holds {
                    0
                } else {
                    1 + apart().unwrap_or_default()
                }
            });
            case.judge(&mut shown, &sample);
            if shown.holds == Some(false) && !sample.also.is_empty() {
                report.notes.push(format!(
                    "the text that is shown is one of {}, with path, query or body written otherwise, that the route takes: each was tried",
                    1 + sample.also.len()
                ));
            }
            let to_sign = to_sign(&presented, &sample.text);
            shown.string_to_sign = Some(to_sign.split('\n').map(str::to_owned).collect());
            let mine = case.callers_text;
            if mine.is_some_and(is_to_sign) {
                compare_to_sign(report, case, &presented, &sample, day.as_ref());
            } else {
                case.compare(report, &sample);
            }
        }
    }
    report.signatures.push(shown);
}

/// The key id that a signature claims, if there is one to read.
pub(super) fn claimed(received: &Received<'_>, route: &Route) -> Option<String> {
    let presented = Presented::read(received, route).ok()??;
    Some(presented.claimed_key().to_owned())
}

const NO_HASH: &str =
    "no field tells the hash of the body, and the body is not there to compute it";

/// Lays the caller's string to sign beside ours. All that a mistake changes in it is the hash.
fn compare_to_sign(
    report: &mut Report,
    case: Case<'_>,
    presented: &Presented<'_>,
    canonical: &Sample<'_>,
    day: Option<&DayKey>,
) {
    let is_by = move |_: &VerifyingKey, texts: &[&[u8]], signature: &[u8]| {
        let mut tags = texts.iter().filter_map(|text| Some(day?.sign(text)));
        tags.any(|tag| tag.as_bytes() == signature)
    };
    let sample = Sample {
        scheme: canonical.scheme,
        key_id: canonical.key_id.clone(),
        text: to_sign(presented, &canonical.text).into_bytes(),
        signature: canonical.signature.clone(),
        offer: None,
        also: Vec::new(),
        by: Some(Box::new(is_by)),
        meant: None,
    };
    let Some(compared) = case.compare(report, &sample) else {
        return;
    };
    compared.is_to_sign = true;
    let difference = compared.difference.as_ref();
    if difference.is_none_or(|difference| difference.line != HASH_LINE) {
        return;
    }
    let mine = case.callers_text.unwrap_or_default();
    let has_mine = |texts: &[&str]| {
        let mut all = texts.iter();
        all.any(|text| is_same(to_sign(presented, text.as_bytes()).as_bytes(), mine))
    };
    let found = canonical.find(case.received, &mut Tries::all(), has_mine);
    compared.mistake = found.map(Mistake::word);
    let says = found.map_or(OTHER_HASH, Mistake::says);
    compared.likely = Some(says.to_owned());
}

/// Where the hash stands in a string to sign, from 1.
const HASH_LINE: usize = 4;
const OTHER_HASH: &str =
    "the hash of the canonical request differs: lay that one beside ours, with `--base`";

/// In how many lines `mine`, a caller's canonical request or string to sign, differs from `canonical`.
fn apart(presented: &Presented<'_>, canonical: &[u8], mine: &[u8]) -> usize {
    let lines = |text: &[u8], other: &[u8]| {
        let other = other.split(|byte| *byte == b'\n');
        let both = text.split(|byte| *byte == b'\n').zip(other);
        both.filter(|(one, other)| one != other).count()
    };
    let differ = |text: &[u8]| {
        let [.., mine] = as_edited(text, mine);
        lines(text, &mine)
    };
    if is_to_sign(mine) {
        differ(to_sign(presented, canonical).as_bytes())
    } else {
        differ(canonical)
    }
}

/// Whether `mine` is a string to sign, and not a canonical request.
fn is_to_sign(mine: &[u8]) -> bool {
    let behind = mine.strip_prefix(TO_SIGN);
    behind.is_some_and(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
}

fn to_sign(presented: &Presented<'_>, canonical: &[u8]) -> String {
    let scope = presented.credential.scope_text();
    let text = text::string_to_sign(&presented.time.text, scope, &[canonical]);
    String::from_utf8_lossy(&text).into_owned()
}

fn is_of(day: &DayKey, presented: &Presented<'_>, canonical: &[u8]) -> bool {
    let tag = day.sign(to_sign(presented, canonical).as_bytes());
    tag.as_bytes() == presented.signature
}

fn parameters(presented: &Presented<'_>, now: i64) -> Vec<Parameter> {
    let parameter = |name: &str, value: String, note: Option<String>| Parameter {
        name: name.to_owned(),
        value,
        note,
    };
    let scope = presented.credential.scope_text().to_owned();
    let time = &presented.time;
    let mut all = vec![
        parameter("key", presented.claimed_key().to_owned(), None),
        parameter("scope", scope, None),
        parameter(
            "date",
            time.text.to_string(),
            Some(moment(time.seconds, now)),
        ),
    ];
    if let Some(expires) = presented.expires {
        let end = time.seconds.saturating_add(i64::from(expires));
        all.push(parameter(
            "expires",
            expires.to_string(),
            Some(moment(end, now)),
        ));
    }
    all
}

fn parts(presented: &Presented<'_>, case: Case<'_>) -> Vec<PartShown> {
    let demands = coverage::demands(presented, case.received, case.route).into_iter();
    demands
        .map(|demand| PartShown {
            part: demand.part.map_or("field", Part::name),
            state: case.state(demand.part, demand.is_covered),
            component: Cow::Owned(demand.name.to_owned()),
        })
        .collect()
}
