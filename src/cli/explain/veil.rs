//! What a report does not repeat: the credentials in fields and in the query.

use crate::cli::paint::visible;
use crate::route::{Route, Table};
use crate::schemes::explained::{is_credential, veiled_on};
use http::header::{COOKIE, HeaderMap, HeaderName};
use std::cmp::Reverse;

/// Parameters of a presigned URL of AWS's that open something, and what stands for each.
const OF_AWS: [(&str, &str); 2] = [
    ("X-Amz-Security-Token", "<a token>"),
    ("X-Amz-Signature", "<a signature>"),
];
/// What stands for a static key, and for what is known of a field by its value alone.
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

/// `text`, a caller's line, without what was received in the fields that hold credentials, wherever and in whatever
/// form the line has it: it may be a whole text, as a log keeps it, or one without the fields' names.
pub(super) fn fields(text: &str, received: &HeaderMap, route: &Route) -> String {
    let credentials = received
        .iter()
        .filter(|(name, _)| is_credential(name, route));
    let mut all: Vec<String> = credentials
        .flat_map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let pieces = pieces(name, &value).into_iter();
            let long = pieces.filter(|piece| piece.len() >= MIN_VALUE);
            long.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    // A whole goes before its pieces.
    all.sort_by_key(|piece| Reverse(piece.len()));
    let text = text.to_owned();
    all.iter().fold(text, |text, piece| {
        let text = text.replace(&visible(piece), KEY);
        if text.contains(['%', '\\']) {
            without_escaped(&text, piece)
        } else {
            text
        }
    })
}

/// What opens something of `value`: all of it, what stands behind its first word, such as `Bearer`, and each cookie.
fn pieces<'v>(name: &HeaderName, value: &'v str) -> Vec<&'v str> {
    let behind = value.split_once(' ').map(|(_, rest)| rest.trim_start());
    let cookies = value.split(';').filter(|_| *name == COOKIE);
    let cookies = cookies.filter_map(|pair| Some(pair.split_once('=')?.1.trim()));
    std::iter::once(value)
        .chain(behind)
        .chain(cookies)
        .collect()
}

/// `text` with what stands for a key in the place of `value`, whichever of its letters are escaped: percent-encoded,
/// or as JSON's writers do, each its own.
fn without_escaped(text: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let behind = value.chars().try_fold(rest, |rest, wanted| {
            let (found, behind) = unescaped(rest)?;
            (found == wanted).then_some(behind)
        });
        if let Some(behind) = behind {
            out.push_str(KEY);
            rest = behind;
        } else {
            // By one character, whatever it begins: a `%` may stand before the value.
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// As [`character`], also of a text of JSON.
fn unescaped(text: &str) -> Option<(char, &str)> {
    let escape = text.strip_prefix('\\').and_then(|behind| {
        if let Some(digits) = behind.strip_prefix('u') {
            let (digits, behind) = digits.split_at_checked(4)?;
            let number = u32::from_str_radix(digits, 16).ok()?;
            return Some((char::from_u32(number)?, behind));
        }
        let mut chars = behind.chars();
        let sign = chars.next().filter(|sign| "\"'/\\".contains(*sign))?;
        Some((sign, chars.as_str()))
    });
    escape.or_else(|| character(text))
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
    fn a_credential_in_a_field_is_veiled_in_a_caller_s_line_however_that_is_kept() {
        let mut route = with_key();
        route.token_fields = vec![HeaderName::from_static("x-app-token")];
        let received: HeaderMap = [
            ("authorization", "Bearer  CANARY/canary+0"),
            ("cookie", "a=1; sid=CANARY-sid; q=\"CANARY-\\q\""),
            ("x-app-token", "CANARY-app"),
            ("portcullis-token", "CANARY.own.token"),
            ("x-note", "a plain note"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
        for (line, told) in [
            ("Bearer  CANARY/canary+0", "***"),
            ("CANARY/canary+0", "***"),
            (
                "\"@method\": GET\\n\"authorization\": Bearer  CANARY/canary+0\\nx",
                "\"@method\": GET\\n\"authorization\": ***\\nx",
            ),
            (r"{'a':'Bearer CANARY\/canary+0'}", "{'a':'Bearer ***'}"),
            (r"{'a':'CANARY\u002fcanary\u002B0'}", "{'a':'***'}"),
            (
                "authorization=Bearer%20%20CANARY%2Fcanary%2B0&x=1",
                "authorization=***&x=1",
            ),
            ("Bearer+%CANARY%2fcanary%2b0", "Bearer+%***"),
            (r"100% \plain %2 \u00, é%C3", r"100% \plain %2 \u00, é%C3"),
            (
                "GET / authorization:Bearer CANARY/canary+0 x",
                "GET / authorization:Bearer *** x",
            ),
            ("a=1;sid=CANARY-sid;", "a=1;sid=***;"),
            (
                r#"cookie: a=1; sid=CANARY-sid; q=\"CANARY-\\q\" x"#,
                "cookie: *** x",
            ),
            ("CANARY-app CANARY.own.token", "*** ***"),
            ("a plain note, a=1", "a plain note, a=1"),
        ] {
            assert_eq!(fields(line, &received, &route), told);
        }
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
