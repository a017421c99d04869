//! What a signature of `aws-sigv4` says and signs, for a reader.

use super::case::Case;
use super::report::{Parameter, Part as PartShown, Report, Signature};
use super::shown::moment;
use crate::crypto::aws4::DayKey;
use crate::route::{Part, Route};
use crate::schemes::Received;
use crate::schemes::aws_sigv4::forms::Forms;
use crate::schemes::aws_sigv4::{Presented, coverage, mistakes, text, verify};
use std::borrow::Cow;

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
    match texts(&presented, case) {
        Err(why) => shown.no_base = Some(why),
        Ok(all) => {
            let holds =
                |text: &String| day.as_ref().is_some_and(|day| is_of(day, &presented, text));
            let is_callers = |text: &&String| case.callers_text == Some(text.as_bytes());
            let right = all.iter().find(|text| holds(text));
            let ours = right
                .or_else(|| all.iter().find(is_callers))
                .or(all.first());
            if let Some(ours) = ours {
                let text = ours.clone().into_bytes();
                let sample = mistakes::sample_of(&presented, case.received, text);
                case.judge(&mut shown, &sample);
                let to_sign = to_sign(&presented, ours);
                shown.string_to_sign = Some(to_sign.split('\n').map(str::to_owned).collect());
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

/// The canonical request in every form that is tried.
fn texts(presented: &Presented<'_>, case: Case<'_>) -> Result<Vec<String>, String> {
    let received = case.received;
    let mut fields = Vec::new();
    text::write_fields(&mut fields, received, &presented.signed)
        .map_err(|none| none.to_string())?;
    let is_waived = case.route.waives(Part::Body, case.now.unix_seconds());
    let payloads = verify::payloads(presented, received, is_waived).map_err(|_| {
        "no field tells the hash of the body, and the body is not there to compute it".to_owned()
    })?;
    let forms = Forms::of(received, presented.in_query, &case.route.sigv4);
    let mut all = Vec::new();
    for (path, query) in forms.all() {
        for payload in payloads.all() {
            let mut out = Vec::new();
            text::write_front(&mut out, received, path, query);
            out.extend_from_slice(&fields);
            out.extend_from_slice(payload.as_bytes());
            all.push(String::from_utf8_lossy(&out).into_owned());
        }
    }
    Ok(all)
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
