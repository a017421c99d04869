//! All routes, most specific first.

use super::{Ambiguous, Path, Route};
use std::cmp::Ordering;
use std::sync::Arc;

/// The routes of one configuration. Built whole, never changed.
#[derive(Debug, Default)]
pub struct Table {
    /// Most specific first.
    order: Vec<Arc<Route>>,
    /// By [`Route::index`].
    routes: Vec<Arc<Route>>,
}

/// Two routes are equally specific for some request.
#[derive(Debug, PartialEq, Eq)]
pub struct Tie {
    /// Index of the first.
    pub first: usize,
    /// Index of the second.
    pub second: usize,
}

/// Why no route takes a request.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// None answers for this host and path.
    NotFound,
    /// Some do, with other methods: these, for `Allow`.
    MethodNotAllowed(Vec<http::Method>),
    /// One does, and another for what the server behind it may make of the path.
    Ambiguous(Ambiguous),
}

impl Table {
    /// Orders `routes`, which stand at their [`Route::index`].
    ///
    /// # Errors
    /// Every pair that is equally specific for some request.
    pub fn new(routes: Vec<Route>) -> Result<Self, Vec<Tie>> {
        let routes: Vec<Arc<Route>> = routes.into_iter().map(Arc::new).collect();
        let mut ties = Vec::new();
        for (at, first) in routes.iter().enumerate() {
            for second in &routes[at + 1..] {
                if specificity(first, second) == Ordering::Equal && overlap(first, second) {
                    ties.push(Tie {
                        first: first.index,
                        second: second.index,
                    });
                }
            }
        }
        if !ties.is_empty() {
            return Err(ties);
        }
        let mut order = routes.clone();
        order.sort_by(|a, b| specificity(b, a));
        Ok(Self { order, routes })
    }

    /// The most specific route for a request. `host` is lower case, without a port.
    ///
    /// # Errors
    /// [`NoRoute`] tells a missing route from a wrong method.
    pub fn find(
        &self,
        host: &str,
        method: &http::Method,
        path: &Path<'_>,
    ) -> Result<&Arc<Route>, NoRoute> {
        let found = self.find_canonical(host, method, path.canonical())?;
        // What guards a route must not be passed by a spelling of its path.
        for lenient in path.lenient() {
            match self.find_canonical(host, method, &lenient) {
                Ok(other) if other.index == found.index => {}
                Err(NoRoute::NotFound) => {}
                _ => return Err(NoRoute::Ambiguous(Ambiguous::OtherRoute)),
            }
        }
        Ok(found)
    }

    fn find_canonical(
        &self,
        host: &str,
        method: &http::Method,
        path: &str,
    ) -> Result<&Arc<Route>, NoRoute> {
        let mut allowed = Vec::new();
        for route in &self.order {
            let here = route
                .host
                .as_ref()
                .is_none_or(|pattern| pattern.matches(host))
                && route.path.matches(path);
            if !here {
                continue;
            }
            if route.methods.is_empty() || route.methods.contains(method) {
                return Ok(route);
            }
            for method in &route.methods {
                if !allowed.contains(method) {
                    allowed.push(method.clone());
                }
            }
        }
        Err(if allowed.is_empty() {
            NoRoute::NotFound
        } else {
            NoRoute::MethodNotAllowed(allowed)
        })
    }

    /// Every route, most specific first: the order in which they are tried.
    pub fn in_order(&self) -> &[Arc<Route>] {
        &self.order
    }

    /// Every route, by index.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }
}

/// Host first, then path, then whether methods are named.
fn specificity(a: &Route, b: &Route) -> Ordering {
    let host = |route: &Route| route.host.as_ref().map_or(0, super::HostPattern::rank);
    host(a)
        .cmp(&host(b))
        .then_with(|| a.path.specificity(&b.path))
        .then_with(|| (!a.methods.is_empty()).cmp(&!b.methods.is_empty()))
}

fn overlap(a: &Route, b: &Route) -> bool {
    let hosts = match (&a.host, &b.host) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    hosts && methods && a.path.overlaps(&b.path)
}
