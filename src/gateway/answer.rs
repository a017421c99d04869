//! A response on its way out.

use super::caught;
use super::challenge;
use super::ending::Ending;
use super::grpc;
use super::outcome::Stopped;
use super::refusal::Refusal;
use crate::forward::{AnswerBody, Failed, Head};
use crate::limit::app::Standing;
use crate::route::{Accept, NoRoute, Route};
use crate::schemes::{self, PublicUrl, Received, Surroundings};
use crate::server::BoxError;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response's body: the upstream's as it streams, or ours, whole.
#[derive(Debug)]
pub struct ResponseBody {
    ending: Ending,
    /// Whether trailers can tell that it broke off: it answers a call of gRPC, and is of no known length.
    is_call: bool,
}

/// What a response's body is made of. It lies with what ends with it, and is moved once.
#[derive(Debug)]
pub(super) enum Source {
    Upstream(AnswerBody),
    Whole(Option<Bytes>),
}

impl Source {
    pub(super) const NOTHING: Self = Self::Whole(None);

    /// Ours.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

impl ResponseBody {
    /// The one that lies with `ending`; `is_call` is whether it answers a call of gRPC.
    pub(super) fn upstream(is_call: bool, ending: Ending) -> Self {
        let mut body = Self { ending, is_call };
        body.is_call &= body.size_hint().exact().is_none();
        body
    }

    pub(super) fn whole(bytes: Bytes, mut ending: Ending) -> Self {
        ending.carry(Source::whole(bytes));
        Self {
            ending,
            is_call: false,
        }
    }

    /// Ends a call of gRPC that broke off by what its clients read: trailers, and nothing behind them.
    fn end_call(&mut self, why: BoxError) -> Result<Frame<Bytes>, BoxError> {
        let trailers = grpc::trailers(why, self.ending.record().id.as_str())?;
        self.ending.carry(Source::NOTHING);
        Ok(Frame::trailers(trailers))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some((source, record)) = this.ending.carried() else {
            return Poll::Ready(None);
        };
        let mut polled = caught::poll(|| source.poll_frame(context)).unwrap_or_else(|_| {
            *source = Source::NOTHING;
            let why = "a panic broke the answer off; an event tells where";
            Poll::Ready(Some(Err(why.into())))
        });
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                record.bytes_out += bytes as u64;
            }
            Poll::Ready(Some(Err(why))) => {
                record.cut = true;
                if let (Some(failed), Some(server)) =
                    (why.downcast_mut::<Failed>(), &record.upstream)
                {
                    failed.name(server);
                }
                record.reason.get_or_insert_with(|| why.to_string().into());
            }
            _ => {}
        }
        match polled {
            Poll::Ready(Some(Err(why))) if this.is_call => Poll::Ready(Some(this.end_call(why))),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending.source().is_none_or(Source::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.ending.source();
        source.map_or(SizeHint::with_exact(0), Source::size_hint)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.ending.record().cut = true;
        }
        // Here, so that what it holds may panic and the record is written all the same.
        if let Some((source, _)) = self.ending.carried() {
            *source = Source::NOTHING;
        }
    }
}

/// `RateLimit` and `RateLimit-Policy` on an answer that a limit applied to.
pub(super) fn tell_standing(fields: &mut HeaderMap, standing: Option<Standing>) {
    const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
    if let Some(standing) = standing {
        let limit = standing.header();
        fields.insert(POLICY, standing.policy);
        fields.insert(LIMIT, limit);
    }
}

/// The response to a refused request, whole.
pub(super) fn refused(stopped: &Stopped, ending: &mut Ending) -> Response<Bytes> {
    let (refusal, finding) = (&stopped.refusal, stopped.finding.as_ref());
    let code = refusal.code();
    let is_grpc = ending.is_grpc();
    let record = ending.record();
    let mut problem = refusal.problem(record.id.as_str()).found(finding);
    problem.error = stopped.oauth_error;
    let document = serde_json::to_vec(&problem).unwrap_or_default();
    let length = HeaderValue::from(document.len());
    let is_head = record.method == Some(http::Method::HEAD);
    let document = if is_head { Vec::new() } else { document };
    let mut response = Response::new(Bytes::from(document));
    *response.status_mut() = code.status();
    let fields = response.headers_mut();
    if is_head {
        // Over HTTP/2 the library would send what follows this.
        fields.insert(header::CONTENT_LENGTH, length);
    }
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = refusal.retry_after() {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        fields.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match refusal {
        Refusal::Route(NoRoute::MethodNotAllowed(methods)) => {
            fields.extend(allowed(methods).map(|methods| (header::ALLOW, methods)));
        }
        Refusal::Limit(refused) => tell_standing(fields, refused.standing().cloned()),
        _ => tell_standing(fields, stopped.standing.clone()),
    }
    if is_grpc {
        return grpc::reword(response, refusal, finding, ending.record().id.as_str());
    }
    response
}

/// The value of `Allow`.
pub(super) fn allowed(methods: &[http::Method]) -> Option<HeaderValue> {
    let methods: Vec<&str> = methods.iter().map(http::Method::as_str).collect();
    HeaderValue::from_str(&methods.join(", ")).ok()
}

/// What a 401 asks for that is due to the body: by then all that the head shows was taken.
pub(super) fn ask_after_body(
    stopped: &mut Stopped,
    route: &Route,
    head: &Head,
    public_url: Option<&PublicUrl>,
) {
    if stopped.refusal.code().status() != StatusCode::UNAUTHORIZED {
        return;
    }
    let parts = &head.parts;
    let around = Surroundings {
        tls: head.scheme == "https",
        http2: parts.version == Version::HTTP_2,
        has_body: true,
        public_url,
    };
    // As it was read before, so that it is read now.
    if let Ok(received) = Received::read(&parts.method, &parts.uri, &parts.headers, around) {
        ask_for_proof(&mut stopped.asks, route, &received);
        challenge::ask_for_token(&mut stopped.asks, route, &stopped.refusal, None);
    }
}

/// What a 401 asks for: which components to cover, and a digest of the body; a static key, where it may stand in
/// `Authorization`.
pub(super) fn ask_for_proof(fields: &mut HeaderMap, route: &Route, received: &Received<'_>) {
    const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");
    const WANT_DIGEST: HeaderName = HeaderName::from_static("want-content-digest");
    let Accept::Proven(accepted) = route.accept else {
        return;
    };
    fields.insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Portcullis"),
    );
    if let Some(challenge) = schemes::hmac_auth::challenge(received, route) {
        fields.append(header::WWW_AUTHENTICATE, challenge);
    }
    if accepted.contains(crate::apps::Scheme::AwsSigv4) {
        fields.append(header::WWW_AUTHENTICATE, schemes::aws_sigv4::challenge());
    }
    for challenge in schemes::api_key::challenges(route) {
        fields.append(header::WWW_AUTHENTICATE, challenge);
    }
    if !route.pair && !accepted.contains(crate::apps::Scheme::HttpSignature) {
        return;
    }
    let needed = schemes::coverage::missing(
        schemes::coverage::Covered::nothing(),
        received,
        route,
        i64::MAX,
    );
    let needed = needed.map(|part| schemes::http_signature::component_for(part, received));
    let token = route.token_fields.first().filter(|_| route.pair);
    let token = token.map(HeaderName::as_str);
    let mut names: Vec<String> = needed.map(|name| format!("\"{name}\"")).collect();
    names.extend(token.map(|name| format!("\"{name}\"")));
    names.dedup();
    if let Ok(value) = HeaderValue::from_str(&format!("sig1=({});created", names.join(" "))) {
        fields.insert(ACCEPT_SIGNATURE, value);
    }
    fields.insert(
        WANT_DIGEST,
        HeaderValue::from_static("sha-256=2, sha-512=1"),
    );
}
