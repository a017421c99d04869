//! Apps: to look at, and those of the registry to change.

use super::Answer;
use super::body::{Fields, shown};
use super::call::{Call, etag};
use super::configured::IN_FILE;
use super::made::{self, Doing};
use super::page::Page;
use super::problem::{Code, Fault, Problem};
use super::values;
use crate::apps::made::{AppRecord, Change, Expect, Record, Revision, Target};
use crate::apps::{TokenPolicy, is_build};
use http::StatusCode;
use serde_json::Value as Json;

/// `GET /v1/apps`.
pub(super) fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let page = Page::of(call)?;
    let source = call.word("source")?;
    let configured = call.desk.configured();
    let mut items: Vec<(String, Json)> = Vec::new();
    if source.is_none_or(|source| source == IN_FILE) {
        let there = configured.apps.iter();
        let there = there.filter(|(name, _)| page.comes_after(name));
        let there = there.take(page.limit + 1);
        items.extend(there.map(|(name, app)| (name.clone(), app.shown(name))));
    }
    let mut more = false;
    if let Some(store) = call.desk.store().filter(|_| source != Some(IN_FILE)) {
        let (some, are_more) = page
            .of_store(|page| store.apps(page))
            .map_err(|why| made::unread(&why))?;
        let some = some.iter();
        items.extend(some.map(|app| (app.name.clone(), made::app(app, &configured))));
        more = are_more;
    }
    Ok(Answer::ok(page.show(items, more)))
}

/// `GET /v1/apps/{app}`.
pub(super) fn show(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("app");
    let configured = call.desk.configured();
    if let Some(app) = configured.apps.get(name) {
        return Ok(Answer::ok(app.shown(name)));
    }
    let app = record(call, name)?;
    Ok(Answer::ok(made::app(&app, &configured)).tagged(Some(etag(app.revision.0))))
}

/// `POST /v1/apps`.
pub(super) fn create(call: &Call<'_>) -> Result<Answer, Problem> {
    made::store(call)?;
    let mut body = call.body()?;
    let name = body.required("name", values::name);
    let mut app = AppRecord {
        name: name.unwrap_or_default(),
        plan: None,
        scopes: Vec::new(),
        enabled: true,
        explain: false,
        mode: crate::apps::Mode::default(),
        downgrade: crate::apps::Downgrade::default(),
        tokens: None,
        made_at: call.now.unix_seconds(),
        revision: Revision::default(),
    };
    changed(&mut app, &mut body);
    body.done()?;
    let _turn = made::turn(call)?;
    let configured = call.desk.configured();
    if configured.apps.contains_key(&app.name) {
        return Err(made::in_file("app", &app.name));
    }
    made::known_plan(app.plan.as_deref(), &configured)?;
    made::known_issuers(app.tokens.as_ref(), &configured)?;
    let doing = Doing {
        what: "app.create",
        target: &Target::App(app.name.clone()),
        before: Json::Null,
        after: made::app(&app, &configured),
        changes: vec![Change::Put(Record::App(app), Expect::Absent)],
        status: StatusCode::CREATED,
    };
    doing.run(call)
}

/// `PATCH /v1/apps/{app}`.
pub(super) fn change(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    let mut body = call.body()?;
    let mut after = before.clone();
    changed(&mut after, &mut body);
    body.done()?;
    let _turn = made::turn(call)?;
    let configured = call.desk.configured();
    if after.plan != before.plan {
        made::known_plan(after.plan.as_deref(), &configured)?;
    }
    // The rest of one that names an issuer which is gone can still be changed.
    if after.tokens != before.tokens {
        made::known_issuers(after.tokens.as_ref(), &configured)?;
    }
    put(call, "app.change", &before, after)
}

/// `PUT /v1/apps/{app}/builds/{build}`.
pub(super) fn take_build(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    call.no_body()?;
    let build = build(call)?;
    let mut after = before.clone();
    let policy = served(&mut after)?;
    if !policy.builds.iter().any(|one| **one == *build) {
        policy.builds.push(build.into());
        policy
            .check()
            .map_err(|why| Fault::new("path build", why.to_string()))?;
    }
    put(call, "app.take-build", &before, after)
}

/// `DELETE /v1/apps/{app}/builds/{build}`.
pub(super) fn refuse_build(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    call.no_body()?;
    let build = build(call)?;
    let mut after = before.clone();
    let policy = served(&mut after)?;
    let lists_none = policy.builds.is_empty();
    policy.builds.retain(|one| **one != *build);
    // None listed is every build: the last one that is taken off would let all in.
    if policy.builds.is_empty() {
        let why = if lists_none {
            "every build gets tokens: list those that may, and it is none of them"
        } else {
            "it is the only build that gets tokens"
        };
        let problem = Problem::new(Code::State, why);
        return Err(
            problem.hint("list another one first, `PUT …/builds/BUILD`; or disable the app")
        );
    }
    put(call, "app.refuse-build", &before, after)
}

/// How the key service serves an app, where it does.
fn served(app: &mut AppRecord) -> Result<&mut TokenPolicy, Problem> {
    app.tokens.as_mut().ok_or_else(|| {
        Problem::new(Code::State, "the key service does not serve this app")
            .hint("`tokens` of the app says how it does")
    })
}

fn build(call: &Call<'_>) -> Result<String, Problem> {
    let build = call.part("build");
    if is_build(build) {
        return Ok(build.to_owned());
    }
    let fault = Fault::new("path build", "cannot name a build");
    Err(fault
        .accepted("1 to 64 visible ASCII characters without `\"` and `\\`")
        .into())
}

fn put(
    call: &Call<'_>,
    what: &'static str,
    before: &AppRecord,
    after: AppRecord,
) -> Result<Answer, Problem> {
    let configured = call.desk.configured();
    if after == *before {
        let shown = made::app(&after, &configured);
        return Ok(made::unchanged(call, &shown, before.revision));
    }
    let expected = Expect::Revision(before.revision);
    let doing = Doing {
        what,
        target: &Target::App(before.name.clone()),
        before: made::app(before, &configured),
        after: made::app(&after, &configured),
        changes: vec![Change::Put(Record::App(after), expected)],
        status: StatusCode::OK,
    };
    doing.run(call)
}

/// `DELETE /v1/apps/{app}`.
pub(super) fn delete(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = changeable(call)?;
    call.no_body()?;
    let target = Target::App(before.name.clone());
    let expected = Expect::Revision(before.revision);
    let doing = Doing {
        what: "app.delete",
        target: &target,
        before: made::app(&before, &call.desk.configured()),
        after: Json::Null,
        changes: vec![Change::Remove(target.clone(), expected)],
        status: StatusCode::OK,
    };
    doing.run(call)
}

/// What a body says of an app, put into it. What is `null` is as if it had never been said.
fn changed(app: &mut AppRecord, body: &mut Fields) {
    if let Some(plan) = body.change("plan", values::name) {
        app.plan = plan;
    }
    if let Some(scopes) = body.change("scopes", values::scopes) {
        app.scopes = scopes.unwrap_or_default();
    }
    if let Some(enabled) = body.change("enabled", values::flag) {
        app.enabled = enabled.unwrap_or(true);
    }
    if let Some(explain) = body.change("explain", values::flag) {
        app.explain = explain.unwrap_or_default();
    }
    if let Some(mode) = body.change("mode", values::mode) {
        app.mode = mode.unwrap_or_default();
    }
    if let Some(downgrade) = body.change("downgrade", values::downgrade) {
        app.downgrade = downgrade.unwrap_or_default();
    }
    if let Some(tokens) = body.change("tokens", values::tokens) {
        app.tokens = tokens;
    }
}

/// The app of a path, where it is one that can be changed, and the call is of its revision.
fn changeable(call: &Call<'_>) -> Result<AppRecord, Problem> {
    let name = call.part("app");
    if call.desk.configured().apps.contains_key(name) {
        return Err(made::in_file("app", name));
    }
    made::store(call)?;
    let app = record(call, name)?;
    call.matches(app.revision.0)?;
    Ok(app)
}

fn record(call: &Call<'_>, name: &str) -> Result<AppRecord, Problem> {
    let Some(store) = call.desk.store() else {
        return Err(missing(name));
    };
    let found = store.app(name).map_err(|why| made::unread(&why))?;
    found.ok_or_else(|| missing(name))
}

/// There is no such app.
pub(super) fn missing(name: &str) -> Problem {
    let detail = format!("there is no app `{}`", shown(name));
    Problem::new(Code::NotFound, detail)
        .hint("`portcullis app list`, or `GET /v1/apps`, lists those that there are")
}

/// That there is such an app, in the file or in the registry.
pub(super) fn exists(call: &Call<'_>, name: &str) -> Result<(), Problem> {
    if call.desk.configured().apps.contains_key(name) {
        return Ok(());
    }
    record(call, name).map(drop)
}

/// The app of the registry that a new thing is to belong to.
pub(super) fn owner(call: &Call<'_>, name: &str) -> Result<(), Problem> {
    if call.desk.configured().apps.contains_key(name) {
        return Err(made::in_file("app", name)
            .hint("what is made at run time belongs to an app that was: `portcullis app create`"));
    }
    made::store(call)?;
    record(call, name).map(drop)
}
