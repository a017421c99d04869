//! Keys: to look at, and those of the registry to make and to end.

use super::Answer;
use super::apps;
use super::body::{Fields, Wrong, shown};
use super::call::{Call, etag};
use super::configured::IN_FILE;
use super::made::{self, Doing};
use super::material::{self, Asked};
use super::page::Page;
use super::problem::{Code, Fault, Problem};
use super::values::{self, KeyKind};
use crate::apps::Scheme;
use crate::apps::made::{
    Change, Expect, KeyRecord, KeyState, Life, Material, NotRotated, NotSo, Overlap, Printed,
    Record, Revision, Target, rotate,
};
use data_encoding::BASE32_NOPAD;
use http::StatusCode;
use serde_json::{Value as Json, json};

/// How long the old key still proves what it did where it is not said: a day.
const USUAL_OVERLAP: u32 = 86_400;

/// `GET /v1/keys`.
pub(super) fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let page = Page::of(call)?;
    let source = call.word("source")?;
    let configured = call.desk.configured();
    let app = call.query("app");
    if let Some(name) = app {
        apps::exists(call, name)?;
    }
    let now = call.now.unix_seconds();
    let mut items: Vec<(String, Json)> = Vec::new();
    let mut more = false;
    if source.is_none_or(|source| source == IN_FILE) {
        let there = configured.keys.iter();
        let there = there
            .filter(|(id, key)| page.comes_after(id) && app.is_none_or(|app| key.app == app))
            .take(page.limit + 1);
        items.extend(there.map(|(id, key)| (id.clone(), key.shown(id, now))));
    }
    if let Some(store) = call.desk.store().filter(|_| source != Some(IN_FILE)) {
        let some = match app {
            // An app has few.
            Some(app) => store.keys_of(app).map(|keys| (keys, false)),
            None => page.of_store(|page| store.keys(page)),
        };
        let (some, are_more) = some.map_err(|why| made::unread(&why))?;
        let some = some.iter().filter(|key| page.comes_after(&key.id));
        items.extend(some.map(|key| (key.id.clone(), made::key(key, &configured, now))));
        more = are_more;
    }
    Ok(Answer::ok(page.show(items, more)))
}

/// `GET /v1/keys/{key}`.
pub(super) fn show(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("key");
    let configured = call.desk.configured();
    let now = call.now.unix_seconds();
    if let Some(key) = configured.keys.get(id) {
        return Ok(Answer::ok(key.shown(id, now)));
    }
    let key = record(call, id)?;
    Ok(Answer::ok(made::key(&key, &configured, now)).tagged(Some(etag(key.revision.0))))
}

/// `POST /v1/keys`.
pub(super) fn create(call: &Call<'_>) -> Result<Answer, Problem> {
    made::store(call)?;
    let now = call.now.unix_seconds();
    let mut body = call.body()?;
    let app = body.required("app", values::name).unwrap_or_default();
    let id = body.optional("id", values::key_id);
    let kind = body.optional("kind", values::key_kind);
    let active = body.change("active_from", values::when);
    let not_after = body.optional("not_after", values::when);
    let asked = Asked::of(&mut body);
    let schemes = body.optional("schemes", values::schemes);
    let honey = body.optional("honey", values::flag).unwrap_or_default();
    let attests = body.optional("attests", values::flag);
    let kind = kind.unwrap_or(match &asked.public_key {
        Some(_) => KeyKind::Public,
        None => KeyKind::Secret,
    });
    let is_ours = kind == KeyKind::Pair;
    let attests = attests.unwrap_or(is_ours);
    to_come("not_after", not_after, now, &mut body);
    let id = id.unwrap_or_else(|| fresh_id(&app));
    let (material, printed) = asked.material(kind, &id, call, &mut body);
    let (of, said) = (material.as_ref(), schemes.as_deref());
    material::can_prove(of, said, attests || is_ours, "algorithm", &mut body);
    // A pair of ours signs tokens, and nothing else: nobody else has its private half.
    let schemes = if is_ours {
        Some(vec![Scheme::Token])
    } else {
        schemes
    };
    body.done()?;
    apps::owner(call, &app)?;
    taken(call, &id)?;
    let key = KeyRecord {
        id: id.clone(),
        app,
        material: material.ok_or_else(made::off)?,
        schemes,
        life: match active {
            // Pending, until somebody says since when.
            Some(None) => Life::default(),
            Some(Some(from)) => Life::active_from(from),
            None => Life::active_from(now),
        },
        not_after,
        honey,
        attests,
        made_at: now,
        rotated_from: None,
        revision: Revision::default(),
    };
    let doing = Doing {
        what: "key.create",
        target: &Target::Key(id),
        before: Json::Null,
        after: made::key(&key, &call.desk.configured(), now),
        changes: vec![Change::Put(Record::Key(key), Expect::Absent)],
        status: StatusCode::CREATED,
    };
    Ok(told(doing.run(call)?, printed.as_ref(), call))
}

/// `PATCH /v1/keys/{key}`.
pub(super) fn change(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    let now = call.now.unix_seconds();
    let mut body = call.body()?;
    let mut after = before.clone();
    let end = body.change("not_after", values::when);
    to_come("not_after", end.flatten(), now, &mut body);
    if let Some(end) = end {
        after.not_after = end;
    }
    let schemes = body.change("schemes", values::schemes);
    let attests = body.change("attests", values::flag);
    let active = body.optional("active_from", values::when);
    // The rest of one that was stored otherwise can still be changed.
    let is_other = schemes.is_some() || attests.is_some();
    after.schemes = schemes.unwrap_or(after.schemes);
    after.attests = attests.map_or(after.attests, Option::unwrap_or_default);
    if is_other {
        let (of, said) = (Some(&after.material), after.schemes.as_deref());
        material::can_prove(of, said, after.attests, "attests", &mut body);
    }
    body.done()?;
    // One that is over is shown as retired.
    if end.is_some() && before.not_after.is_some_and(|over| over <= now) {
        return Err(not_so(NotSo::Retired));
    }
    if let Some(from) = active {
        after.life = before.life.activate(from, now).map_err(not_so)?;
    }
    put(call, "key.change", &before, after)
}

/// `POST /v1/keys/{key}/rotate`.
pub(super) fn rotated(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    let now = call.now.unix_seconds();
    let mut body = call.body()?;
    let id = body.optional("id", values::key_id);
    let overlap = body.optional("overlap_seconds", values::seconds);
    let panic = body.optional("panic", values::flag).unwrap_or_default();
    if panic && overlap.is_some() {
        let wrong = Wrong::new("in a panic there is no overlap", "one of both");
        body.fault("overlap_seconds", wrong);
    }
    let (kind, algorithm) = match &before.material {
        Material::Secret { algorithm, .. } => (KeyKind::Secret, Some(*algorithm)),
        Material::Public { algorithm, .. } => (KeyKind::Public, Some(*algorithm)),
        Material::Pair { algorithm, .. } => (KeyKind::Pair, Some(*algorithm)),
        Material::Static { .. } => (KeyKind::Static, None),
    };
    let mut asked = Asked::of(&mut body);
    asked.algorithm = asked.algorithm.or(algorithm);
    if let Material::Public { any_salt, .. } = &before.material {
        asked.any_salt |= any_salt;
    }
    let id = id.unwrap_or_else(|| fresh_id(&before.app));
    let (material, printed) = asked.material(kind, &id, call, &mut body);
    let of = material.as_ref();
    material::can_prove(of, None, before.attests, "algorithm", &mut body);
    body.done()?;
    taken(call, &id)?;
    let overlap = if panic {
        Overlap::Panic
    } else {
        Overlap::Seconds(overlap.unwrap_or(USUAL_OVERLAP))
    };
    let material = material.ok_or_else(made::off)?;
    let changes = rotate(&before, id, material, overlap, now).map_err(not_rotated)?;
    let configured = call.desk.configured();
    let mut shown = changes.iter().filter_map(|change| match change {
        Change::Put(Record::Key(key), _) => Some(made::key(key, &configured, now)),
        _ => None,
    });
    let (new, old) = (
        shown.next().unwrap_or_default(),
        shown.next().unwrap_or_default(),
    );
    drop(shown);
    let doing = Doing {
        what: if panic {
            "key.rotate-panic"
        } else {
            "key.rotate"
        },
        target: &Target::Key(before.id.clone()),
        before: made::key(&before, &configured, now),
        after: json!({ "old": old, "new": new }),
        changes,
        status: StatusCode::CREATED,
    };
    let mut answer = doing.run(call)?;
    let both = answer.body["after"].take();
    answer.body["after"] = both["old"].clone();
    answer.body["made"] = both["new"].clone();
    Ok(told(answer, printed.as_ref(), call))
}

/// `POST /v1/keys/{key}/retire`.
pub(super) fn retire(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    let now = call.now.unix_seconds();
    let mut body = call.body()?;
    let at = body.optional("at", values::when);
    to_come("at", at, now, &mut body);
    body.done()?;
    let life = match at {
        Some(at) => before.life.drain(now, Some(at), now),
        None => before.life.revoke(now),
    };
    let mut after = before.clone();
    after.life = life.map_err(not_so)?;
    put(call, "key.retire", &before, after)
}

/// `POST /v1/keys/{key}/revoke`.
pub(super) fn revoke(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    let now = call.now.unix_seconds();
    call.no_body()?;
    let mut after = before.clone();
    after.life = before.life.revoke(now).map_err(not_so)?;
    put(call, "key.revoke", &before, after)
}

/// `DELETE /v1/keys/{key}`.
pub(super) fn delete(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    let now = call.now.unix_seconds();
    call.no_body()?;
    if made::state(&before, now) != KeyState::Retired.name() {
        let problem = Problem::new(Code::State, "only a key that is retired is deleted");
        return Err(problem.hint("retire it first: nobody may be using it"));
    }
    let target = Target::Key(before.id.clone());
    let expected = Expect::Revision(before.revision);
    let mut changes = vec![Change::Remove(target.clone(), expected)];
    // Who followed it follows the one before it: of a chain that begins with the key which the app's
    // `tokens` name, none is lost.
    if let Some(first) = &before.rotated_from {
        let all = made::store(call)?.keys_of(&before.app);
        for mut key in all.map_err(|why| made::unread(&why))? {
            if key.rotated_from.as_deref() == Some(&*before.id) {
                let expected = Expect::Revision(key.revision);
                key.rotated_from = Some(first.clone());
                changes.push(Change::Put(Record::Key(key), expected));
            }
        }
    }
    let doing = Doing {
        what: "key.delete",
        target: &target,
        before: made::key(&before, &call.desk.configured(), now),
        after: Json::Null,
        changes,
        status: StatusCode::OK,
    };
    doing.run(call)
}

fn put(
    call: &Call<'_>,
    what: &'static str,
    before: &KeyRecord,
    after: KeyRecord,
) -> Result<Answer, Problem> {
    let configured = call.desk.configured();
    let now = call.now.unix_seconds();
    if after == *before {
        let shown = made::key(&after, &configured, now);
        return Ok(made::unchanged(call, &shown, before.revision));
    }
    let doing = Doing {
        what,
        target: &Target::Key(before.id.clone()),
        before: made::key(before, &configured, now),
        after: made::key(&after, &configured, now),
        changes: vec![Change::Put(
            Record::Key(after),
            Expect::Revision(before.revision),
        )],
        status: StatusCode::OK,
    };
    doing.run(call)
}

/// Adds the text of a key to the one answer that shows it.
fn told(mut answer: Answer, printed: Option<&Printed>, call: &Call<'_>) -> Answer {
    if let Some(printed) = printed {
        answer.body["secret"] = if call.dry_run {
            Json::Null
        } else {
            printed.expose().into()
        };
    }
    answer
}

/// That an end is not past: most likely it is a slip, and nothing takes a key's end back.
fn to_come(name: &str, end: Option<i64>, now: i64, body: &mut Fields) {
    if let Some(end) = end.filter(|end| *end <= now) {
        let why = format!("`{}` is past", values::moment(end));
        body.fault(name, Wrong::new(why, "a later moment"));
    }
}

fn fresh_id(app: &str) -> String {
    let mut random = [0; 5];
    crate::crypto::random(&mut random);
    format!("{app}-{}", BASE32_NOPAD.encode(&random).to_lowercase())
}

/// That no key of the file has that id: the new one would not be in force.
fn taken(call: &Call<'_>, id: &str) -> Result<(), Problem> {
    if call.desk.configured().keys.contains_key(id) {
        return Err(made::in_file("key", id));
    }
    Ok(())
}

fn changeable(call: &Call<'_>) -> Result<KeyRecord, Problem> {
    let id = call.part("key");
    if call.desk.configured().keys.contains_key(id) {
        return Err(made::in_file("key", id));
    }
    made::store(call)?;
    let key = record(call, id)?;
    call.matches(key.revision.0)?;
    Ok(key)
}

pub(super) fn record(call: &Call<'_>, id: &str) -> Result<KeyRecord, Problem> {
    let found = match call.desk.store() {
        Some(store) => store.key(id).map_err(|why| made::unread(&why))?,
        None => None,
    };
    found.ok_or_else(|| {
        let detail = format!("there is no key `{}`", shown(id));
        Problem::new(Code::NotFound, detail)
            .hint("`portcullis key list`, or `GET /v1/keys`, lists those that there are")
    })
}

fn not_so(why: NotSo) -> Problem {
    Problem::new(Code::State, why.to_string())
}

fn not_rotated(why: NotRotated) -> Problem {
    match why {
        NotRotated::SameId => Fault::new("/id", why.to_string()).into(),
        _ => Problem::new(Code::State, why.to_string()),
    }
}
