//! How the answering of a request ended, and what its client gets then.

use super::Gateway;
use super::answer::{self, ResponseBody};
use super::caught::Panicked;
use super::cors::Told;
use super::ending::Ending;
use super::grpc;
use super::refusal::{Blame, Refusal};
use super::static_keys;
use crate::clock::Now;
use crate::limit::app::Standing;
use crate::schemes::doctor::Finding;
use http::header::{CONNECTION, HeaderValue};
use http::{HeaderMap, Response};

/// How the answering of a request ended: the body of an answer lies with its [`Ending`].
pub(super) type Answered = Result<Result<Response<()>, Box<Stopped>>, Panicked>;

/// A request that may not, or got no answer, and what we say to it.
pub(super) struct Stopped {
    pub(super) refusal: Refusal,
    pub(super) asks: HeaderMap,
    pub(super) standing: Option<Standing>,
    /// What its caller did wrong.
    pub(super) finding: Option<Finding>,
    /// The word that an attested client of OAuth looks for.
    pub(super) oauth_error: Option<&'static str>,
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            asks: HeaderMap::new(),
            standing: None,
            finding: None,
            oauth_error: None,
        }
    }
}

impl From<Refusal> for Box<Stopped> {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.into())
    }
}

impl Stopped {
    /// A request that was charged for, of a page that may read the answer.
    pub(super) fn told(refusal: Refusal, standing: Option<Standing>, told: Told) -> Box<Self> {
        let mut stopped = Box::<Self>::from(refusal);
        stopped.standing = standing;
        told.tell(&mut stopped.asks);
        stopped
    }
}

/// What the client gets. `ending` goes with the body, whatever it is.
pub(super) fn finish(
    answered: Answered,
    is_http2: bool,
    mut ending: Ending,
) -> Response<ResponseBody> {
    let notice = static_keys::notice(&ending);
    let mut response = match answered {
        Ok(Ok(response)) => {
            // Here, and not where it came: till now its client could go without it.
            ending.note_status(response.status());
            let is_call = is_http2 && ending.is_grpc() && grpc::may_stream(response.headers());
            response.map(|()| ResponseBody::upstream(is_call, ending))
        }
        Ok(Err(stopped)) => {
            let mut response = refused(&stopped, ending);
            response.headers_mut().extend(stopped.asks);
            response
        }
        Err(Panicked) => {
            let stopped = Stopped::from(Refusal::Internal);
            note(&stopped, &mut ending);
            let mut response = refused(&stopped, ending);
            // How far the request was read, nobody knows. HTTP/2 keeps it to its stream.
            if !is_http2 {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            response
        }
    };
    if let Some((notice, known)) = notice {
        notice.tell(response.headers_mut(), &known);
    }
    response
}

impl Gateway {
    /// What comes of it besides the client's answer, if that is a refusal.
    pub(super) fn settle(&self, answered: &Answered, ending: &mut Ending, now: Now) {
        if let Ok(Err(stopped)) = answered {
            self.count(stopped, ending, now);
        }
    }

    /// Notes a refusal, and charges the peer's address where a stranger has caused it.
    pub(super) fn count(&self, stopped: &Stopped, ending: &mut Ending, now: Now) {
        note(stopped, ending);
        let record = ending.record();
        let peer = record.peer;
        let refusal = &stopped.refusal;
        // Whoever is proven, and then breaks its body off, is no stranger.
        let gave_up = refusal.is_of_an_unfinished_body() && record.app.is_some();
        if refusal.blame() != Blame::Stranger || gave_up {
            return;
        }
        let now = self.shared.clock.later(now);
        if let Some(settings) = ending.settings() {
            self.shared.peers.failed(&settings.peers, peer, now);
        }
    }
}

/// Whether it is a refusal since the body did not come to its end.
pub(super) fn is_of_an_unfinished_body(answered: &Answered) -> bool {
    matches!(answered, Ok(Err(stopped)) if stopped.refusal.is_of_an_unfinished_body())
}

/// Notes why a request is refused, in the words that its record has.
pub(super) fn note(stopped: &Stopped, ending: &mut Ending) {
    ending.note_unproven(false);
    let refusal = &stopped.refusal;
    let record = ending.record();
    record.code = Some(refusal.code().word());
    record.reason = Some(reason(refusal, stopped.finding.as_ref()));
}

/// The true reason, and the mistake behind it that was found.
pub(super) fn reason(refusal: &Refusal, finding: Option<&Finding>) -> Box<str> {
    match finding {
        Some(finding) => format!("{}: {}", refusal.reason(), finding.mistake.word()).into(),
        None => refusal.reason().into(),
    }
}

/// What the client of a refused request gets, of which the reason is noted.
pub(super) fn refused(stopped: &Stopped, mut ending: Ending) -> Response<ResponseBody> {
    ending.record().status = stopped.refusal.code().status().as_u16();
    let response = answer::refused(stopped, &mut ending);
    let (parts, bytes) = response.into_parts();
    Response::from_parts(parts, ResponseBody::whole(bytes, ending))
}
