//! Instances of apps, and the codes by which they enrol.

use super::Answer;
use super::apps;
use super::body::shown;
use super::call::{Call, etag};
use super::made::{self, Doing};
use super::page::Page;
use super::problem::{Code, Fault, Problem};
use super::values;
use crate::apps::made::{
    Change, EnrolmentRecord, Expect, InstanceRecord, Kind, Printed, Record, Revision, Target,
};
use crate::crypto::digest::sha256;
use data_encoding::HEXLOWER;
use http::StatusCode;
use serde_json::Value as Json;

/// How long a code may be used where it is not said: an hour.
const USUAL_LIFE: u32 = 3_600;

/// `GET /v1/instances`.
pub(super) fn instances(call: &Call<'_>) -> Result<Answer, Problem> {
    let (page, app) = (Page::of(call)?, of_app(call)?);
    let store = made::store(call)?;
    let (items, more) = page
        .of_store(|page| store.instances_of(&app, page))
        .map_err(|why| made::unread(&why))?;
    let items = items
        .iter()
        .map(|one| (one.id.clone(), made::instance(one)));
    Ok(Answer::ok(page.show(items.collect(), more)))
}

/// `GET /v1/instances/{instance}`.
pub(super) fn instance(call: &Call<'_>) -> Result<Answer, Problem> {
    let one = record(call)?;
    Ok(Answer::ok(made::instance(&one)).tagged(Some(etag(one.revision.0))))
}

/// `POST /v1/instances/{instance}/revoke`.
pub(super) fn revoke(call: &Call<'_>) -> Result<Answer, Problem> {
    let before = record(call)?;
    call.matches(before.revision.0)?;
    call.no_body()?;
    if !before.enabled {
        let shown = made::instance(&before);
        return Ok(made::unchanged(call, &shown, before.revision));
    }
    let after = InstanceRecord {
        enabled: false,
        ..before.clone()
    };
    let expected = Expect::Revision(before.revision);
    let doing = Doing {
        what: "instance.revoke",
        target: &Target::Instance(before.id.clone()),
        before: made::instance(&before),
        after: made::instance(&after),
        changes: vec![Change::Put(Record::Instance(after), expected)],
        status: StatusCode::OK,
    };
    doing.run(call)
}

/// `GET /v1/enrolments`.
pub(super) fn enrolments(call: &Call<'_>) -> Result<Answer, Problem> {
    let (page, app) = (Page::of(call)?, of_app(call)?);
    let now = call.now.unix_seconds();
    let store = made::store(call)?;
    let (items, more) = page
        .of_store(|page| store.enrolments_of(&app, page))
        .map_err(|why| made::unread(&why))?;
    let items = items
        .iter()
        .map(|one| (one.hash.clone(), made::enrolment(one, now)));
    Ok(Answer::ok(page.show(items.collect(), more)))
}

/// `POST /v1/enrolments`.
pub(super) fn enrol(call: &Call<'_>) -> Result<Answer, Problem> {
    made::store(call)?;
    let now = call.now.unix_seconds();
    let mut body = call.body()?;
    let app = body.required("app", values::name).unwrap_or_default();
    let build = body.optional("build", values::build);
    let life = body.optional("expires_in", values::seconds);
    let uses = body.optional("uses", values::uses);
    body.done()?;
    apps::owner(call, &app)?;
    let printed = Printed::new(Kind::Enrolment);
    let code = EnrolmentRecord {
        hash: HEXLOWER.encode(&sha256(&[printed.expose().as_bytes()])),
        app,
        build,
        expires: now + i64::from(life.unwrap_or(USUAL_LIFE)),
        uses: uses.unwrap_or(1),
        made_at: now,
        revision: Revision::default(),
    };
    let doing = Doing {
        what: "enrolment.create",
        target: &Target::Enrolment(code.hash.clone()),
        before: Json::Null,
        after: made::enrolment(&code, now),
        changes: vec![Change::Put(Record::Enrolment(code), Expect::Absent)],
        status: StatusCode::CREATED,
    };
    let mut answer = doing.run(call)?;
    answer.body["code"] = if call.dry_run {
        Json::Null
    } else {
        printed.expose().into()
    };
    Ok(answer)
}

/// `DELETE /v1/enrolments/{enrolment}`.
pub(super) fn withdraw(call: &Call<'_>) -> Result<Answer, Problem> {
    let hash = call.part("enrolment");
    let store = made::store(call)?;
    let found = store.enrolment(hash).map_err(|why| made::unread(&why))?;
    let before = found.ok_or_else(|| {
        let detail = format!("there is no code with the id `{}`", shown(hash));
        Problem::new(Code::NotFound, detail).hint("a code that is used up or withdrawn is gone")
    })?;
    call.matches(before.revision.0)?;
    call.no_body()?;
    let target = Target::Enrolment(before.hash.clone());
    let doing = Doing {
        what: "enrolment.withdraw",
        target: &target,
        before: made::enrolment(&before, call.now.unix_seconds()),
        after: Json::Null,
        changes: vec![Change::Remove(
            target.clone(),
            Expect::Revision(before.revision),
        )],
        status: StatusCode::OK,
    };
    doing.run(call)
}

/// The app that a list is of.
fn of_app(call: &Call<'_>) -> Result<String, Problem> {
    let app = call
        .query("app")
        .ok_or_else(|| Fault::new("query app", "is missing").accepted("the name of an app"))?;
    apps::exists(call, app)?;
    Ok(app.to_owned())
}

fn record(call: &Call<'_>) -> Result<InstanceRecord, Problem> {
    let id = call.part("instance");
    let found = made::store(call)?
        .instance(id)
        .map_err(|why| made::unread(&why))?;
    found.ok_or_else(|| {
        let detail = format!("there is no instance `{}`", shown(id));
        Problem::new(Code::NotFound, detail)
            .hint("`portcullis instance list NAME` lists those of an app")
    })
}
