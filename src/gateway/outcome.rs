//! How the answering of a request ended, and what its client gets then.

use super::Gateway;
use super::answer::{self, ResponseBody};
use super::caught::Panicked;
use super::cors::Told;
use super::ending::Ending;
use super::refusal::{Blame, Refusal};
use super::static_keys;
use crate::clock::Now;
use crate::forward::AnswerBody;
use crate::limit::app::Standing;
use crate::schemes::doctor::Finding;
use crate::server::RequestBody;
use http::header::{CONNECTION, HeaderValue};
use http::{HeaderMap, Response};

/// A request that may not, or got no answer, and what we say to it.
pub(super) struct Stopped {
    pub(super) refusal: Refusal,
    pub(super) asks: HeaderMap,
    pub(super) standing: Option<Standing>,
    /// What its caller did wrong.
    pub(super) finding: Option<Finding>,
    /// Its body, where the client still sends it.
    pub(super) unread: Option<RequestBody>,
}

impl From<Refusal> for Box<Stopped> {
    fn from(refusal: Refusal) -> Self {
        Self::new(Stopped {
            refusal,
            asks: HeaderMap::new(),
            standing: None,
            finding: None,
            unread: None,
        })
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

impl Gateway {
    /// What the client gets. `ending` goes with the body, whatever it is.
    pub(super) fn finish(
        &self,
        answered: Result<Result<Response<AnswerBody>, Box<Stopped>>, Panicked>,
        is_http2: bool,
        now: Now,
        mut ending: Ending,
    ) -> Response<ResponseBody> {
        let notice = static_keys::notice(&ending);
        let mut response = match answered {
            Ok(Ok(response)) => {
                // Here, and not where it came: till now its client could go without it.
                ending.note_status(response.status());
                response.map(|body| ResponseBody::upstream(body, ending))
            }
            Ok(Err(stopped)) => {
                let (standing, finding) = (stopped.standing.as_ref(), stopped.finding.as_ref());
                self.charge_peer(&stopped.refusal, &mut ending, now);
                let mut response = refused(&stopped.refusal, finding, standing, ending);
                response.headers_mut().extend(stopped.asks);
                if let (true, Some(body)) = (is_http2, stopped.unread) {
                    response.body_mut().take_in(body);
                }
                response
            }
            Err(Panicked) => {
                let mut response = refused(&Refusal::Internal, None, None, ending);
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

    /// Charges the peer's address for a refusal that a stranger has caused.
    pub(super) fn charge_peer(&self, refusal: &Refusal, ending: &mut Ending, now: Now) {
        let record = ending.record();
        let peer = record.peer;
        // Whoever is proven, and then breaks its body off, is no stranger.
        let gave_up = refusal.is_of_an_unfinished_body() && record.app.is_some();
        if refusal.code().blame() != Blame::Stranger || gave_up {
            return;
        }
        let now = self.shared.clock.later(now);
        if let Some(settings) = ending.settings() {
            self.shared.peers.failed(&settings.peers, peer, now);
        }
    }
}

/// What the client of a refused request gets.
pub(super) fn refused(
    refusal: &Refusal,
    finding: Option<&Finding>,
    standing: Option<&Standing>,
    mut ending: Ending,
) -> Response<ResponseBody> {
    let code = refusal.code();
    let record = ending.record();
    record.status = code.status().as_u16();
    record.code = Some(code.word());
    record.reason = Some(match finding {
        Some(finding) => format!("{}: {}", refusal.reason(), finding.mistake.word()).into(),
        None => refusal.reason().into(),
    });
    let response = answer::refused(refusal, finding, &mut ending, standing);
    let (parts, bytes) = response.into_parts();
    Response::from_parts(parts, ResponseBody::whole(bytes, ending))
}
