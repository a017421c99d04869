//! Of keys that are not known here.

use super::advice::LISTED;
use super::case::Case;
use super::ground::Ground;
use super::token::issuer;
use crate::schemes::{Refused, Why};

/// What is said of keys that are in no configuration.
const MADE: &str = "If it was made at run time (`portcullis key list`), the running gateway alone knows it: its access record has the reason";

/// Whether it is refused for a key that is none of the configuration, and may be one that was made at run time.
pub(super) fn may_be_made(refused: &Refused, case: Case<'_>) -> bool {
    let is_unknown = matches!(
        refused,
        Refused::Rejected {
            why: Why::UnknownKey,
            ..
        }
    );
    is_unknown && case.ground.may_be_made && issuer(case).is_none()
}

/// What to do about a key of this id that is not known here.
pub(super) fn advice(key_id: Option<&str>, ground: &Ground) -> String {
    let mut known: Vec<&str> = ground.registry.keys().map(|key| &*key.id).collect();
    known.sort_unstable();
    let id = key_id.unwrap_or("?");
    let more = if known.len() > LISTED { ", …" } else { "" };
    known.truncate(LISTED);
    let known = known.join("`, `");
    match (known.is_empty(), ground.may_be_made) {
        (true, false) => format!(
            "no key is known here, so that the signature cannot be checked: name `{id}` with `-c gateway.toml`, or `--key-id {id} --secret file:PATH`"
        ),
        (false, false) => format!("no key is called `{id}`; there are `{known}`{more}"),
        (true, true) => format!("no key is called `{id}` in `gateway.toml`; {MADE}"),
        (false, true) => {
            format!("no key is called `{id}` in `gateway.toml`; there are `{known}`{more}. {MADE}")
        }
    }
}
