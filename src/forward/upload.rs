//! A request's body on its way out, on one stream of an HTTP/2 connection.

use super::body::{BodyError, ProvenBody};
use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http_body::Body as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// Bytes of a piece from which on it is sent by itself.
const SMALL: usize = 1024;
/// Smaller ones that are sent at once in one [`SPAN`]; more are many frames for few bytes, for which
/// servers end the connection that others use too…
const FREE: u32 = 100;
const SPAN: Duration = Duration::from_secs(1);
/// …besides so many for each piece of the answer: a server that answers reads, and its client may wait for that.
const FREE_PER_ANSWER: u32 = 5;
/// How long a further one waits for others to go with it.
const WAIT: Duration = Duration::from_millis(5);

/// A request's body on its way out.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: ProvenBody,
    /// What was taken of the body and waits until the server takes it.
    chunk: Bytes,
    taken: Taken,
    small: Small,
    is_over: bool,
}

/// What small pieces there were, and what waits for others.
#[derive(Default)]
struct Small {
    since: Option<Instant>,
    count: u32,
    gathered: BytesMut,
    until: Option<Pin<Box<Sleep>>>,
}

impl Small {
    /// Counts one, behind so many pieces of the answer; whether it has to wait for others.
    fn is_too_many(&mut self, answers: u32) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now >= since + SPAN) {
            self.since = Some(now);
            self.count = 0;
        }
        let free = answers.saturating_mul(FREE_PER_ANSWER);
        self.count = self.count.saturating_sub(free) + 1;
        self.count > FREE
    }
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
            small: Small::default(),
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
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(data);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Cut::Body(error))),
                Poll::Ready(None) if self.small.until.is_some() => self.let_go(),
                Poll::Ready(None) => {
                    let ended = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(ended.map_err(|_| Cut::Server));
                }
                Poll::Pending => {
                    let Some(until) = &mut self.small.until else {
                        return Poll::Pending;
                    };
                    ready!(until.as_mut().poll(cx));
                    // It is the server's turn, not the client's.
                    self.body.note_taken();
                    self.let_go();
                }
            }
        }
    }

    /// Those that have waited for others go.
    fn let_go(&mut self) {
        self.small.until = None;
        self.chunk = self.small.gathered.split().freeze();
    }

    fn take(&mut self, data: Bytes) {
        self.taken = match self.taken {
            Taken::Nothing => Taken::One(data.clone()),
            _ => Taken::More,
        };
        let waits = self.small.until.is_some();
        if !waits && (data.len() >= SMALL || !self.small.is_too_many(self.body.take_answers())) {
            self.chunk = data;
            return;
        }
        self.small.gathered.extend_from_slice(&data);
        if self.small.gathered.len() >= SMALL || self.body.is_end_stream() {
            self.let_go();
        } else if !waits {
            self.small.until = Some(Box::pin(sleep(WAIT)));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_pieces_that_are_answered_wait_for_no_others_and_the_rest_have_a_bound() {
        for (pieces, is_bounded) in [(1, false), (5, false), (6, true)] {
            let mut small = Small::default();
            let too_many = (0..1_000).any(|_| {
                let first = small.is_too_many(1);
                (1..pieces).fold(first, |any, _| small.is_too_many(0) || any)
            });
            assert_eq!(too_many, is_bounded, "{pieces} for each answer");
        }
        let mut small = Small::default();
        for _ in 0..3 {
            let free = (0..1_000).filter(|_| !small.is_too_many(0)).count();
            assert_eq!(free, FREE as usize);
            tokio::time::advance(SPAN).await;
        }
    }
}
