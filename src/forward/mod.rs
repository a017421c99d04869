//! [`Admitted`] → the upstream's response.
//!
//! In: an [`Admitted`] caller, by value, the head that was verified and the
//! body. Out: the response, streaming. This room never: changes the target,
//! sends a proven request twice that a server may have processed, or lets a
//! client choose what the backend believes about it.

mod answer;
mod arriving;
pub mod body;
pub mod direct;
pub mod echo;
pub mod errands;
mod exchange;
mod failed;
pub mod form;
mod headers;
pub mod http1;
mod spare;
mod streamed;
mod streaming;
pub mod tunnel;
mod upload;
pub mod upstream;

#[cfg(test)]
mod tests;

pub use answer::AnswerBody;
pub use failed::{Failed, Late};
pub use headers::is_ours_to_say;
pub use spare::take_back;

use crate::clock::{Clock, Now};
use crate::limit::Admitted;
use crate::route::{Accept, Inject, Route};
use body::ProvenBody;
use bytes::{Bytes, BytesMut};
use exchange::{Deadlines, Tried, exchange};
use headers::Told;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tunnel::Far;
use upstream::{Pool, Protocol, Tried as Servers, Upstream};

/// What goes to the upstream besides the body: owned, since the request's
/// head is taken apart before its body is read.
pub struct Head {
    /// Method, version and fields as received.
    pub parts: Box<Parts>,
    /// Path and query, byte for byte as received.
    pub target: http::uri::PathAndQuery,
    /// Host as the caller sees it.
    pub authority: Box<str>,
    /// `http` or `https`, as the caller sees it.
    pub scheme: &'static str,
    /// The protocol to ask for, in place of HTTP, where the route has it and the caller asks.
    pub upgrade: Option<HeaderValue>,
    /// Who sent it; whoever comes through a Unix socket has no address.
    pub peer: Option<IpAddr>,
    /// When it could go: it had arrived, and there was room for it.
    pub asked: Now,
    /// The trusted proxies that it came by, the nearest last.
    pub via: Vec<IpAddr>,
    /// `Portcullis-Request-Id`.
    pub request_id: [u8; 32],
    /// The code that it would have been refused with, were all enforced that is only observed.
    pub would_refuse: Option<&'static str>,
    /// Whether fields in which static keys stand end here.
    pub drops_keys: bool,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields hold credentials, and queries may.
        f.debug_struct("Head")
            .field("method", &self.parts.method)
            .field("path", &self.target.path())
            .field("request_id", &String::from_utf8_lossy(&self.request_id))
            .finish_non_exhaustive()
    }
}

/// Where it goes.
#[derive(Debug)]
pub struct To<'t> {
    /// To one of its servers.
    pub upstream: &'t Upstream,
    /// To which, as soon as it is tried: who drops it while that one is silent can tell, too.
    pub server: &'t mut Option<Arc<str>>,
}

/// The upstream's answer.
#[derive(Debug)]
pub struct Answer {
    /// Its head, and its body as it arrives.
    pub response: Response<AnswerBody>,
    /// When that one was asked: after those that gave none.
    pub asked: Now,
    /// When its head had arrived.
    pub answered: Now,
    /// The server's end of the tunnel that a 101 opens.
    pub far: Option<Box<Far>>,
}

/// Sends one request to one server of an upstream and waits for the head of
/// its answer. The caller's place among the requests in flight, if
/// nobody has taken it out, is kept until the answer's body ends. Dropping
/// this future or the answer's body cancels the request at the upstream.
///
/// Another server gets it only where nothing was sent to the one before, or
/// where the connection to that broke and anyone may send such a request as
/// often as he likes; and only within its time and the upstream's budget, on
/// which it is no charge where this machine lacks what to connect to the one before with.
///
/// # Errors
/// [`Failed`] when no answer came: of the last server that was tried.
pub async fn forward(
    mut admitted: Admitted,
    route: &Route,
    head: &Head,
    mut body: ProvenBody,
    to: To<'_>,
    pool: &Pool,
    clock: &Clock,
) -> Result<Answer, Failed> {
    let To { upstream, server } = to;
    let place = admitted.take_place();
    let told = Told::of(admitted.caller());
    let inject = form::injected(route, &told);
    let mut is_longer = false;
    if let Some(inject) = inject {
        is_longer = form::is_for(inject, head, &body).map_err(body::BodyError::from)?;
        if is_longer {
            // Large, and seldom there.
            body = Box::pin(form::add(inject, head, told.is_unframed, body)).await?;
        }
    }
    let prepared = Prepared {
        told,
        route,
        head,
        inject,
        is_longer,
    };
    let is_here = body.is_here();
    let has_none = body.is_end_stream();
    // Where there is a body, some of it was read since.
    let mut asked = if has_none { head.asked } else { clock.now() };
    let mut repeatable = has_none && may_repeat(route, &head.parts.method, upstream);
    let mut deadlines = Deadlines::start(upstream.settings());
    let mut servers = Servers::default();
    let mut failed = None;
    let mut is_free = false;
    while let Some(mut chosen) = upstream.choose(&servers, asked) {
        if !servers.is_none() && !is_free && !upstream.allows_retry(asked) {
            // It was not asked, and is told nothing of.
            chosen.excuse();
            break;
        }
        servers.add(&chosen);
        let target = upstream.target(&chosen);
        *server = Some(target.label.clone());
        let Some(at) = &target.place else {
            let response = echo::answer(prepared.request(body)).await?;
            let answered = clock.later(asked);
            upstream.answered(&mut chosen, response.status(), None, answered);
            return Ok(Answer {
                response: response.map(|bytes| AnswerBody::made(bytes, place)),
                asked,
                answered,
                far: None,
            });
        };
        let tried = exchange(
            &prepared,
            body,
            at,
            &target.label,
            pool,
            &deadlines,
            &mut chosen.way,
        )
        .await;
        if matches!(tried, Tried::Excused(_)) {
            chosen.excuse();
        }
        // No server had anything of it, and each gets it once. Whoever wants no second server has none.
        is_free =
            matches!(tried, Tried::Lacking(..)) && upstream.settings().balance.retries.is_some();
        let why = match tried {
            Tried::Answered(mut head, arriving) => {
                let answered = clock.later(asked);
                let took = answered.monotonic().saturating_sub(asked.monotonic());
                let took = is_here.then_some(took);
                upstream.answered(&mut chosen, head.status, took, answered);
                headers::answer(&mut head.headers);
                if head.status == StatusCode::NO_CONTENT {
                    // Clients of HTTP/2 wait for what it tells of, or take it for an error.
                    head.headers.remove(CONTENT_LENGTH);
                }
                // Of the server's connection; ours to the client is another.
                head.version = Version::HTTP_11;
                head.extensions.clear();
                let counted = chosen.into_counted();
                let body = AnswerBody::streaming(arriving, place, counted);
                return Ok(Answer {
                    response: Response::from_parts(head, body),
                    asked,
                    answered,
                    far: None,
                });
            }
            Tried::Switched(mut head, mut far) => {
                let answered = clock.later(asked);
                upstream.answered(&mut chosen, head.status, None, answered);
                headers::switching(&mut head.headers);
                far.count(chosen.into_counted());
                let body = AnswerBody::made(Bytes::new(), place);
                return Ok(Answer {
                    response: Response::from_parts(head, body),
                    asked,
                    answered,
                    far: Some(far),
                });
            }
            Tried::NotSent(unsent, why) | Tried::Lacking(unsent, why) => {
                body = unsent;
                why
            }
            Tried::Unfit(unsent, why) => {
                chosen.excuse();
                if upstream.settings().protocol == Protocol::Http2 {
                    // No other is fit either.
                    return Err(why);
                }
                body = unsent;
                why
            }
            // A server that refuses us says so in place of an answer (TLS 1.3).
            Tried::Failed(why) | Tried::Excused(why) if repeatable && why.is_break() => {
                repeatable = false;
                servers.may_repeat();
                body = ProvenBody::empty();
                why
            }
            Tried::Failed(Failed::Timeout {
                late: Late::Body, ..
            }) => {
                chosen.excuse();
                return Err(Failed::from(body::BodyError::Timeout));
            }
            Tried::Failed(why) | Tried::Excused(why) => {
                // The client may have taken it for its body, whatever the server did.
                if why.is_end_of_time() && !is_here {
                    chosen.excuse();
                } else {
                    upstream.failed(&mut chosen, &why, clock.now());
                }
                return Err(why);
            }
        };
        asked = clock.now();
        upstream.failed(&mut chosen, &why, asked);
        if !deadlines.again() {
            // The next server could only be blamed for it.
            return Err(why);
        }
        failed = Some(why);
    }
    Err(failed.unwrap_or_else(|| Failed::Unreachable("none of its servers is well".into())))
}

/// Whether a request without a body may be sent again although a server may
/// have read it: nothing of it is proven, so nothing of it may pass only once.
fn may_repeat(route: &Route, method: &Method, upstream: &Upstream) -> bool {
    route.accept == Accept::Public
        && upstream.settings().balance.retries.is_some()
        && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The request as the upstream gets it: target and values byte for byte as
/// they were verified.
struct Prepared<'r> {
    told: Told<'r>,
    route: &'r Route,
    head: &'r Head,
    /// What is added.
    inject: Option<&'r Inject>,
    /// Whether the body got longer, so that no digest of it holds any more.
    is_longer: bool,
}

/// What an exchange sends: a head in the form that its server reads.
trait Outgoing {
    /// Its method.
    fn method(&self) -> &Method;

    /// The protocol it asks to switch to.
    fn upgrade(&self) -> Option<&HeaderValue>;

    /// Whether its head is longer than what goes beside others over HTTP/2.
    fn is_long(&self) -> bool;

    /// Writes the head as HTTP/1.1 has it, of the last request on its connection or of another one.
    fn write(&self, text: &mut BytesMut, body: &ProvenBody, is_last: bool);

    /// The whole of it, for who does not read HTTP/1.1: no field of it belongs to a connection.
    fn request(&self, body: ProvenBody) -> Request<ProvenBody>;
}

impl Outgoing for Prepared<'_> {
    fn method(&self) -> &Method {
        &self.head.parts.method
    }

    fn upgrade(&self) -> Option<&HeaderValue> {
        self.head.upgrade.as_ref()
    }

    fn is_long(&self) -> bool {
        let Head {
            target,
            authority,
            parts,
            ..
        } = self.head;
        streamed::is_long(target.as_str(), authority, &parts.headers)
    }

    fn write(&self, text: &mut BytesMut, body: &ProvenBody, is_last: bool) {
        headers::write_head(text, self, body, is_last);
    }

    fn request(&self, body: ProvenBody) -> Request<ProvenBody> {
        let fields = headers::request(self, &body);
        let mut request = Request::new(body);
        *request.method_mut() = self.head.parts.method.clone();
        *request.uri_mut() = Uri::from(self.head.target.clone());
        *request.headers_mut() = fields;
        request
    }
}
