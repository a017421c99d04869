//! `host` and `methods` of `[[routes]]`: which requests a route takes.

use super::Gathered;
use super::less::less;
use crate::config::file::{File, Route};
use crate::config::gather::Draft;
use crate::route::{HostPattern, Left, Others, PathPattern, Table};
use http::Method;

/// Its methods. `HEAD` asks for what `GET` does: who guards the one guards the other, unless a
/// route of its own stands beside.
pub(super) fn methods(route: &Route, all: &[Route]) -> Vec<Method> {
    let mut methods = listed(route).to_vec();
    let heads = |other| listed(other).contains(&Method::HEAD) && place(other) == place(route);
    if let Some(get) = methods.iter().position(|method| method == Method::GET)
        && !all.iter().any(heads)
    {
        methods.insert(get + 1, Method::HEAD);
    }
    methods
}

/// Says of a file without a route, unless it is of a key service alone: it may have lost its end. Where it has mistakes,
/// they may be why.
pub(super) fn warn_of_none(file: &File, gathered: &mut Gathered<'_>) {
    let mints = super::tokens::apps_of(file).any(|app| app.tokens.is_some());
    let serves = !file.routes.0.is_empty() || !file.issuers.entries.is_empty() || mints;
    if serves || gathered.problems.any_error() {
        return;
    }
    let message = "there are no `[[routes]]`: every request gets 404";
    let draft = Draft::new(0..0, "routes".to_owned(), message.to_owned());
    let hint = "look whether the file has lost its end";
    gathered.problem(draft.hint(hint).warning());
}

/// Says of each route that lists `methods` where its others are asked for less.
pub(super) fn warn_of_left(table: &Table, routes: &[Route], gathered: &mut Gathered<'_>) {
    let says = |left: &Left<'_>, less: &str| {
        format!(
            "`methods` leaves {} here to the route `{}`, {less}",
            which(left),
            left.to.name
        )
    };
    let hint =
        "leave `methods` out, or say in a route of the same host and path what others ask for";
    warn(table.left(), routes, gathered, says, hint);
}

/// Says of each route where one of another host has what it guards, at the same backend: whoever sends a request
/// says for which host it is.
pub(super) fn warn_of_left_by_host(table: &Table, routes: &[Route], gathered: &mut Gathered<'_>) {
    let lefts = table.left_by_host();
    let lefts = lefts.filter(|left| left.from.upstream == left.to.upstream);
    let says = |left: &Left<'_>, less: &str| {
        let host = left.to.host.as_ref().map(ToString::to_string);
        let goes = match left.others {
            Others::Some => "go",
            Others::None | Others::All => "goes",
        };
        format!(
            "{} for the host `{}` {goes} to the route `{}` before, {less}",
            which(left),
            host.unwrap_or_default(),
            left.to.name
        )
    };
    let hint = "a host goes before a path: say this path in a route of that host too, which asks for as much";
    warn(lefts, routes, gathered, says, hint);
}

fn which(left: &Left<'_>) -> String {
    match left.others {
        Others::None => format!("`{}`", left.method),
        Others::Some => format!("`{}` and others", left.method),
        Others::All => "every method".to_owned(),
    }
}

/// Warns once of each route that leaves something to one which asks for less.
fn warn<'t>(
    lefts: impl Iterator<Item = Left<'t>>,
    routes: &[Route],
    gathered: &mut Gathered<'_>,
    says: impl Fn(&Left<'t>, &str) -> String,
    hint: &str,
) {
    let mut told = None;
    for left in lefts {
        let at = left.from.index;
        let path = routes.get(at).and_then(|route| route.path.get());
        let Some(path) = path.filter(|_| told != Some(at)) else {
            continue;
        };
        if let Some(less) = less(left.to, left.from) {
            told = Some(at);
            let draft = path.problem(says(&left, &less)).hint(hint);
            gathered.problem(draft.warning());
        }
    }
}

fn listed(route: &Route) -> &[Method] {
    route.methods.as_ref().map_or(&[], |several| &several.0)
}

fn place(route: &Route) -> (Option<&HostPattern>, Option<&PathPattern>) {
    let host = route.host.as_ref().map(|host| &host.value);
    (host, route.path.get().map(|path| &path.value))
}

/// Its host, which requests must be able to have.
pub(super) fn host(route: &Route, file: &File, gathered: &mut Gathered<'_>) -> Option<HostPattern> {
    let host = route.host.as_ref()?;
    if let Some(url) = &file.server.public_url
        && !host.matches(url.host())
    {
        let message = format!("no request has the host `{}`", host.value);
        let draft = host
            .problem(message)
            .accepted(format!(
                "every request has that of `server.public_url`: `{}`",
                url.host()
            ))
            .hint("leave it out here, or leave `public_url` out where there are several hosts");
        gathered.problem(draft);
    }
    Some(host.value.clone())
}
