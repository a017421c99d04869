//! One cap: a count of those inside, and the line before it.

use super::Overloaded;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// A count of those inside, and those who wait before it. How many may be
/// inside is said by each who comes: it changes with the configuration.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Gate {
    inside: AtomicU32,
    /// How long the line is, for a look without its lock.
    waiting: AtomicU32,
    line: Mutex<Line>,
}

/// The newest stands last.
#[derive(Debug, Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    most: u32,
    gate: Arc<Gate>,
    hand: oneshot::Sender<Taken>,
}

impl Gate {
    /// How many are inside.
    pub fn inside(&self) -> u32 {
        self.inside.load(SeqCst)
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    pub(super) fn take(&self, most: u32) -> bool {
        let one_more = |inside| (inside < most).then(|| inside + 1);
        self.inside.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    pub(super) fn leave(&self) {
        self.inside.fetch_sub(1, SeqCst);
        // Whoever lines up says so before it looks for room a last time, and
        // we make room before we look: one of the two sees the other.
        if self.waiting.load(SeqCst) > 0 {
            self.call();
        }
    }

    /// Lets those in who wait, as far as there is room.
    #[cold]
    fn call(&self) {
        loop {
            let next = {
                let mut line = self.line();
                let room = line
                    .waiters
                    .back()
                    .is_some_and(|newest| self.take(newest.most));
                let next = if room { line.waiters.pop_back() } else { None };
                self.tell(&line);
                next
            };
            let Some(Waiter { gate, hand, .. }) = next else {
                return;
            };
            // Where its waiter has just gone, this is dropped, and calls the next.
            let _ = hand.send(Taken(Some(gate)));
        }
    }

    pub(super) async fn wait(
        self: &Arc<Self>,
        most: u32,
        bound: usize,
        until: Instant,
    ) -> Result<Taken, Overloaded> {
        let (hand, handed) = oneshot::channel();
        let Some(_in_line) = self.line_up(most, bound, hand) else {
            return Ok(Taken(Some(self.clone())));
        };
        match timeout_at(until, handed).await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(_)) => Err(Overloaded::Displaced),
            Err(_) => Err(Overloaded::TooLong),
        }
    }

    /// Stands last in line, unless there is room after all. Where the line
    /// is too long then, its first goes.
    fn line_up(
        self: &Arc<Self>,
        most: u32,
        bound: usize,
        hand: oneshot::Sender<Taken>,
    ) -> Option<InLine> {
        let mut line = self.line();
        let number = line.next;
        line.next += 1;
        line.waiters.push_back(Waiter {
            number,
            most,
            gate: self.clone(),
            hand,
        });
        self.tell(&line);
        if self.take(most) {
            line.waiters.pop_back();
            self.tell(&line);
            return None;
        }
        let too_many = line.waiters.len() > bound;
        let displaced = if too_many {
            line.waiters.pop_front()
        } else {
            None
        };
        self.tell(&line);
        drop(line);
        // Its task finds the other end gone.
        drop(displaced);
        Some(InLine {
            gate: self.clone(),
            number,
        })
    }

    /// Whoever holds the line says how long it is.
    fn tell(&self, line: &Line) {
        self.waiting.store(line.waiters.len() as u32, SeqCst);
    }

    /// A panic cannot leave it half changed.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who is inside.
#[derive(Debug)]
pub(super) struct Taken(Option<Arc<Gate>>);

impl Taken {
    pub(super) fn of(gate: &Arc<Gate>, most: u32) -> Option<Self> {
        gate.take(most).then(|| Self(Some(gate.clone())))
    }

    /// Stays inside, for another to leave in its place.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.leave();
        }
    }
}

/// One who waits; dropped, it leaves the line.
struct InLine {
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut line = self.gate.line();
        let gone = line
            .waiters
            .binary_search_by_key(&self.number, |waiter| waiter.number)
            .ok()
            .and_then(|at| line.waiters.remove(at));
        self.gate.tell(&line);
        drop(line);
        drop(gone);
    }
}
