//! Requests of every route, rightly made and changed in one way each, with the gateway's own verdict.

use super::changes::{CHANGES, Change, Draft, NOBODY, NUMBER, OF_USER, alter};
use super::keys::{Holder, Holders};
use super::written::{Case, File, Request, Verdict};
use crate::apps::{Key, Policy, Scheme};
use crate::cli::explain::{Ground, judge};
use crate::cli::pasted::{Body, Pasted};
use crate::cli::stop::Stop;
use crate::clock::Now;
use crate::crypto::Algorithm;
use crate::route::{Accept, Bind, Dialect, Path, Route, Webhooks};
use crate::schemes::{PAIR, PublicUrl};
use anyhow::Result;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// What a host is called where the configuration names none, the later ones where it is another route's.
const HOSTS: [&str; 3] = ["gateway.example", "vectors.example", "gateway.test"];
/// What may stand in front of a host that any label may.
const LABELS: [&str; 3] = ["www.", "vectors.", "gateway."];
/// What stands in a path for `*` and for `**`. More specific routes may answer for the first ones.
const WORDS: [(&str, &str); 5] = [
    (NUMBER, NUMBER),
    (NUMBER, "42/42"),
    (NUMBER, "42/42/42"),
    ("4242", "4242"),
    (NUMBER, ""),
];

/// A way to prove a request that a route accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    One(Scheme),
    Pair,
}

/// What decides, beside its secret, whether a key that suits a route passes there.
#[derive(PartialEq, Eq)]
struct Kind {
    algorithm: Algorithm,
    policy: Policy,
    attests: bool,
    /// The signs in its id, a bit for each: not every proof can name an id with every one.
    signs: u128,
}

/// Makes requests for one configuration.
pub(super) struct Maker {
    pub(super) ground: Ground,
    pub(super) time: u64,
    /// Tells requests apart, so that each passes once.
    number: Cell<u32>,
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One(scheme) => scheme.name(),
            Self::Pair => PAIR,
        }
    }

    /// Whether it is a webhook, which holds its body and not the request.
    pub(super) const fn is_webhook(self) -> bool {
        matches!(self, Self::One(Scheme::Webhook))
    }

    /// Whether there is room for its proof beside an `Authorization` that is there already. No sender of
    /// webhooks signs one.
    fn leaves_room(self, route: &Route) -> bool {
        match self {
            Self::One(Scheme::AwsSigv4 | Scheme::Webhook) => false,
            Self::One(Scheme::HmacAuth) => route.dialect != Some(Dialect::Apisix),
            Self::One(_) | Self::Pair => true,
        }
    }

    /// Whether `key` may be used so to `route`.
    fn suits(self, key: &Key, route: &Route) -> bool {
        let is_of = |webhooks: &Webhooks| webhooks.app == key.app.index;
        if self.is_webhook() && !route.webhooks.as_ref().is_some_and(is_of) {
            return false;
        }
        match self {
            Self::One(scheme) => key.schemes.contains(scheme),
            Self::Pair => [Scheme::HttpSignature, Scheme::Token]
                .into_iter()
                .all(|scheme| key.schemes.contains(scheme)),
        }
    }
}

impl Kind {
    fn of(key: &Key) -> Self {
        let signs = key.id.bytes().filter(|byte| !byte.is_ascii_alphanumeric());
        Self {
            algorithm: key.algorithm(),
            policy: key.app.policy,
            attests: key.attests,
            signs: signs.fold(0_u128, |all, byte| all | (1_u128 << (byte % 128))),
        }
    }
}

impl Maker {
    pub(super) const fn new(ground: Ground, time: u64) -> Self {
        Self {
            ground,
            time,
            number: Cell::new(0),
        }
    }

    pub(super) fn routes(&self) -> &[Arc<Route>] {
        self.ground.routes.routes()
    }

    /// Every way that `route` accepts.
    pub(super) fn ways(route: &Route) -> Vec<Way> {
        let alone = match route.accept {
            Accept::Public => Vec::new(),
            Accept::Proven(schemes) => schemes.iter().map(Way::One).collect(),
        };
        alone
            .into_iter()
            .chain(route.pair.then_some(Way::Pair))
            .collect()
    }

    /// The requests to `route`, proven in one way by a key of each kind; no case where none would pass.
    pub(super) fn file(&self, route: &Route, way: Way, holders: &Holders) -> Result<File> {
        let mut cases = Vec::new();
        for holder in self.of_each_kind(route, way, holders)? {
            for (change, title, has_body) in CHANGES {
                if way.is_webhook() && !change.is_of_webhooks(has_body) {
                    continue;
                }
                cases.extend(self.case(route, way, holder, change, title, has_body)?);
            }
        }
        let poor = holders.iter().find(|holder| {
            let key = self.ground.registry.key(&holder.id);
            key.is_some_and(|key| {
                way.suits(&key, route) && key.app.scopes.missing(&route.scopes).is_some()
            })
        });
        if let Some(holder) = poor.filter(|_| !cases.is_empty()) {
            let title = "by an app without the scope";
            cases.extend(self.case(route, way, holder, Change::NoScope, title, false)?);
        }
        let is_of_hmac = way == Way::One(Scheme::HmacAuth);
        Ok(File {
            route: route.name.to_string(),
            scheme: way.name(),
            dialect: route.dialect.filter(|_| is_of_hmac).map(Dialect::name),
            sender: route
                .webhooks
                .as_ref()
                .filter(|_| way.is_webhook())
                .map(|webhooks| webhooks.sender.name()),
            time: self.time,
            cases,
        })
    }

    /// One key of each algorithm, whose request passes when nothing is wrong with it.
    fn of_each_kind<'h>(
        &self,
        route: &Route,
        way: Way,
        holders: &'h Holders,
    ) -> Result<Vec<&'h Holder>> {
        let now = self.time as i64;
        let may_pass = |key: &Key| {
            way.suits(key, route)
                && key.is_active(now)
                && key.app.enabled
                && key.app.scopes.missing(&route.scopes).is_none()
        };
        let mut found: Vec<&Holder> = Vec::new();
        // There may be many keys, and a trial costs a signature: of those that are alike one is tried.
        let mut tried: Vec<Kind> = Vec::new();
        for holder in holders.iter() {
            if found.iter().any(|one| one.algorithm == holder.algorithm) {
                continue;
            }
            let key = self.ground.registry.key(&holder.id);
            let Some(kind) = key.filter(|key| may_pass(key)).map(|key| Kind::of(&key)) else {
                continue;
            };
            if tried.contains(&kind) {
                continue;
            }
            tried.push(kind);
            if self.passes(route, way, holder)? {
                found.push(holder);
            }
        }
        Ok(found)
    }

    /// Whether a request passes that `holder` makes rightly.
    fn passes(&self, route: &Route, way: Way, holder: &Holder) -> Result<bool> {
        let tried = self.case(route, way, holder, Change::None, "on trial", false)?;
        Ok(tried.is_some_and(|case| case.verdict.passes))
    }

    /// One request; `None` where it cannot be made so.
    fn case(
        &self,
        route: &Route,
        way: Way,
        holder: &Holder,
        change: Change,
        title: &'static str,
        has_body: bool,
    ) -> Result<Option<Case>> {
        let Some(mut draft) = self.draft(route, way, change, has_body) else {
            return Ok(None);
        };
        if !self.sign(&mut draft, route, way, holder, change)?
            || !alter(&mut draft, route, way, change)
        {
            return Ok(None);
        }
        if change == Change::NoProof {
            draft.text = None;
        }
        let verdict = self.verdict(&draft)?;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = draft.fields.iter();
        Ok(Some(Case {
            title,
            key: if change == Change::KeyId {
                NOBODY
            } else {
                &holder.id
            }
            .to_owned(),
            algorithm: holder.algorithm.name(),
            request: Request {
                method: draft.method.to_string(),
                scheme: self.scheme().to_owned(),
                authority: draft.authority,
                target: draft.target,
                headers: fields
                    .map(|(name, value)| [crate::cli::curl::shown(name), text(value)])
                    .collect(),
                body: draft.body,
            },
            text: draft.text,
            verdict,
        }))
    }

    fn draft(&self, route: &Route, way: Way, change: Change, has_body: bool) -> Option<Draft> {
        let has_body = has_body || way.is_webhook();
        let (method, authority, path) = self.place(route, change, has_body)?;
        let number = self.number.get() + 1;
        self.number.set(number);
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_str(&authority).ok()?);
        if route.bind == Bind::Authorization && way.leaves_room(route) {
            fields.insert(AUTHORIZATION, OF_USER);
        }
        let time = self.time;
        // GitHub signs neither a time nor an id: its body alone tells a request from one of another folder.
        let body = has_body.then(|| format!("{{\"case\": {number}, \"time\": {time}}}"));
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            fields.insert(CONTENT_TYPE, json);
        }
        Some(Draft {
            method,
            authority,
            target: if way.is_webhook() {
                path
            } else {
                format!("{path}?case={number}")
            },
            fields,
            body,
            text: None,
        })
    }

    /// An id of the request that was begun last, which no other has.
    pub(super) fn id(&self) -> String {
        format!("msg_{}", self.number.get())
    }

    /// Method, authority and path of a request that `route` gets, and no other.
    fn place(
        &self,
        route: &Route,
        change: Change,
        has_body: bool,
    ) -> Option<(Method, String, String)> {
        let with_body = [Method::POST, Method::PUT, Method::PATCH];
        let without = [Method::GET, Method::DELETE, Method::HEAD, Method::OPTIONS];
        let methods: Vec<Method> = if has_body {
            with_body.into()
        } else {
            let usual = without.into_iter().chain(with_body);
            usual.chain(route.methods.iter().cloned()).collect()
        };
        let pattern = route.path.to_string();
        let is_changed = change == Change::Path;
        if is_changed && !pattern.contains('*') {
            return None;
        }
        let paths = WORDS.map(|(one, rest)| pattern.replace("**", rest).replace('*', one));
        let authorities = self.authorities(route);
        for method in methods {
            for authority in &authorities {
                let mut paths = paths.iter();
                let path = paths.find(|path| {
                    (!is_changed || path.contains(NUMBER))
                        && self.is_of(route, &method, authority, path)
                });
                if let Some(path) = path {
                    return Some((method, authority.clone(), path.clone()));
                }
            }
        }
        None
    }

    /// Whether it is `route` that such a request comes to.
    fn is_of(&self, route: &Route, method: &Method, authority: &str, path: &str) -> bool {
        let public_url = self.ground.public_url.as_ref();
        let host = public_url.map_or(authority, PublicUrl::host);
        Path::read(path).is_ok_and(|path| {
            let found = self.ground.routes.find(host, method, &path);
            found.is_ok_and(|found| found.index == route.index)
        })
    }

    /// Authorities that callers may take the route for.
    fn authorities(&self, route: &Route) -> Vec<String> {
        if let Some(url) = &self.ground.public_url {
            return vec![url.authority.to_string()];
        }
        match &route.host {
            Some(host) => {
                let host = host.to_string();
                LABELS.map(|label| host.replace("*.", label)).into()
            }
            None => HOSTS.map(str::to_owned).into(),
        }
    }

    /// The scheme that callers take the gateway's to be.
    pub(super) fn scheme(&self) -> &str {
        match &self.ground.public_url {
            Some(url) => &url.scheme,
            None if self.ground.is_tls => "https",
            None => "http",
        }
    }

    /// What the gateway says, by the same code.
    fn verdict(&self, draft: &Draft) -> Result<Verdict> {
        let mut request = http::Request::new(());
        *request.method_mut() = draft.method.clone();
        *request.uri_mut() = draft.target.parse()?;
        request.headers_mut().clone_from(&draft.fields);
        let (mut parts, ()) = request.into_parts();
        if let Some(body) = &draft.body {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let body = draft.body.clone().map(String::into_bytes);
        let pasted = Pasted {
            parts,
            body: body.map_or(Body::None, Body::Whole),
            tls: None,
            notes: Vec::new(),
        };
        let now = Now::new(Duration::from_secs(self.time), Duration::ZERO);
        let report = judge(&pasted, &self.ground, None, now);
        let refused = report.refused.as_ref();
        if refused.is_none() && !report.passes {
            return Err(Stop::failed("a request has no verdict").into());
        }
        Ok(Verdict {
            passes: report.passes,
            status: refused.map(|refused| refused.status),
            code: refused.map(|refused| refused.code),
        })
    }
}
