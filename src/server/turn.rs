//! One request of an HTTP/2 connection at the handler, and what the connection
//! has to know of it.

use super::admission::Admission;
use super::body::{Reins, RequestBody};
use super::client_auth::Shown;
use super::line::{Line, end_was_told};
use super::streams::Gives;
use super::{Deadlines, Handler, LastAnswer, Peer};
use h2::RecvStream;
use http::header::UPGRADE;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A request that ends before its answer does is held against its connection, and more so where that is sooner than this. One that
/// was waited for longer has had a place of [`H2_STREAMS`](super::http2::H2_STREAMS) all the while, as honest ones have: calls of gRPC end by their
/// deadlines, and one server that hangs is not to end the others' calls.
const SOON: Duration = Duration::from_millis(250);

/// Where the requests of one connection are answered.
pub(super) struct Desk<H> {
    pub(super) handler: H,
    pub(super) peer: Peer,
    /// What `peer.certificate` was read from, or that there was none where one may be shown.
    pub(super) shown: Option<Box<Shown>>,
    pub(super) deadlines: Deadlines,
    pub(super) line: Arc<Line>,
    pub(super) admission: Arc<Admission>,
}

/// One request's turn, from its head to the end of its response.
pub(super) struct Turn<H> {
    desk: Arc<Desk<H>>,
    begun: Instant,
    /// Whether its end is none that its client has to answer for: all of the response went, or
    /// it broke off elsewhere.
    is_whole: bool,
    /// Of its body, which may break off: then it was the client that broke the response off.
    reins: Option<Reins>,
}

impl<H: Handler> Turn<H> {
    pub(super) fn new(desk: &Arc<Desk<H>>) -> Self {
        desk.line.take_off();
        Self {
            desk: desk.clone(),
            begun: Instant::now(),
            is_whole: false,
            reins: None,
        }
    }

    /// The answer to a request of an HTTP/2 connection, whose worker's deadlines are the stream's.
    pub(super) async fn on_stream(&mut self, request: Request<RecvStream>) -> Response<H::Body> {
        if self.desk.line.is_flooded() {
            // Nobody waits for an answer; the connection is about to end.
            pending::<()>().await;
        }
        let deadlines = &self.desk.deadlines;
        let (head, body) = request.into_parts();
        let body = RequestBody::of_stream(body, &head.headers, deadlines);
        self.reins = body.reins();
        self.answer(Box::new(head), body).await
    }

    /// The connection's deadlines, which are each stream's.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.desk.deadlines
    }

    fn answer(
        &self,
        mut head: Box<Parts>,
        body: RequestBody,
    ) -> impl Future<Output = Response<H::Body>> {
        let told = self.desk.told(&mut head.headers);
        async move {
            let peer = told.as_ref().unwrap_or(&self.desk.peer);
            let making = pin!(self.desk.handler.handle(peer, head, body));
            // Dropped first, where no answer comes of it.
            let answering = self.desk.line.answering();
            let response = making.await;
            answering.done();
            self.desk.look_at(&response);
            response
        }
    }
}

impl<H> Desk<H> {
    /// Whom a request is from, where that is not the peer as it came: one that is trusted may
    /// speak for others, and a certificate may prove nothing any more. That ends the connection:
    /// `fields` ask for no tunnel then, which would outlast it.
    pub(super) fn told(&self, fields: &mut HeaderMap) -> Option<Peer> {
        let is_trusted = self.peer.is_trusted;
        let told = is_trusted.then(|| self.admission.told_by(&self.peer, fields));
        if self.shown.as_deref().is_none_or(Shown::holds) {
            return told;
        }
        self.line.note_lost();
        fields.remove(UPGRADE);
        let mut told = told.unwrap_or_else(|| self.peer.clone());
        told.certificate = None;
        Some(told)
    }

    /// Notes where an answer is the last of its connection.
    pub(super) fn look_at<B>(&self, response: &Response<B>) {
        if response.extensions().get::<LastAnswer>().is_some() {
            self.line.note_lost();
        }
    }
}

impl<H> Gives for Turn<H> {
    fn fits(&self, bytes: usize, before: u64) -> bool {
        self.desk.line.windows().fit(bytes, before)
    }

    fn note_handed(&mut self, bytes: usize) {
        self.desk.line.windows().note_handed(bytes);
    }

    fn note_whole(&mut self) {
        self.is_whole = true;
    }

    fn note_cut(&mut self) {
        self.desk.line.tell_end();
    }

    fn note_broken(&mut self) {
        self.is_whole |= !self.reins.as_ref().is_some_and(Reins::have_broken);
    }
}

impl<H> Drop for Turn<H> {
    fn drop(&mut self) {
        self.desk.line.land();
        if !self.is_whole {
            if self.begun.elapsed() < SOON {
                self.desk.line.note_early_end();
            } else {
                self.desk.line.note_late_end();
            }
        }
        end_was_told();
    }
}
