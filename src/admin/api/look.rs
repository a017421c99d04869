//! Apps and keys, to look at.

use super::Answer;
use super::body::shown;
use super::call::Call;
use super::configured::IN_FILE;
use super::page::Page;
use super::problem::{Code, Problem};
use serde_json::Value as Json;

/// `GET /v1/apps`.
pub(super) fn apps(call: &Call<'_>) -> Result<Answer, Problem> {
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
    Ok(Answer::ok(page.show(
        items,
        |one| &one.0,
        |one| one.1.clone(),
    )))
}

/// `GET /v1/apps/{app}`.
pub(super) fn app(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("app");
    let configured = call.desk.configured();
    match configured.apps.get(name) {
        Some(app) => Ok(Answer::ok(app.shown(name))),
        None => Err(no_app(name)),
    }
}

/// `GET /v1/keys`.
pub(super) fn keys(call: &Call<'_>) -> Result<Answer, Problem> {
    let page = Page::of(call)?;
    let source = call.word("source")?;
    let configured = call.desk.configured();
    let app = call.query("app");
    if let Some(name) = app.filter(|name| !configured.apps.contains_key(*name)) {
        return Err(no_app(name));
    }
    let now = call.now.unix_seconds();
    let mut items: Vec<(String, Json)> = Vec::new();
    if source.is_none_or(|source| source == IN_FILE) {
        let there = configured.keys.iter();
        let there = there
            .filter(|(id, key)| page.comes_after(id) && app.is_none_or(|app| key.app == app))
            .take(page.limit + 1);
        items.extend(there.map(|(id, key)| (id.clone(), key.shown(id, now))));
    }
    Ok(Answer::ok(page.show(
        items,
        |one| &one.0,
        |one| one.1.clone(),
    )))
}

/// `GET /v1/keys/{key}`.
pub(super) fn key(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("key");
    let configured = call.desk.configured();
    match configured.keys.get(id) {
        Some(key) => Ok(Answer::ok(key.shown(id, call.now.unix_seconds()))),
        None => Err(no_key(id)),
    }
}

/// There is no such app.
pub(super) fn no_app(name: &str) -> Problem {
    let detail = format!("there is no app `{}`", shown(name));
    Problem::new(Code::NotFound, detail).hint("`GET /v1/apps` lists those that there are")
}

/// There is no such key.
pub(super) fn no_key(id: &str) -> Problem {
    let detail = format!("there is no key `{}`", shown(id));
    Problem::new(Code::NotFound, detail).hint("`GET /v1/keys` lists those that there are")
}
