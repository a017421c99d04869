//! A request's body on its way out, on one stream of an HTTP/2 connection.

use super::body::{BodyError, ProvenBody};
use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// A request's body on its way out.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: ProvenBody,
    /// What was taken of the body and waits until the server takes it.
    chunk: Bytes,
    taken: Taken,
    is_over: bool,
}

/// What was taken of a body so far.
enum Taken {
    Nothing,
    /// One piece, which can be given back.
    One(Bytes),
    More,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(super) enum Cut {
    /// The body itself is to blame.
    Body(BodyError),
    /// The server wants no more of it.
    Server,
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: ProvenBody) -> Self {
        Self {
            stream,
            is_over: body.is_end_stream(),
            body,
            chunk: Bytes::new(),
            taken: Taken::Nothing,
        }
    }

    /// Sends as much as there is and as the server takes. Ready once, with
    /// how it ended; then it stays pending.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        if self.is_over {
            return Poll::Pending;
        }
        let end = ready!(self.poll_end(cx));
        self.is_over = true;
        if let Err(Cut::Body(_)) = &end {
            // Never a clean end: what arrived so far is no whole request.
            self.stream.send_reset(Reason::CANCEL);
        }
        Poll::Ready(end)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        loop {
            if !self.chunk.is_empty() {
                self.stream.reserve_capacity(self.chunk.len());
                let mut room = self.stream.capacity();
                if room == 0 {
                    match ready!(self.stream.poll_capacity(cx)) {
                        Some(Ok(more)) => room = more,
                        Some(Err(_)) | None => return Poll::Ready(Err(Cut::Server)),
                    }
                }
                let piece = self.chunk.split_to(room.min(self.chunk.len()));
                let ends = self.chunk.is_empty() && self.body.is_end_stream();
                if self.stream.send_data(piece, ends).is_err() {
                    return Poll::Ready(Err(Cut::Server));
                }
                if ends {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Cut::Server));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(data);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(Cut::Body(error))),
                None => {
                    let ended = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(ended.map_err(|_| Cut::Server));
                }
            }
        }
    }

    fn take(&mut self, data: Bytes) {
        self.taken = match self.taken {
            Taken::Nothing => Taken::One(data.clone()),
            _ => Taken::More,
        };
        self.chunk = data;
    }

    /// The body as it was before any of it was taken, if that can be had.
    pub(super) fn untouched(mut self) -> Option<ProvenBody> {
        match self.taken {
            Taken::Nothing => Some(self.body),
            Taken::One(data) => {
                self.body.put_back(data);
                Some(self.body)
            }
            Taken::More => None,
        }
    }

    /// Lets what is left of the body go on by itself, until `end`: neither
    /// way waits for the other any more.
    pub(super) fn go_on(mut self, end: Instant) -> Option<Uploading> {
        if self.is_over {
            return None;
        }
        self.taken = Taken::More;
        Some(Uploading(tokio::spawn(async move {
            let sent = timeout_at(end, poll_fn(|cx| self.poll(cx))).await;
            sent.unwrap_or(Err(Cut::Server))
        })))
    }
}

/// The rest of a body that goes out while the answer comes in. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Uploading(JoinHandle<Result<(), Cut>>);

impl Uploading {
    /// Waits until `by` for its end; whether it was sent whole, or the server wanted no more.
    pub(super) async fn ends(mut self, by: Instant) -> bool {
        matches!(
            timeout_at(by, &mut self).await,
            Ok(Some(Ok(()) | Err(Cut::Server)))
        )
    }
}

impl Future for Uploading {
    /// Nothing when it was ended by us.
    type Output = Option<Result<(), Cut>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.abort();
    }
}
