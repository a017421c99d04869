//! One request at the handler, and what its connection has to know of it.

use super::admission::Admission;
use super::line::Line;
use super::streams::{Pieces, RequestBody, Whole};
use super::{BoxError, Deadlines, Handler, Peer, Tunnel};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

/// Where the requests of one connection are answered.
pub(super) struct Desk<H> {
    pub(super) handler: H,
    pub(super) peer: Peer,
    pub(super) deadlines: Deadlines,
    pub(super) line: Arc<Line>,
    pub(super) admission: Arc<Admission>,
}

/// One request's turn, from its head to the end of its response.
pub(super) struct Turn<H> {
    desk: Arc<Desk<H>>,
    /// Whether all of its response went.
    is_whole: bool,
}

impl<H: Handler> Turn<H> {
    pub(super) fn new(desk: &Arc<Desk<H>>) -> Self {
        desk.line.take_off();
        Self {
            desk: desk.clone(),
            is_whole: false,
        }
    }

    /// A request of an HTTP/1 connection.
    pub(super) fn on_wire(
        mut self,
        request: Request<Incoming>,
    ) -> impl Future<
        Output = Result<
            Response<impl http_body::Body<Data = Bytes, Error = BoxError> + Send>,
            Infallible,
        >,
    > {
        // Cut short or not: there is no second one beside it.
        self.is_whole = true;
        // An interim answer is for who knows what it is (RFC 9110, section 15.2).
        let is_at_work = request.version() == Version::HTTP_11;
        self.desk.line.note_at_work(is_at_work);
        let request = request.map(RequestBody::kept);
        // Behind the lines above, so that the request has one place in memory, not two.
        async move {
            let response = self.answer(request).await;
            self.desk.line.note_at_work(false);
            // The body takes the turn with it, whatever becomes of the body.
            let hold = move |error| {
                let _turn = &self;
                error
            };
            Ok(response.map(|body| body.map_err(hold)))
        }
    }

    /// A request of an HTTP/2 connection, whose worker's deadlines are the stream's.
    pub(super) async fn on_stream(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<impl http_body::Body<Data = Bytes, Error = BoxError> + Send>, Infallible>
    {
        if self.desk.line.is_flooded() {
            // Nobody waits for an answer; the connection is about to end.
            pending::<()>().await;
        }
        let deadlines = &self.desk.deadlines;
        let request = request.map(|body| RequestBody::of_stream(body, deadlines));
        let response = self.answer(request).await;
        Ok(response.map(|body| Pieces::new(body, self)))
    }

    fn answer(&self, request: Request<RequestBody>) -> impl Future<Output = Response<H::Body>> {
        let Desk {
            handler,
            peer,
            line,
            admission,
            ..
        } = &*self.desk;
        // HTTP/2 has a frame for it.
        let has_connection_field = request.version() != Version::HTTP_2;
        let fault = line.next_request();
        let number = line.requests();
        let told = (peer.is_trusted && fault.is_none())
            .then(|| admission.told_by(peer, request.headers()));
        async move {
            let peer = told.as_ref().unwrap_or(peer);
            let mut response = match fault {
                None => handler.handle(peer, request).await,
                Some(fault) => handler.refuse(peer, fault),
            };
            let mut switches = false;
            if line.is_asking(number) {
                let tunnel = response.extensions_mut().remove::<Tunnel>();
                switches = tunnel.is_some();
                line.decide(tunnel);
            }
            if fault.is_some() || (line.is_last() && has_connection_field && !switches) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            response
        }
    }
}

impl<H> Whole for Turn<H> {
    fn note_whole(&mut self) {
        self.is_whole = true;
    }
}

impl<H> Drop for Turn<H> {
    fn drop(&mut self) {
        self.desk.line.land();
        if !self.is_whole {
            self.desk.line.note_early_end();
        }
    }
}
