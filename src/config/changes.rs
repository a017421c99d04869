//! What differs between two configurations.

use super::view::Resolved;
use serde_json::{Value as Json, json};
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
    loses(&old.json, &new.json, "/routes/0")
}

/// Whether `old` has apps, and `new` has none, though a route of it is not public.
pub fn loses_its_apps(old: &Resolved, new: &Resolved) -> bool {
    loses(&old.json, &new.json, "/apps/0") && asks_who_calls(&new.json)
}

fn loses(old: &Json, new: &Json, what: &str) -> bool {
    old.pointer(what).is_some() && new.pointer(what).is_none()
}

fn asks_who_calls(one: &Json) -> bool {
    let mut routes = one["routes"].as_array().into_iter().flatten();
    routes.any(|route| route["accept"] != json!(["public"]))
}

fn differ(path: &str, old: &Json, new: &Json, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (parts(old), parts(new)) else {
        lines.push(format!("{path}: {old} → {new}"));
        return;
    };
    let told = lines.len();
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
    // Where nothing else differs, nothing else is left.
    if is_in_another_order(old, new) || lines.len() == told {
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

/// The parts of a value that have names: of an object, or of a list of such as have one each. Of two with the same
/// name one would hide what is changed of the other.
fn parts(value: &Json) -> Option<BTreeMap<&str, &Json>> {
    match value {
        Json::Object(object) => Some(
            object
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        ),
        Json::Array(items) => {
            let mut parts = BTreeMap::new();
            for item in items {
                let name = ["name", "id", "part"].iter().find_map(|key| item.get(key));
                if parts.insert(name?.as_str()?, item).is_some() {
                    return None;
                }
            }
            Some(parts)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(old: &Json, new: &Json) -> Vec<String> {
        let mut lines = Vec::new();
        differ("waive", old, new, &mut lines);
        lines
    }

    #[test]
    fn of_two_with_one_name_none_hides_what_is_changed_of_the_other() {
        let waivers = |first: &str| {
            json!([
                { "part": "body", "until": first },
                { "part": "body", "until": "2026-11-15" },
            ])
        };
        let lines = told(&waivers("2026-11-01"), &waivers("2030-11-01"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("2030-11-01"), "{lines:?}");
    }

    #[test]
    fn another_order_alone_is_a_change() {
        let (one, other) = (json!({ "part": "body" }), json!({ "part": "query" }));
        assert_eq!(
            told(&json!([one, other]), &json!([other, one])),
            ["waive: in another order"]
        );
    }

    fn value() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            (0..3_u8).prop_map(Json::from),
            prop_oneof![Just("a"), Just("b")].prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 3, |inner| {
            let name = prop_oneof![Just("name"), Just("id"), Just("part"), Just("until")];
            let list = proptest::collection::vec(inner.clone(), 0..4);
            let members = proptest::collection::btree_map(name, inner, 0..4);
            let object = members.prop_map(|members| {
                let members = members.into_iter();
                Json::Object(members.map(|(name, one)| (name.to_owned(), one)).collect())
            });
            prop_oneof![list.prop_map(Json::Array), object]
        })
    }

    proptest! {
        #[test]
        fn whatever_differs_is_told(old in value(), new in value()) {
            prop_assert_eq!(told(&old, &new).is_empty(), old == new);
        }
    }
}
