//! The keys of apps, as `check` tells them: where they are from, never what they are.

use super::{KeyNote, date};
use crate::apps::Key;
use crate::config::Config;
use crate::crypto::{PssSalt, VerifyingKey};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// Where keys come from, by their ids.
pub(super) type Notes<'n> = HashMap<&'n str, &'n KeyNote>;

pub(super) fn notes(keys: &[KeyNote]) -> Notes<'_> {
    keys.iter().map(|note| (note.id.as_str(), note)).collect()
}

/// The keys of every app, by `App::index`.
pub(super) fn by_app(config: &Config, notes: &Notes<'_>) -> HashMap<usize, Vec<Json>> {
    let mut by_app: HashMap<usize, Vec<Json>> = HashMap::new();
    for one in &config.gateway.keys {
        let keys = by_app.entry(one.app.index).or_default();
        keys.push(key(one, notes.get(&*one.id).copied()));
    }
    by_app
}

fn key(key: &Key, note: Option<&KeyNote>) -> Json {
    let (half, any_salt) = match &key.verifying {
        VerifyingKey::Mac(_) => ("secret", None),
        VerifyingKey::Public(_) if key.signer.is_some() => ("private_key", None),
        VerifyingKey::Public(public) => ("public_key", Some(public.salt() == PssSalt::Any)),
    };
    let mut shown = json!({
        "id": &*key.id,
        "algorithm": key.algorithm().name(),
        half: note.map(|note| &note.secret),
        "not_before": key.not_before.map(date),
        "not_after": key.not_after.map(date),
        "enabled": key.enabled,
        "schemes": key.schemes.iter().map(crate::apps::Scheme::name).collect::<Vec<_>>(),
    });
    if key.attests {
        shown["attests"] = true.into();
    }
    if let Some(any_salt) = any_salt.filter(|_| key.algorithm().has_salt()) {
        shown["any_salt"] = any_salt.into();
    }
    shown
}
