//! [`Admitted`] → the upstream's response.
//!
//! In: an [`Admitted`] caller, by value, the head that was verified and the
//! body. Out: the response, streaming. This room never: changes the target,
//! sends a request twice of which a byte may have been read, or lets a client
//! choose what the backend believes about it.

mod answer;
pub mod body;
pub mod echo;
mod exchange;
mod headers;
pub mod upstream;

#[cfg(test)]
mod tests;

pub use answer::AnswerBody;

use crate::limit::Admitted;
use crate::route::Route;
use body::ProvenBody;
use exchange::{Deadlines, Tried, exchange};
use headers::Told;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use upstream::{Pool, Upstream};

/// What goes to the upstream besides the body: owned, since the request's
/// head is taken apart before its body is read.
pub struct Head {
    /// As received.
    pub method: Method,
    /// Path and query, byte for byte as received.
    pub target: http::uri::PathAndQuery,
    /// Host as the caller sees it.
    pub authority: Box<str>,
    /// `http` or `https`, as the caller sees it.
    pub scheme: &'static str,
    /// HTTP version it arrived in.
    pub version: http::Version,
    /// The fields as received.
    pub fields: HeaderMap,
    /// Who sent it; whoever comes through a Unix socket has no address.
    pub peer: Option<IpAddr>,
    /// The trusted proxies that it came by, the nearest last.
    pub via: Vec<IpAddr>,
    /// `Portcullis-Request-Id`.
    pub request_id: Box<str>,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields hold credentials, and queries may.
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.target.path())
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Why there is no response of the upstream.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No server took the connection.
    #[error("no server of the upstream can be reached: {0}")]
    Unreachable(String),
    /// A server did not answer in time.
    #[error("the upstream did not {0} in time")]
    Timeout(&'static str),
    /// A server's answer is no valid HTTP.
    #[error("the upstream's answer is not valid: {0}")]
    Invalid(String),
    /// The request's own body broke off, or is not the one that was proven.
    #[error(transparent)]
    Body(#[from] body::BodyError),
}

/// The upstream's answer.
#[derive(Debug)]
pub struct Answer {
    /// Its head, and its body as it arrives.
    pub response: Response<AnswerBody>,
    /// Which server gave it.
    pub server: Arc<str>,
}

/// Sends one request to one server of `upstream` and waits for the head of
/// its answer. The caller's place among its app's requests in flight, if
/// nobody has taken it out, is kept until the answer's body ends. Dropping
/// this future or the answer's body cancels the request at the upstream.
///
/// # Errors
/// [`Failed`] when no answer came; nothing was sent to more than one server.
pub async fn forward(
    mut admitted: Admitted,
    route: &Route,
    head: Head,
    body: ProvenBody,
    upstream: &Upstream,
    pool: &Pool,
) -> Result<Answer, Failed> {
    let place = admitted.take_place();
    let mut request = prepare(&admitted, route, head, body);
    let deadlines = Deadlines::start(upstream.settings());
    let mut failed = Failed::Unreachable("it has no servers".into());
    for target in upstream.in_turn() {
        let server = target.label.clone();
        let Some(at) = &target.place else {
            let response = echo::answer(request).await?;
            return Ok(Answer {
                response: response.map(|bytes| AnswerBody::made(bytes, place)),
                server,
            });
        };
        match exchange(request, at, &server, pool, &deadlines).await {
            Tried::Answered(response, lease) => {
                let (mut head, body) = response.into_parts();
                headers::answer(&mut head.headers);
                // Of the server's connection; ours to the client is another.
                head.version = Version::HTTP_11;
                head.extensions.clear();
                let body = AnswerBody::streaming(body, lease, deadlines, place);
                return Ok(Answer {
                    response: Response::from_parts(head, body),
                    server,
                });
            }
            Tried::NotSent(unsent, why) => (request, failed) = (unsent, why),
            Tried::Failed(why) => return Err(why),
        }
    }
    Err(failed)
}

/// The request as the upstream gets it: target and values byte for byte as
/// they were verified.
fn prepare(
    admitted: &Admitted,
    route: &Route,
    mut head: Head,
    body: ProvenBody,
) -> Request<ProvenBody> {
    let told = Told::of(admitted.caller());
    let fields = headers::request(&mut head, route, &told, &body);
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = Uri::from(head.target);
    *request.headers_mut() = fields;
    request
}
