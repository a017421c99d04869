//! How the sending of a body goes, for whoever waits for the answer to it; and what of that came meanwhile.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Told by who sends, and by who hears the answer.
#[derive(Debug)]
pub(in crate::forward) struct Sending {
    /// Where it stands, and when some of it was last taken.
    stands: Mutex<(Sent, Instant)>,
    /// Pieces of the answer that nobody has asked for.
    answers: AtomicU32,
}

/// Where it stands.
#[derive(Clone, Copy, Debug)]
pub(in crate::forward) enum Sent {
    /// Some was taken at this time; the upstream has to take the next.
    Taken(Instant),
    /// All that the client has given so far; the client has to give more.
    AllThereIs,
    /// All of it, at this time.
    Ended(Instant),
}

impl Sending {
    /// It begins now.
    pub(super) const fn begin(now: Instant) -> Self {
        Self {
            stands: Mutex::new((Sent::Taken(now), now)),
            answers: AtomicU32::new(0),
        }
    }

    pub(in crate::forward) fn get(&self) -> Sent {
        self.stands().0
    }

    /// When some of it was last taken, be it that all there is was taken since.
    pub(in crate::forward) fn last_taken(&self) -> Instant {
        self.stands().1
    }

    pub(super) fn set(&self, sent: Sent) {
        let mut stands = self.stands();
        stands.0 = sent;
        if let Sent::Taken(at) | Sent::Ended(at) = sent {
            stands.1 = at;
        }
    }

    /// Notes that a piece of the answer came.
    pub(in crate::forward) fn note_answer(&self) {
        self.answers.fetch_add(1, Relaxed);
    }

    /// Pieces of the answer that came since this was asked before.
    pub(super) fn take_answers(&self) -> u32 {
        self.answers.swap(0, Relaxed)
    }

    fn stands(&self) -> MutexGuard<'_, (Sent, Instant)> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
