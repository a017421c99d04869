//! Static keys, as `check` tells them. Hashes are not shown: nobody needs them.

use super::date;
use crate::apps::StaticKey;
use crate::gateway::StaticKeys;
use serde_json::{Value as Json, json};

/// What is the same for all static keys.
pub(super) fn all(keys: &StaticKeys) -> Json {
    json!({ "keys": keys.list.len(), "notice": keys.notice.to_string() })
}

pub(super) fn one(known: &StaticKey) -> Json {
    json!({
        "id": &*known.id,
        "not_before": known.not_before.map(date),
        "not_after": known.not_after.map(date),
        "enabled": known.enabled,
    })
}
