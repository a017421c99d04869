//! What browsers are told before and after a page calls another origin
//! (Fetch standard, "CORS protocol"). Only on routes that say so, and of the key service where it does.

use super::begin::read_head;
use super::ending::Ending;
use super::minting;
use super::outcome::Stopped;
use super::{Gateway, Refusal, Settings};
use crate::clock::Now;
use crate::limit::peer::PeerSettings;
use crate::route::{Cors, Route, Table};
use crate::schemes::Received;
use crate::schemes::authority::without_own_port;
use crate::server::Peer;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use std::sync::Arc;

impl Gateway {
    /// The answer to a preflight: to `OPTIONS` by which a browser asks
    /// whether a page may send what it cannot sign yet. It needs no proof and
    /// reaches no upstream. `None` when the request is none, or its route
    /// tells browsers nothing: then it is a request like any other.
    pub(super) fn preflight(
        &self,
        settings: &Settings,
        peer: &Peer,
        parts: &Parts,
        has_body: bool,
        now: Now,
    ) -> Option<Result<Preflight, Box<Stopped>>> {
        let origin = parts.headers.get(ORIGIN)?;
        let asked = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let received = read_head(settings, peer, parts, has_body).ok()?;
        let path = parts.uri.path();
        let (cors, route) = if let Some(door) = minting::door_of_preflight(settings, asked, path) {
            door.ok()?;
            (settings.minting_cors.as_ref()?, None)
        } else {
            let route = route_of_preflight(&received, &settings.routes)?;
            (route.cors.as_ref()?, Some(route))
        };
        // Refusals do not count here: no page can read one of what it is asked before, and
        // the request behind it gets its own.
        let limits = PeerSettings {
            failures: None,
            ..settings.peers
        };
        let within = self.shared.peers.check(&limits, peer.address, now);
        Some(match within {
            Ok(()) => Ok(Preflight {
                route: route.map(|route| (route.index, route.name.clone())),
                host: received.host().into(),
                fields: granted(cors, origin, asked),
            }),
            Err(refused) => {
                let told = Told::by(Some(cors), &parts.headers);
                Err(Stopped::told(Refusal::Peer(refused), None, told))
            }
        })
    }
}

/// Whether a page that may not call asks to switch protocols, where the request asks for that. Its browser
/// shows the visitor's certificate by itself, and looks at no answer before it lets the page go on: so it
/// is held to `cors` here. Most programs send no `Origin`, others the one that they call, which is ours.
pub fn is_of_foreign_page(route: &Route, received: &Received<'_>) -> bool {
    let Some(cors) = &route.cors else {
        return false;
    };
    let is_ours = |origin: &[u8]| {
        let origin = str::from_utf8(origin).ok();
        origin
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(scheme, host)| {
                let host = without_own_port(received.scheme(), host);
                scheme.eq_ignore_ascii_case(received.scheme())
                    && host.eq_ignore_ascii_case(received.authority())
            })
    };
    let origins = received.fields().get_all(ORIGIN).iter();
    let mut origins = origins.map(HeaderValue::as_bytes);
    origins.any(|origin| !cors.allows(origin) && !is_ours(origin))
}

/// The route that a preflight asks about: the one that takes what the page wants to send.
/// `None` when `received` is no preflight, or that route tells browsers nothing.
pub fn route_of_preflight<'t>(
    received: &Received<'_>,
    routes: &'t Table,
) -> Option<&'t Arc<Route>> {
    let fields = received.fields();
    if received.method() != Method::OPTIONS || !fields.contains_key(ORIGIN) {
        return None;
    }
    let asked = fields.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Method::from_bytes(asked.as_bytes()).ok()?;
    let found = routes.find(received.host(), &method, received.path());
    found.ok().filter(|route| route.cors.is_some())
}

/// Answers a preflight.
pub(super) fn preflighted(
    preflight: Result<Preflight, Box<Stopped>>,
    ending: &mut Ending,
) -> Result<Response<()>, Box<Stopped>> {
    let preflight = preflight?;
    let record = ending.record();
    record.route = preflight.route;
    record.host = preflight.host;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = preflight.fields;
    Ok(response)
}

/// A preflight that is answered.
pub(super) struct Preflight {
    /// `None` of the key service, which has none.
    route: Option<(usize, Arc<str>)>,
    host: Box<str>,
    fields: HeaderMap,
}

/// What a preflight is told. The browser compares it with what the page wants.
fn granted(cors: &Cors, origin: &HeaderValue, method: &HeaderValue) -> HeaderMap {
    const ASKED: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let mut fields = HeaderMap::new();
    fields.insert(VARY, HeaderValue::from_static(ASKED));
    if !allow(cors, origin, &mut fields) {
        return fields;
    }
    let methods = cors.methods.as_ref().unwrap_or(method);
    fields.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    if let Some(headers) = &cors.headers {
        fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
    let age = HeaderValue::from(cors.max_age.as_secs());
    fields.insert(ACCESS_CONTROL_MAX_AGE, age);
    fields
}

/// Says whose page may read the answer; false when it is not this one's.
fn allow(cors: &Cors, origin: &HeaderValue, fields: &mut HeaderMap) -> bool {
    const ANY: HeaderValue = HeaderValue::from_static("*");
    const TRUE: HeaderValue = HeaderValue::from_static("true");
    if !cors.allows(origin.as_bytes()) {
        return false;
    }
    let whose = if cors.allows_any() {
        ANY
    } else {
        origin.clone()
    };
    fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, whose);
    if cors.credentials {
        fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    }
    true
}

/// What a browser is told with an answer, refusals too; nothing where the route says nothing.
pub(super) struct Told(Option<Box<HeaderMap>>);

impl Told {
    /// What is told of `route` to the page that sent `fields`.
    pub(super) fn of(route: &Route, fields: &HeaderMap) -> Self {
        Self::by(route.cors.as_ref(), fields)
    }

    /// The same of the key service.
    pub(super) fn of_minting(settings: &Settings, fields: &HeaderMap) -> Self {
        Self::by(settings.minting_cors.as_ref(), fields)
    }

    fn by(cors: Option<&Cors>, fields: &HeaderMap) -> Self {
        let Some(cors) = cors else {
            return Self(None);
        };
        let mut told = HeaderMap::new();
        let origin = fields.get(ORIGIN);
        let allowed = origin.is_some_and(|origin| allow(cors, origin, &mut told));
        if let (true, Some(expose)) = (allowed, &cors.expose) {
            told.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
        Self(Some(Box::new(told)))
    }

    /// The same where a request is refused before its route is looked for: it is found for this alone,
    /// and for pages alone.
    pub(super) fn of_unread(
        settings: &Settings,
        peer: &Peer,
        parts: &Parts,
        has_body: bool,
    ) -> Self {
        let told = || {
            parts.headers.get(ORIGIN)?;
            let received = read_head(settings, peer, parts, has_body).ok()?;
            if minting::door(settings, parts).is_some() {
                return Some(Self::of_minting(settings, &parts.headers));
            }
            let (host, method) = (received.host(), received.method());
            let route = settings.routes.find(host, method, received.path()).ok()?;
            Some(Self::of(route, &parts.headers))
        };
        told().unwrap_or(Self(None))
    }

    /// Puts it in the place of what an upstream says to browsers. A cache
    /// must keep apart what is told to one page and to another.
    pub(super) fn tell(self, fields: &mut HeaderMap) {
        let Some(told) = self.0 else {
            return;
        };
        let theirs: Vec<HeaderName> = fields
            .keys()
            .filter(|name| name.as_str().starts_with("access-control-"))
            .cloned()
            .collect();
        for name in theirs {
            fields.remove(name);
        }
        fields.extend(*told);
        fields.append(VARY, HeaderValue::from_static("Origin"));
    }
}
