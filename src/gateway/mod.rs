//! One request from start to end; the only room that knows the order, and
//! the status of a refusal.
//!
//! In: a peer and a request. Out: a response, and one record when it ends.
//! This room never: verifies, counts or forwards by itself – it calls the
//! rooms that do, in the one order that is safe, and each takes the value
//! that the one before has made.

pub mod refusal;
pub mod reload;

mod answer;

pub use answer::ResponseBody;
pub use reload::Settings;

use crate::apps::{App, Certified, Key};
use crate::authorize;
use crate::clock::{Clock, Now};
use crate::forward::body::Meter;
use crate::forward::upstream::{self, Pool};
use crate::forward::{self, Head, body};
use crate::limit::app::{Plan, Standing};
use crate::limit::peer::{PeerSettings, Peers};
use crate::limit::{self, Admitted};
use crate::observe::{Observer, Record, RequestIds, trace_id};
use crate::replay::{self, Memory};
use crate::route::{Accept, Route, Table};
use crate::schemes::freshness::Freshness;
use crate::schemes::{
    self, Caller, Malformed, Presented, PublicUrl, Received, Rules, Surroundings, token,
};
use crate::server::{Fault, Handler, Peer};
use answer::Ending;
use arc_swap::ArcSwap;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use refusal::{Blame, Refusal};
use std::sync::Arc;

/// What one configuration asks of the way of a request; plain data, made by
/// `config`, from which [`Settings::build`] makes what is in force.
#[derive(Debug)]
pub struct Blueprint {
    /// Every route.
    pub routes: Table,
    /// Every app, by `App::index`.
    pub apps: Vec<Arc<App>>,
    /// The plan of every app, by `App::index`; `None` is no limit.
    pub plans: Vec<Option<Arc<Plan>>>,
    /// Every key.
    pub keys: Vec<Key>,
    /// Every certificate by which an app is known.
    pub certificates: Vec<Certified>,
    /// Every upstream, by `Route::upstream`.
    pub upstreams: Vec<upstream::Settings>,
    /// `[freshness]`.
    pub freshness: Freshness,
    /// `[tokens]`.
    pub tokens: token::Settings,
    /// `[peers]`.
    pub peers: PeerSettings,
    /// `[server] explain`.
    pub explain: bool,
    /// `[server] public_url`.
    pub public_url: Option<PublicUrl>,
}

/// What all workers share.
pub struct Shared {
    /// What is in force; one atomic load a request.
    pub settings: ArcSwap<Settings>,
    /// Proofs that were used.
    pub memory: Arc<dyn Memory>,
    /// What each address has caused.
    pub peers: Peers,
    /// Tokens that were verified.
    pub tokens: token::Cache,
    /// Where records go.
    pub observer: Observer,
    /// The time.
    pub clock: Clock,
}

/// The gateway as one worker sees it.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    ids: Arc<RequestIds>,
}

impl Gateway {
    /// The gateway of one worker, with upstream connections of its own.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            pool: Arc::new(Pool::new()),
            ids: Arc::new(RequestIds::new()),
        }
    }
}

/// A request that may pass, taken out of its head.
struct Passing {
    admitted: Admitted,
    route: Arc<Route>,
    head: Head,
}

/// A request that may not, and what its answer asks for.
struct Stopped {
    refusal: Refusal,
    asks: HeaderMap,
}

impl From<Refusal> for Box<Stopped> {
    fn from(refusal: Refusal) -> Self {
        Self::new(Stopped {
            refusal,
            asks: HeaderMap::new(),
        })
    }
}

impl Handler for Gateway {
    type Body = ResponseBody;

    async fn handle(&self, peer: &Peer, request: Request<Incoming>) -> Response<ResponseBody> {
        let now = self.shared.clock.now();
        let settings = self.shared.settings.load_full();
        let (parts, body) = request.into_parts();
        let mut ending = self.open(peer, settings.clone(), now);
        let has_body = !body.is_end_stream();
        let is_http2 = parts.version == http::Version::HTTP_2;
        match self.admit(&settings, peer, parts, has_body, ending.record(), now) {
            Ok(passing) => self.pass(&settings, passing, body, now, ending).await,
            Err(stopped) => {
                let mut response = self.refused(&stopped.refusal, None, now, ending);
                response.headers_mut().extend(stopped.asks);
                if has_body && is_http2 {
                    response.body_mut().take_in(body);
                }
                response
            }
        }
    }

    fn refuse(&self, peer: &Peer, fault: Fault) -> Response<ResponseBody> {
        let now = self.shared.clock.now();
        let ending = self.open(peer, self.shared.settings.load_full(), now);
        self.refused(&Refusal::Wire(fault), None, now, ending)
    }
}

impl Gateway {
    fn open(&self, peer: &Peer, settings: Arc<Settings>, now: Now) -> Ending {
        let record = Record::open(self.ids.next(now), now, peer.address, peer.tls);
        Ending::new(record, settings, &self.shared)
    }

    /// Every step that needs only the head.
    fn admit(
        &self,
        settings: &Settings,
        peer: &Peer,
        parts: Parts,
        has_body: bool,
        record: &mut Record,
        now: Now,
    ) -> Result<Passing, Box<Stopped>> {
        record.version = parts.version;
        record.method = Some(parts.method.clone());
        // Also of a path that is refused: whoever reads the log has to find it.
        record.path = parts.uri.path().into();
        record.trace = trace_id(&parts.headers);
        // Unknown sources pay first: this look-up is cheaper than any cryptography.
        self.shared
            .peers
            .check(&settings.peers, peer.address, now)
            .map_err(Refusal::Peer)?;

        let around = Surroundings {
            tls: peer.tls,
            http2: parts.version == http::Version::HTTP_2,
            has_body,
            public_url: settings.public_url.as_ref(),
        };
        let received = Received::read(&parts.method, &parts.uri, &parts.headers, around)
            .map_err(Refusal::Head)?
            .with_certificate(peer.certificate.as_deref());
        record.host = received.host().into();

        let route = settings
            .routes
            .find(received.host(), received.method(), received.path())
            .map_err(Refusal::Route)?;
        record.route = Some((route.index, route.name.clone()));
        received
            .path()
            .allowed_by(route.path_encoding)
            .map_err(|ambiguous| Refusal::Head(Malformed::Path(ambiguous)))?;

        let admitted = self
            .prove(settings, &received, route, record, now)
            .map_err(|refusal| {
                let mut asks = HeaderMap::new();
                if refusal.code().status() == StatusCode::UNAUTHORIZED {
                    answer::ask_for_proof(&mut asks, route, &received);
                }
                Box::new(Stopped { refusal, asks })
            })?;
        let head = Head {
            authority: received.authority().into(),
            scheme: if received.scheme() == "https" {
                "https"
            } else {
                "http"
            },
            // Read once by the HTTP library; these are the bytes that were verified.
            target: parts
                .uri
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            version: parts.version,
            peer: peer.address,
            via: peer.via.clone(),
            request_id: record.id.clone(),
            method: parts.method,
            fields: parts.headers,
        };
        Ok(Passing {
            admitted,
            route: route.clone(),
            head,
        })
    }

    /// From a credential to a caller within its limits. The order is the
    /// point: each step takes what the one before has proven.
    fn prove(
        &self,
        settings: &Settings,
        received: &Received<'_>,
        route: &Route,
        record: &mut Record,
        now: Now,
    ) -> Result<Admitted, Refusal> {
        let caller = match route.accept {
            Accept::Public => Caller::anonymous(route).ok_or(schemes::Refused::Missing),
            Accept::Proven(_) => self.verify(settings, received, route, record, now),
        };
        let caller = caller.map_err(Refusal::Credential)?;
        if let (Some(app), Some(key)) = (caller.app(), caller.key_id()) {
            record.app = Some(app.name.clone());
            record.key = Some(key.clone());
            record.scheme = caller.scheme().map(crate::apps::Scheme::name);
            record.claimed_key = None;
        }
        // A proof is used up only once it holds, else anyone could burn another's
        // nonces. It stays used when a later step refuses.
        let slack = settings.freshness.skew * 2;
        let memory = &*self.shared.memory;
        let fresh = replay::check(caller, route, received.method(), memory, slack, now)
            .map_err(Refusal::Replay)?;
        let permit = authorize::check(fresh, route).map_err(Refusal::Scope)?;
        // The app is charged last: before verification its name was only a claim.
        limit::admit(permit, &settings.limits, now).map_err(Refusal::Limit)
    }

    fn verify(
        &self,
        settings: &Settings,
        received: &Received<'_>,
        route: &Route,
        record: &mut Record,
        now: Now,
    ) -> Result<Caller, schemes::Refused> {
        let presented = Presented::read(received, route)?;
        let rules = Rules {
            registry: &settings.registry,
            freshness: settings.freshness,
            tokens: &settings.tokens,
            verified: &self.shared.tokens,
            explain: settings.explain,
        };
        presented
            .verify(received, route, rules, now)
            .inspect_err(|_| {
                record.scheme = Some(presented.scheme().name());
                record.claimed_key = presented.claimed_key().map(Into::into);
            })
    }

    /// The steps that need the body: it is checked last, when it is known
    /// whose it is and that there is room for it.
    async fn pass(
        &self,
        settings: &Settings,
        passing: Passing,
        body: Incoming,
        now: Now,
        mut ending: Ending,
    ) -> Response<ResponseBody> {
        let Passing {
            mut admitted,
            route,
            head,
        } = passing;
        ending.place = admitted.take_place();
        let standing = admitted.standing().cloned();
        let meter = Meter::of(&body);
        ending.received = Some(meter.clone());
        let upstream = settings
            .upstreams
            .get(route.upstream)
            .expect("a route's upstream was resolved when its configuration was read");
        let record = ending.record();
        record.upstream_asked = Some(now);
        let answer = async {
            let body = body::prepare(body, admitted.caller().body(), route.body, meter).await?;
            forward::forward(admitted, &route, head, body, upstream, &self.pool).await
        };
        match answer.await {
            Ok(answer) => {
                let record = ending.record();
                record.upstream = Some(answer.server);
                record.upstream_answered = Some(self.shared.clock.now());
                let (mut parts, body) = answer.response.into_parts();
                record.status = parts.status.as_u16();
                answer::tell_standing(&mut parts.headers, standing.as_ref());
                Response::from_parts(parts, ResponseBody::upstream(body, ending))
            }
            Err(failed) => self.refused(&Refusal::Forward(failed), standing.as_ref(), now, ending),
        }
    }

    fn refused(
        &self,
        refusal: &Refusal,
        standing: Option<&Standing>,
        now: Now,
        mut ending: Ending,
    ) -> Response<ResponseBody> {
        let code = refusal.code();
        if code.blame() == Blame::Stranger {
            let peer = ending.record().peer;
            self.shared.peers.failed(&ending.settings.peers, peer, now);
        }
        let record = ending.record();
        record.status = code.status().as_u16();
        record.code = Some(code.word());
        record.reason = Some(refusal.reason().into());
        let (parts, bytes) = answer::refused(refusal, &record.id, standing).into_parts();
        Response::from_parts(parts, ResponseBody::whole(bytes, ending))
    }
}
