//! `cors` of a route, as `check` tells it.

use super::time;
use crate::route::Cors;
use serde_json::{Value as Json, json};

pub(super) fn shown(cors: &Cors) -> Json {
    let list = |names: &Option<http::HeaderValue>| {
        names
            .as_ref()
            .and_then(|names| names.to_str().ok())
            .map(|names| names.split(", ").map(str::to_owned).collect::<Vec<_>>())
    };
    json!({
        "origins": cors.origins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "methods": list(&cors.methods),
        "headers": list(&cors.headers).unwrap_or_default(),
        "expose": list(&cors.expose).unwrap_or_default(),
        "credentials": cors.credentials,
        "max_age": time(cors.max_age),
    })
}
