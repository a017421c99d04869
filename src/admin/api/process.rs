//! The gateway itself: what it is, and its configuration.

use super::call::Call;
use super::openapi;
use super::problem::{Code, Problem};
use super::{Answer, Reloaded};
use serde_json::json;

/// `GET /v1/openapi.json`.
#[expect(clippy::unnecessary_wraps, reason = "as every operation answers")]
pub(super) fn document(_: &Call<'_>) -> Result<Answer, Problem> {
    Ok(Answer::ok(openapi::document()))
}

/// `GET /v1/status`.
#[expect(clippy::unnecessary_wraps, reason = "as every operation answers")]
pub(super) fn status(call: &Call<'_>) -> Result<Answer, Problem> {
    let configured = call.desk.configured();
    Ok(Answer::ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "serving": call.desk.is_serving(),
        "role": call.who.role.name(),
        "configured": { "apps": configured.apps.len(), "keys": configured.keys.len() },
        "registry": call.desk.store().map(|store| json!({
            "writable": store.is_writable(),
            "revision": store.revision().0,
        })),
    })))
}

/// `POST /v1/reload`.
pub(super) fn reload(call: &Call<'_>) -> Result<Answer, Problem> {
    call.no_body()?;
    match call.desk.reload(call.dry_run) {
        Ok(Reloaded { changes, warnings }) => Ok(Answer::ok(
            json!({ "dry_run": call.dry_run, "changes": changes, "warnings": warnings }),
        )),
        Err(why) => {
            let hint = not_reloaded(&why, call.desk.is_serving());
            Err(Problem::new(Code::NotReloaded, why).hint(hint))
        }
    }
}

/// What to do about it. Where the file itself is good, `check` has nothing to tell.
fn not_reloaded(why: &str, is_serving: bool) -> &'static str {
    if !is_serving {
        "the file is read when a gateway starts; `--admin URL` names one that runs elsewhere"
    } else if why.ends_with("needs a restart; nothing was changed") {
        "what was in force still is: restart the gateway, or take that change back"
    } else if why.ends_with("nothing was changed") {
        "what was in force still is"
    } else {
        "what was in force still is; `portcullis check` tells what is wrong with the file"
    }
}
