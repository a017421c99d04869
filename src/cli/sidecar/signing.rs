//! One request of a local tool: whether it may be signed, its proof, its answer.

use crate::cli::message::{Message, Source};
use crate::cli::prove::{Keys, ProofArgs};
use crate::client::host_of;
use crate::clock::Clock;
use crate::forward::AnswerBody;
use crate::forward::body::{self, BoxError, Meter, ProvenBody};
use crate::forward::direct::{Plain, direct};
use crate::forward::upstream::{Pool, Upstream};
use crate::gateway::refusal::Refusal;
use crate::route::{BodyPolicy, BodyVerify};
use crate::schemes::digest::BodyProof;
use crate::server::{Fault, Handler, Peer, RequestBody};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::Empty;
use std::net::IpAddr;
use std::sync::Arc;

/// Where what only a sidecar refuses is explained, the code being the fragment.
const OURS: &str = "docs/sidecar.md";
/// The same for what a gateway refuses too.
const EVERYWHERE: &str = "docs/refusals.md";

/// What every worker needs.
pub(super) struct Shared {
    pub(super) proof: ProofArgs,
    pub(super) keys: Keys,
    /// Scheme and authority of whom it is for.
    pub(super) to: Uri,
    pub(super) upstream: Upstream,
    /// Whether `Host` must be a name of this machine: no web page whose name leads here is served.
    pub(super) only_local_names: bool,
    pub(super) limit: u64,
    pub(super) clock: Clock,
}

/// The sidecar as one worker sees it.
#[derive(Clone)]
pub(super) struct Signing {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

/// Why a request is not sent on.
struct No {
    status: StatusCode,
    /// Where its code is explained.
    page: &'static str,
    code: &'static str,
    detail: String,
}

impl Signing {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            pool: Arc::new(Pool::new()),
        }
    }

    async fn sign_and_send(
        &self,
        parts: Parts,
        body: RequestBody,
    ) -> Result<Response<AnswerBody>, No> {
        let shared = &*self.shared;
        shared.may_be_signed(&parts)?;
        let mut plain = Plain {
            method: parts.method,
            target: parts
                .uri
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            authority: host_of(&shared.to).unwrap_or_default().into(),
            fields: parts.headers,
        };
        plain.without_connection();
        plain.fields.remove(HOST);
        // It was answered here.
        plain.fields.remove(EXPECT);
        let body = shared.body(body, &mut plain).await?;
        let has_body = !body.is_end_stream();
        shared.prove(&mut plain)?;
        let answer = self.send(&plain, body).await?;
        let gives_nonce = shared.keys.learn(answer.headers());
        // Only a refusal tells the nonce that the first proof lacks. A body that was sent is gone.
        if has_body || !gives_nonce || answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        drop(answer);
        let nothing = shared.unproven(Empty::<Bytes>::new()).await?;
        shared.prove(&mut plain)?;
        let answer = self.send(&plain, nothing).await?;
        shared.keys.learn(answer.headers());
        Ok(answer)
    }

    async fn send(&self, plain: &Plain, body: ProvenBody) -> Result<Response<AnswerBody>, No> {
        let (upstream, clock) = (&self.shared.upstream, &self.shared.clock);
        let answer = direct(plain, body, upstream, &self.pool, clock).await;
        answer
            .map(|answer| answer.response)
            .map_err(|failed| No::of(&Refusal::Forward(failed)))
    }
}

impl Shared {
    /// A tool of this machine asks, not a page in its browser.
    fn may_be_signed(&self, parts: &http::request::Parts) -> Result<(), No> {
        const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        let no = |code, detail: &str| No {
            status: StatusCode::FORBIDDEN,
            page: OURS,
            code,
            detail: detail.to_owned(),
        };
        if parts.headers.contains_key(ORIGIN) || parts.headers.contains_key(SEC_FETCH_SITE) {
            return Err(no(
                "not-for-browsers",
                "The request comes from a web page, and none may call with this key.",
            ));
        }
        let field = parts.headers.get(HOST).map(HeaderValue::to_str);
        let named = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = match (field, named) {
            (Some(Ok(host)), Some(named)) if host != named => None,
            (Some(Ok(host)), _) | (None, Some(host)) => Some(host),
            _ => None,
        };
        if self.only_local_names && !host.is_some_and(is_local) {
            return Err(no(
                "not-local",
                "`Host` is no name of this machine: call the sidecar by its loopback address or as `localhost`; it is no proxy for other hosts.",
            ));
        }
        Ok(())
    }

    /// The body, and its digest among the fields where the scheme covers one.
    async fn body(&self, body: RequestBody, plain: &mut Plain) -> Result<ProvenBody, No> {
        let is_covered = self.proof.digest_field(&[]).is_some();
        if body.is_end_stream() || !is_covered {
            return self.unproven(body).await;
        }
        let taken = body::take_in(body, self.limit).await;
        let (body, digest) = taken.map_err(|why| No::of(&Refusal::from(why)))?;
        if !body.is_end_stream()
            && let Some((name, value)) = self.proof.digest_field(&digest)
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            plain.fields.insert(name, value);
        }
        Ok(body)
    }

    /// A body that goes on as it comes.
    async fn unproven<B>(&self, body: B) -> Result<ProvenBody, No>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let meter = Meter::of(&body);
        let policy = BodyPolicy {
            limit: self.limit,
            verify: BodyVerify::WhileForwarding,
        };
        let prepared = body::prepare(body, &BodyProof::Unproven, policy, meter).await;
        prepared.map_err(|why| No::of(&Refusal::from(why)))
    }

    fn prove(&self, plain: &mut Plain) -> Result<(), No> {
        let cannot = |why: &dyn std::fmt::Display| No {
            status: StatusCode::BAD_REQUEST,
            page: OURS,
            code: "cannot-sign",
            detail: why.to_string(),
        };
        let scheme = self.to.scheme_str().unwrap_or("http");
        let url = format!("{scheme}://{}{}", plain.authority, plain.target);
        let message = Message {
            method: plain.method.clone(),
            uri: url.parse().map_err(|why| cannot(&why))?,
            fields: plain.fields.clone(),
            // Its digest is among the fields.
            body: Bytes::new(),
            source: Source::Inline,
        };
        let proof = self
            .proof
            .prove_with(&self.keys, &message, self.clock.clone());
        for (name, value) in proof.map_err(|why| cannot(&why))?.fields {
            let value = HeaderValue::from_str(&value).map_err(|why| cannot(&why))?;
            plain.fields.insert(name, value);
        }
        Ok(())
    }
}

/// Whether a host, with or without port, is a name of this machine for which browsers say that a page asks. For others that
/// lead here, such as `0.0.0.0`, they do not.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let address = bare.unwrap_or(name).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

impl No {
    fn of(refusal: &Refusal) -> Self {
        let code = refusal.code();
        // Whose tools are told: more than a gateway's callers.
        let detail = match refusal {
            Refusal::Forward(failed) => failed.to_string(),
            refusal => refusal.detail(),
        };
        Self {
            status: code.status(),
            page: EVERYWHERE,
            code: code.word(),
            detail,
        }
    }

    fn answer(self) -> Response<AnswerBody> {
        let document = serde_json::json!({
            "type": format!("{}#{}", self.page, self.code),
            "title": "The sidecar did not send this request, or got no answer",
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = Response::new(AnswerBody::of(document.to_string().into()));
        *response.status_mut() = self.status;
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, problem);
        response
    }
}

impl Handler for Signing {
    type Body = AnswerBody;

    async fn handle(&self, _: &Peer, head: Box<Parts>, body: RequestBody) -> Response<AnswerBody> {
        let answered = self.sign_and_send(*head, body).await;
        answered.unwrap_or_else(No::answer)
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Response<AnswerBody> {
        No::of(&Refusal::Wire(fault)).answer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_no_web_pages_are_local() {
        for host in [
            "localhost",
            "LOCALHOST:9000",
            "127.0.0.1",
            "127.0.0.1:9000",
            "[::1]:9000",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "example.com:9000",
            "localhost.example.com",
            "127.0.0.1.example.com:80",
            "10.0.0.1:1",
            "0.0.0.0:9000",
            "[::]:9000",
            "[::ffff:127.0.0.1]:9000",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
