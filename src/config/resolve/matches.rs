//! `host` and `methods` of `[[routes]]`: which requests a route takes.

use super::Gathered;
use crate::config::file::{File, Route};
use crate::route::{HostPattern, PathPattern};
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
