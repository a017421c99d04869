//! What a signature of `hmac-auth` says and signs, for a reader.

use super::case::Case;
use super::report::{Parameter, Part as PartShown, Report, Signature, State};
use super::shown::moment;
use crate::route::{Dialect, Route};
use crate::schemes::Received;
use crate::schemes::hmac_auth::coverage::{Covered, Demand};
use crate::schemes::hmac_auth::{Presented, date, mistakes, text};
use http::header::{DATE, HeaderName};

/// Takes down the signature, if the request shows one that can be read.
/// What cannot be is told by the step that refuses it.
pub(super) fn credential(report: &mut Report, case: Case<'_>) {
    let Ok(Some(presented)) = Presented::read(case.received, case.route) else {
        return;
    };
    let input = &presented.input;
    let no_text = text::write(&mut Vec::new(), case.received, input).err();
    let mut shown = Signature {
        label: input.dialect.name().to_owned(),
        covers: input.names().map(str::to_owned).collect(),
        parameters: parameters(&presented, case.received, case.now.unix_seconds()),
        parts: parts(&presented, case),
        no_base: no_text.map(|none| none.to_string()),
        ..Signature::default()
    };
    if let Some(sample) = mistakes::sample(presented, case.received) {
        case.judge(&mut shown, &sample);
        case.compare(report, &sample);
    }
    report.signatures.push(shown);
}

/// The key id that a signature claims, if there is one to read.
pub(super) fn claimed(received: &Received<'_>, route: &Route) -> Option<String> {
    let presented = Presented::read(received, route).ok()??;
    Some(presented.claimed_key().to_owned())
}

fn parameters(presented: &Presented<'_>, received: &Received<'_>, now: i64) -> Vec<Parameter> {
    let input = &presented.input;
    let key_id = match input.dialect {
        Dialect::Kong => "username",
        Dialect::Apisix | Dialect::Cavage12 => "keyId",
    };
    let parameter = |name: &str, value: &str, at: Option<i64>| Parameter {
        name: name.to_owned(),
        value: value.to_owned(),
        note: at.map(|at| moment(at, now)),
    };
    let mut all = vec![parameter(key_id, input.key_id, None)];
    if let Some(algorithm) = presented.algorithm {
        all.push(parameter("algorithm", algorithm.name(), None));
    }
    for (name, time) in [("created", input.created), ("expires", input.expires)] {
        all.extend(time.map(|time| parameter(name, time.text, Some(time.value))));
    }
    for name in [DATE, HeaderName::from_static("x-date")] {
        if input.covers(name.as_str())
            && let Some(value) = received.fields().get(&name)
        {
            let text = String::from_utf8_lossy(value.as_bytes());
            all.push(parameter(
                name.as_str(),
                &text,
                date::read_of_any_library(value.as_bytes()),
            ));
        }
    }
    all
}

fn parts(presented: &Presented<'_>, case: Case<'_>) -> Vec<PartShown> {
    let input = &presented.input;
    let covered = Covered::of(input);
    let in_authorization = presented.in_authorization;
    let demands = covered.demands(input.dialect, in_authorization, case.received, case.route);
    let is_needless = |one: &Demand| {
        // Either digest shows the body: the one that is not there says nothing.
        let twin = |other: &&Demand| other.part == one.part && other.name != one.name;
        let twin = demands.iter().find(twin);
        !one.is_present && twin.is_some_and(|twin| twin.is_present || one.name == "content-digest")
    };
    let kept = demands.iter().filter(|one| !is_needless(one));
    let shown = kept.map(|demand| PartShown {
        part: demand.part.map_or("time", crate::route::Part::name),
        component: demand.name.into(),
        state: if demand.is_present {
            case.state(demand.part, demand.is_covered)
        } else {
            State::Absent
        },
    });
    shown.collect()
}
