//! What the ends of one connection tell each other: the bytes' end, which
//! follows the framing, and the requests' end, which answers.

use super::counts::Counts;
use super::http2::H2_STREAMS;
use super::windows::Windows;
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// Requests of one HTTP/2 connection that may end before their answers do,
/// by a reset of either side: so many at once, and one more each while. Who
/// asks for more work only to throw it away has to go.
const EARLY_ENDS: usize = H2_STREAMS as usize;
const EARLY_END_EVERY: Duration = Duration::from_millis(100);
/// The same of those that were waited for longer: as many at once, and one more each such while.
const LATE_END_EVERY: Duration = Duration::from_millis(5);
/// Requests of one connection that an upstream can be at work on at a time, with those that ended early
/// and lately: it may not have noticed that nobody waits for them any more.
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
    early: Ends,
    late: Ends,
    flooded: AtomicBool,
    task: OnceLock<Waker>,
    look: AtomicBool,
    holding: AtomicBool,
    ending: AtomicBool,
    said: AtomicU64,
    gone: AtomicBool,
    ended: AtomicBool,
    windows: Windows,
    /// From where it is, and where is counted how such connections end.
    told: Option<(Option<IpAddr>, Arc<Counts>)>,
}

thread_local! {
    /// Whether the connection of what is dropped on this thread was ended by us.
    static ENDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a request over HTTP/2 that is dropped here and now ends with its connection, and that by us.
pub fn is_ended_by_us() -> bool {
    ENDED.get()
}

/// What [`Line::tell_end`] was about is dropped.
pub(super) fn end_was_told() {
    ENDED.set(false);
}

/// Held while an answer is made: dropped before it is there, it tells who ended the connection.
pub(super) struct Answering<'l>(Option<&'l Line>);

impl Answering<'_> {
    /// The answer is there.
    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.0 {
            line.tell_end();
        }
    }
}

/// Requests that ended before their answers did, and are not forgiven yet.
#[derive(Debug, Default)]
struct Ends {
    count: AtomicUsize,
    forgiven: Mutex<Option<Instant>>,
}

impl Ends {
    /// Counts one more, where one is forgiven `every` while; how many there are.
    fn note(&self, every: Duration) -> usize {
        let now = Instant::now();
        let mut forgiven = self.forgiven.lock().unwrap_or_else(PoisonError::into_inner);
        let since = forgiven.get_or_insert(now);
        let more = (now - *since).as_millis() / every.as_millis();
        let before = self.count.load(Relaxed);
        let count = match u32::try_from(more) {
            Ok(more) if before > more as usize => {
                *since += every * more;
                before - more as usize + 1
            }
            _ => {
                *since = now;
                1
            }
        };
        self.count.store(count, Relaxed);
        count
    }
}

impl Line {
    /// Of a connection from there.
    pub(super) fn of(peer: Option<IpAddr>, counts: Arc<Counts>) -> Self {
        Self {
            told: Some((peer, counts)),
            ..Self::default()
        }
    }

    fn count_request(&self) {
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

    /// One request more comes, and is in flight, on a connection that may have several.
    pub(super) fn take_off(&self) {
        self.count_request();
        let in_flight = self.in_flight.fetch_add(1, Relaxed) + 1;
        if in_flight + self.early.count.load(Relaxed) > AT_WORK {
            self.note_flooded();
        }
    }

    /// A request ended before its answer did, soon behind its head.
    pub(super) fn note_early_end(&self) {
        if self.early.note(EARLY_END_EVERY) > EARLY_ENDS {
            self.note_flooded();
        }
    }

    /// A request ended before its answer did, which was waited for.
    pub(super) fn note_late_end(&self) {
        if self.late.note(LATE_END_EVERY) > EARLY_ENDS {
            self.note_flooded();
        }
    }

    /// The library refused so many requests by itself: nobody else hears of them.
    pub(super) fn note_refused(&self, requests: u64) {
        if let Some((peer, counts)) = &self.told {
            counts.refused_heads(requests, *peer);
        }
        for _ in 0..requests.min(EARLY_ENDS as u64 + 1) {
            self.note_early_end();
        }
    }

    /// The client wants to hurt: the connection has to end.
    pub(super) fn note_flooded(&self) {
        let is_known = self.flooded.swap(true, Relaxed);
        if let (false, Some((peer, counts))) = (is_known, &self.told) {
            counts.flooded_by(*peer);
        }
        self.wake();
    }

    /// Notes that the client has closed.
    pub(super) fn note_gone(&self) {
        self.gone.store(true, Relaxed);
    }

    /// Notes that the connection is ended by us, with all that is in flight, unless its client has closed.
    pub(super) fn note_ended(&self) {
        if !self.gone.load(Relaxed) {
            self.ended.store(true, Relaxed);
        }
    }

    /// Says who ended the connection of what is dropped next on this thread, until [`end_was_told`].
    pub(super) fn tell_end(&self) {
        ENDED.set(self.ended.load(Relaxed) || self.is_flooded());
    }

    /// Has it told if the answer that is made now is dropped before it is there.
    pub(super) const fn answering(&self) -> Answering<'_> {
        Answering(Some(self))
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

    /// Notes that the client of an HTTP/2 connection says something, to its end, or that any takes more of what had to wait.
    pub(super) fn note_heard(&self) {
        self.said.store(self.said() + 1, Relaxed);
    }

    /// How often it did.
    pub(super) fn said(&self) -> u64 {
        self.said.load(Relaxed)
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

    /// Notes that the connection has to end behind the requests that are here, and its client to come with another: what it
    /// has shown is not taken any more, or not for long, or the library is about to end it.
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
