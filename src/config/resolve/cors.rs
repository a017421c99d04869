//! `cors` of a route, and of the key service: lists as browsers are told them.

use super::Gathered;
use crate::apps::Scheme;
use crate::config::beyond::FieldName;
use crate::config::file::{Cors, CorsOfTokens, Route};
use crate::config::read::At;
use crate::config::words::Accepted;
use crate::route::{self, Dialect, KeyWord, OAUTH_CLIENT_ATTESTATION_POP, Origin};
use crate::schemes::aws_sigv4::{X_AMZ_CONTENT_SHA256, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN};
use crate::schemes::digest::CONTENT_DIGEST;
use crate::schemes::hmac_auth::coverage::X_DATE;
use crate::schemes::hmac_auth::digest::DIGEST;
use crate::schemes::http_signature::{SIGNATURE, SIGNATURE_INPUT};
use crate::schemes::token::dpop::DPOP;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

pub(super) fn cors(cors: &Cors, gathered: &mut Gathered<'_>) -> Option<route::Cors> {
    let written = &cors.origins.get()?.0;
    let origins = origins(written, gathered)?;
    let methods = cors.methods.as_ref().map(|several| &several.0);
    let any = written.iter().find(|one| one.value == Origin::Any);
    if let Some(any) = any.filter(|_| cors.credentials) {
        gathered.problem(
            any.problem("`*` lets every page call with its visitor's cookies")
                .accepted("`*`, or `credentials = true`")
                .hint("list the origins that may"),
        );
        return None;
    }
    let fields = |list: &[FieldName]| joined(list.iter().map(|name| name.0.as_str()));
    Some(route::Cors {
        origins,
        methods: methods.and_then(|list| joined(list.iter().map(Method::as_str))),
        // Where it is not said, it is known once the route is: [`pages`].
        headers: cors.headers.as_ref().and_then(|list| fields(&list.0)),
        expose: fields(&cors.expose.0),
        credentials: cors.credentials,
        max_age: cors.max_age.0,
    })
}

/// What pages need of the key service, whose doors take JSON and no cookies, and say when to come again.
pub(super) fn of_tokens(cors: &CorsOfTokens, gathered: &mut Gathered<'_>) -> Option<route::Cors> {
    Some(route::Cors {
        origins: origins(&cors.origins.get()?.0, gathered)?,
        methods: None,
        headers: Some(HeaderValue::from_static("content-type")),
        expose: Some(HeaderValue::from_static("retry-after")),
        credentials: false,
        max_age: cors.max_age.0,
    })
}

fn origins(written: &[At<Origin>], gathered: &mut Gathered<'_>) -> Option<Vec<Origin>> {
    let any = written.iter().find(|one| one.value == Origin::Any);
    if let Some(any) = any.filter(|_| written.len() > 1) {
        gathered.problem(
            any.problem("`*` stands beside an origin")
                .accepted("`[\"*\"]` alone, or origins alone"),
        );
        return None;
    }
    Some(written.iter().map(|one| one.value.clone()).collect())
}

/// What the whole of a route says about pages: the fields that `cors` leaves unsaid, and whether its
/// browsers' visitors are at the mercy of every page.
pub(super) fn pages(route: &mut route::Route, written: &Route, gathered: &mut Gathered<'_>) {
    if let Some(Cors { headers: None, .. }) = &written.cors {
        let names = shown_by_pages(route);
        if let Some(cors) = &mut route.cors {
            cors.headers = joined(names.iter().map(HeaderName::as_str));
        }
    }
    if route.cors.is_some() || route.upgrade.is_empty() {
        return;
    }
    let words = route
        .key_places
        .as_ref()
        .map(|places| &places.authorization);
    let basic = words.is_some_and(|words| words.contains(&KeyWord::Basic));
    let by_itself = |one: &Accepted| match one {
        Accepted::Proven(Scheme::ClientCertificate) => true,
        Accepted::Proven(Scheme::ApiKey) => basic,
        _ => false,
    };
    let mut accepted = written.accept.get().into_iter().flat_map(|list| &list.0);
    if let Some(one) = accepted.find(|one| by_itself(&one.value)) {
        let message = "browsers show this by themselves, whosever page asks: any page may ask for a protocol of `upgrade` as its visitor";
        let draft = one.problem(message);
        let draft = draft.hint("say in `cors` whose pages may, besides our own; most programs send no `Origin`, or ours");
        gathered.problem(draft.warning());
    }
}

/// The fields that pages send to `route`, of those that a browser asks about before: what bodies and
/// backends have in any case, and what proofs stand in. `Date` and `Proxy-Authorization` no page can set.
fn shown_by_pages(route: &route::Route) -> Vec<HeaderName> {
    let mut names = vec![AUTHORIZATION, CONTENT_TYPE];
    if route.pair || route.accepts(Scheme::HttpSignature) {
        names.extend([CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT]);
    }
    if route.accepts(Scheme::AwsSigv4) {
        names.extend([X_AMZ_DATE, X_AMZ_CONTENT_SHA256, X_AMZ_SECURITY_TOKEN]);
    }
    if route.accepts(Scheme::HmacAuth) {
        names.extend([DIGEST, CONTENT_DIGEST]);
    }
    match route.dialect {
        Some(Dialect::Kong) => names.push(X_DATE),
        Some(Dialect::Cavage12) => names.push(SIGNATURE),
        Some(Dialect::Apisix) | None => {}
    }
    if route.pair || route.accepts(Scheme::Token) {
        names.extend(route.token_fields.iter().cloned());
        names.push(DPOP);
    }
    if route.client_attestation.is_some() {
        names.push(OAUTH_CLIENT_ATTESTATION_POP);
    }
    if route.accepts(Scheme::ApiKey)
        && let Some(places) = &route.key_places
    {
        names.extend(places.fields.iter().cloned());
    }
    let mut once: Vec<HeaderName> = Vec::with_capacity(names.len());
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// A list as it stands in a field; `None` when there is nothing in it.
fn joined<'n>(names: impl Iterator<Item = &'n str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text)
        .ok()
        .filter(|_| !text.is_empty())
}
