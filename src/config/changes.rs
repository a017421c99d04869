//! What differs between two configurations.

use super::view::Resolved;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two configurations, one line for each key: its path,
/// what it was and what it is. Of a secret only that it changed.
pub fn changes(old: &Resolved, new: &Resolved) -> Vec<String> {
    let mut lines = Vec::new();
    differ("", &old.json, &new.json, &mut lines);
    let changed = old.fingerprints.changed(&new.fingerprints);
    lines.extend(changed.map(|key| format!("{key}: changed")));
    lines
}

/// Whether `old` has routes, and `new` has none.
pub fn loses_its_routes(old: &Resolved, new: &Resolved) -> bool {
    let has_routes = |one: &Resolved| one.json.pointer("/routes/0").is_some();
    has_routes(old) && !has_routes(new)
}

fn differ(path: &str, old: &Json, new: &Json, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (parts(old), parts(new)) else {
        lines.push(format!("{path}: {old} → {new}"));
        return;
    };
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for name in names {
        let path = match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) => differ(&path, old, new, lines),
            (None, Some(_)) => lines.push(format!("{path}: added")),
            _ => lines.push(format!("{path}: removed")),
        }
    }
    if before.len() == after.len() && is_in_another_order(old, new) {
        lines.push(format!("{path}: in another order"));
    }
}

/// Whether the keys of an app are: of several that sign the last one does.
fn is_in_another_order(old: &Json, new: &Json) -> bool {
    let ids = |list: &Json| -> Option<Vec<String>> {
        let ids = list.as_array()?.iter().map(|item| item.get("id")?.as_str());
        ids.map(|id| id.map(str::to_owned)).collect()
    };
    match (ids(old), ids(new)) {
        (Some(mut before), Some(mut after)) => {
            let differ = before != after;
            before.sort_unstable();
            after.sort_unstable();
            differ && before == after
        }
        _ => false,
    }
}

/// The parts of a value that have names: of an object, or of a list of such as have one.
fn parts(value: &Json) -> Option<BTreeMap<&str, &Json>> {
    match value {
        Json::Object(object) => Some(
            object
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        ),
        Json::Array(items) => items
            .iter()
            .map(|item| {
                let name = ["name", "id", "part"].iter().find_map(|key| item.get(key));
                Some((name?.as_str()?, item))
            })
            .collect(),
        _ => None,
    }
}
