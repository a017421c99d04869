//! What the ends of one connection tell each other: the bytes' end, which
//! follows the framing, and the requests' end, which answers.

use super::Fault;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Shared by the parts of one connection. All of them run on one thread; the
/// types are atomic only because a connection's task could move.
#[derive(Debug, Default)]
pub(super) struct Line {
    fault: OnceLock<(u64, Fault)>,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    unsent: AtomicBool,
    last: AtomicBool,
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
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// One request less is in flight.
    pub(super) fn land(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0
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

    /// Responses that are lost if the connection ends now.
    pub(super) fn unfinished(&self) -> usize {
        let unsent = usize::from(self.unsent.load(Relaxed));
        self.in_flight.load(Relaxed).max(unsent)
    }
}
