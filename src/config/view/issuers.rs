//! The issuers outside, as they were understood.

use super::{authorities, time};
use crate::gateway::Blueprint;
use crate::issuers::Settings;
use crate::route::{IssuerSet, Route};
use crate::schemes::token::{Issuer, Whose};
use serde_json::{Value as Json, json};

pub(super) fn all(gateway: &Blueprint) -> Vec<Json> {
    let issuers = gateway.tokens.issuers().iter().enumerate();
    let issuers = issuers.map(|(place, one)| {
        let source = gateway.sources.iter().find(|(at, _)| *at == place);
        issuer(one, source.map(|(_, source)| &source.settings))
    });
    issuers.collect()
}

fn issuer(issuer: &Issuer, fetched: Option<&Settings>) -> Json {
    let (app, claim, apps) = match &issuer.whose {
        Whose::App(app) => (Some(&*app.name), None, Vec::new()),
        Whose::Claim(path, apps) => {
            let mut apps: Vec<_> = apps
                .iter()
                .map(|(value, app)| (value, &*app.name))
                .collect();
            apps.sort_unstable();
            (None, Some(path.to_string()), apps)
        }
        Whose::NoApp => (None, None, Vec::new()),
    };
    json!({
        "name": &*issuer.name,
        "issuer": issuer.iss,
        "audience": issuer.audiences,
        "algorithms": issuer.algorithms.iter().map(|one| one.jose_name()).collect::<Vec<_>>(),
        "keys": issuer.keys_from,
        "headers": issuer.fields.iter().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        "app": app,
        "claim": claim,
        "apps": apps.iter().map(|(value, app)| json!({ "value": value, "app": app })).collect::<Vec<_>>(),
        "scope_claim": issuer.scopes.as_ref().map(ToString::to_string),
        "signature_key": issuer.signature_key,
        "signature_secret": issuer.signature_secret.is_some(),
        "attests": issuer.attests,
        "max_lifetime": time(issuer.max_lifetime),
        "refresh": fetched.map(|fetched| time(fetched.refresh)),
        "cooldown": fetched.map(|fetched| time(fetched.cooldown)),
        "stale": fetched.map(|fetched| time(fetched.stale)),
        "ca": fetched.and_then(|fetched| fetched.tls.as_deref()).map(authorities),
    })
}

/// The issuers whose tokens a route takes.
pub(crate) fn issuers_of<'g>(
    route: &Route,
    gateway: &'g Blueprint,
) -> impl Iterator<Item = &'g str> {
    let takers = route.token_takers.iter();
    let taken = takers.fold(0, |taken, one| taken | one.issuers.0);
    let all = gateway.tokens.issuers().iter().enumerate();
    all.filter(move |(place, _)| IssuerSet(taken).has(*place))
        .map(|(_, issuer)| &*issuer.name)
}
