//! `[api_keys]`, and the static keys of apps.

use super::Gathered;
use crate::apps::{App, KeyHash, MAX_STATIC_KEY, MIN_STATIC_KEY, Pepper, Scheme, StaticKey, Uses};
use crate::config::file::{self, File};
use crate::config::read::At;
use crate::config::secrets::{Places, Reference};
use crate::config::static_keys::PlaceOfKey;
use crate::config::view::KeyNote;
use crate::config::words::Accepted;
use crate::crypto::{Algorithm, HmacKey};
use crate::gateway::{Notice, StaticKeys};
use crate::route::{KeyPlaces, KeyWord, ReplayPolicy};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Since when callers are told, unless it is said: 2026-11-01.
const DEPRECATED: i64 = 1_793_491_200;
/// The pepper's file in `[state] directory`, unless it is said where that is.
const PEPPER: &str = "api-keys.pepper";

/// Whether there is a registry, whose apps may have static keys.
fn has_registry(file: &File) -> bool {
    let place = file.state.registry.as_ref();
    place.is_none_or(|place| place.value.0.is_some())
}

/// Whether any app has a static key, or one of the registry may: some route accepts them.
fn are_used(file: &File) -> bool {
    let mut apps = file.apps.entries.iter().filter_map(|(_, app)| app.as_ref());
    let accepts = |route: &file::Route| {
        let mut list = route.accept.get().into_iter().flat_map(|list| &list.0);
        list.any(|one| one.value == Accepted::Proven(Scheme::ApiKey))
    };
    apps.any(|app| !app.api_keys.0.is_empty())
        || has_registry(file) && file.routes.0.iter().any(accepts)
}

/// Where keys stand, on every route; nowhere where no app can have any.
pub(super) fn places(file: &File) -> Option<Arc<KeyPlaces>> {
    let keys = &file.api_keys;
    let unread = !are_used(file);
    if unread && !has_registry(file) {
        return None;
    }
    let mut places = KeyPlaces {
        unread,
        query: keys
            .unsafe_query_parameter
            .as_ref()
            .map(|name| name.value.0.clone()),
        ..KeyPlaces::default()
    };
    for place in &keys.headers.0 {
        match &place.value {
            PlaceOfKey::Field(name) => places.fields.push(name.clone()),
            PlaceOfKey::Authorization(word) => places.authorization.push(*word),
        }
    }
    Some(Arc::new(places))
}

/// The static keys of every app, by [`App::index`], and their hashes.
pub(super) fn static_keys(
    file: &File,
    apps: &[Arc<App>],
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<StaticKeys> {
    warn(file, gathered);
    let keys = &file.api_keys;
    if let Some(sunset) = &keys.sunset {
        let draft = sunset.problem("static keys are no longer taken");
        let draft = draft.hint("take `api_keys` away from apps, or give a later `sunset`");
        gathered.dated.push((sunset.value.0, draft.warning()));
    }
    if !are_used(file) {
        return None;
    }
    let pepper = pepper(file, places, gathered)?;
    let sunset = keys.sunset.as_ref().map(|at| at.value.0);
    let mut seen = HashMap::new();
    let mut list = Vec::new();
    for app in apps {
        let Some((_, Some(written))) = file.apps.entries.get(app.index) else {
            continue;
        };
        let uses = Arc::new(Uses::default());
        for one in &written.api_keys.0 {
            let Some(known) = known(one, app, &uses, &pepper, sunset, places, gathered) else {
                continue;
            };
            // A secret that is not read has the hash of nothing.
            let is_read = one.hash.is_some() || places.reads_files();
            if is_read && let Some(first) = seen.insert(known.hash, known.id.clone()) {
                let at = one.id.get()?;
                gathered.problem(
                    at.problem(format!("this is the same key as `{first}`"))
                        .accepted("a key stands once, whichever the app"),
                );
                continue;
            }
            list.push(known);
        }
    }
    let deprecated = keys
        .deprecation
        .as_ref()
        .map_or(DEPRECATED, |at| at.value.0);
    let link = keys.link.as_ref().map(|link| &*link.value.0);
    Some(StaticKeys {
        pepper,
        list,
        notice: Notice::new(deprecated.max(0), link, sunset),
    })
}

/// The secret that keys are hashed under.
pub(in crate::config) fn pepper(
    file: &File,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Pepper> {
    let usual = || At {
        value: Reference::Generated(Path::new(&file.state.directory.0).join(PEPPER)),
        span: 0..0,
        key: "api_keys.pepper".to_owned(),
    };
    let at = file.api_keys.pepper.clone().unwrap_or_else(usual);
    // Before it was made in `state`, whatever `directory` said: another one would void all hashes.
    let before = places.directory.join("state").join(PEPPER);
    if let (None, Reference::Generated(path)) = (&file.api_keys.pepper, &at.value)
        && !places.directory.join(path).exists()
        && before.exists()
    {
        let found = format!("`{PEPPER}` lies in `state`, and not in `[state] directory`");
        let hint = format!("move `{}` to `{}`", before.display(), path.display());
        gathered.problem(at.problem(found).hint(&hint));
        return None;
    }
    // A hash says that there was one.
    let mut apps = file.apps.entries.iter().filter_map(|(_, app)| app.as_ref());
    let has_hash = |app: &file::App| app.api_keys.0.iter().any(|key| key.hash.is_some());
    if places.lacks(&at.value) && apps.any(has_hash) {
        let pepper = &at.value;
        let found = format!("`{pepper}` is missing, and static keys are hashed under it");
        let draft = at.problem(found).hint(
            "bring it back from a copy; where there is none, these keys are void: take each entry with a `hash` away",
        );
        // On another machine than the gateway's it is nowhere.
        if !places.only_looks() {
            gathered.problem(draft);
            return None;
        }
        gathered.problem(draft.warning());
    }
    let opened = places.open(&at.value);
    let Some(secret) = gathered.take(&at, opened)?.secret else {
        return Some(Pepper::new(HmacKey::dummy(Algorithm::HmacSha256)));
    };
    match HmacKey::of_ours(&secret) {
        Ok(pepper) => Some(Pepper::new(pepper)),
        Err(bad) => {
            gathered.problem(at.problem(bad.to_string()).hint(
                "`generated:PATH` makes one at the first start; it must stay the same, or all hashes are void",
            ));
            None
        }
    }
}

fn known(
    one: &file::ApiKey,
    app: &Arc<App>,
    uses: &Arc<Uses>,
    pepper: &Pepper,
    sunset: Option<i64>,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<StaticKey> {
    super::apps::dates(one.not_before.as_ref(), one.not_after.as_ref(), gathered);
    let id = one.id.get()?;
    let hash = match (&one.hash, &one.secret) {
        (Some(hash), None) => hash.value.0,
        (None, Some(reference)) => hash_of(one, reference, pepper, places, gathered)?,
        (both, _) => {
            let place = id.key.trim_end_matches(".id");
            let broken = ["hash", "secret"].map(|key| format!("{place}.{key}"));
            if broken.iter().any(|key| gathered.problems.any_at(key)) {
                return None;
            }
            let found = match both {
                Some(_) => "this key has a `hash` and a `secret`",
                None => "this key has neither a `hash` nor a `secret`",
            };
            let draft = id.problem(found).accepted("one of the two");
            gathered.problem(draft.hint("`portcullis hash-key` prints the hash of a key"));
            return None;
        }
    };
    let ends = one.not_after.as_ref().map(|at| at.value.0);
    Some(StaticKey {
        id: id.value.0.as_str().into(),
        app: app.clone(),
        hash,
        not_before: one.not_before.as_ref().map(|at| at.value.0),
        // As `check` shows it; that it ends those of the registry too is seen to by who verifies.
        not_after: ends.into_iter().chain(sunset).min(),
        enabled: one.enabled,
        uses: uses.clone(),
        made: None,
    })
}

/// The hash of the key that `reference` leads to.
fn hash_of(
    one: &file::ApiKey,
    reference: &At<Reference>,
    pepper: &Pepper,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<KeyHash> {
    if let Reference::Generated(_) = reference.value {
        gathered.problem(
            reference
                .problem("no static key is made here")
                .accepted("`env:NAME` or `file:PATH`, of a key that a caller has already")
                .hint("a new caller signs: give it an entry in `keys`"),
        );
        return None;
    }
    let opened = places.open(&reference.value).map(|mut opened| {
        // The newline that editors put at the end is no part of a key.
        opened.forgive_newline();
        opened
    });
    let secret = gathered.take(reference, opened)?.secret;
    gathered.keys.extend(one.id.get().map(|id| KeyNote {
        id: id.value.0.clone(),
        secret: reference.value.to_string(),
        to_be_generated: false,
    }));
    let Some(secret) = secret else {
        return Some(KeyHash([0; 32]));
    };
    match checked(secret.expose()) {
        Ok(key) => Some(KeyHash::of(pepper, key)),
        Err(why) => {
            gathered.problem(reference.problem(why).accepted(takes()));
            None
        }
    }
}

/// What a static key may be.
fn takes() -> String {
    format!("{MIN_STATIC_KEY} to {MAX_STATIC_KEY} visible ASCII characters")
}

/// A static key as it is written in a file, without the line's end.
pub(crate) fn checked(written: &[u8]) -> Result<&[u8], String> {
    let key = written.strip_suffix(b"\n").unwrap_or(written);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    if !key.iter().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err("the key has a space, or a character outside ASCII".to_owned());
    }
    match key.len() {
        length if length < MIN_STATIC_KEY => Err(format!(
            "the key has {length} characters: it could be guessed"
        )),
        length if length > MAX_STATIC_KEY => Err(format!("the key has {length} characters")),
        _ => Ok(key),
    }
}

/// What a static key weakens.
fn warn(file: &File, gathered: &mut Gathered<'_>) {
    let keys = &file.api_keys;
    let bearer = keys
        .headers
        .0
        .iter()
        .find(|place| place.value == PlaceOfKey::Authorization(KeyWord::Bearer));
    for route in &file.routes.0 {
        let Some(accept) = route.accept.get() else {
            continue;
        };
        let accepts = |what| accept.0.iter().find(|one| one.value == what);
        let Some(at) = accepts(Accepted::Proven(Scheme::ApiKey)) else {
            continue;
        };
        gathered.problem(
            at.problem("a static key proves no part of a request, and whoever has read one request has the key")
                .hint("for migration only: let callers sign, and take it away (docs/api-keys.md)")
                .warning(),
        );
        if route.replay.value == ReplayPolicy::Strict {
            gathered.problem(
                route
                    .replay
                    .problem(
                        "a static key is the same in every request: none of them passes only once",
                    )
                    .hint(
                        "take `\"api-key\"` away from `accept`, or have a route of its own for it",
                    ),
            );
        }
        let fields = route.token_headers.as_ref().unwrap_or(&file.tokens.headers);
        let in_authorization =
            |name: &At<http::HeaderName>| name.value == http::header::AUTHORIZATION;
        let token = accepts(Accepted::Proven(Scheme::Token)).or(accepts(Accepted::Pair));
        if let (Some(bearer), Some(_)) = (bearer, token)
            && fields.0.iter().any(in_authorization)
        {
            gathered.problem(
                bearer
                    .problem("on a route that accepts both, tokens stand there too")
                    .hint("`Authorization: ApiKey`, or a field of its own"),
            );
        }
    }
    let tokens: Vec<_> = super::tokens::all_fields(file).collect();
    for place in &keys.headers.0 {
        if let PlaceOfKey::Field(name) = &place.value
            && tokens.contains(&name)
        {
            let draft =
                place.problem("tokens stand there too: whoever shows one shows two credentials");
            gathered.problem(draft.hint("a field of its own: `\"X-Api-Key\"`"));
        }
    }
    if let Some(parameter) = &keys.unsafe_query_parameter {
        gathered.problem(
            parameter
                .problem("a key in the query is kept in histories, caches and the logs of others")
                .hint("a field is safer: `X-Api-Key`")
                .warning(),
        );
    }
}
