//! What a signature of `aws-sigv4` says and signs, for a reader.

use super::judge::Ground;
use super::report::{Parameter, Part as PartShown, Report, Signature, State};
use super::shown::{compared, judged, moment};
use crate::clock::Now;
use crate::crypto::aws4::DayKey;
use crate::route::{Part, Route, SigV4};
use crate::schemes::Received;
use crate::schemes::aws_sigv4::forms::Forms;
use crate::schemes::aws_sigv4::payload::Payloads;
use crate::schemes::aws_sigv4::{Presented, coverage, mistakes, text, told_veiled, verify};
use std::borrow::Cow;

/// Takes down the signature, if `received` shows one that can be read.
/// What cannot be is told by the step that refuses it.
pub(super) fn credential(
    report: &mut Report,
    received: &Received<'_>,
    route: &Route,
    ground: &Ground,
    caller_text: Option<&[u8]>,
    now: Now,
) {
    let Ok(Some(presented)) = Presented::read(received, route) else {
        return;
    };
    let key = ground.registry.key(presented.claimed_key());
    let day = key.as_ref().and_then(|key| key.mac()?.aws());
    let day = day.map(|keys| keys.derive(presented.credential.scope()));
    let moment_of = now;
    let now = now.unix_seconds();
    let mut shown = Signature {
        label: if presented.in_query {
            "a presigned URL of aws-sigv4".to_owned()
        } else {
            "aws-sigv4".to_owned()
        },
        covers: presented.signed.names().map(str::to_owned).collect(),
        parameters: parameters(&presented, now),
        parts: parts(&presented, received, route, now),
        base: None,
        no_base: None,
        string_to_sign: None,
        holds: None,
        likely: None,
        mistake: None,
    };
    match texts(&presented, received, route, now) {
        Err(why) => shown.no_base = Some(why),
        Ok(all) => {
            let holds =
                |text: &String| day.as_ref().is_some_and(|day| is_of(day, &presented, text));
            let is_callers = |text: &&String| caller_text == Some(text.as_bytes());
            let right = all.iter().find(|text| holds(text));
            let ours = right
                .or_else(|| all.iter().find(is_callers))
                .or(all.first());
            if let Some(ours) = ours {
                let sample = mistakes::sample_of(&presented, received, ours.clone().into_bytes());
                judged(&mut shown, &sample, received, ground, moment_of);
                let lines = |text: &str| text.split('\n').map(str::to_owned).collect();
                shown.base = Some(lines(&told_veiled(ours)));
                shown.string_to_sign = Some(lines(&to_sign(&presented, ours)));
                if let (None, Some(caller)) = (&report.compared, caller_text) {
                    report.compared = Some(compared(&sample, received, caller));
                }
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

/// The canonical request in every form that is tried.
fn texts(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    now: i64,
) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    text::write_fields(&mut fields, received, &presented.signed)
        .map_err(|none| none.to_string())?;
    let is_waived = route.waives(Part::Body, now);
    let payloads = verify::payloads(presented, received, is_waived).map_err(|_| {
        "no field tells the hash of the body, and the body is not there to compute it".to_owned()
    })?;
    Ok(written(
        presented,
        received,
        &route.sigv4,
        &fields,
        &payloads,
    ))
}

fn written(
    presented: &Presented<'_>,
    received: &Received<'_>,
    settings: &SigV4,
    fields: &[u8],
    payloads: &Payloads<'_>,
) -> Vec<String> {
    let forms = Forms::of(received, presented.in_query, settings);
    let mut all = Vec::new();
    for (path, query) in forms.all() {
        for payload in payloads.all() {
            let mut out = Vec::new();
            text::write_front(&mut out, received, path, query);
            out.extend_from_slice(fields);
            out.extend_from_slice(payload.as_bytes());
            all.push(String::from_utf8_lossy(&out).into_owned());
        }
    }
    all
}

fn to_sign(presented: &Presented<'_>, canonical: &str) -> String {
    let scope = presented.credential.scope_text();
    let text = text::string_to_sign(&presented.time.text, scope, &[canonical.as_bytes()]);
    String::from_utf8_lossy(&text).into_owned()
}

fn is_of(day: &DayKey, presented: &Presented<'_>, canonical: &str) -> bool {
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

fn parts(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    now: i64,
) -> Vec<PartShown> {
    let demands = coverage::demands(presented, received, route).into_iter();
    demands
        .map(|demand| PartShown {
            part: demand.part.map_or("field", Part::name),
            state: if demand.is_covered {
                State::Covered
            } else if demand.part.is_some_and(|part| route.waives(part, now)) {
                State::Waived
            } else {
                State::Missing
            },
            component: Cow::Owned(demand.name.to_owned()),
        })
        .collect()
}
