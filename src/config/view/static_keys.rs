//! Static keys, as `check` tells them. Hashes are not shown: nobody needs them.

use super::keys::Notes;
use super::{Fingerprints, date};
use crate::apps::StaticKey;
use crate::gateway::Blueprint;
use crate::route::{KeyPlaces, KeyWord};
use serde_json::{Value as Json, json};

/// What is the same for all static keys, where there can be any.
pub(super) fn all(gateway: &Blueprint) -> Option<Json> {
    let keys = gateway.static_keys.as_ref();
    // Every route has the same.
    let places = gateway.routes.routes().first();
    let places = places.and_then(|route| route.key_places.as_deref());
    if keys.is_none() && places.is_none() {
        return None;
    }
    let sunset = keys.and_then(|keys| keys.notice.sunset());
    Some(json!({
        "keys": keys.map_or(0, |keys| keys.list.len()),
        "notice": keys.map(|keys| keys.notice.to_string()),
        "sunset": sunset.map(date),
        "headers": places.map(headers),
        "unsafe_query_parameter": places.and_then(|places| places.query.as_deref()),
    }))
}

/// Where keys may stand, as the file says it.
fn headers(places: &KeyPlaces) -> Vec<String> {
    let fields = places.fields.iter().map(ToString::to_string);
    let words = places.authorization.iter().copied().map(KeyWord::name);
    fields
        .chain(words.map(|word| format!("Authorization: {word}")))
        .collect()
}

pub(super) fn one(known: &StaticKey, notes: &Notes<'_>) -> Json {
    json!({
        "id": &*known.id,
        "secret": notes.get(&*known.id).map(|note| &note.secret),
        "not_before": known.not_before.map(date),
        "not_after": known.not_after.map(date),
        "enabled": known.enabled,
    })
}

/// Takes the fingerprints of the hashes that stand in the file. Other keys are read from secrets, which
/// have one already.
pub(super) fn take_hashes(gateway: &Blueprint, notes: &Notes<'_>, fingerprints: &mut Fingerprints) {
    let all = gateway.static_keys.iter().flat_map(|keys| &keys.list);
    for one in all.filter(|one| !notes.contains_key(&*one.id)) {
        let key = format!("apps.{}.api_keys.{}.hash", one.app.name, one.id);
        fingerprints.add_hash(key, &one.hash);
    }
}
