//! What the ends of one connection tell each other: the bytes' end, which
//! follows the framing, and the requests' end, which answers.

use super::library::H2_STREAMS;
use super::windows::Windows;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// Requests of one HTTP/2 connection that may end before their answers do,
/// by a reset of either side: so many at once, and one more each while. Who
/// asks for more work only to throw it away has to go.
const EARLY_ENDS: usize = H2_STREAMS as usize;
const EARLY_END_EVERY: Duration = Duration::from_millis(100);
/// Requests of one connection that an upstream can be at work on at a time,
/// also when it does not notice that nobody waits for some any more.
const AT_WORK: usize = 2 * H2_STREAMS as usize;
/// Requests of one HTTP/2 connection that may come behind our goodbye, since they cross it: each
/// stream was on its way to us with one, or to the client with an answer that another follows.
const CROSSING: u64 = H2_STREAMS as u64;

/// Shared by the parts of one connection. All of them run on one thread; the
/// types are atomic only because a connection's task could move.
#[derive(Debug, Default)]
pub(super) struct Line {
    requests: AtomicU64,
    /// Requests there may be in all, once we said goodbye.
    most: AtomicU64,
    in_flight: AtomicUsize,
    unsent: AtomicBool,
    last: AtomicBool,
    early: AtomicUsize,
    forgiven: Mutex<Option<Instant>>,
    flooded: AtomicBool,
    task: OnceLock<Waker>,
    look: AtomicBool,
    holding: AtomicBool,
    ending: AtomicBool,
    heard: AtomicBool,
    windows: Windows,
}

impl Line {
    /// Counts a request.
    pub(super) fn count_request(&self) {
        let requests = self.requests.fetch_add(1, Relaxed) + 1;
        let most = self.most.load(Relaxed);
        if most > 0 && requests > most {
            self.note_flooded();
        }
    }

    /// Requests there were so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// A request begins on a connection that has one at a time.
    pub(super) fn begin(&self) {
        self.count_request();
        self.in_flight.store(1, Relaxed);
    }

    /// One request more is in flight.
    pub(super) fn take_off(&self) {
        let in_flight = self.in_flight.fetch_add(1, Relaxed) + 1;
        if in_flight + self.early.load(Relaxed) > AT_WORK {
            self.note_flooded();
        }
    }

    /// A request ended before its answer did.
    pub(super) fn note_early_end(&self) {
        let now = Instant::now();
        let mut forgiven = self.forgiven.lock().unwrap_or_else(PoisonError::into_inner);
        let since = forgiven.get_or_insert(now);
        let more = (now - *since).as_millis() / EARLY_END_EVERY.as_millis();
        let early = self.early.load(Relaxed);
        match u32::try_from(more) {
            Ok(more) if early > more as usize => {
                *since += EARLY_END_EVERY * more;
                self.early.store(early - more as usize + 1, Relaxed);
            }
            _ => {
                *since = now;
                self.early.store(1, Relaxed);
            }
        }
        if self.early.load(Relaxed) > EARLY_ENDS {
            self.note_flooded();
        }
    }

    /// The client wants to hurt: the connection has to end.
    pub(super) fn note_flooded(&self) {
        self.flooded.store(true, Relaxed);
        self.wake();
    }

    /// Whether the connection has to end.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// Remembers the connection's task, to wake it when it has to end.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.task.get_or_init(|| cx.waker().clone());
    }

    fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// One request less is in flight.
    pub(super) fn land(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0
    }

    /// Asks the connection to look whether its client is still there, or, if
    /// none of its requests is in flight, to let go of what it holds.
    pub(super) fn ask_to_look(&self) {
        self.look.store(true, Relaxed);
    }

    /// Whether it was asked to, once.
    pub(super) fn is_to_look(&self) -> bool {
        self.look.load(Relaxed) && self.look.swap(false, Relaxed)
    }

    /// Notes whether it holds memory that it can do without while it is idle.
    pub(super) fn note_holding(&self, holds: bool) {
        self.holding.store(holds, Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_holding(&self) -> bool {
        self.holding.load(Relaxed)
    }

    /// Ends the connection behind what is in flight.
    pub(super) fn note_ending(&self) {
        self.ending.store(true, Relaxed);
    }

    /// Whether it ends behind what is in flight.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Notes that the client of an HTTP/2 connection says something, to its end.
    pub(super) fn note_heard(&self) {
        self.heard.store(true, Relaxed);
    }

    /// Whether it did, since this was asked before.
    pub(super) fn take_heard(&self) -> bool {
        self.heard.swap(false, Relaxed)
    }

    /// Notes whether the peer makes us wait with bytes for it.
    pub(super) fn note_unsent(&self, unsent: bool) {
        self.unsent.store(unsent, Relaxed);
    }

    /// Notes that no request comes behind the ones that are here.
    pub(super) fn note_last(&self) {
        self.last.store(true, Relaxed);
    }

    /// Notes that we said goodbye on HTTP/2. The library takes requests until the client answers
    /// that: one that does not, and asks on, has to go.
    pub(super) fn note_goodbye(&self) {
        self.most.store(self.requests() + CROSSING, Relaxed);
    }

    /// Notes that what the client has shown is not taken any more: the connection ends behind
    /// the requests that are here, and its client comes with another certificate.
    pub(super) fn note_lost(&self) {
        self.note_last();
        self.wake();
    }

    /// Whether no more requests are wanted.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Relaxed)
    }

    /// What the client has room for.
    pub(super) const fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Responses that are lost if the connection ends now.
    pub(super) fn unfinished(&self) -> usize {
        let unsent = usize::from(self.unsent.load(Relaxed));
        self.in_flight.load(Relaxed).max(unsent)
    }
}
