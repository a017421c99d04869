//! What the registry holds, as the API shows it, and how it is changed there.

use super::body::shown;
use super::call::{Call, etag};
use super::configured::IN_FILE;
use super::problem::{Code, Fault, Problem};
use super::values::moment;
use super::{Answer, Changing, Configured};
use crate::apps::made::{
    AppRecord, AuditEntry, Change, EnrolmentRecord, InstanceRecord, KeyRecord, Material, Outcome,
    Revision, Store, Target, Unreadable, Write, WriteError,
};
use crate::apps::{Scheme, SchemeSet, TokenPolicy};
use http::StatusCode;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where what can be changed stands.
pub(super) const IN_REGISTRY: &str = "registry";

/// The registry, for a call that needs it.
///
/// # Errors
/// There is none.
pub(super) fn store<'c>(call: &'c Call<'_>) -> Result<&'c Arc<dyn Store>, Problem> {
    call.desk.store().ok_or_else(off)
}

/// There is no registry.
pub(super) fn off() -> Problem {
    Problem::new(
        Code::Off,
        "`[state] registry` is off, so nothing is made at run time",
    )
    .hint("take `registry = \"off\"` out of the configuration, and restart the gateway")
}

/// An app of the registry.
pub(super) fn app(app: &AppRecord, configured: &Configured) -> Json {
    json!({
        "name": app.name,
        "source": IN_REGISTRY,
        "plan": app.plan,
        "scopes": app.scopes,
        "enabled": app.enabled,
        "explain": app.explain,
        "mode": app.mode.name(),
        "downgrade": app.downgrade.name(),
        "tokens": app.tokens,
        "made_at": moment(app.made_at),
        "in_force": !configured.apps.contains_key(&app.name),
    })
}

/// A key of the registry, at a time. Never its secret, nor what is kept of that.
pub(super) fn key(key: &KeyRecord, configured: &Configured, now: i64) -> Json {
    let (kind, public) = match &key.material {
        Material::Secret { .. } => ("secret", None),
        Material::Public { public, .. } => ("public-key", Some(public)),
        Material::Pair { public, .. } => ("pair", Some(public)),
        Material::Static { .. } => ("static", None),
    };
    let schemes: Vec<&str> = schemes(key).iter().map(|one| one.name()).collect();
    let taken = configured.keys.contains_key(&key.id) || configured.apps.contains_key(&key.app);
    json!({
        "id": key.id,
        "app": key.app,
        "source": IN_REGISTRY,
        "kind": kind,
        "algorithm": key.material.algorithm().map(crate::crypto::Algorithm::name),
        "public_key": public,
        "state": state(key, now),
        "schemes": schemes,
        "draining_from": key.life.draining.map(moment),
        "retired_from": key.life.retired.map(moment),
        "not_before": key.life.active.map(moment),
        "not_after": key.not_after.map(moment),
        "honey": key.honey,
        "attests": key.attests,
        "made_at": moment(key.made_at),
        "rotated_from": key.rotated_from,
        "in_force": !taken,
    })
}

/// What a key may prove.
pub(super) fn schemes(key: &KeyRecord) -> Vec<Scheme> {
    let is_static = matches!(key.material, Material::Static { .. });
    let usual: Vec<Scheme> = if is_static {
        vec![Scheme::ApiKey]
    } else {
        SchemeSet::of_keys().iter().collect()
    };
    let said = key.schemes.as_ref().unwrap_or(&usual).iter().copied();
    // What is in force: one that attests proves tokens alone.
    said.filter(|one| is_static || !key.attests || *one == Scheme::Token)
        .collect()
}

/// What a key can prove: of what it may, what its algorithm does.
pub(super) fn provable(key: &KeyRecord) -> Vec<Scheme> {
    let algorithm = key.material.algorithm();
    let can = |one: &Scheme| algorithm.is_none_or(|algorithm| one.takes(algorithm));
    schemes(key).into_iter().filter(can).collect()
}

/// The state of a key at a time.
pub(super) fn state(key: &KeyRecord, now: i64) -> &'static str {
    if key.not_after.is_some_and(|end| now >= end) {
        return "retired";
    }
    key.life.state(now).name()
}

/// An instance.
pub(super) fn instance(one: &InstanceRecord) -> Json {
    json!({
        "id": one.id,
        "app": one.app,
        "public_key": one.public,
        "thumbprint": one.thumbprint,
        "build": one.build,
        "enabled": one.enabled,
        "enrolled_at": moment(one.enrolled_at),
        "last_seen": one.last_seen.map(moment),
    })
}

/// A code to enrol by. The code itself is known to who was told it.
pub(super) fn enrolment(one: &EnrolmentRecord, now: i64) -> Json {
    json!({
        "id": one.hash,
        "app": one.app,
        "build": one.build,
        "expires": moment(one.expires),
        "expired": now >= one.expires || one.uses == 0,
        "uses_left": one.uses,
        "made_at": moment(one.made_at),
    })
}

/// What a write is to do.
pub(super) struct Doing<'d> {
    /// What, in the words of the audit.
    pub(super) what: &'static str,
    /// To what.
    pub(super) target: &'d Target,
    /// What it was.
    pub(super) before: Json,
    /// What it will be.
    pub(super) after: Json,
    /// How.
    pub(super) changes: Vec<Change>,
    /// Its status when it is done.
    pub(super) status: StatusCode,
}

impl Doing<'_> {
    /// Does it, or on a dry run looks whether it could be done. Answers with what was and what is.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(super) fn run(self, call: &Call<'_>) -> Result<Answer, Problem> {
        let store = store(call)?;
        let shown = |json: &Json| (!json.is_null()).then(|| json.clone());
        let audit = AuditEntry {
            at: call.now.unix_seconds(),
            who: call.who.name.clone(),
            what: self.what.to_owned(),
            target: place(self.target),
            before: shown(&self.before),
            after: shown(&self.after),
            outcome: Outcome::Done,
            times: 1,
        };
        let written = store.write(Write {
            changes: self.changes,
            audit,
            dry_run: call.dry_run,
        });
        let revision = written.map_err(|why| unwritten(&why))?;
        if !call.dry_run {
            let (who, what) = (&*call.who.name, self.what);
            let target = place(self.target);
            tracing::info!(who, what, target, "changed by the admin API");
        }
        let is_there = !self.after.is_null() && !call.dry_run;
        let mut answer = Answer::ok(json!({
            "dry_run": call.dry_run,
            "before": self.before,
            "after": self.after,
        }))
        .tagged(is_there.then(|| etag(revision.0)));
        answer.status = self.status;
        Ok(answer)
    }
}

/// An answer to what changes nothing: it is so already.
pub(super) fn unchanged(call: &Call<'_>, thing: &Json, revision: Revision) -> Answer {
    Answer::ok(json!({ "dry_run": call.dry_run, "before": thing, "after": thing }))
        .tagged(Some(etag(revision.0)))
}

/// How the audit names a thing.
pub(super) fn place(target: &Target) -> String {
    let kind = match target {
        Target::App(_) => "app",
        Target::Key(_) => "key",
        Target::Instance(_) => "instance",
        Target::Enrolment(_) => "enrolment",
    };
    format!("{kind}/{}", target.id())
}

/// The registry cannot be read.
pub(super) fn unread(why: &Unreadable) -> Problem {
    Problem::new(Code::Unreadable, why.to_string())
        .hint("what is in force stays in force; the log of the gateway tells more")
}

/// Why nothing was written.
pub(super) fn unwritten(why: &WriteError) -> Problem {
    let told = why.to_string();
    match why {
        WriteError::Conflict { current, .. } => Problem::new(Code::Stale, told)
            .hint("read it again, see what has changed, and send the change with the new tag")
            .tagged(etag(current.0)),
        WriteError::Exists(_) => Problem::new(Code::Exists, told)
            .hint("a repeated call changes nothing: look at what is there, or choose another name"),
        WriteError::Missing(_) => Problem::new(Code::NotFound, told),
        WriteError::Invalid(_) => Problem::new(Code::Invalid, told),
        WriteError::TooMany { .. } => Problem::new(Code::TooMany, told)
            .hint("delete keys that are retired, or make another app"),
        WriteError::Busy => Problem::new(Code::Busy, told).retry_after(1),
        WriteError::Closed => Problem::new(Code::Unwritable, told)
            .hint("ask the process that goes on, or this one when it is back"),
        WriteError::Unconfirmed(_) | WriteError::Unknown(_) => Problem::new(Code::Unwritable, told)
            .hint("look at the disk of `[state] directory`, and at what there is now before you ask again"),
        WriteError::Unwritable(_) => Problem::new(Code::Unwritable, told)
            .hint("what is in force stays in force: free the disk of `[state] directory`, or let its owner write there, unless the reason says what else to do"),
    }
}

/// What stands in the file is changed there.
pub(super) fn in_file(what: &str, name: &str) -> Problem {
    Problem::new(
        Code::Configured,
        format!("{what} `{name}` stands in {IN_FILE}"),
    )
    .hint("change it there: it is read again when it is saved, or by `POST /v1/reload`")
}

/// Begins a change that is judged by the configuration: until what comes back is dropped no reload takes away what
/// the change names.
///
/// # Errors
/// A reload takes too long.
pub(super) fn turn<'c>(call: &'c Call<'_>) -> Result<Option<Changing<'c>>, Problem> {
    let Some(turns) = call.desk.turns() else {
        return Ok(None);
    };
    let turn = turns.change().ok_or_else(|| {
        let detail = "the configuration is being read again, which takes long; nothing was changed";
        Problem::new(Code::Busy, detail).retry_after(1)
    });
    turn.map(Some)
}

/// A plan that the configuration has.
pub(super) fn known_plan(plan: Option<&str>, configured: &Configured) -> Result<(), Problem> {
    let Some(plan) = plan.filter(|plan| !configured.plans.contains(*plan)) else {
        return Ok(());
    };
    Err(Fault::new("/plan", format!("there is no plan `{plan}`"))
        .accepted(one_of("plan", &configured.plans))
        .into())
}

/// Issuers that the configuration has, of the workloads of an app.
pub(super) fn known_issuers(
    tokens: Option<&TokenPolicy>,
    configured: &Configured,
) -> Result<(), Problem> {
    let workloads = tokens.into_iter().flat_map(|policy| &policy.workloads);
    let mut named = workloads.map(|one| &*one.issuer);
    let Some(issuer) = named.find(|issuer| !configured.issuers.contains(*issuer)) else {
        return Ok(());
    };
    let detail = format!("there is no issuer `{}`", shown(issuer));
    Err(Fault::new("/tokens", detail)
        .accepted(one_of("issuer", &configured.issuers))
        .into())
}

fn one_of(kind: &str, names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return format!("no {kind} stands in gateway.toml yet: `[{kind}s.NAME]`");
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
