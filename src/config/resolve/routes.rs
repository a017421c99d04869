//! `[[routes]]`: what they name must exist, and no two may tie.

use super::Gathered;
use crate::apps::{Mode, Scheme, SchemeSet, Scopes};
use crate::config::file::{File, Route};
use crate::config::gather::Draft;
use crate::config::lists::{List, Several};
use crate::config::read::At;
use crate::config::secrets::Places;
use crate::config::values::Name;
use crate::config::words::Accepted;
use crate::route::{
    self, Accept, Bind, BodyPolicy, IssuerSet, OAUTH_CLIENT_ATTESTATION, ReplayPolicy, Table,
    Takers,
};
use http::HeaderName;
use http::header::AUTHORIZATION;
use std::collections::HashMap;

pub(super) fn table(
    file: &File,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<Table> {
    let list = &file.routes.0;
    names(list, gathered);
    let routes: Vec<route::Route> = list
        .iter()
        .enumerate()
        .filter_map(|(index, one)| {
            let mut made = route(index, one, file, places, gathered)?;
            super::cors::pages(&mut made, one, gathered);
            Some(made)
        })
        .collect();
    let whole = routes.len() == list.len();
    match Table::new(routes) {
        Ok(table) if whole => {
            super::matches::warn_of_left(&table, list, gathered);
            super::matches::warn_of_left_by_host(&table, list, gathered);
            Some(table)
        }
        Ok(_) => None,
        Err(ties) => {
            for tie in ties {
                if let (Some(first), Some(second)) = (list.get(tie.first), list.get(tie.second)) {
                    gathered.problem(tied(first, second)?);
                }
            }
            None
        }
    }
}

/// What metrics call requests that no route takes.
const NO_ROUTE: &str = "none";

fn names(routes: &[Route], gathered: &mut Gathered<'_>) {
    let mut seen: HashMap<&str, &At<Name>> = HashMap::new();
    for name in routes.iter().filter_map(|route| route.name.get()) {
        if name.value.0 == NO_ROUTE {
            let message = format!("`{NO_ROUTE}` is what metrics call requests that no route takes");
            gathered.problem(name.problem(message).hint("give the route another name"));
        }
        if let Some(first) = seen.insert(&name.value.0, name) {
            let message = format!("`{}` is the name of `{}` too", name.value.0, first.key);
            gathered.problem(name.problem(message));
        }
    }
}

fn tied(first: &Route, second: &Route) -> Option<Draft> {
    let (path, other) = (second.path.get()?, first.path.get()?);
    let name = first.name.get().map_or("", |name| name.value.0.as_str());
    let message = format!(
        "`{}` ties with `{}` of the route `{name}`",
        path.value, other.value
    );
    let draft = path
        .problem(message)
        .hint("make one of them more specific by host, path or methods");
    Some(draft.accepted("of two routes for the same request one must be more specific"))
}

fn route(
    index: usize,
    route: &Route,
    file: &File,
    places: &Places<'_>,
    gathered: &mut Gathered<'_>,
) -> Option<route::Route> {
    let upstream = upstream(route, file, gathered);
    super::upgrades::can_switch(route, upstream, file, gathered);
    let accept = accept(route, gathered);
    let dialect = accept.and_then(|accept| dialect(route, accept, gathered));
    let sigv4 = super::sigv4::sigv4(route, accept, gathered);
    let webhooks = super::webhooks::webhooks(route, file, gathered);
    let waivers = super::waivers::waivers(route, gathered);
    let cors = match &route.cors {
        Some(cors) => Some(super::cors::cors(cors, gathered)?),
        None => None,
    };
    let inject = match &route.inject {
        Some(inject) => Some(super::inject::inject(
            inject, route, accept, places, gathered,
        )?),
        None => None,
    };
    let client_attestation = match &route.client_attestation {
        Some(told) => Some(super::client_attestation::client_attestation(
            told, route, accept, gathered,
        )?),
        None => None,
    };
    if route.mode.value == Mode::Observe {
        let draft = route.mode.problem(match accept {
            Some(Accept::Public) => "a public route asks for nothing that could be observed",
            _ => "this route refuses nobody: what it asks for is only observed",
        });
        gathered.problem(match accept {
            Some(Accept::Public) => {
                draft.hint("say in `accept` what callers are to prove themselves with")
            }
            _ => draft
                .hint("`portcullis readiness` tells from the access log who would break")
                .warning(),
        });
    }
    let key_places = super::static_keys::places(file);
    let (token_fields, token_takers) = token_fields(route, accept, file, gathered);
    scopes(route, file, gathered);
    Some(route::Route {
        name: route.name.get()?.value.0.as_str().into(),
        index,
        host: super::matches::host(route, file, gathered),
        path: route.path.get()?.value.clone(),
        methods: super::matches::methods(route, &file.routes.0),
        upstream: upstream?,
        accept: accept?,
        pair: is_pair(route),
        assurance: super::assurance::assurance(route, accept?, file, gathered)?,
        mode: route.mode.value,
        scopes: route
            .scopes
            .0
            .iter()
            .map(|scope| scope.0.as_str())
            .collect(),
        body: BodyPolicy {
            limit: route.body.limit.0,
            verify: route.body.verify,
        },
        replay: route.replay.value,
        bind: route.bind.value,
        dialect,
        sigv4,
        webhooks,
        waivers: waivers?,
        path_encoding: route.path_encoding,
        keep_proof: route.keep_proof,
        in_flight: route.in_flight.map(|count| count.0),
        reserved: route.reserved,
        key_places,
        foreign_token_fields: super::tokens::foreign_fields(file, &token_fields),
        token_fields,
        token_takers,
        upgrade: route.upgrade.0.iter().map(|one| one.0.clone()).collect(),
        cors,
        inject,
        client_attestation,
    })
}

/// Fields a token may stand in, and whose: those of apps, and those of the issuers that the route takes.
fn token_fields(
    route: &Route,
    accept: Option<Accept>,
    file: &File,
    gathered: &mut Gathered<'_>,
) -> (Vec<HeaderName>, Vec<Takers>) {
    let own = route.token_headers.as_ref().unwrap_or(&file.tokens.headers);
    let mut fields: Vec<HeaderName> = own.0.iter().map(|name| name.value.clone()).collect();
    let mut takers = vec![Takers::OWN; fields.len()];
    if route.client_attestation.is_some() && !fields.contains(&OAUTH_CLIENT_ATTESTATION) {
        fields.push(OAUTH_CLIENT_ATTESTATION);
        takers.push(Takers::OWN);
    }
    let takes_tokens = is_pair(route) || accept.is_some_and(super::assurance::takes_tokens);
    if let (Some(List(names)), false, Some(_)) = (&route.issuers, takes_tokens, accept)
        && let Some(name) = names.first()
    {
        let draft = name.problem("this is of tokens, and the route accepts none");
        gathered.problem(draft.hint("add `\"token\"` to `accept`, or take `issuers` away"));
    }
    for name in route.issuers.iter().flat_map(|list| &list.0) {
        if file.issuers.place(&name.value.0).is_none() && !gathered.problems.any_at("issuers") {
            let message = format!("`{}` is not an issuer", name.value.0);
            let draft = name.problem(message);
            let draft = draft.nearest(&name.value.0, file.issuers.names(), "issuer");
            gathered.problem(draft.of_absence());
        }
        if super::tokens::is_evidence_only(file, &name.value.0) {
            let message = format!(
                "tokens of `{}` are evidence for the key service only",
                name.value.0
            );
            let draft = name.problem(message);
            gathered.problem(
                draft.hint(
                    "they stand for no app: say in `[issuers]` for which, by `app` or `claim`",
                ),
            );
        }
    }
    let is_taken = |issuer: &str| match &route.issuers {
        None => true,
        Some(list) => list.0.iter().any(|name| name.value.0 == *issuer),
    };
    for (place, (name, issuer)) in file.issuers.entries.iter().enumerate() {
        let Some(issuer) = issuer else { continue };
        let is_evidence = issuer.app.is_none() && issuer.claim.is_none();
        if !takes_tokens || is_evidence || !is_taken(&name.value) {
            continue;
        }
        for field in &issuer.headers.0 {
            let at = fields.iter().position(|known| *known == field.value);
            let at = at.unwrap_or_else(|| {
                fields.push(field.value.clone());
                takers.push(Takers {
                    own: false,
                    issuers: IssuerSet::NONE,
                });
                fields.len() - 1
            });
            takers[at].issuers = takers[at].issuers.with(place);
        }
    }
    let by_token = |one: Scheme| one == Scheme::Token;
    let nothing_else = matches!(accept, Some(Accept::Proven(all)) if all.iter().all(by_token));
    if route.bind.value == Bind::Authorization
        && takes_tokens
        && nothing_else
        && fields.iter().all(|field| *field == AUTHORIZATION)
    {
        let draft = route.bind.problem(
            "nobody can pass: tokens stand in `Authorization` alone here, and none can name what it stands in itself",
        );
        gathered.problem(draft.hint("another field in `token_headers`: `\"Portcullis-Token\"`"));
    }
    (fields, takers)
}

fn upstream(route: &Route, file: &File, gathered: &mut Gathered<'_>) -> Option<usize> {
    let name = route.upstream.get()?;
    let place = file.upstreams.place(&name.value.0);
    if place.is_none() && !gathered.problems.any_at("upstreams") {
        let message = format!("`{}` is not an upstream", name.value.0);
        let draft =
            name.problem(message)
                .nearest(&name.value.0, file.upstreams.names(), "upstream");
        gathered.problem(draft.of_absence());
    }
    place
}

fn accept(route: &Route, gathered: &mut Gathered<'_>) -> Option<Accept> {
    let Several(list) = route.accept.get()?;
    let public = list.iter().find(|one| one.value == Accepted::Public);
    let schemes: Vec<Scheme> = list
        .iter()
        .filter_map(|one| match one.value {
            Accepted::Proven(scheme) => Some(scheme),
            Accepted::Public | Accepted::Pair => None,
        })
        .collect();
    let accept = match public {
        Some(public) if list.len() > 1 => {
            gathered.problem(
                public
                    .problem("`public` stands beside a scheme")
                    .accepted("`[\"public\"]` alone, or schemes alone")
                    .hint("who lets anyone in asks nobody for a proof"),
            );
            return None;
        }
        Some(public) => {
            for what in needless(route) {
                gathered.problem(public.problem(format!("a public route knows no caller: {what}")));
            }
            Accept::Public
        }
        None => Accept::Proven(schemes.iter().copied().collect::<SchemeSet>()),
    };
    if route.bind.value != Bind::None
        && public.is_none()
        && !schemes.contains(&Scheme::Token)
        && !is_pair(route)
    {
        let draft = route
            .bind
            .problem("this binds tokens, and the route accepts none");
        gathered.problem(draft.hint("add `\"token\"` to `accept`, or take `bind` away"));
    }
    Some(accept)
}

pub(super) fn is_pair(route: &Route) -> bool {
    let list = route.accept.get().map_or(&[][..], |several| &several.0);
    list.iter().any(|one| one.value == Accepted::Pair)
}

/// Whose signatures are taken: said where they are accepted, and only there.
fn dialect(route: &Route, accept: Accept, gathered: &mut Gathered<'_>) -> Option<route::Dialect> {
    let list = &route.accept.get()?.0;
    let signed = list
        .iter()
        .find(|one| one.value == Accepted::Proven(Scheme::HmacAuth));
    let draft = match (&route.dialect, signed) {
        (Some(dialect), Some(_)) => return Some(dialect.value),
        (None, None) => return None,
        // One that cannot be read is a problem of its own.
        (None, Some(signed)) if is_unreadable(signed, gathered) => return None,
        (None, Some(signed)) => signed
            .problem("`hmac-auth` needs to know in whose way callers sign")
            .accepted("`dialect` on the route: `\"kong\"`, `\"apisix\"` or `\"cavage-12\"`")
            .of_absence(),
        (Some(dialect), None) => {
            let draft = dialect.problem("this is of `hmac-auth`, which the route does not accept");
            draft.hint(match accept {
                Accept::Public => "take `dialect` away",
                Accept::Proven(_) => "add `\"hmac-auth\"` to `accept`, or take `dialect` away",
            })
        }
    };
    gathered.problem(draft);
    None
}

/// Whether there is a problem with the `dialect` that stands beside `signed`.
fn is_unreadable(signed: &At<Accepted>, gathered: &Gathered<'_>) -> bool {
    let route = signed.key.rsplit_once(".accept").map(|(route, _)| route);
    route.is_some_and(|route| gathered.problems.any_at(&format!("{route}.dialect")))
}

/// What a public route cannot ask for.
fn needless(route: &Route) -> impl Iterator<Item = &'static str> {
    let asked = [
        (!route.scopes.0.is_empty(), "`scopes` would refuse everyone"),
        (!route.waive.0.is_empty(), "`waive` has nothing to waive"),
        (route.bind.value != Bind::None, "`bind` has nothing to bind"),
        (
            route.replay.value == ReplayPolicy::Strict,
            "`replay` has no proof that could come again",
        ),
    ];
    asked
        .into_iter()
        .filter_map(|(asked, what)| asked.then_some(what))
}

/// A scope that no app has is most likely mistyped.
fn scopes(route: &Route, file: &File, gathered: &mut Gathered<'_>) {
    let apps: Vec<_> = file
        .apps
        .entries
        .iter()
        .filter_map(|(_, app)| app.as_ref())
        .collect();
    let Some(name) = route.name.get() else { return };
    let held: Scopes = apps
        .iter()
        .flat_map(|app| &app.scopes.0)
        .map(|scope| scope.0.as_str())
        .collect();
    let wanted: Scopes = route
        .scopes
        .0
        .iter()
        .map(|scope| scope.0.as_str())
        .collect();
    if apps.is_empty() {
        return;
    }
    if let Some(scope) = held.missing(&wanted) {
        let message = format!(
            "no app has the scope `{scope}`: nobody can pass the route `{}`",
            name.value.0
        );
        gathered.problem(name.problem(message).warning().of_absence());
    }
}
