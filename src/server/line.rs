//! What the ends of one connection tell each other: the bytes' end, which
//! follows the framing, and the requests' end, which answers.

use super::library::H2_STREAMS;
use super::{Fault, Tunnel};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
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

/// Shared by the parts of one connection. All of them run on one thread; the
/// types are atomic only because a connection's task could move.
#[derive(Debug, Default)]
pub(super) struct Line {
    fault: OnceLock<(u64, Fault)>,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    unsent: AtomicBool,
    last: AtomicBool,
    early: AtomicUsize,
    forgiven: Mutex<Option<Instant>>,
    flooded: AtomicBool,
    task: OnceLock<Waker>,
    at_work: AtomicBool,
    look: AtomicBool,
    /// The number of the head that asks to switch protocols, from 1; 0 when none does.
    asking: AtomicU64,
    switch: Mutex<Switch>,
}

/// What becomes of a head that asks to switch protocols.
#[derive(Debug, Default)]
enum Switch {
    #[default]
    Undecided,
    /// Whom to tell.
    Awaited(Waker),
    Declined,
    /// Until it is taken.
    Granted(Option<Tunnel>),
}

impl Line {
    /// Notes that a stand-in was let through in the place of head number `at`.
    pub(super) fn note_fault(&self, at: u64, fault: Fault) {
        // A second fault cannot come: the first ends the connection's input.
        let _ = self.fault.set((at, fault));
    }

    /// The fault that was noted, if one was.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().map(|(_, fault)| *fault)
    }

    /// Counts a request, and tells the fault if a stand-in is what arrived.
    /// By number, so nothing that a client writes can look like one.
    pub(super) fn next_request(&self) -> Option<Fault> {
        let number = self.requests.fetch_add(1, Relaxed);
        match self.fault.get() {
            Some((at, fault)) if *at == number => Some(*fault),
            _ => None,
        }
    }

    /// Requests there were so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
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
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// Whether the connection has to end.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// Remembers the connection's task, to wake it when it has to end.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.task.get_or_init(|| cx.waker().clone());
    }

    /// One request less is in flight.
    pub(super) fn land(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0
    }

    /// Notes whether a request of HTTP/1.1 is at the handler, so that nothing
    /// of its answer has been sent.
    pub(super) fn note_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Relaxed);
    }

    /// Whether one is.
    pub(super) fn is_at_work(&self) -> bool {
        self.at_work.load(Relaxed)
    }

    /// Asks the bytes' end to look whether the client is still there.
    pub(super) fn ask_to_look(&self) {
        self.look.store(true, Relaxed);
    }

    /// Whether it was asked to, once.
    pub(super) fn is_to_look(&self) -> bool {
        self.look.load(Relaxed) && self.look.swap(false, Relaxed)
    }

    /// Notes whether the peer makes us wait with bytes for it.
    pub(super) fn note_unsent(&self, unsent: bool) {
        self.unsent.store(unsent, Relaxed);
    }

    /// Notes that no request comes behind the ones that are here.
    pub(super) fn note_last(&self) {
        self.last.store(true, Relaxed);
    }

    /// Whether no more requests are wanted.
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Relaxed)
    }

    /// Notes that head number `number`, from 1, asks to switch protocols.
    pub(super) fn ask(&self, number: u64) {
        *self.switch() = Switch::Undecided;
        self.asking.store(number, Relaxed);
    }

    /// Whether request number `number`, from 1, asks to switch protocols.
    pub(super) fn is_asking(&self, number: u64) -> bool {
        self.asking.load(Relaxed) == number
    }

    /// Decides what was asked: by a tunnel, or not at all.
    pub(super) fn decide(&self, tunnel: Option<Tunnel>) {
        let decision = match tunnel {
            Some(tunnel) => Switch::Granted(Some(tunnel)),
            None => Switch::Declined,
        };
        let before = std::mem::replace(&mut *self.switch(), decision);
        if let Switch::Awaited(waker) = before {
            waker.wake();
        }
    }

    /// Ready when the protocol is not switched. Where it is, nobody reads on here.
    pub(super) fn poll_declined(&self, cx: &Context<'_>) -> Poll<()> {
        let mut switch = self.switch();
        match &*switch {
            Switch::Declined => {
                self.asking.store(0, Relaxed);
                return Poll::Ready(());
            }
            Switch::Undecided | Switch::Awaited(_) => *switch = Switch::Awaited(cx.waker().clone()),
            Switch::Granted(_) => {}
        }
        Poll::Pending
    }

    /// The tunnel that takes this connection over, if one does.
    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        if self.asking.load(Relaxed) == 0 {
            return None;
        }
        match &mut *self.switch() {
            Switch::Granted(tunnel) => tunnel.take(),
            _ => None,
        }
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Responses that are lost if the connection ends now.
    pub(super) fn unfinished(&self) -> usize {
        let unsent = usize::from(self.unsent.load(Relaxed));
        self.in_flight.load(Relaxed).max(unsent)
    }
}
