//! What a request shows: its signatures and its token, taken apart for a reader.

use super::case::Case;
use super::report::{Parameter, Part as PartShown, Report, Signature, State};
use super::{api_key, aws_sigv4, hmac_auth, token, webhook};
use crate::apps::Scopes;
use crate::cli::compare::is_same;
use crate::route::Part;
use crate::schemes::coverage;
use crate::schemes::doctor::Sample;
use crate::schemes::http_signature::base::{self, NoBase, identifier};
use crate::schemes::http_signature::read::{Bare, Candidate, Input};
use crate::schemes::http_signature::verify::{component_for, covered};
use crate::schemes::http_signature::{Presented, mistakes};

/// Takes down every credential that the request shows.
pub(super) fn credentials(report: &mut Report, case: Case<'_>) {
    token::credential(report, case);
    api_key::credential(report, case);
    aws_sigv4::credential(report, case);
    hmac_auth::credential(report, case);
    webhook::credential(report, case);
    // What cannot be read is told by the step that refuses it.
    let Ok(Some(presented)) = Presented::read(case.received) else {
        return;
    };
    let is_alone = presented.candidates().len() == 1;
    let (mut all, mut samples) = (Vec::new(), Vec::new());
    for (at, candidate) in presented.into_candidates().into_iter().enumerate() {
        let mut shown = signature(&candidate, case);
        let sample = mistakes::sample(candidate, case.received, is_alone);
        if let (None, Some(sample)) = (&shown.no_base, sample) {
            case.judge(&mut shown, &sample);
            samples.push((at, shown.holds, sample));
        }
        all.push(shown);
    }
    if let Some((at, _, sample)) = meant(&samples, case.callers_text)
        && let Some(compared) = case.compare(report, sample)
    {
        compared.of += at;
    }
    report.signatures.append(&mut all);
}

/// Which of `samples`, with their places and whether they hold, the caller's text is most likely
/// of: of the same text, or else of the one that is wrong. A proxy may have signed too.
fn meant<'a, 's>(
    samples: &'a [(usize, Option<bool>, Sample<'s>)],
    callers_text: Option<&[u8]>,
) -> Option<&'a (usize, Option<bool>, Sample<'s>)> {
    let same = |sample: &Sample<'_>| callers_text.is_some_and(|mine| is_same(&sample.text, mine));
    let same = samples.iter().find(|(_, _, sample)| same(sample));
    let wrong = samples.iter().find(|(_, holds, _)| *holds == Some(false));
    same.or(wrong).or(samples.first())
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

fn signature(candidate: &Candidate<'_>, case: Case<'_>) -> Signature {
    let input = &candidate.input;
    let no_base = match base::write(&mut Vec::new(), case.received, input) {
        Ok(()) => None,
        Err(NoBase::Absent(component)) => Some(format!("the request does not carry `{component}`")),
        Err(NoBase::Unsupported(why)) => Some(why),
    };
    Signature {
        label: candidate.label().to_owned(),
        covers: input.components.iter().map(identifier).collect(),
        parameters: parameters(input, case.now.unix_seconds()),
        parts: parts(input, case),
        no_base,
        ..Signature::default()
    }
}

fn parameters(input: &Input<'_>, now: i64) -> Vec<Parameter> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    input
        .parameters()
        .map(|(name, value)| Parameter {
            name: text(name),
            value: match value {
                Bare::Integer(number) => number.to_string(),
                Bare::String(value) => base::unescaped(&text(value)),
                Bare::Token(value) | Bare::Bytes(value) => text(value),
                Bare::True => "true".to_owned(),
                Bare::False => "false".to_owned(),
            },
            note: match (name, value) {
                (b"created" | b"expires", Bare::Integer(at)) => Some(moment(at, now)),
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

fn parts(input: &Input<'_>, case: Case<'_>) -> Vec<PartShown> {
    let covered = covered(&input.components, case.received);
    Part::ALL
        .into_iter()
        .map(|part| PartShown {
            part: part.name(),
            component: component_for(part, case.received).into(),
            state: if coverage::is_present(part, case.received) {
                case.state(Some(part), covered.has(part))
            } else {
                State::Absent
            },
        })
        .collect()
}
