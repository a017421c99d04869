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

/// A request that one might take for a route's, and which is another's.
#[derive(Debug)]
pub struct Left<'t> {
    /// Which route.
    pub from: &'t Route,
    /// Which one takes it.
    pub to: &'t Route,
    /// The first of its methods.
    pub method: &'t http::Method,
    /// Whether that is all.
    pub others: Others,
}

/// Which methods go with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// None.
    None,
    /// Some.
    Some,
    /// Every one that there is.
    All,
}

/// Methods that are asked with most, those first that change something.
static USUAL: [http::Method; 5] = [
    http::Method::POST,
    http::Method::PUT,
    http::Method::PATCH,
    http::Method::DELETE,
    http::Method::GET,
];

/// A host that no request has.
const NO_HOST: &str = "\0";

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
        for lenient in path.lenient().map_err(NoRoute::Ambiguous)? {
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

    /// What routes leave to less specific ones by their `methods`, one route after the other. Not what goes to one of
    /// the same host and path, which is said on purpose; nor `OPTIONS`, by which browsers ask before they send.
    pub fn left(&self) -> impl Iterator<Item = Left<'_>> {
        let routes = self.order.iter().enumerate();
        let listing = routes.filter(|(_, from)| !from.methods.is_empty());
        listing.flat_map(move |(at, from)| {
            let host = from.host.as_ref();
            let host = host.map_or_else(|| NO_HOST.to_owned(), super::HostPattern::example);
            let wider = self.order.iter().skip(at + 1);
            wider.filter_map(move |to| self.left_to(from, to, &host))
        })
    }

    /// `host` is one that `from` has. A less specific route takes it, or has none of its hosts.
    fn left_to<'t>(&'t self, from: &'t Route, to: &'t Route, host: &str) -> Option<Left<'t>> {
        // First what is cheap: of many hosts there are many pairs.
        let is_other = |pattern: &super::HostPattern| !pattern.matches(host);
        if to.host.as_ref().is_some_and(is_other) || from.host == to.host && from.path == to.path {
            return None;
        }
        let path = from.path.shared(&to.path)?;
        let (methods, is_open) = match &*to.methods {
            [] => (&USUAL[..], true),
            listed => (listed, false),
        };
        let goes = |method: &http::Method| {
            *method != http::Method::OPTIONS
                && !from.methods.contains(method)
                && self.goes_to(to, host, method, &path)
        };
        let (method, others) = first_of(methods, is_open, goes)?;
        Some(Left {
            from,
            to,
            method,
            others,
        })
    }

    fn goes_to(&self, to: &Route, host: &str, method: &http::Method, path: &str) -> bool {
        let found = self.find_canonical(host, method, path);
        found.is_ok_and(|found| found.index == to.index)
    }

    /// What routes leave to others of a less specific path, since the host goes before it: a route of one host has what
    /// one of every host seems to have.
    pub fn left_by_host(&self) -> impl Iterator<Item = Left<'_>> {
        let routes = self.order.iter().enumerate();
        routes.flat_map(move |(at, from)| {
            let before = self.order.iter().take(at);
            before.filter_map(move |to| self.left_to_host(from, to))
        })
    }

    fn left_to_host<'t>(&'t self, from: &'t Route, to: &'t Route) -> Option<Left<'t>> {
        // First what is cheap, here too.
        let is_wider = rank(to) > rank(from) && from.path.specificity(&to.path).is_gt();
        let host = to.host.as_ref().filter(|_| is_wider)?.example();
        if from.host.as_ref().is_some_and(|own| !own.matches(&host)) {
            return None;
        }
        let path = from.path.shared(&to.path)?;
        let (methods, is_open) = match (&*from.methods, &*to.methods) {
            ([], []) => (&USUAL[..], true),
            ([], listed) | (listed, _) => (listed, false),
        };
        let goes = |method: &http::Method| {
            *method != http::Method::OPTIONS && self.goes_to(to, &host, method, &path)
        };
        let (method, mut others) = first_of(methods, is_open, goes)?;
        if is_open && methods.iter().all(goes) {
            others = Others::All;
        }
        Some(Left {
            from,
            to,
            method,
            others,
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

/// The first of `methods` that goes there, and whether others do; there are more where the list `is_open`. `HEAD` goes with `GET`.
fn first_of(
    methods: &[http::Method],
    is_open: bool,
    goes: impl Fn(&http::Method) -> bool,
) -> Option<(&http::Method, Others)> {
    let mut left = methods.iter().filter(|method| goes(method));
    let first = left.next()?;
    let others = is_open || left.any(|other| *other != http::Method::HEAD);
    Some((first, if others { Others::Some } else { Others::None }))
}

/// Host first, then path, then whether methods are named.
fn specificity(a: &Route, b: &Route) -> Ordering {
    rank(a)
        .cmp(&rank(b))
        .then_with(|| a.path.specificity(&b.path))
        .then_with(|| (!a.methods.is_empty()).cmp(&!b.methods.is_empty()))
}

/// That of its host; none is of every host, and ranks below all.
fn rank(route: &Route) -> u8 {
    route.host.as_ref().map_or(0, super::HostPattern::rank)
}

fn overlap(a: &Route, b: &Route) -> bool {
    let hosts = match (&a.host, &b.host) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    hosts && methods && a.path.shared(&b.path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{HostPattern, PathPattern};
    use http::Method;
    use proptest::prelude::*;

    fn table(routes: &[(Option<&str>, &str, &[Method])]) -> Table {
        let routes = routes.iter().enumerate();
        let routes = routes.map(|(index, (host, path, methods))| Route {
            index,
            host: host.map(|host| HostPattern::new(host).unwrap()),
            path: PathPattern::new(path).unwrap(),
            methods: methods.to_vec(),
            ..Route::any(path)
        });
        Table::new(routes.collect()).unwrap()
    }

    #[test]
    fn what_is_left_to_wider_routes_is_what_they_would_get() {
        let get = &[Method::GET][..];
        let post = &[Method::POST][..];
        let write = &[Method::POST, Method::PUT, Method::PATCH, Method::DELETE][..];
        for (routes, left) in [
            // Whatever is not listed.
            (
                &[(None, "/a/**", get), (None, "/**", &[])][..],
                &[("/a/**", "/**", Method::POST)][..],
            ),
            (
                &[(None, "/a/**", write), (None, "/**", &[])],
                &[("/a/**", "/**", Method::GET)],
            ),
            // Nothing: it has all, none does the other, or one of the same place takes it.
            (&[(None, "/a/**", &[]), (None, "/**", get)], &[]),
            (&[(None, "/a/**", get), (None, "/**", get)], &[]),
            (&[(None, "/a/**", get), (None, "/b", &[])], &[]),
            (
                &[
                    (None, "/a/**", get),
                    (None, "/a/**", &[]),
                    (None, "/**", &[]),
                ],
                &[],
            ),
            (
                &[(None, "/a", get), (None, "/a", write), (None, "/**", &[])],
                &[],
            ),
            // One of the same place takes a part.
            (
                &[(None, "/a", get), (None, "/a", post), (None, "/**", &[])],
                &[("/a", "/**", Method::PUT), ("/a", "/**", Method::PUT)],
            ),
            // One that stands between takes it, or what it does not reach is left.
            (
                &[(None, "/a/b", get), (None, "/a/*", &[]), (None, "/**", &[])],
                &[("/a/b", "/a/*", Method::POST)],
            ),
            (
                &[
                    (None, "/a/**", get),
                    (None, "/a/*", &[]),
                    (None, "/**", &[]),
                ],
                &[("/a/**", "/**", Method::POST)],
            ),
            // By the host.
            (
                &[(Some("*.x.de"), "/**", get), (None, "/a", &[])],
                &[("/**", "/a", Method::POST)],
            ),
            (
                &[(Some("a.x.de"), "/a", get), (Some("*.x.de"), "/**", &[])],
                &[("/a", "/**", Method::POST)],
            ),
            (
                &[(Some("a.x.de"), "/a", get), (Some("b.x.de"), "/**", &[])],
                &[],
            ),
            // What browsers ask before is no request of the other route.
            (&[(None, "/a", get), (None, "/**", &[Method::OPTIONS])], &[]),
        ] {
            let table = table(routes);
            let found: Vec<_> = table
                .left()
                .map(|left| (&*left.from.name, &*left.to.name, left.method.clone()))
                .collect();
            assert_eq!(found, left, "{routes:?}");
        }
    }

    #[test]
    fn what_a_host_has_of_a_more_specific_path_is_what_it_would_get() {
        let get = &[Method::GET][..];
        let post = &[Method::POST][..];
        let read = &[Method::GET, Method::HEAD][..];
        let write = &[Method::PUT, Method::PATCH][..];
        for (routes, left) in [
            (
                &[(None, "/a/**", &[][..]), (Some("x.de"), "/**", &[])][..],
                &[("/a/**", "/**", Method::POST, Others::All)][..],
            ),
            (
                &[(Some("*.x.de"), "/a", &[]), (Some("b.x.de"), "/**", &[])],
                &[("/a", "/**", Method::POST, Others::All)],
            ),
            (
                &[(None, "/a", get), (Some("*.x.de"), "/**", &[])],
                &[("/a", "/**", Method::GET, Others::None)],
            ),
            (
                &[(None, "/*/a", &[]), (Some("x.de"), "/**", get)],
                &[("/*/a", "/**", Method::GET, Others::None)],
            ),
            (
                &[(None, "/a", read), (Some("x.de"), "/**", &[])],
                &[("/a", "/**", Method::GET, Others::None)],
            ),
            (
                &[(None, "/a", write), (Some("x.de"), "/**", &[])],
                &[("/a", "/**", Method::PUT, Others::Some)],
            ),
            // One of that host has a part of it.
            (
                &[
                    (None, "/a", &[]),
                    (Some("x.de"), "/**", &[]),
                    (Some("x.de"), "/a", post),
                ],
                &[("/a", "/**", Method::PUT, Others::Some)],
            ),
            // Its own host, another one, other methods or paths, or one as specific.
            (
                &[(Some("x.de"), "/a", &[]), (Some("x.de"), "/**", &[])],
                &[],
            ),
            (
                &[(Some("*.x.de"), "/a", &[]), (Some("x.de"), "/**", &[])],
                &[],
            ),
            (&[(None, "/a", &[]), (None, "/**", &[])], &[]),
            (&[(None, "/a", get), (Some("x.de"), "/**", post)], &[]),
            (&[(None, "/a/b", &[]), (Some("x.de"), "/b/**", &[])], &[]),
            (&[(None, "/**", &[]), (Some("x.de"), "/a", &[])], &[]),
            (&[(None, "/a", &[]), (Some("x.de"), "/a", &[])], &[]),
            // One of that host has it.
            (
                &[
                    (None, "/a/**", &[]),
                    (Some("x.de"), "/**", &[]),
                    (Some("x.de"), "/a/**", &[]),
                ],
                &[],
            ),
        ] {
            let table = table(routes);
            let found: Vec<_> = table
                .left_by_host()
                .map(|left| {
                    let method = left.method.clone();
                    (&*left.from.name, &*left.to.name, method, left.others)
                })
                .collect();
            assert_eq!(found, left, "{routes:?}");
        }
    }

    #[test]
    fn what_is_left_is_found_soon_among_the_routes_of_a_thousand_hosts() {
        let hosts: Vec<String> = (0..1_000).map(|host| format!("h{host}.x.de")).collect();
        let get = &[Method::GET][..];
        let post = &[Method::POST][..];
        let routes = hosts.iter().flat_map(|host| {
            let host = Some(host.as_str());
            [
                (host, "/a/**", get),
                (host, "/a/**", post),
                (host, "/**", get),
            ]
        });
        let mut routes: Vec<_> = routes.collect();
        routes.push((None, "/a/b", get));
        let table = table(&routes);
        assert_eq!(table.left().count(), 0);
        assert_eq!(table.left_by_host().count(), 1_000);
    }

    /// When a server leaves out what follows a `;`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Cuts {
        Never,
        BeforeItDecodes,
        AfterItHasDecoded,
    }

    /// When it takes a target for a URL, which has a host behind `//`, and how.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Host {
        Never,
        BeforeItDecodes(Slashes),
        AfterItHasDecoded(Slashes),
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Slashes {
        /// RFC 3986.
        Two,
        /// WHATWG.
        Any,
    }

    /// A server, and what it does with a path.
    #[derive(Clone, Copy, Debug)]
    struct Server {
        host: Host,
        cuts: Cuts,
        decodes_semicolons: bool,
        decodes_slashes: bool,
        /// What is decoded ends a path, where it does so first.
        ends: &'static [char],
        merges: bool,
    }

    impl Server {
        fn reads(&self, raw: &str) -> String {
            let mut path = raw.to_owned();
            let cut = |path: &str| {
                let segments = path
                    .split('/')
                    .map(|segment| segment.split(';').next().unwrap());
                segments.collect::<Vec<_>>().join("/")
            };
            if let Host::BeforeItDecodes(slashes) = self.host {
                path = without_host(&path, slashes);
            }
            if self.cuts == Cuts::BeforeItDecodes {
                path = cut(&path);
            }
            // Others of what can stand plain are taken for decoded.
            let mut decoded = "a*:@+".to_owned();
            decoded.extend(self.decodes_semicolons.then_some(';'));
            decoded.extend(self.decodes_slashes.then_some('/'));
            decoded.extend(self.ends);
            for plain in decoded.chars() {
                let value = u32::from(plain);
                for escape in [format!("%{value:02x}"), format!("%{value:02X}")] {
                    path = path.replace(&escape, &plain.to_string());
                }
            }
            path = path.split(self.ends).next().unwrap().to_owned();
            if let Host::AfterItHasDecoded(slashes) = self.host {
                path = without_host(&path, slashes);
            }
            if self.cuts == Cuts::AfterItHasDecoded {
                path = cut(&path);
            }
            while self.merges && path.contains("//") {
                path = path.replace("//", "/");
            }
            path
        }
    }

    fn without_host(path: &str, slashes: Slashes) -> String {
        let Some(rest) = path.strip_prefix("//") else {
            return path.to_owned();
        };
        let rest = match slashes {
            Slashes::Two => rest,
            Slashes::Any => rest.trim_start_matches('/'),
        };
        rest.find('/').map_or("/", |at| &rest[at..]).to_owned()
    }

    fn servers() -> impl Strategy<Value = Server> {
        let hosts = [
            Host::Never,
            Host::BeforeItDecodes(Slashes::Two),
            Host::BeforeItDecodes(Slashes::Any),
            Host::AfterItHasDecoded(Slashes::Two),
            Host::AfterItHasDecoded(Slashes::Any),
        ];
        let cuts = [Cuts::Never, Cuts::BeforeItDecodes, Cuts::AfterItHasDecoded];
        let ends: [&[char]; 4] = [&[], &['?'], &['#'], &['?', '#']];
        let picked = [hosts.len(), cuts.len(), ends.len(), 2, 2, 2];
        let picked = picked.map(|many| 0..many);
        picked.prop_map(
            move |[host, cut, end, semicolons, slashes, merges]| Server {
                host: hosts[host],
                cuts: cuts[cut],
                ends: ends[end],
                decodes_semicolons: semicolons == 1,
                decodes_slashes: slashes == 1,
                merges: merges == 1,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn however_a_server_reads_a_path_that_passes_it_is_the_same_routes(
            raw in "((/|/|//|%2f)(a|%61|b|@|%40|;|%3b|\\*|%2A)?(:|%3a|%3A|@|%40|;|%3B|\\+|%2b|%3f|%23|b)?b?){1,4}",
            server in servers(),
        ) {
            let table = table(&[
                (None, "/**", &[]),
                (None, "/a:b/**", &[]),
                (None, "/a/*", &[]),
                (None, "/*/@b/**", &[]),
                (None, "/a/b@/**", &[]),
                (None, "/*/*/b", &[]),
                (None, "/a;b", &[]),
                (None, "/a;/**", &[]),
                (None, "/a+b/%2A", &[]),
                (None, "/b/**", &[]),
            ]);
            let Ok(path) = Path::read(&raw) else { return Ok(()) };
            let Ok(found) = table.find("x", &Method::GET, &path) else { return Ok(()) };
            let read = server.reads(&raw);
            let other = table.find_canonical("x", &Method::GET, &read);
            prop_assert_eq!(other.map(|other| other.index), Ok(found.index), "{}", read);
        }
    }
}
