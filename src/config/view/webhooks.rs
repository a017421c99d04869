//! `webhook` of a route, as `check` tells it.

use super::{size, time};
use crate::gateway::Blueprint;
use crate::route::Route;
use serde_json::{Value as Json, json};

pub(super) fn shown(route: &Route, gateway: &Blueprint) -> Option<Json> {
    let webhooks = route.webhooks.as_ref()?;
    Some(json!({
        "sender": webhooks.sender.name(),
        "app": gateway.apps.get(webhooks.app).map(|app| &*app.name),
        "query": webhooks.query,
        "window": webhooks.window.map(time),
        "hold": size(webhooks.hold),
    }))
}
