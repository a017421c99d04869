//! Where a connection lays a request down, and whoever attends to it an answer.
//!
//! What answers requests is one large future for many of them: made once and
//! polled in place, so that no request pays for moving it.

use crate::server::Handler;
use crate::server::body::RequestBody;
use crate::server::turn::Desk;
use http::Response;
use http::request::Parts;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

/// Both ends are in one task, and nobody waits for the other's lock.
#[derive(Debug)]
pub(super) struct Tray<B> {
    request: Mutex<Option<(Box<Parts>, RequestBody)>>,
    response: Mutex<Option<Response<B>>>,
}

impl<B> Default for Tray<B> {
    fn default() -> Self {
        Self {
            request: Mutex::new(None),
            response: Mutex::new(None),
        }
    }
}

impl<B> Tray<B> {
    /// Lays the next request down.
    pub(super) fn lay(&self, head: Box<Parts>, body: RequestBody) {
        put(&self.request, (head, body));
    }

    /// Takes the answer, if it is there.
    pub(super) fn poll_answer(&self) -> Poll<Response<B>> {
        poll_take(&self.response)
    }

    /// Answers what is laid down, one request after the other. Nobody is
    /// woken for a request: who lays one down polls.
    pub(super) async fn attend<H: Handler<Body = B>>(&self, desk: &Desk<H>) -> Infallible {
        loop {
            let (mut head, body) = poll_fn(|_| poll_take(&self.request)).await;
            let told = desk.told(&mut head.headers);
            let peer = told.as_ref().unwrap_or(&desk.peer);
            let response = {
                let answering = pin!(desk.handler.handle(peer, head, body));
                answering.await
            };
            desk.look_at(&response);
            put(&self.response, response);
        }
    }
}

fn put<T>(place: &Mutex<Option<T>>, thing: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(thing);
}

fn poll_take<T>(place: &Mutex<Option<T>>) -> Poll<T> {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    place.take().map_or(Poll::Pending, Poll::Ready)
}
