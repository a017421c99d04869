//! What a signature of `hmac-auth` says and signs, for a reader.

use super::judge::Ground;
use super::misread;
use super::report::{Parameter, Part as PartShown, Report, Signature, State};
use super::shown::{compared, mistake, moment};
use crate::cli::compare::Seen;
use crate::clock::Now;
use crate::route::{Dialect, Route};
use crate::schemes::Received;
use crate::schemes::explained::veiled;
use crate::schemes::hmac_auth::coverage::{Covered, Demand};
use crate::schemes::hmac_auth::{Presented, date, text};
use http::header::{DATE, HOST, HeaderName};

/// Takes down the signature, if `received` shows one that can be read.
/// What cannot be is told by the step that refuses it.
pub(super) fn credential(
    report: &mut Report,
    received: &Received<'_>,
    route: &Route,
    ground: &Ground,
    caller_text: Option<&str>,
    now: Now,
) {
    let Ok(Some(presented)) = Presented::read(received, route) else {
        return;
    };
    let input = &presented.input;
    let mut bytes = Vec::new();
    let no_text = text::write(&mut bytes, received, input).err();
    let no_text = no_text.map(|none| none.to_string());
    let key = ground.registry.key(input.key_id);
    let ours = String::from_utf8_lossy(&bytes).into_owned();
    let seen = seen(received);
    let mut shown = Signature {
        label: input.dialect.name().to_owned(),
        covers: input.names().map(str::to_owned).collect(),
        parameters: parameters(&presented, received, now.unix_seconds()),
        parts: parts(&presented, received, route, now.unix_seconds()),
        base: None,
        no_base: no_text,
        holds: None,
        likely: None,
    };
    if shown.no_base.is_none() {
        shown.base = Some(veiled(&ours).split('\n').map(str::to_owned).collect());
        shown.holds = key.map(|key| key.verifying.verify(&bytes, &presented.signature).is_some());
        if let (Some(false), Some(key)) = (shown.holds, key) {
            let signature = &presented.signature;
            shown.likely = mistakes(input.dialect, &ours, received)
                .into_iter()
                .find(|(_, text)| key.verifying.verify(text.as_bytes(), signature).is_some())
                .map(|(what, _)| what.to_owned())
                .or_else(|| mistake(&key.verifying, &ours, signature, &seen))
                .or_else(|| {
                    misread::of(&ground.misread, &key.id, &bytes, signature).map(str::to_owned)
                });
        }
        if let (None, Some(caller)) = (&report.compared, caller_text) {
            report.compared = Some(compared(&ours, caller, &seen));
        }
    }
    report.signatures.push(shown);
}

/// The key id that a signature claims, if there is one to read.
pub(super) fn claimed(received: &Received<'_>, route: &Route) -> Option<String> {
    let presented = Presented::read(received, route).ok()??;
    Some(presented.claimed_key().to_owned())
}

/// What callers of a dialect get wrong, and the text that each makes of the right one.
fn mistakes(dialect: Dialect, text: &str, received: &Received<'_>) -> Vec<(&'static str, String)> {
    const NO_NEWLINE: &str =
        "the newline at the end is missing: every line of the text ends in one, the last one too";
    const UPPER: &str = "the method is in upper case: in this line it is in lower case";
    const LOWER: &str = "the method is in lower case: it stands as in the request line";
    const NO_QUERY: &str = "the query is missing behind the path: the whole target is signed";
    const NO_KEY: &str = "the first line is missing: it is the key's id";
    let (method, target) = (received.method().as_str(), received.target());
    let path = received.path().raw();
    let lower = method.to_lowercase();
    let line = |method: &str, target: &str| format!("{method} {target}");
    let swap = |from: &str, to: &str| text.replacen(&line(from, target), &line(to, target), 1);
    let mut all = vec![(NO_QUERY, text.replacen(target, path, 1))];
    match dialect {
        Dialect::Kong | Dialect::Cavage12 => {
            all.push((UPPER, swap(&lower, method)));
            all.push((LOWER, swap(method, &lower)));
        }
        Dialect::Apisix => {
            let without = text.trim_end_matches('\n');
            all.push((NO_NEWLINE, without.to_owned()));
            all.push((LOWER, swap(method, &lower)));
            if let Some((_, rest)) = text.split_once('\n') {
                all.push((NO_KEY, rest.to_owned()));
                all.push((NO_KEY, rest.trim_end_matches('\n').to_owned()));
            }
        }
    }
    all
}

fn seen(received: &Received<'_>) -> Seen {
    let host = received.fields().get(HOST);
    Seen {
        host: host
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default(),
        scheme: received.scheme().to_owned(),
        target: received.target().to_owned(),
        decoded_path: received.path().canonical().to_owned(),
        ..Seen::default()
    }
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
                date::read(value.as_bytes()),
            ));
        }
    }
    all
}

fn parts(
    presented: &Presented<'_>,
    received: &Received<'_>,
    route: &Route,
    now: i64,
) -> Vec<PartShown> {
    let input = &presented.input;
    let covered = Covered::of(input);
    let demands = covered.demands(input.dialect, presented.in_authorization, received, route);
    let is_needless = |one: &Demand| {
        // Either digest shows the body: the one that is not there says nothing.
        let twin = |other: &&Demand| other.part == one.part && other.name != one.name;
        let twin = demands.iter().find(twin);
        !one.is_present && twin.is_some_and(|twin| twin.is_present || one.name == "content-digest")
    };
    let kept = demands.iter().filter(|one| !is_needless(one));
    let shown = kept.map(|demand| PartShown {
        part: demand.part.map_or("time", crate::route::Part::name),
        component: demand.name,
        state: if !demand.is_present {
            State::Absent
        } else if demand.is_covered {
            State::Covered
        } else if demand.part.is_some_and(|part| route.waives(part, now)) {
            State::Waived
        } else {
            State::Missing
        },
    });
    shown.collect()
}
