//! What a later version will have: said to whoever asks for it today.

/// Keys, by their path without the user's names, and values.
const PLANNED: &[&str] = &[
    "identity",
    "apps.quota",
    "plans.quota",
    "routes.limit",
    "state.counters",
    "state.on_outage",
];

/// Whether a later version will have this key or value.
pub(super) fn is_planned(name: &str) -> bool {
    PLANNED.contains(&name)
}

/// What to say about it.
pub(super) fn hint(name: &str) -> String {
    format!("`{name}` is planned, this version does not have it")
}
