//! What a request shows: its signatures and its token, taken apart for a reader.

use super::judge::Ground;
use super::report::{Compared, Parameter, Part as PartShown, Report, Signature, State};
use super::{api_key, aws_sigv4, hmac_auth, token, webhook};
use crate::apps::Scopes;
use crate::cli::compare::{self, first_difference};
use crate::clock::Now;
use crate::route::{Part, Route};
use crate::schemes::doctor::{self, Finding, Mistake, Sample, Tries};
use crate::schemes::explained::veiled;
use crate::schemes::http_signature::base::{self, NoBase, identifier};
use crate::schemes::http_signature::read::{Bare, Candidate, Input};
use crate::schemes::http_signature::verify::{component_for, covered};
use crate::schemes::http_signature::{Presented, mistakes};
use crate::schemes::{Received, coverage};

/// Takes down every credential that `received` shows.
pub(super) fn credentials(
    report: &mut Report,
    received: &Received<'_>,
    route: &Route,
    ground: &Ground,
    caller_base: Option<&[u8]>,
    now: Now,
) {
    token::credential(report, received, route, ground, now);
    api_key::credential(report, received, route, ground);
    aws_sigv4::credential(report, received, route, ground, caller_base, now);
    hmac_auth::credential(report, received, route, ground, caller_base, now);
    webhook::credential(report, received, route, ground, caller_base, now);
    // What cannot be read is told by the step that refuses it.
    let Ok(Some(presented)) = Presented::read(received.fields()) else {
        return;
    };
    let is_alone = presented.candidates().len() == 1;
    for candidate in presented.into_candidates() {
        let mut shown = signature(&candidate, received, route, now);
        let sample = mistakes::sample(candidate, received, is_alone);
        if let (None, Some(sample)) = (&shown.no_base, sample) {
            judged(&mut shown, &sample, received, ground, now);
            if let (None, Some(caller)) = (&report.compared, caller_base) {
                report.compared = Some(compared(&sample, received, caller));
            }
        }
        report.signatures.push(shown);
    }
}

/// Takes down whether the signature is the key's, and if not, why.
pub(super) fn judged(
    shown: &mut Signature,
    sample: &Sample<'_>,
    received: &Received<'_>,
    ground: &Ground,
    now: Now,
) {
    let text = String::from_utf8_lossy(&sample.text);
    shown.base = Some(veiled(&text).split('\n').map(str::to_owned).collect());
    let Some(key) = ground.registry.key(&sample.key_id) else {
        return;
    };
    let holds = sample.holds(&key.verifying);
    shown.holds = Some(holds);
    if !holds {
        let found = mistake(sample, received, ground, now);
        shown.likely = found.as_ref().map(Finding::hint);
        shown.mistake = found.map(|found| found.mistake.word());
    }
}

/// The mistake that the caller made, by the gateway's own doctor.
pub(super) fn mistake(
    sample: &Sample<'_>,
    received: &Received<'_>,
    ground: &Ground,
    now: Now,
) -> Option<Finding> {
    let key = ground.registry.key(&sample.key_id)?;
    let told = ground.registry.told();
    doctor::diagnose(
        sample,
        received,
        &key.verifying,
        told.and_then(|told| told.secret(&key.id)),
        told.map_or(&[], |told| told.keys_of(&key.app)),
        now,
        &mut Tries::all(),
    )
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
    now: Now,
) -> Signature {
    let input = &candidate.input;
    let no_base = match base::write(&mut Vec::new(), received, input) {
        Ok(()) => None,
        Err(NoBase::Absent(component)) => Some(format!("the request does not carry `{component}`")),
        Err(NoBase::Unsupported(why)) => Some(why),
    };
    Signature {
        label: candidate.label.to_owned(),
        covers: input.components.iter().map(identifier).collect(),
        parameters: parameters(input, now.unix_seconds()),
        parts: parts(input, received, route, now.unix_seconds()),
        base: None,
        no_base,
        string_to_sign: None,
        holds: None,
        likely: None,
        mistake: None,
    }
}

pub(super) fn compared(sample: &Sample<'_>, received: &Received<'_>, caller: &[u8]) -> Compared {
    let mut difference = first_difference(&sample.text, caller);
    if let Some(difference) = &mut difference {
        for line in [&mut difference.gateway_line, &mut difference.caller_line] {
            let told = veiled(line);
            if *told != **line {
                *line = told.into();
                difference.indent = None;
            }
        }
    }
    let likely = difference
        .is_some()
        .then(|| compare::likely(sample, received, &String::from_utf8_lossy(caller)))
        .flatten();
    let mistake = likely.as_ref().and_then(|likely| likely.mistake);
    Compared {
        same: difference.is_none(),
        likely: likely.map(|likely| likely.says.to_owned()),
        mistake: mistake.map(Mistake::word),
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
            component: component_for(part, received).into(),
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
