//! The report, for people and for programs.

use super::hint;
use super::tally::{Report, Times, Told, Who};
use crate::cli::paint::{BAD, FAINT, GOOD, TITLE, visible};
use crate::schemes::doctor::Mistake;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Callers that would break that are listed for people.
const LISTED: usize = 100;

pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    let (breaking, ready): (Vec<&Told>, Vec<&Told>) = report
        .callers
        .iter()
        .partition(|caller| caller.refused.count > 0);
    let _ = writeln!(
        out,
        "{} of {}, {} to {}",
        counted(report.all.count, "observed request"),
        counted(report.callers.len() as u64, "caller"),
        report.all.first,
        report.all.last
    );
    for caller in breaking.iter().take(LISTED) {
        would_break(&mut out, caller);
    }
    if breaking.len() > LISTED {
        let more = breaking.len() - LISTED;
        let _ = writeln!(
            out,
            "\nand {more} more that would break: `--json` has them all"
        );
    }
    if !ready.is_empty() {
        let _ = writeln!(out, "\n{TITLE}Ready{TITLE:#}");
        for caller in ready.iter().take(LISTED) {
            let requests = counted(caller.all.count, "request");
            let _ = writeln!(out, "  {GOOD}✓{GOOD:#} {}, {requests}", name(&caller.who));
        }
        if ready.len() > LISTED {
            let _ = writeln!(out, "  and {} more", ready.len() - LISTED);
        }
    }
    if report.beyond.count > 0 {
        let beyond = counted(report.beyond.count, "request");
        let _ = writeln!(
            out,
            "\n{beyond} more would be refused, of callers too many to tell apart"
        );
    }
    if report.unread > 0 {
        let unread = counted(report.unread, "line");
        let _ = writeln!(
            out,
            "\n{FAINT}{unread} passed over: no access record in JSON{FAINT:#}"
        );
    }
    let _ = if report.is_ready() {
        writeln!(out, "\n{GOOD}nobody would break{GOOD:#}")
    } else if breaking.is_empty() {
        writeln!(
            out,
            "\n{BAD}callers that were not told apart would break{BAD:#}"
        )
    } else {
        let many = counted(breaking.len() as u64, "caller");
        writeln!(out, "\n{BAD}{many} would break{BAD:#}")
    };
    out
}

fn would_break(out: &mut String, caller: &Told) {
    let _ = writeln!(out, "\n{BAD}✗{BAD:#} {TITLE}{}{TITLE:#}", name(&caller.who));
    let _ = writeln!(
        out,
        "  would be refused {} of {}, first {}, last {}",
        counted(caller.refused.count, "time"),
        counted(caller.all.count, "request"),
        caller.refused.first,
        caller.refused.last
    );
    for reason in &caller.reasons {
        let mistake = reason.mistake.map(Mistake::word);
        let words: Vec<&str> = reason.word.as_deref().into_iter().chain(mistake).collect();
        let words = match &*words {
            [] => String::new(),
            words => format!(" ({})", visible(&words.join(": "))),
        };
        let route = reason.route.as_deref().map(visible);
        let route = route.map_or_else(String::new, |route| format!(" on route {route}"));
        let code = visible(&reason.code);
        let count = reason.times.count;
        let _ = writeln!(
            out,
            "  {count} × {code}{words}{route}, last {}",
            reason.times.last
        );
        if let Some(example) = &reason.example {
            let _ = writeln!(out, "      {FAINT}{}{FAINT:#}", visible(example));
        }
        let _ = writeln!(out, "      {}", hint::of(&caller.who, reason));
    }
}

fn name(who: &Who) -> String {
    match who {
        Who::App {
            app,
            key: Some(key),
        } => format!("app {}, key {}", visible(app), visible(key)),
        Who::App { app, key: None } => format!("app {}", visible(app)),
        Who::Claims(key) => format!("somebody with the unknown key {}", visible(key)),
        Who::Nobody(peer) => format!("somebody without a key at {}", visible(peer)),
    }
}

fn counted(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

pub(super) fn json(report: &Report) -> Value {
    let callers = report.callers.iter().map(|caller| {
        let (app, key, peer) = match &caller.who {
            Who::App { app, key } => (Some(app), key.as_ref(), None),
            Who::Claims(key) => (None, Some(key), None),
            Who::Nobody(peer) => (None, None, Some(peer)),
        };
        let reasons = caller.reasons.iter().map(|reason| {
            json!({
                "code": reason.code,
                "reason": reason.word,
                "mistake": reason.mistake.map(Mistake::word),
                "route": reason.route,
                "times": times(&reason.times),
                "example": reason.example,
                "hint": hint::of(&caller.who, reason),
            })
        });
        json!({
            "app": app,
            "key": key,
            "peer": peer,
            "requests": times(&caller.all),
            "would_refuse": times(&caller.refused),
            "reasons": reasons.collect::<Vec<_>>(),
        })
    });
    json!({
        "ready": report.is_ready(),
        "observed": times(&report.all),
        "callers": callers.collect::<Vec<_>>(),
        "beyond": times(&report.beyond),
        "unread_lines": report.unread,
    })
}

fn times(times: &Times) -> Value {
    let time = |text: &String| (!text.is_empty()).then(|| text.clone());
    json!({
        "count": times.count,
        "first": time(&times.first),
        "last": time(&times.last),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_that_are_not_told_apart_are_not_told_to_be_none() {
        let beyond = Times {
            count: 3,
            ..Times::default()
        };
        let report = Report {
            all: beyond.clone(),
            callers: Vec::new(),
            unread: 0,
            beyond,
        };
        let told = text(&report);
        let last = told.lines().next_back().unwrap();
        let words = "callers that were not told apart would break";
        assert!(last.contains(words) && !report.is_ready(), "{told}");
    }
}
