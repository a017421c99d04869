//! `host` and `methods` of `[[routes]]`: which requests a route takes.

use super::Gathered;
use super::less::less;
use crate::config::file::{File, Route};
use crate::route::{HostPattern, PathPattern, Table};
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

/// Says of each route that lists `methods` where its others are asked for less.
pub(super) fn warn_of_left(table: &Table, routes: &[Route], gathered: &mut Gathered<'_>) {
    let mut told = None;
    for left in table.left() {
        let at = left.from.index;
        let path = routes.get(at).and_then(|route| route.path.get());
        let (Some(path), Some(less)) = (path, less(left.to, left.from)) else {
            continue;
        };
        if told.replace(at) == Some(at) {
            continue;
        }
        let message = format!(
            "`methods` leaves `{}` here to the route `{}`, {less}",
            left.method, left.to.name
        );
        let draft = path.problem(message).hint(
            "leave `methods` out, or say in a route of the same host and path what others ask for",
        );
        gathered.problem(draft.warning());
    }
}

/// Says of each route where one of another host has what it guards, at the same backend: whoever sends a request
/// says for which host it is.
pub(super) fn warn_of_left_by_host(table: &Table, routes: &[Route], gathered: &mut Gathered<'_>) {
    let mut told = None;
    for left in table.left_by_host() {
        let at = left.from.index;
        let path = routes.get(at).and_then(|route| route.path.get());
        let (Some(path), Some(host)) = (path, &left.to.host) else {
            continue;
        };
        if left.from.upstream != left.to.upstream || told == Some(at) {
            continue;
        }
        let Some(less) = less(left.to, left.from) else {
            continue;
        };
        told = Some(at);
        let message = format!(
            "`{}` for the host `{host}` goes to the route `{}` before, {less}",
            left.method, left.to.name
        );
        let draft = path.problem(message).hint(
            "a host goes before a path: say this path in a route of that host too, which asks for as much",
        );
        gathered.problem(draft.warning());
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
