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
mod begin;
mod caught;
mod challenge;
mod cors;
mod ending;
mod grpc;
mod hops;
mod in_force;
mod minting;
mod observed;
mod outcome;
mod second;
mod shared;
mod static_keys;
mod together;
mod tunnels;
mod undecided;
mod unread;

pub use answer::ResponseBody;
pub use cors::{is_of_foreign_page, route_of_preflight};
pub use in_force::InForce;
pub use reload::{Blueprint, Settings, StaticKeys};
pub use shared::{Alarm, Shared};
pub use static_keys::Notice;
pub use tunnels::{TunnelSettings, Tunnels, asked as asked_protocol};
pub use undecided::Undecided;

use crate::clock::Now;
use crate::forward::body::{Looked, Meter};
use crate::forward::upstream::Pool;
use crate::forward::{self, body};
use crate::limit;
use crate::limit::overload::{Seat, WorkerGate};
use crate::observe::{Record, RequestIds};
use crate::replay::{self, Written};
use crate::route::BodyVerify;
use crate::server::{Fault, Handler, LastAnswer, Peer, RequestBody};
use answer::Source;
use begin::{Begun, Passing};
use bytes::Bytes;
use ending::Ending;
use http::Response;
use http::request::Parts;
use http_body::Body as _;
use in_force::Taken;
use outcome::Stopped;
use refusal::Refusal;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// The gateway as one worker sees it.
#[derive(Clone)]
pub struct Gateway(Arc<Worker>);

/// What a worker has of its own: what a request counts who uses it, is here,
/// so that no two workers count on one line.
pub struct Worker {
    shared: Arc<Shared>,
    number: usize,
    gate: Arc<WorkerGate>,
    pool: Pool,
    ids: RequestIds,
    /// Whether requests are dropped since they outlasted the stop.
    cuts: AtomicBool,
    /// Failures that wait for the end of their second.
    waiting: second::Waiting,
    /// Ends what waits though nothing is to come.
    stops: CancellationToken,
}

impl Gateway {
    /// The gateway of the worker with this number, with upstream connections of its own.
    pub fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self(Arc::new(Worker {
            gate: WorkerGate::new(&shared.in_flight),
            shared,
            number,
            pool: Pool::new(),
            ids: RequestIds::new(),
            cuts: AtomicBool::new(false),
            waiting: second::Waiting::new(),
            stops: CancellationToken::new(),
        }))
    }
}

impl Deref for Gateway {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl Handler for Gateway {
    type Body = ResponseBody;

    fn handle(
        &self,
        peer: &Peer,
        parts: Box<Parts>,
        body: RequestBody,
    ) -> impl Future<Output = Response<ResponseBody>> + Send {
        let now = self.shared.clock.now();
        let settings = self.shared.settings.take(self.number);
        let is_http2 = parts.version == http::Version::HTTP_2;
        let is_last = peer.leaves_at.is_some_and(|at| at <= now.unix_seconds());
        let mut ending = self.open(peer, settings.clone(), now);
        // Not within the future: it would carry all of this to its end.
        let begun = caught::poll(|| self.begin(&settings, peer, parts, body, &mut ending, now));
        async move {
            let mut answered = match begun {
                Ok(Ok(Begun::Passing(passing, body))) => {
                    let answering = self.answer(&settings, passing, body, &mut ending, now);
                    let answering = pin!(answering);
                    caught::catch(answering).await
                }
                Ok(Ok(Begun::Unread(unread, body))) => {
                    // Large, and seldom there.
                    let mut answering = Box::pin(async {
                        let undecided = self.shared.undecided.one();
                        ending.note_unproven(unread.counts);
                        let begun =
                            self.begin_with_body(&settings, peer, *unread, body, &mut ending, now);
                        let (passing, body) = begun.await?;
                        ending.note_unproven(false);
                        drop(undecided);
                        let now = self.shared.clock.later(now);
                        self.answer(&settings, passing, body, &mut ending, now)
                            .await
                    });
                    caught::catch(answering.as_mut()).await
                }
                Ok(Ok(Begun::Asked(asked, body))) => {
                    // Apart for the same reason.
                    let mut answering =
                        Box::pin(self.mint(&settings, peer, *asked, body, &mut ending, now));
                    caught::catch(answering.as_mut()).await
                }
                Ok(Ok(Begun::Answered(response))) => Ok(Ok(*response)),
                Ok(Err(stopped)) => Ok(Err(stopped)),
                Err(panicked) => Err(panicked),
            };
            // Before others have a turn, since its client may go without its answer; but not where
            // its body broke off: a client that goes then has only given up.
            let broke_off = outcome::is_of_an_unfinished_body(&answered);
            if !broke_off {
                self.settle(&answered, &mut ending, now);
            }
            together::others_first().await;
            if broke_off {
                self.settle(&answered, &mut ending, now);
            }
            if let Some(rest) = self.rest_of_second(&mut answered, &mut ending) {
                rest.await;
            }
            let mut response = outcome::finish(answered, is_http2, ending);
            if is_last {
                response.extensions_mut().insert(LastAnswer);
            }
            response
        }
    }

    fn refuse(&self, peer: &Peer, fault: Fault) -> Response<ResponseBody> {
        let now = self.shared.clock.now();
        let settings = self.shared.settings.take(self.number);
        let mut ending = self.open(peer, settings, now);
        let stopped = Stopped::from(Refusal::Wire(fault));
        // Whom a trusted proxy spoke for was not read: it is not the proxy that has to wait for that.
        if peer.is_trusted {
            outcome::note(&stopped, &mut ending);
        } else {
            self.count(&stopped, &mut ending, now);
        }
        outcome::refused(&stopped, ending)
    }

    fn note_stop(&self) {
        self.stops.cancel();
    }

    fn note_cut(&self) {
        self.cuts.store(true, Ordering::Relaxed);
    }
}

impl Gateway {
    fn open(&self, peer: &Peer, settings: Arc<Taken>, now: Now) -> Ending {
        Ending::new(peer, settings, &self.0, now)
    }

    /// From a request that may pass to its upstream's answer.
    async fn answer(
        &self,
        settings: &Settings,
        mut passing: Box<Passing>,
        body: RequestBody,
        ending: &mut Ending,
        now: Now,
    ) -> Result<Response<()>, Box<Stopped>> {
        ending.note_used_up(second::is_used_up(&passing.charged));
        let here = body.here();
        match self
            .seat(settings, &passing, here, ending.record(), now)
            .await
        {
            Ok(place) => {
                // The wait for it was not the server's.
                passing.head.asked = ending.record().upstream_asked.unwrap_or(now);
                self.pass(settings, passing, place, body, ending).await
            }
            Err(refusal) => {
                let told = cors::Told::of(&passing.route, &passing.head.parts.headers);
                let standing = passing.charged.standing().cloned();
                Err(Stopped::told(refusal, standing, told))
            }
        }
    }

    /// A place among the requests in flight: for those only that could pass,
    /// so that a flood of bad proofs takes none. With it goes that the proof
    /// is written down, and what was found of a body that is here.
    async fn seat(
        &self,
        settings: &Settings,
        passing: &Passing,
        here: Option<&Bytes>,
        record: &mut Record,
        now: Now,
    ) -> Result<(Seat, Written, Option<Looked>), Refusal> {
        let (route, who) = (passing.route.index, passing.charged.who());
        record.upstream_asked = Some(now);
        let seat = if let Some(seat) = settings.overload.seat(&self.gate, route, who) {
            seat
        } else {
            // Large, and seldom there.
            let wait = Box::pin(settings.overload.wait(&self.gate, route, who));
            let seat = wait.await.map_err(Refusal::Overloaded)?;
            record.upstream_asked = Some(self.shared.clock.now());
            seat
        };
        let proof = passing.charged.permit().caller().body();
        // Others that have their turn first would bring theirs between these bytes and the processor.
        let looked = here.and_then(|bytes| body::look(bytes, proof, passing.route.body));
        let unwritten = passing.charged.unwritten();
        together::others_first().await;
        let written = replay::write_down(unwritten, &*self.shared.memory);
        Ok((seat, written.map_err(Refusal::Replay)?, looked))
    }

    /// The steps that need the body: it is checked last, when it is known
    /// whose it is and that there is room for it.
    async fn pass(
        &self,
        settings: &Settings,
        mut passing: Box<Passing>,
        (seat, written, looked): (Seat, Written, Option<Looked>),
        body: RequestBody,
        ending: &mut Ending,
    ) -> Result<Response<()>, Box<Stopped>> {
        let mut admitted = passing.charged.seated(seat, written);
        let (route, head) = (&*passing.route, &mut passing.head);
        let told = cors::Told::of(route, &head.parts.headers);
        ending.keep(admitted.take_place());
        let standing = admitted.take_standing();
        if hops::is_last(head) {
            return Ok(hops::answer(route, standing, told));
        }
        let Ok(open) = self.shared.tunnels.enter_for(head, settings.tunnels) else {
            return Err(Stopped::told(Refusal::Tunnels, standing, told));
        };
        let mut meter = Meter::of(&body);
        if admitted.observes_body() {
            meter = meter.observing();
        }
        ending.count(meter.clone());
        let upstream = settings
            .upstreams
            .get(route.upstream)
            .expect("a route's upstream was resolved when its configuration was read");
        let is_another = meter.clone();
        let is_to_come = looked.is_none() && !body.is_end_stream();
        let messages = grpc::Messages::of(&head.parts.method, &head.parts.headers, &body);
        let body = match looked {
            Some(looked) => looked.prepared(&meter),
            None => body::prepare(body, admitted.caller().body(), route.body, meter).await,
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                let refusal = Refusal::Forward(error.into());
                let mut stopped = Stopped::told(refusal, standing, told);
                answer::ask_after_body(&mut stopped, route, head, settings.public_url.as_ref());
                return Err(stopped);
            }
        };
        let is_held_back = route.body.verify == BodyVerify::BeforeForwarding;
        if is_to_come && (is_held_back || body.is_end_stream()) {
            // Till now it was the client that was waited for.
            head.asked = self.shared.clock.now();
            ending.record().upstream_asked = Some(head.asked);
        }
        // The first verdict counts, as in the record.
        if head.would_refuse.is_none() && is_another.is_another() {
            head.would_refuse = Some(observed::ANOTHER_BODY);
        }
        // Anybody can name a body so: a stranger's is one like any other until its server says so too.
        if admitted.caller().app().is_some() {
            messages.go_to(upstream.settings());
        }
        let (pool, clock) = (&self.pool, &self.shared.clock);
        // In the record before it answers: its client may be gone before, or we.
        let to = forward::To {
            upstream,
            server: &mut ending.record().upstream,
        };
        let answer = forward::forward(admitted, route, head, body, to, pool, clock).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                let mut stopped = Stopped::told(Refusal::Forward(why), standing, told);
                answer::ask_after_body(&mut stopped, route, head, settings.public_url.as_ref());
                forward::take_back(std::mem::take(&mut head.parts.headers));
                return Err(stopped);
            }
        };
        forward::take_back(std::mem::take(&mut head.parts.headers));
        let (head, body) = answer.response.into_parts();
        ending.carry(Source::Upstream(body));
        let record = ending.record();
        record.upstream_asked = Some(answer.asked);
        record.upstream_answered = Some(answer.answered);
        let mut response = Response::from_parts(head, ());
        let nonces = &settings.tokens.dpop.nonces;
        observed::give_nonce(response.headers_mut(), record, nonces, answer.answered);
        messages.meet(response.headers());
        answer::tell_standing(response.headers_mut(), standing);
        told.tell(response.headers_mut());
        if let (Some(far), Some(open)) = (answer.far, open) {
            // It has a bound of its own, and would keep others waiting.
            ending.place().map(limit::Place::give_seat_up);
            if let Some((notice, known)) = static_keys::notice(ending) {
                notice.tell(response.headers_mut(), &known);
            }
            ending.note_status(response.status());
            let tunnel = open.lead_to(*far, ending.hand_over());
            response.extensions_mut().insert(tunnel);
        }
        Ok(response)
    }
}
