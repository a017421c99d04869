//! The answer of one stream of an HTTP/2 connection, from its head to its end.

use super::exchange::Deadlines;
use super::streamed::Streamed;
use super::upstream::Lease;
use super::{Failed, Late};
use crate::clock::alarm::Alarm;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long a client may go on to send a body to a server that has given its
/// whole answer already, and has not said that it wants no more.
const AFTER_ANSWER: Duration = Duration::from_secs(10);

/// An answer's body within its deadlines, and its place on the connection.
pub(super) struct Streaming {
    body: Streamed,
    lease: Option<Lease>,
    deadlines: Deadlines,
    /// Since when the upstream has owed us a frame.
    waiting: Option<Instant>,
    /// Whether a frame has come.
    has_begun: bool,
    alarm: Alarm,
}

impl Streaming {
    pub(super) fn new(body: Streamed, lease: Lease, deadlines: Deadlines) -> Self {
        let mut streaming = Self {
            body,
            lease: Some(lease),
            deadlines,
            waiting: None,
            has_begun: false,
            alarm: Alarm::default(),
        };
        streaming.give_back_at_end();
        streaming
    }

    pub(super) fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let Poll::Ready(frame) = self.body.poll_frame(cx) else {
            return self
                .poll_late(cx)
                .map(|failed| Some(Err(self.late(failed))));
        };
        if self.deadlines.are_over(&mut self.has_begun) {
            let failed = Failed::late(Late::Finish);
            return Poll::Ready(Some(Err(self.late(failed))));
        }
        self.waiting = None;
        if let Some(lease) = &mut self.lease {
            lease.heard();
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.give_back_at_end();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let lease = self.lease.take();
                if let Some(lease) = lease.filter(|_| self.body.is_cut()) {
                    // It is not for us to reset.
                    lease.give_back(None);
                }
                Some(Err(error))
            }
            None => {
                self.give_back();
                None
            }
        })
    }

    fn late(&mut self, failed: Failed) -> Failed {
        if let Some(lease) = self.lease.take() {
            lease.late();
        }
        failed
    }

    /// Ready when the upstream is late with its next frame.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Failed> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let since = self.body.sent_at().map_or(since, |sent| sent.max(since));
        let (due, late) = self.deadlines.next_frame(since);
        if self.alarm.poll(cx, due) {
            Poll::Ready(Failed::late(late))
        } else {
            Poll::Pending
        }
    }

    fn give_back_at_end(&mut self) {
        if self.is_over() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        if let Some(upload) = self.body.take_upload() {
            let by = Instant::now() + AFTER_ANSWER;
            tokio::spawn(async move {
                if upload.ends(by).await {
                    lease.give_back(None);
                }
            });
            return;
        }
        lease.give_back(None);
    }
}
