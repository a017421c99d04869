//! Requests of every route, rightly made and changed in one way each, with the gateway's own verdict.

use super::changes::{CHANGES, Change, Draft, NOBODY, OF_USER, alter};
use super::keys::{Holder, Holders};
use super::written::{Case, File, Request, Verdict};
use crate::apps::{Key, Scheme};
use crate::cli::explain::{Ground, judge};
use crate::cli::pasted::{Body, Pasted};
use crate::cli::stop::Stop;
use crate::clock::Now;
use crate::route::{Accept, Bind, Route, Webhooks};
use crate::schemes::PAIR;
use anyhow::Result;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// What a host is called where the configuration names none.
const ANY_HOST: &str = "gateway.example";

/// A way to prove a request that a route accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    One(Scheme),
    Pair,
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

    /// The requests to `route`, proven in one way by a key of each kind.
    pub(super) fn file(&self, route: &Route, way: Way, holders: &Holders) -> Result<File> {
        let mut cases = Vec::new();
        for holder in self.of_each_kind(route, way, holders) {
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
        if let Some(holder) = poor {
            let title = "by an app without the scope";
            cases.extend(self.case(route, way, holder, Change::NoScope, title, false)?);
        }
        let is_of_hmac = way == Way::One(Scheme::HmacAuth);
        Ok(File {
            route: route.name.to_string(),
            scheme: way.name(),
            dialect: route
                .dialect
                .filter(|_| is_of_hmac)
                .map(crate::route::Dialect::name),
            sender: route
                .webhooks
                .as_ref()
                .filter(|_| way.is_webhook())
                .map(|webhooks| webhooks.sender.name()),
            time: self.time,
            cases,
        })
    }

    /// One key of each algorithm: one that passes, if there is one.
    fn of_each_kind<'h>(&self, route: &Route, way: Way, holders: &'h Holders) -> Vec<&'h Holder> {
        let now = self.time as i64;
        let rank = |holder: &Holder| {
            let key = self.ground.registry.key(&holder.id)?;
            let is_good = key.is_active(now)
                && key.app.enabled
                && key.app.scopes.missing(&route.scopes).is_none();
            way.suits(&key, route).then_some(is_good)
        };
        let mut kinds: Vec<(&Holder, bool)> = Vec::new();
        for holder in holders.iter() {
            let Some(is_good) = rank(holder) else {
                continue;
            };
            let known = kinds
                .iter_mut()
                .find(|(one, _)| one.algorithm == holder.algorithm);
            match known {
                None => kinds.push((holder, is_good)),
                Some(known) if is_good && !known.1 => *known = (holder, true),
                Some(_) => {}
            }
        }
        kinds.into_iter().map(|(holder, _)| holder).collect()
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
        if !self.sign(&mut draft, route, way, holder, change)? || !alter(&mut draft, way, change) {
            return Ok(None);
        }
        if change == Change::NoProof {
            draft.text = None;
        }
        let verdict = self.verdict(&draft)?;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (scheme, authority) = self.place(route);
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
                scheme: scheme.to_owned(),
                authority,
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
        let takes = |method: &&Method| route.methods.is_empty() || route.methods.contains(method);
        let with_body = [Method::POST, Method::PUT, Method::PATCH];
        let without = [Method::GET, Method::DELETE, Method::HEAD, Method::OPTIONS];
        let method = if has_body {
            with_body.iter().find(takes)?.clone()
        } else {
            let all = without.iter().chain(&with_body);
            all.chain(&route.methods).find(takes)?.clone()
        };
        let number = self.number.get() + 1;
        self.number.set(number);
        let pattern = route.path.to_string();
        if change == Change::Path && !pattern.contains('*') {
            return None;
        }
        let path = pattern.replace("**", "42").replace('*', "42");
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_str(&self.place(route).1).ok()?);
        if route.bind == Bind::Authorization {
            fields.insert(AUTHORIZATION, OF_USER);
        }
        let body = has_body.then(|| format!("{{\"case\": {number}}}"));
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            fields.insert(CONTENT_TYPE, json);
        }
        Some(Draft {
            method,
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

    /// Scheme and authority that callers take the route for.
    pub(super) fn place(&self, route: &Route) -> (&str, String) {
        if let Some(url) = &self.ground.public_url {
            return (&url.scheme, url.authority.to_string());
        }
        let host = match &route.host {
            Some(host) => host.to_string().replace("*.", "www."),
            None => ANY_HOST.to_owned(),
        };
        (if self.ground.is_tls { "https" } else { "http" }, host)
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
