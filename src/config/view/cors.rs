//! `cors` of a route, and of the key service, as `check` tells it.

use super::time;
use crate::route::Cors;
use serde_json::{Value as Json, json};

pub(super) fn of_tokens(cors: &Cors) -> Json {
    json!({ "origins": origins(cors), "max_age": time(cors.max_age) })
}

fn origins(cors: &Cors) -> Vec<String> {
    cors.origins.iter().map(ToString::to_string).collect()
}

pub(super) fn shown(cors: &Cors) -> Json {
    let list = |names: &Option<http::HeaderValue>| {
        names
            .as_ref()
            .and_then(|names| names.to_str().ok())
            .map(|names| names.split(", ").map(str::to_owned).collect::<Vec<_>>())
    };
    json!({
        "origins": origins(cors),
        "methods": list(&cors.methods),
        "headers": list(&cors.headers).unwrap_or_default(),
        "expose": list(&cors.expose).unwrap_or_default(),
        "credentials": cors.credentials,
        "max_age": time(cors.max_age),
    })
}
