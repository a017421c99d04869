//! One request as it is, to one server: for whoever proves requests of his own
//! and does not stand before a backend. No identity is told, nothing is sent twice.

use super::body::ProvenBody;
use super::exchange::{Deadlines, Tried, exchange};
use super::upstream::{Pool, Tried as Servers, Upstream};
use super::{Answer, AnswerBody, Failed, Outgoing, echo, headers, streamed};
use crate::clock::Clock;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};

/// What is sent besides the body.
#[derive(Debug)]
pub struct Plain {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// What stands in `Host`.
    pub authority: Box<str>,
    /// Every other field.
    pub fields: HeaderMap,
}

impl Plain {
    /// Takes the fields off that belong to the connection they came over.
    pub fn without_connection(&mut self) {
        headers::plain::without_connection(&mut self.fields);
    }
}

impl Outgoing for Plain {
    fn method(&self) -> &Method {
        &self.method
    }

    fn upgrade(&self) -> Option<&HeaderValue> {
        None
    }

    fn is_long(&self) -> bool {
        streamed::is_long(self.target.as_str(), &self.authority, &self.fields)
    }

    fn write(&self, text: &mut BytesMut, body: &ProvenBody, is_last: bool) {
        let line = (&self.method, self.target.as_str(), &*self.authority);
        headers::plain::write(text, line, &self.fields, body, is_last);
    }

    fn request(&self, body: ProvenBody) -> Request<ProvenBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        let fields = request.headers_mut();
        fields.clone_from(&self.fields);
        // Frames tell the length.
        fields.remove(CONTENT_LENGTH);
        if let Ok(host) = HeaderValue::from_str(&self.authority) {
            fields.insert(http::header::HOST, host);
        }
        request
    }
}

/// Sends `plain` to the first server of `upstream`. What it answers comes as
/// it is, but for the fields of the connection.
///
/// # Errors
/// [`Failed`] when no answer came.
pub async fn direct(
    plain: &Plain,
    body: ProvenBody,
    upstream: &Upstream,
    pool: &Pool,
    clock: &Clock,
) -> Result<Answer, Failed> {
    let none = || Failed::Unreachable("none of its servers is well".into());
    let asked = clock.now();
    let chosen = upstream.choose(&Servers::default(), asked);
    let mut chosen = chosen.ok_or_else(none)?;
    let target = upstream.target(&chosen);
    let Some(at) = &target.place else {
        let response = echo::answer(plain.request(body)).await?;
        return Ok(Answer {
            response: response.map(|bytes| AnswerBody::made(bytes, None)),
            asked,
            answered: clock.now(),
            far: None,
        });
    };
    let deadlines = Deadlines::start(upstream.settings());
    let way = &mut chosen.way;
    match exchange(plain, body, at, &target.label, pool, &deadlines, way).await {
        Tried::Answered(mut head, arriving) => {
            headers::plain::without_connection(&mut head.headers);
            head.version = Version::HTTP_11;
            head.extensions.clear();
            let body = AnswerBody::streaming(arriving, None, chosen.into_counted());
            Ok(Answer {
                response: Response::from_parts(head, body),
                asked,
                answered: clock.now(),
                far: None,
            })
        }
        Tried::Switched(..) => Err(Failed::Invalid("it switches protocols unasked".into())),
        Tried::NotSent(_, why)
        | Tried::Lacking(_, why)
        | Tried::Unfit(_, why)
        | Tried::Failed(why)
        | Tried::Excused(why) => Err(why),
    }
}

impl AnswerBody {
    /// A body that was made here.
    pub fn of(bytes: Bytes) -> Self {
        Self::made(bytes, None)
    }
}
