//! `cors` of a route: lists as browsers are told them.

use super::Gathered;
use crate::config::beyond::FieldName;
use crate::config::file::Cors;
use crate::route::{self, Origin};
use http::{HeaderValue, Method};

pub(super) fn cors(cors: &Cors, gathered: &mut Gathered<'_>) -> Option<route::Cors> {
    let origins = &cors.origins.get()?.0;
    let methods = cors.methods.as_ref().map(|several| &several.0);
    if let Some(any) = origins.iter().find(|one| one.value == Origin::Any) {
        if origins.len() > 1 {
            gathered.problem(
                any.problem("`*` stands beside an origin")
                    .accepted("`[\"*\"]` alone, or origins alone"),
            );
            return None;
        }
        if cors.credentials {
            gathered.problem(
                any.problem("`*` lets every page call with its visitor's cookies")
                    .accepted("`*`, or `credentials = true`")
                    .hint("list the origins that may"),
            );
            return None;
        }
    }
    let fields = |list: &[FieldName]| joined(list.iter().map(|name| name.0.as_str()));
    Some(route::Cors {
        origins: origins.iter().map(|one| one.value.clone()).collect(),
        methods: methods.and_then(|list| joined(list.iter().map(Method::as_str))),
        headers: fields(&cors.headers.0),
        expose: fields(&cors.expose.0),
        credentials: cors.credentials,
        max_age: cors.max_age.0,
    })
}

/// A list as it stands in a field; `None` when there is nothing in it.
fn joined<'n>(names: impl Iterator<Item = &'n str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text)
        .ok()
        .filter(|_| !text.is_empty())
}
