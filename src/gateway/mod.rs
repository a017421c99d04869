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
mod caught;
mod cors;
mod grpc;
mod hops;
mod outcome;
mod together;
mod tunnels;

pub use answer::ResponseBody;
pub use reload::{Blueprint, Settings};
pub use tunnels::{TunnelSettings, Tunnels};

use crate::authorize;
use crate::clock::{Clock, Now};
use crate::forward::body::Meter;
use crate::forward::upstream::Pool;
use crate::forward::{self, AnswerBody, Head, body};
use crate::limit::overload::{Gate, Seat, WorkerGate};
use crate::limit::peer::Peers;
use crate::limit::{self, Charged};
use crate::observe::{Observer, Record, RequestIds};
use crate::replay::{self, Memory, Written};
use crate::route::{Accept, Route};
use crate::schemes::{self, Caller, Malformed, Presented, Received, Rules, Surroundings, token};
use crate::server::{Fault, Handler, Peer, RequestBody};
use answer::Ending;
use arc_swap::ArcSwap;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use outcome::Stopped;
use refusal::Refusal;
use std::pin::pin;
use std::sync::Arc;

/// What all workers share.
pub struct Shared {
    /// What is in force; one atomic load a request.
    pub settings: ArcSwap<Settings>,
    /// Proofs that were used.
    pub memory: Arc<dyn Memory>,
    /// What each address has caused.
    pub peers: Peers,
    /// Tunnels that are open.
    pub tunnels: Tunnels,
    /// Requests in flight, and those that wait to be.
    pub in_flight: Arc<Gate>,
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
    gate: Arc<WorkerGate>,
    pool: Arc<Pool>,
    ids: Arc<RequestIds>,
}

impl Gateway {
    /// The gateway of one worker, with upstream connections of its own.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            gate: WorkerGate::new(&shared.in_flight),
            shared,
            pool: Arc::new(Pool::new()),
            ids: Arc::new(RequestIds::new()),
        }
    }
}

/// A request that may pass, taken out of its head.
struct Passing {
    charged: Charged,
    route: Arc<Route>,
    head: Head,
}

impl Handler for Gateway {
    type Body = ResponseBody;

    async fn handle(&self, peer: &Peer, request: Request<RequestBody>) -> Response<ResponseBody> {
        let now = self.shared.clock.now();
        let settings = self.shared.settings.load_full();
        let is_http2 = request.version() == http::Version::HTTP_2;
        let mut ending = self.open(peer, settings.clone(), now);
        let answered = {
            let answering = pin!(self.answer(&settings, peer, request, &mut ending, now));
            caught::catch(answering).await
        };
        together::others_first().await;
        self.finish(answered, is_http2, now, ending)
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
        Ending::new(Box::new(record), settings, &self.shared)
    }

    /// From a request to its upstream's answer.
    async fn answer(
        &self,
        settings: &Settings,
        peer: &Peer,
        request: Request<RequestBody>,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Response<AnswerBody>, Box<Stopped>> {
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        ending.describe(&parts);
        if parts.method == Method::OPTIONS
            && let Some(preflight) = self.preflight(settings, peer, &parts, has_body, now)
        {
            return cors::preflighted(preflight, ending);
        }
        let seated = match self.admit(settings, peer, parts, has_body, ending.record(), now) {
            Ok(passing) => self
                .seat(settings, &passing, ending.record(), now)
                .await
                .map(|place| (passing, place))
                .map_err(Box::<Stopped>::from),
            Err(stopped) => Err(stopped),
        };
        match seated {
            Ok((passing, place)) => self.pass(settings, passing, place, body, ending).await,
            Err(mut stopped) => {
                stopped.unread = has_body.then_some(body);
                Err(stopped)
            }
        }
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

        let upgrade = tunnels::asked(route, &parts, has_body);
        let charged = self
            .prove(settings, &received, route, record, now)
            .map_err(|refusal| {
                let mut asks = HeaderMap::new();
                if refusal.code().status() == StatusCode::UNAUTHORIZED {
                    answer::ask_for_proof(&mut asks, route, &received);
                }
                cors::Told::of(route, &parts.headers).tell(&mut asks);
                let mut stopped = Box::<Stopped>::from(refusal);
                stopped.asks = asks;
                stopped
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
            arrived: now,
            via: peer.via.clone(),
            request_id: record.id.clone(),
            method: parts.method,
            fields: parts.headers,
            upgrade,
        };
        Ok(Passing {
            charged,
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
    ) -> Result<Charged, Refusal> {
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
        limit::charge(permit, &settings.limits, now).map_err(Refusal::Limit)
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

    /// A place among the requests in flight: for those only that could pass,
    /// so that a flood of bad proofs takes none. With it goes that the proof
    /// is written down.
    async fn seat(
        &self,
        settings: &Settings,
        passing: &Passing,
        record: &mut Record,
        now: Now,
    ) -> Result<(Seat, Written), Refusal> {
        let route = passing.route.index;
        record.upstream_asked = Some(now);
        let seat = match settings.overload.seat(&self.gate, route) {
            Some(seat) => seat,
            None => {
                // Large, and seldom there.
                let wait = Box::pin(settings.overload.wait(&self.gate, route));
                let seat = wait.await.map_err(Refusal::Overloaded)?;
                record.upstream_asked = Some(self.shared.clock.now());
                seat
            }
        };
        let unwritten = passing.charged.unwritten();
        together::others_first().await;
        let written = replay::write_down(unwritten, &*self.shared.memory);
        Ok((seat, written.map_err(Refusal::Replay)?))
    }

    /// The steps that need the body: it is checked last, when it is known
    /// whose it is and that there is room for it.
    async fn pass(
        &self,
        settings: &Settings,
        passing: Passing,
        (seat, written): (Seat, Written),
        body: RequestBody,
        ending: &mut Ending,
    ) -> Result<Response<AnswerBody>, Box<Stopped>> {
        let Passing {
            charged,
            route,
            mut head,
        } = passing;
        let told = cors::Told::of(&route, &head.fields);
        let mut admitted = charged.seated(seat, written);
        ending.place = admitted.take_place();
        let standing = admitted.standing().cloned();
        if hops::is_last(&mut head) {
            return Ok(hops::answer(&route, standing.as_ref(), told, ending));
        }
        let Ok(open) = self.shared.tunnels.enter_for(&head, settings.tunnels) else {
            return Err(Stopped::told(Refusal::Tunnels, standing, told));
        };
        let meter = Meter::of(&body);
        ending.received = Some(meter.clone());
        let upstream = settings
            .upstreams
            .get(route.upstream)
            .expect("a route's upstream was resolved when its configuration was read");
        let answer = async {
            let body = body::prepare(body, admitted.caller().body(), route.body, meter).await?;
            let (pool, clock) = (&self.pool, &self.shared.clock);
            forward::forward(admitted, &route, &head, body, upstream, pool, clock).await
        };
        match answer.await {
            Ok(answer) => {
                let record = ending.record();
                record.upstream = Some(answer.server);
                record.upstream_answered = Some(answer.answered);
                let mut response = answer.response;
                record.status = response.status().as_u16();
                answer::tell_standing(response.headers_mut(), standing.as_ref());
                told.tell(response.headers_mut());
                if let (Some(far), Some(open)) = (answer.far, open) {
                    // It has a bound of its own, and would keep others waiting.
                    ending.place.iter_mut().for_each(limit::Place::give_seat_up);
                    let tunnel = open.lead_to(*far, ending.hand_over());
                    response.extensions_mut().insert(tunnel);
                }
                Ok(response)
            }
            Err(failed) => Err(Stopped::told(Refusal::Forward(failed), standing, told)),
        }
    }
}
