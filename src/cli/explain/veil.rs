//! What a report does not repeat: the credentials in fields and in the query.

use crate::route::{Route, Table};
use crate::schemes::explained::veiled_on;

/// The parameter with the token of a temporary credential of AWS's, and what stands for it.
const AWS_TOKEN: (&str, &str) = ("X-Amz-Security-Token", "<a token>");
/// What stands for a static key.
const KEY: &str = "***";

/// `text`, which is signed on `route`, without what opens something.
pub(super) fn text(text: &str, route: &Route) -> String {
    query(&veiled_on(text, route), route)
}

/// `text`, a target or one with a target in it, without what opens something in the query.
pub(super) fn query(text: &str, route: &Route) -> String {
    let places = route.key_places.as_deref();
    let key = places.and_then(|places| places.query.as_deref());
    let all = [Some(AWS_TOKEN), key.map(|name| (name, KEY))];
    let all = all.into_iter().flatten();
    all.fold(text.to_owned(), |text, (name, veil)| {
        without_value(&text, name, veil)
    })
}

/// What stands for a route where none takes the request. What is a credential on any of `routes` is one here.
pub(super) fn nowhere(routes: &Table) -> Route {
    let mut route = Route::any("none");
    for known in routes.routes() {
        for name in &known.token_fields {
            if !route.token_fields.contains(name) {
                route.token_fields.push(name.clone());
            }
        }
        if route.key_places.is_none() {
            route.key_places.clone_from(&known.key_places);
        }
    }
    route
}

/// `text` with `veil` in the place of every value of the parameter `name`.
fn without_value(text: &str, name: &str, veil: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((front, behind)) = rest.split_once(name) {
        out.push_str(front);
        let is_first = out.is_empty() || out.ends_with(['?', '&', '\n']);
        // A parameter that is covered alone (RFC 9421, section 2.2.8).
        let is_alone = out.ends_with("\"@query-param\";name=\"");
        out.push_str(name);
        let sign = if is_first && behind.starts_with('=') {
            "="
        } else if is_alone && behind.starts_with("\": ") {
            "\": "
        } else {
            rest = behind;
            continue;
        };
        out.push_str(sign);
        out.push_str(veil);
        let value = behind.strip_prefix(sign).unwrap_or_default();
        let ends = ["&", "\n", " HTTP/"].into_iter();
        let end = ends.filter_map(|end| value.find(end)).min();
        rest = value.get(end.unwrap_or(value.len())..).unwrap_or_default();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::KeyPlaces;
    use std::sync::Arc;

    #[test]
    fn a_credential_in_the_query_is_veiled_wherever_the_query_stands() {
        let with_key = Route {
            key_places: Some(Arc::new(KeyPlaces {
                query: Some("api_key".into()),
                ..KeyPlaces::default()
            })),
            ..Route::any("orders")
        };
        let routes = Table::new(vec![with_key]).unwrap();
        let nowhere = nowhere(&routes);
        for (text, told) in [
            ("/x?api_key=canary", "/x?api_key=***"),
            (
                "/x?api_key=canary&a=1&api_key=canary",
                "/x?api_key=***&a=1&api_key=***",
            ),
            (
                "GET /x?a=1&api_key=canary HTTP/1.1",
                "GET /x?a=1&api_key=*** HTTP/1.1",
            ),
            (
                "/\napi_key=canary&b=2\nhost:a",
                "/\napi_key=***&b=2\nhost:a",
            ),
            (
                "\"@query-param\";name=\"api_key\": canary\nx",
                "\"@query-param\";name=\"api_key\": ***\nx",
            ),
            (
                "\"@query\": ?X-Amz-Security-Token=canary",
                "\"@query\": ?X-Amz-Security-Token=<a token>",
            ),
            (
                "/x?my_api_key=1&api_keys=2&b=api_key",
                "/x?my_api_key=1&api_keys=2&b=api_key",
            ),
        ] {
            assert_eq!(super::text(text, &nowhere), told);
        }
        let other = Route::any("none");
        assert_eq!(query("/x?api_key=1", &other), "/x?api_key=1");
    }
}
