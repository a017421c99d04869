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
use http_body_util::{BodyExt as _, Full};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Where what only a sidecar refuses is explained, the code being the fragment.
const OURS: &str = "docs/sidecar.md";
/// The same for what a gateway refuses too.
const EVERYWHERE: &str = "docs/refusals.md";

/// Bytes of a body that is kept until its answer, where the first proof may lack a nonce.
const KEPT: u64 = 256 * 1024;
/// So many are kept at a time, 64 MiB in all; one more goes on as it comes, and is sent once.
pub(super) const MAX_KEPT: usize = 256;

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
    /// A place for each of the bodies that may be kept.
    pub(super) places: Semaphore,
    pub(super) clock: Clock,
}

/// A body to send once more.
struct Again<'s> {
    body: Full<Bytes>,
    /// Where it is kept; one that is empty needs none.
    _place: Option<SemaphorePermit<'s>>,
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
        let (body, again) = shared.body(body, &mut plain).await?;
        shared.prove(&mut plain)?;
        let answer = self.send(&plain, body).await?;
        // Only a refusal tells the nonce that the first proof lacks.
        if !shared.keys.learn(&answer) {
            return Ok(answer);
        }
        let Some(again) = again else {
            return Ok(answer);
        };
        drop(answer);
        let body = unproven(again.body.clone(), KEPT).await?;
        shared.prove(&mut plain)?;
        let answer = self.send(&plain, body).await?;
        shared.keys.learn(&answer);
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

    /// The body, and its digest among the fields where the scheme covers one; and the body once more, where a
    /// first proof may lack a nonce and it is short enough to be kept until that is known.
    async fn body(
        &self,
        body: RequestBody,
        plain: &mut Plain,
    ) -> Result<(ProvenBody, Option<Again<'_>>), No> {
        let is_covered = self.proof.digest_field(&[]).is_some();
        if body.is_end_stream() {
            let again = Again {
                body: Full::default(),
                _place: None,
            };
            return Ok((unproven(body, self.limit).await?, Some(again)));
        }
        if !is_covered {
            let place = place_for(&body, &self.places).filter(|_| self.keys.have_nonce());
            let Some(place) = place else {
                return Ok((unproven(body, self.limit).await?, None));
            };
            let again = kept(unproven(body, KEPT).await?, place).await?;
            return Ok((unproven(again.body.clone(), KEPT).await?, Some(again)));
        }
        let taken = body::take_in(body, self.limit).await;
        let (body, digest) = taken.map_err(|why| No::of(&Refusal::from(why)))?;
        if !body.is_end_stream()
            && let Some((name, value)) = self.proof.digest_field(&digest)
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            plain.fields.insert(name, value);
        }
        Ok((body, None))
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

/// A body of at most `limit` bytes that goes on as it comes.
async fn unproven<B>(body: B, limit: u64) -> Result<ProvenBody, No>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let meter = Meter::of(&body);
    let policy = BodyPolicy {
        limit,
        verify: BodyVerify::WhileForwarding,
    };
    let prepared = body::prepare(body, &BodyProof::Unproven, policy, meter).await;
    prepared.map_err(|why| No::of(&Refusal::from(why)))
}

/// Where `body` is kept, if it says that it is short and there is room.
fn place_for<'s>(
    body: &impl http_body::Body,
    places: &'s Semaphore,
) -> Option<SemaphorePermit<'s>> {
    let is_short = body.size_hint().exact().is_some_and(|bytes| bytes <= KEPT);
    is_short.then(|| places.try_acquire().ok()).flatten()
}

/// All of a short body. It may come as slowly as one that goes on as it comes.
async fn kept(mut body: ProvenBody, place: SemaphorePermit<'_>) -> Result<Again<'_>, No> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| No::of(&Refusal::from(why)))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Again {
        body: Full::new(bytes.into()),
        _place: Some(place),
    })
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
    use http_body::{Body, Frame};
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;
    use tokio::time::{Sleep, sleep};

    /// Three bytes, the last of them late.
    struct Slow {
        pause: Pin<Box<Sleep>>,
        given: usize,
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let piece = match self.given {
                0 => "sl",
                1 => {
                    ready!(self.pause.as_mut().poll(cx));
                    "o"
                }
                _ => return Poll::Ready(None),
            };
            self.given += 1;
            Poll::Ready(Some(Ok(Frame::data(piece.into()))))
        }

        fn is_end_stream(&self) -> bool {
            self.given == 2
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(3)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_body_is_kept_however_slowly_it_comes_while_there_is_a_place() {
        let places = Semaphore::new(1);
        let body = |length: u64| Full::new(Bytes::from(vec![b'x'; length as usize]));
        assert!(place_for(&body(KEPT + 1), &places).is_none());
        let slow = Slow {
            pause: Box::pin(sleep(Duration::from_secs(59))),
            given: 0,
        };
        let place = place_for(&slow, &places).unwrap();
        let Ok(slow) = unproven(slow, KEPT).await else {
            panic!("it is short");
        };
        let Ok(again) = kept(slow, place).await else {
            panic!("it has come");
        };
        assert!(
            place_for(&body(1), &places).is_none(),
            "it goes on as it comes"
        );
        let all = again.body.clone().collect().await.unwrap();
        assert_eq!(all.to_bytes(), "slo");
        drop(again);
        assert!(place_for(&body(KEPT), &places).is_some());
    }

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
