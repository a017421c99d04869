//! What was done and by whom, and when keys were last used.

use super::Answer;
use super::body::shown;
use super::call::Call;
use super::keys;
use super::made;
use super::page::Page;
use super::problem::{Fault, Problem};
use super::values::{moment, moment_of};
use crate::apps::made::{
    self as records, AuditEntry, KeyRecord, KeyState, Log, MAX_PAGE, Material, Outcome,
};
use serde_json::{Map, Value as Json, json};

/// Pages of the audit that one call looks through, where few lines are what is asked for.
const MOST_LOOKS: usize = 200;
/// Lines in a row that are too old behind which no newer one is looked for: they are in the order in which they came,
/// and a clock that is set back leaves old ones among newer.
const OLD_IN_A_ROW: usize = 1_000;
/// How long a key must not have been used to count as no longer used, where it is not said: a week.
const USUAL_QUIET: i64 = 7 * 86_400;

/// `GET /v1/audit`.
pub(super) fn audit(call: &Call<'_>) -> Result<Answer, Problem> {
    let page = Page::of(call)?;
    let log = match call.word("log")? {
        Some("events") => Log::Events,
        _ => Log::Changes,
    };
    let filter = Filter::of(call)?;
    if page
        .after
        .as_ref()
        .is_some_and(|after| after.parse::<u64>().is_err())
    {
        return Err(Page::foreign().into());
    }
    let store = made::store(call)?;
    let mut items = Vec::new();
    let mut after = page.after.clone();
    // Lines at the end of what was looked at that are too old.
    let mut old = 0;
    for _ in 0..MOST_LOOKS {
        let wanted = page.limit - items.len();
        let look = records::Page {
            after: after.clone(),
            // No more than are still wanted, since what comes next is told by where this ends; but where none
            // is to be expected as many as there can be.
            limit: if old == 0 { wanted } else { MAX_PAGE },
        };
        let lines = store.audit(log, &look).map_err(|why| made::unread(&why))?;
        let found: Vec<&AuditEntry> = lines.items.iter().filter(|one| filter.takes(one)).collect();
        if found.len() > wanted {
            // Once more, and not so far.
            old = 0;
            continue;
        }
        items.extend(found.into_iter().map(line));
        for entry in &lines.items {
            let is_old = filter.since.is_some_and(|since| entry.at < since);
            old = if is_old { old + 1 } else { 0 };
        }
        after = lines.next.filter(|_| old < OLD_IN_A_ROW);
        if after.is_none() || items.len() >= page.limit {
            break;
        }
    }
    let next = after.as_deref().map(Page::token);
    Ok(Answer::ok(json!({ "items": items, "next": next })))
}

/// Which lines are asked for.
struct Filter<'c> {
    who: Option<&'c str>,
    what: Option<&'c str>,
    target: Option<&'c str>,
    since: Option<i64>,
    until: Option<i64>,
}

impl<'c> Filter<'c> {
    fn of(call: &'c Call<'_>) -> Result<Self, Problem> {
        let when = |name: &str| {
            let Some(text) = call.query(name) else {
                return Ok(None);
            };
            moment_of(text).map(Some).ok_or_else(|| {
                Fault::new(
                    format!("query {name}"),
                    format!("`{}` is no moment", shown(text)),
                )
                .accepted("`2027-01-31T12:00:00Z`, or a date, `2027-01-31`")
            })
        };
        Ok(Self {
            who: call.query("who"),
            what: call.query("what"),
            target: call.query("target"),
            since: when("since")?,
            until: when("until")?,
        })
    }

    fn takes(&self, entry: &AuditEntry) -> bool {
        let is = |asked: Option<&str>, found: &str| asked.is_none_or(|asked| asked == found);
        // `key` is every `key.…`.
        let what = self.what.is_none_or(|asked| {
            let rest = entry.what.strip_prefix(asked);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        what && is(self.who, &entry.who)
            && is(self.target, &entry.target)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

fn line(entry: &AuditEntry) -> Json {
    let (outcome, reason) = match &entry.outcome {
        Outcome::Done => ("done", None),
        Outcome::Refused(why) => ("refused", Some(why)),
        Outcome::Alarm(why) => ("alarm", Some(why)),
    };
    json!({
        "at": moment(entry.at),
        "who": entry.who,
        "what": entry.what,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
        "outcome": outcome,
        "reason": reason,
        "times": entry.times,
    })
}

/// `GET /v1/keys/{key}/safe-to-retire`.
pub(super) fn safe_to_retire(call: &Call<'_>) -> Result<Answer, Problem> {
    let now = call.now.unix_seconds();
    let quiet = match call.query("quiet_seconds") {
        None => USUAL_QUIET,
        Some(text) => text
            .parse()
            .ok()
            .filter(|quiet| (1..=315_360_000).contains(quiet))
            .ok_or_else(|| {
                Fault::new(
                    "query quiet_seconds",
                    format!("`{}` is out of range", shown(text)),
                )
                .accepted("a whole number from 1 to 315360000")
            })?,
    };
    let id = call.part("key");
    if call.desk.configured().keys.contains_key(id) {
        return Err(made::in_file("key", id));
    }
    let store = made::store(call)?;
    let key = keys::record(call, id)?;
    let uses = store.uses_of(id).map_err(|why| made::unread(&why))?;
    let others = store.keys_of(&key.app).map_err(|why| made::unread(&why))?;
    let is_usable = |one: &&KeyRecord| {
        matches!(one.life.state(now), KeyState::Active)
            && one.not_after.is_none_or(|end| now < end)
            && one.id != id
            && !one.honey
    };
    let active: Vec<&KeyRecord> = others.iter().filter(is_usable).collect();
    let others: Vec<&str> = active
        .iter()
        .filter(|one| can_follow(one, &key))
        .map(|one| &*one.id)
        .collect();
    let is_retired = made::state(&key, now) == KeyState::Retired.name();
    let (safe, why) = match uses.last() {
        _ if is_retired => (true, "it is retired already".to_owned()),
        Some(last) if now - last < quiet => (false, format!("it was used at {}", moment(last))),
        // What was used since may be forgotten, or have found no room to wait. Where no gateway runs, nobody has
        // used it since, and this command may only read.
        _ if call.desk.is_serving() && !store.is_writable() => {
            let why = "uses cannot be written down now, so that some may be unknown";
            (false, why.to_owned())
        }
        // Whoever comes next would have nothing to come with.
        _ if active.is_empty() => (false, "no other key of its app is active".to_owned()),
        _ if others.is_empty() => {
            let why = "no other active key of its app can take its place";
            (false, why.to_owned())
        }
        None => (true, "it was never used".to_owned()),
        Some(last) => (true, format!("it was last used at {}", moment(last))),
    };
    let by_scheme: Map<String, Json> = uses
        .schemes
        .iter()
        .map(|(scheme, at)| (scheme.clone(), moment(*at).into()))
        .collect();
    Ok(Answer::ok(json!({
        "key": id,
        "safe": safe,
        "why": why,
        "quiet_seconds": quiet,
        "last_used": by_scheme,
        "other_active_keys": others,
    })))
}

/// Whether `old`'s callers could come with `new` as well.
fn can_follow(new: &KeyRecord, old: &KeyRecord) -> bool {
    let is_static = |one: &KeyRecord| matches!(one.material, Material::Static { .. });
    // Callers do not have a key that attests, and what they have attests nothing.
    if new.attests != old.attests {
        return false;
    }
    // What its algorithm cannot prove, nobody comes with.
    let provable = made::provable(new);
    // Who signs cannot go on with a static key, nor is one taken for ever.
    if is_static(old) {
        return !provable.is_empty();
    }
    let proven = made::provable(old);
    !is_static(new) && provable.iter().any(|one| proven.contains(one))
}
