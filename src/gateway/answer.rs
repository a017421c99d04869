//! A response on its way out.

use super::caught;
use super::challenge;
use super::ending::Ending;
use super::grpc;
use super::outcome::Stopped;
use super::refusal::Refusal;
use crate::forward::{AnswerBody, Head};
use crate::limit::app::Standing;
use crate::route::{Accept, NoRoute, Route};
use crate::schemes::{self, PublicUrl, Received, Surroundings};
use crate::server::{BoxError, RequestBody};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A response's body: the upstream's as it streams, or ours, whole.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Inner,
    ending: Ending,
}

#[derive(Debug)]
enum Inner {
    Upstream(AnswerBody),
    /// And what is taken in of a refused request's body before it ends.
    Whole(Option<Bytes>, Option<Unread>),
}

impl Inner {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
            Self::Whole(bytes, unread) => match (bytes.take(), unread) {
                (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                (None, Some(unread)) => unread.poll_end(context).map(|()| None),
                (None, None) => Poll::Ready(None),
            },
        }
    }
}

impl ResponseBody {
    pub(super) fn upstream(body: AnswerBody, ending: Ending) -> Self {
        Self {
            inner: Inner::Upstream(body),
            ending,
        }
    }

    pub(super) fn whole(bytes: Bytes, ending: Ending) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self {
            inner: Inner::Whole(bytes, None),
            ending,
        }
    }

    /// Takes in what is still sent of the refused request's `body`, within
    /// bounds, before the response ends.
    pub(super) fn take_in(&mut self, body: RequestBody) {
        // What refuses a call of gRPC ends with its head, or its clients take it for no end.
        if let Inner::Whole(Some(_), unread) = &mut self.inner {
            *unread = Some(Unread::new(body));
        }
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
        let polled = caught::poll(|| this.inner.poll_frame(context)).unwrap_or_else(|_| {
            this.inner = Inner::Whole(None, None);
            let why = "a panic broke the answer off; an event tells where";
            Poll::Ready(Some(Err(why.into())))
        });
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.ending.record().bytes_out += bytes as u64;
            }
            Poll::Ready(Some(Err(why))) => {
                let record = this.ending.record();
                record.cut = true;
                record.reason.get_or_insert_with(|| why.to_string().into());
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Upstream(body) => body.is_end_stream(),
            Inner::Whole(bytes, unread) => {
                bytes.is_none() && unread.as_ref().is_none_or(|unread| unread.is_over)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Upstream(body) => body.size_hint(),
            Inner::Whole(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

/// What a refused HTTP/2 client is still sending. Its stream is ended by us
/// only when that is over or a bound is reached: a stream that is reset under
/// their body makes some clients throw the answer away.
#[derive(Debug)]
pub(super) struct Unread {
    body: RequestBody,
    left: usize,
    until: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Unread {
    /// Bytes of an unwanted body that are taken in.
    const MAX_BYTES: usize = 1024 * 1024;
    /// How long they may take.
    const MAX_TIME: Duration = Duration::from_secs(1);

    pub(super) fn new(body: RequestBody) -> Self {
        Self {
            body,
            left: Self::MAX_BYTES,
            until: Box::pin(sleep(Self::MAX_TIME)),
            is_over: false,
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.is_over {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.left = self.left.saturating_sub(bytes);
                    self.is_over = self.left == 0;
                }
                Poll::Ready(_) => self.is_over = true,
                Poll::Pending => {
                    std::task::ready!(self.until.as_mut().poll(context));
                    self.is_over = true;
                }
            }
        }
        Poll::Ready(())
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.ending.record().cut = true;
        }
    }
}

/// `RateLimit` and `RateLimit-Policy` on an answer that a limit applied to.
pub(super) fn tell_standing(fields: &mut HeaderMap, standing: Option<&Standing>) {
    const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
    if let Some(standing) = standing {
        fields.insert(POLICY, standing.policy.clone());
        fields.insert(LIMIT, standing.header());
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
        Refusal::Limit(refused) => tell_standing(fields, refused.standing()),
        _ => tell_standing(fields, stopped.standing.as_ref()),
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
        challenge::ask_for_token(&mut stopped.asks, route, &stopped.refusal, None, head.asked);
    }
}

/// What a 401 asks for: which components to cover, and a digest of the body.
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
