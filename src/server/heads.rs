//! The heads of what an HTTP/2 client asks, by their frames alone: how many have begun, of which the
//! library refuses some by itself, and since when one does not come to its end.

use super::line::Line;
use crate::clock::alarm::{Alarm, after};
use std::task::Context;
use std::time::Duration;
use tokio::time::Instant;

const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
/// The bits of a stream's number: the first says nothing.
const STREAM: u32 = 0x7fff_ffff;

/// What is known of them.
#[derive(Debug)]
pub(super) struct Heads {
    /// How long one may take, from its first byte to its last.
    limit: Duration,
    /// How many requests have begun.
    begun: u64,
    /// How many of them the library has refused.
    refused: u64,
    /// The stream of the newest.
    newest: u32,
    /// Whether the frame that began last is of a head.
    is_head: bool,
    /// Whether another of the same head follows it.
    goes_on: bool,
    /// Whether the newest head begins a request: the others end one.
    is_first: bool,
    /// Until when that head has to be whole, where it was waited for.
    until: Option<Instant>,
    alarm: Alarm,
    /// Whether all was read that had come.
    waits: bool,
}

impl Heads {
    /// Each of which may take so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            begun: 0,
            refused: 0,
            newest: 0,
            is_head: false,
            goes_on: false,
            is_first: false,
            until: None,
            alarm: Alarm::default(),
            waits: false,
        }
    }

    /// A frame begins.
    pub(super) const fn begin(&mut self, kind: u8, flags: u8, stream: u32) {
        self.is_head = kind == HEADERS || kind == CONTINUATION;
        self.goes_on = self.is_head && flags & END_HEADERS == 0;
        if kind == HEADERS {
            self.until = None;
            self.is_first = stream & STREAM > self.newest;
            if self.is_first {
                self.newest = stream & STREAM;
                self.begun += 1;
            }
        }
    }

    /// How many requests have begun.
    pub(super) const fn begun(&self) -> u64 {
        self.begun
    }

    /// Whether a head is not whole; `left` bytes of the frame that began last are still to come.
    pub(super) const fn is_open(&self, left: usize) -> bool {
        self.is_head && (left > 0 || self.goes_on)
    }

    /// Whether all was read that had come.
    pub(super) const fn is_waiting(&self) -> bool {
        self.waits
    }

    /// All was read that has come. True when a head that is not whole is late; else the task is
    /// woken when it is. Where heads come whole, no clock is looked at.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, left: usize) -> bool {
        self.waits = true;
        if !self.is_open(left) {
            return false;
        }
        let limit = self.limit;
        let until = *self.until.get_or_insert_with(|| after(limit));
        let is_late = self.alarm.poll(cx, until);
        if is_late {
            // It is one of those that are refused.
            self.is_head = false;
        }
        is_late
    }

    /// Something has come, or the end, after all before it was read. By then the library has handed
    /// on what it takes: the rest of what began it has refused.
    pub(super) fn settle(&mut self, left: usize, line: &Line) {
        if !std::mem::take(&mut self.waits) {
            return;
        }
        let open = u64::from(self.is_first && self.is_open(left));
        let refused = self.begun.saturating_sub(open + line.requests());
        if refused > self.refused {
            line.note_refused(refused - self.refused);
            self.refused = refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::*;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Poll;

    const LIMIT: Duration = Duration::from_secs(8);
    const LAST: u8 = END_HEADERS;

    async fn waited(heads: &mut Heads, left: usize) -> bool {
        poll_fn(|cx| Poll::Ready(heads.wait(cx, left))).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_and_was_not_handed_on_when_more_comes_was_refused() {
        let counts = Arc::new(Counts::default());
        let (line, mut heads) = (Line::of(None, counts.clone()), Heads::new(LIMIT));
        for stream in [1, 3, 5] {
            heads.begin(HEADERS, LAST, stream);
        }
        // The end of the second, and what is no head.
        heads.begin(HEADERS, LAST, 3);
        heads.begin(0x6, 0, 0);
        heads.settle(0, &line);
        assert_eq!(counts.heads(), 0, "the library may still hand them on");
        line.take_off();
        waited(&mut heads, 0).await;
        heads.settle(0, &line);
        assert_eq!(counts.heads(), 2);
        // One that is not whole is not refused yet, in whichever frame it stops.
        for (flags, left) in [(0, 0), (LAST, 7), (0, 7)] {
            heads.begin(HEADERS, flags, heads.newest + 2);
            waited(&mut heads, left).await;
            heads.settle(left, &line);
            heads.begin(CONTINUATION, LAST, heads.newest);
            line.take_off();
        }
        waited(&mut heads, 0).await;
        heads.settle(0, &line);
        assert_eq!(counts.heads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_frame_on_and_whole_ones_start_no_clock() {
        let mut heads = Heads::new(LIMIT);
        heads.begin(HEADERS, LAST, 1);
        assert!(!waited(&mut heads, 0).await);
        assert!(heads.until.is_none());
        for stream in [3, 5] {
            heads.begin(HEADERS, 0, stream);
            assert!(!waited(&mut heads, 1).await);
            tokio::time::advance(LIMIT / 2).await;
            heads.begin(CONTINUATION, 0, stream);
            assert!(!waited(&mut heads, 0).await);
        }
        tokio::time::advance(LIMIT / 2).await;
        assert!(waited(&mut heads, 0).await);
        let counts = Arc::new(Counts::default());
        let line = Line::of(None, counts.clone());
        line.take_off();
        line.take_off();
        heads.settle(0, &line);
        assert_eq!(counts.heads(), 1, "it counts as one that was refused");
    }
}
