//! What a report does not repeat: the credentials in fields and in the query.

use crate::route::{Route, Table};
use crate::schemes::explained::veiled_on;

/// Parameters of a presigned URL of AWS's that open something, and what stands for each.
const OF_AWS: [(&str, &str); 2] = [
    ("X-Amz-Security-Token", "<a token>"),
    ("X-Amz-Signature", "<a signature>"),
];
/// What stands for a static key.
const KEY: &str = "***";
/// Bytes from which on a value is looked for by itself, without its name. A shorter one opens nothing.
const MIN_VALUE: usize = 8;

/// `text`, which is signed, without what opens something on `route`; nor does it hold what stands in the query that
/// was received, in whatever form `text` has it.
pub(super) fn text(text: &str, received: &str, route: &Route) -> String {
    let text = query(&veiled_on(text, route), route);
    let values = values(received, route);
    values.fold(text, |text, (value, veil)| text.replace(value, veil))
}

/// `text`, a target or one with a target in it, without what opens something in the query.
pub(super) fn query(text: &str, route: &Route) -> String {
    parameters(route).fold(text.to_owned(), |text, (name, veil)| {
        without_value(&text, name, veil)
    })
}

/// Each parameter that holds a credential, and what stands for one.
fn parameters(route: &Route) -> impl Iterator<Item = (&str, &'static str)> {
    let places = route.key_places.as_deref();
    let key = places.and_then(|places| places.query.as_deref());
    let [token, signature] = OF_AWS;
    let all = [Some(token), Some(signature), key.map(|name| (name, KEY))];
    all.into_iter().flatten()
}

/// Each credential in `query`, and what stands for it.
fn values<'q>(query: &'q str, route: &Route) -> impl Iterator<Item = (&'q str, &'static str)> {
    let of_one = move |pair: &'q str| {
        parameters(route).find_map(|(name, veil)| Some((value_behind(pair, name, false)?, veil)))
    };
    let all = query.split('&').filter_map(of_one);
    all.filter(|(value, _)| value.len() >= MIN_VALUE)
}

/// What stands for a route where none takes the request. What is a credential on any of `routes` is one here.
pub(in crate::cli) fn nowhere(routes: &Table) -> Route {
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

/// `text` with `veil` in the place of every value of the parameter `name`, also where a caller has spelled it, or
/// what stands before it, in another way.
fn without_value(text: &str, name: &str, veil: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((_, behind)) = character(rest) {
        // A parameter that is covered alone (RFC 9421, section 2.2.8).
        let is_alone = out.ends_with("name=\"");
        let value = value_behind(rest, name, is_alone).filter(|_| !ends_in_name(&out));
        let front = rest.len() - value.unwrap_or(behind).len();
        out.push_str(rest.get(..front).unwrap_or_default());
        rest = behind;
        if let Some(value) = value {
            out.push_str(veil);
            let ends = ["&", "\n", " HTTP/"].into_iter();
            let end = ends.filter_map(|end| value.find(end)).min();
            rest = value.get(end.unwrap_or(value.len())..).unwrap_or_default();
        }
    }
    out
}

/// What stands behind `name` and its sign, where `text` begins with them: any letter may be in the other case or
/// escaped, as the sign may.
fn value_behind<'t>(text: &'t str, name: &str, is_alone: bool) -> Option<&'t str> {
    let mut rest = text;
    for wanted in name.chars() {
        let (found, behind) = character(rest)?;
        if !found.eq_ignore_ascii_case(&wanted) {
            return None;
        }
        rest = behind;
    }
    match character(rest)? {
        ('=', value) => Some(value),
        ('"', behind) if is_alone => {
            let value = behind.strip_prefix(':')?;
            Some(value.strip_prefix(' ').unwrap_or(value))
        }
        _ => None,
    }
}

/// The first character of `text`, escaped or not, and what follows it.
fn character(text: &str) -> Option<(char, &str)> {
    let escape = text.strip_prefix('%').and_then(|behind| {
        let (digits, behind) = behind.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        Some((char::from(byte), behind))
    });
    escape.or_else(|| {
        let mut chars = text.chars();
        Some((chars.next()?, chars.as_str()))
    })
}

/// Whether `text` ends within a name, so that what comes next is no whole one.
fn ends_in_name(text: &str) -> bool {
    let last = text.len().saturating_sub(3);
    let is_escape = |end: &str| {
        end.starts_with('%') && character(end).is_some_and(|(_, behind)| behind.is_empty())
    };
    let is_escaped = text.get(last..).is_some_and(is_escape);
    !is_escaped && text.ends_with(|c: char| c.is_alphanumeric() || "_-.~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::KeyPlaces;
    use std::sync::Arc;

    fn with_key() -> Route {
        Route {
            key_places: Some(Arc::new(KeyPlaces {
                query: Some("api_key".into()),
                ..KeyPlaces::default()
            })),
            ..Route::any("orders")
        }
    }

    #[test]
    fn a_credential_in_the_query_is_veiled_wherever_the_query_stands() {
        let routes = Table::new(vec![with_key()]).unwrap();
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
            assert_eq!(super::text(text, "", &nowhere), told);
        }
        let other = Route::any("none");
        assert_eq!(query("/x?api_key=1", &other), "/x?api_key=1");
    }

    #[test]
    fn a_credential_is_veiled_however_a_caller_has_spelled_what_is_around_it() {
        let nowhere = nowhere(&Table::new(vec![with_key()]).unwrap());
        for (text, told) in [
            ("\"@query\": api_key=canary", "\"@query\": api_key=***"),
            ("?a=1;api_key=canary", "?a=1;api_key=***"),
            ("?a=1&amp;api_key=canary", "?a=1&amp;api_key=***"),
            ("?a=1%26api_key=canary", "?a=1%26api_key=***"),
            ("?a=1& api_key=canary&b", "?a=1& api_key=***&b"),
            ("?API_KEY=canary", "?API_KEY=***"),
            ("?api_key%3Dcanary", "?api_key%3D***"),
            ("?api%5fkey=canary", "?api%5fkey=***"),
            ("api_key=canary", "api_key=***"),
            (
                "?X%2DAmz-security-Token=canary&X-Amz-Signature=canary",
                "?X%2DAmz-security-Token=<a token>&X-Amz-Signature=<a signature>",
            ),
            ("%", "%"),
            ("%2", "%2"),
            ("é%é=api_key", "é%é=api_key"),
        ] {
            assert_eq!(query(text, &nowhere), told);
        }
        // What arrived is known by itself.
        let received = "a=1&api_key=canary-key";
        for (text, told) in [
            (
                "\"@query\": a=1api_key=canary-key",
                "\"@query\": a=1api_key=***",
            ),
            ("api_key->canary-key.", "api_key->***."),
            ("a=1", "a=1"),
        ] {
            assert_eq!(super::text(text, received, &nowhere), told);
        }
        assert_eq!(super::text("b 1", "api_key=1", &nowhere), "b 1");
    }

    #[test]
    fn what_is_a_credential_on_one_route_is_one_where_none_takes_the_request() {
        let tokens = Route {
            token_fields: vec![http::HeaderName::from_static("x-app-token")],
            ..Route::any("tokens")
        };
        let nowhere = nowhere(&Table::new(vec![tokens]).unwrap());
        let told = super::text("x-app-token: canary", "", &nowhere);
        assert!(!told.contains("canary"), "{told}");
    }
}
