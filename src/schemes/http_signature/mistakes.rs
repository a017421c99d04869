//! What callers sign by mistake, for the doctor: the signature base with one
//! thing in it as they take it.

use super::base::{self, write};
use super::read::{Candidate, Presented, SIGNATURE_INPUT};
use crate::apps::Scheme;
use crate::crypto::VerifyingKey;
use crate::schemes::digest::CONTENT_DIGEST;
use crate::schemes::doctor::change::capitalized;
use crate::schemes::doctor::{Case, Change, Mistake, Offer, Sample};
use crate::schemes::received::{Received, TargetForm};
use crate::schemes::{Refused, Why};
use std::borrow::Cow;

/// Seconds between two looks at a clock.
const APART: [i64; 4] = [-1, 1, -2, 2];

/// One sample for each signature that has a text.
pub fn samples<'r>(presented: Presented<'r>, received: &'r Received<'r>) -> Vec<Sample<'r>> {
    let candidates = presented.into_candidates();
    let is_alone = candidates.len() == 1;
    let samples = candidates.into_iter();
    samples
        .filter_map(|candidate| sample(candidate, received, is_alone))
        .collect()
}

/// The ids of the keys that its signatures claim.
pub fn key_ids<'r>(presented: &Presented<'r>) -> impl Iterator<Item = Cow<'r, str>> {
    presented.candidates().iter().filter_map(key_id)
}

/// The signature of `candidate`, if it has a text. `is_alone` says that it is the only one.
pub fn sample<'r>(
    candidate: Candidate<'r>,
    received: &'r Received<'r>,
    is_alone: bool,
) -> Option<Sample<'r>> {
    let key_id = key_id(&candidate)?;
    let mut text = Vec::new();
    write(&mut text, received, &candidate.input).ok()?;
    let ours = String::from_utf8_lossy(&text).into_owned();
    let signature = candidate.signature.clone().into();
    let (created, named) = (candidate.input.created, candidate.input.algorithm);
    let meant = move |refused: &Refused, key: &VerifyingKey| match refused {
        Refused::Skew { theirs, .. } => created == Some(*theirs),
        Refused::Rejected {
            why: Why::WrongAlgorithm,
            ..
        } => named.is_some_and(|named| named != key.algorithm().name().as_bytes()),
        _ => true,
    };
    let offer = Box::new(Base {
        candidate,
        received,
        ours,
        is_alone,
    });
    Some(Sample {
        scheme: Scheme::HttpSignature,
        key_id,
        text,
        signature,
        offer: Some(offer),
        also: Vec::new(),
        by: None,
        meant: Some(Box::new(meant)),
    })
}

/// The id of the key that `candidate` claims, as that key is named.
fn key_id<'r>(candidate: &Candidate<'r>) -> Option<Cow<'r, str>> {
    let key_id = candidate.input.key_id?;
    Some(if key_id.contains('\\') {
        Cow::Owned(base::unescaped(key_id))
    } else {
        Cow::Borrowed(key_id)
    })
}

/// A signature base, and what it was made of.
struct Base<'r> {
    candidate: Candidate<'r>,
    received: &'r Received<'r>,
    ours: String,
    is_alone: bool,
}

impl Offer for Base<'_> {
    fn under(&self, change: &Change<'_>) -> String {
        let received = self.received;
        let mut out = String::with_capacity(self.ours.len() + 64);
        let mut components = self.candidate.input.components.iter();
        for (at, line) in self.ours.split('\n').enumerate() {
            if at > 0 {
                out.push('\n');
            }
            let component = components.next();
            let named = component.filter(|component| component.is_plain());
            let Some((front, value)) = named.and_then(|_| line.split_once(": ")) else {
                out.push_str(line);
                continue;
            };
            let target = || change.target(received);
            let authority = change.authority(received.authority());
            let value: Cow<'_, str> = match named.map_or("", |component| component.name()) {
                "@method" => change.method(received, Case::Upper),
                "@scheme" => change.scheme(received).into(),
                "@authority" => authority.into(),
                "@path" => change.path(received).into(),
                "@query" => format!("?{}", change.query(received).unwrap_or_default()).into(),
                "@request-target" => target().into(),
                "@target-uri" => {
                    let has_path = received.form() != TargetForm::Asterisk;
                    let target = has_path.then(target).unwrap_or_default();
                    format!("{}://{authority}{target}", change.scheme(received)).into()
                }
                "host" => change.authority(value).into(),
                name if name == CONTENT_DIGEST.as_str() => change.digest(value),
                _ => value.into(),
            };
            out.push_str(front);
            out.push_str(": ");
            out.push_str(&value);
        }
        out
    }

    fn own(&self) -> Vec<(Mistake, String)> {
        let ours = &self.ours;
        let mut all = vec![
            (
                Mistake::QuestionMark,
                ours.replacen("\"@query\": ?", "\"@query\": ", 1),
            ),
            (
                Mistake::PathWithQuery,
                self.with_value("@path", |_| self.received.target().to_owned()),
            ),
            (
                Mistake::NamesUnquoted,
                self.each_name(|name| name.replace('"', "")),
            ),
            (
                Mistake::NamesUnquoted,
                ours.replacen("\n\"@signature-params\":", "\n@signature-params:", 1),
            ),
            (Mistake::NamesInUpper, self.each_name(in_upper)),
            (
                Mistake::NoSpace,
                each_line(ours, |line| line.replacen(": ", ":", 1)),
            ),
            (
                Mistake::LabelInParams,
                self.with_value("@signature-params", |input| {
                    format!("{}={input}", self.candidate.label())
                }),
            ),
        ];
        if let Some((front, _)) = ours.rsplit_once('\n') {
            all.push((Mistake::ParamsMissing, front.to_owned()));
        }
        if let Some(sent) = self.as_sent() {
            let text = self.with_value("@signature-params", |_| sent.to_owned());
            all.push((Mistake::ParamsAsSent, text));
        }
        if let Some(created) = self.candidate.input.created {
            let told = format!(";created={created}");
            for apart in APART {
                let other = format!(";created={}", created.saturating_add(apart));
                let text = self.with_value("@signature-params", |input| {
                    input.replacen(&told, &other, 1)
                });
                all.push((Mistake::ClockTwice, text));
            }
        }
        all
    }
}

impl Base<'_> {
    /// The member of `Signature-Input` letter by letter. With several labels it is not cut out.
    fn as_sent(&self) -> Option<&str> {
        let field = self.received.fields().get(SIGNATURE_INPUT);
        let line = field.filter(|_| self.is_alone)?.to_str().ok()?;
        Some(line.split_once('=')?.1)
    }

    /// The base with the value of one component made anew.
    fn with_value(&self, component: &str, make: impl Fn(&str) -> String) -> String {
        let front = format!("\"{component}\": ");
        each_line(&self.ours, |line| match line.strip_prefix(&front) {
            Some(value) => format!("{front}{}", make(value)),
            None => line.to_owned(),
        })
    }

    fn each_name(&self, make: impl Fn(&str) -> String) -> String {
        each_line(&self.ours, |line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", make(name)),
            None => line.to_owned(),
        })
    }
}

fn each_line(text: &str, make: impl Fn(&str) -> String) -> String {
    let lines: Vec<String> = text.split('\n').map(make).collect();
    lines.join("\n")
}

/// As callers write a field's name. Names of derived components stay.
fn in_upper(name: &str) -> String {
    if name.starts_with("\"@") {
        return name.to_owned();
    }
    capitalized(name)
}
