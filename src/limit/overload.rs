//! How many requests may be in flight: over all, and on a route that says so.
//!
//! Before each cap is a queue with a bound. Whoever came last goes first: under
//! load that lasts, a queue in order of arrival lets everybody wait for as long
//! as it is, and then answers callers who have given up. Here most of those who
//! pass wait for a moment, and the rest is refused, the oldest first.
//!
//! While there is room a request costs one atomic operation at its start and
//! one at its end. The queue and its lock are met only by those who wait, and
//! by whoever makes room for them: a request that ends on one worker wakes one
//! that waits on another.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// `[overload]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests in flight, over all workers.
    pub in_flight: u32,
    /// How many may wait before a cap.
    pub queue: u32,
    /// How long each may.
    pub queue_timeout: Duration,
    /// Requests in flight beyond `in_flight`, on reserved routes.
    pub reserve: u32,
}

/// What one route asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteCap {
    /// Its name: what its cap let in outlives a configuration.
    pub name: Arc<str>,
    /// Requests in flight on it.
    pub in_flight: Option<u32>,
    /// Whether it may use the reserve.
    pub reserved: bool,
}

/// Why a request got no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// As many as may wait had come after it.
    #[error("so many requests are in flight that it had to wait, and newer ones filled the queue")]
    Displaced,
    /// Nobody made room for it in time.
    #[error("so many requests are in flight that it waited for `[overload] queue_timeout`")]
    TooLong,
    /// It may use the reserve, does not wait, and the reserve is used up.
    #[error("so many requests are in flight that the reserve is used up as well")]
    NoReserve,
    /// Its route does not wait, and as many are in flight there as may be.
    #[error("so many requests are in flight on its route, which is reserved and does not wait")]
    RouteFull,
}

/// A request's place among those in flight; dropping it frees the place.
#[derive(Debug)]
pub struct Seat {
    all: Arc<WorkerGate>,
    _own: Option<Taken>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.all.gate.leave();
    }
}

/// The gate that all requests pass, as one worker holds it: those who hold
/// it are counted for each worker alone, so that this count is not one that
/// all workers write to.
#[derive(Debug)]
pub struct WorkerGate {
    gate: Arc<Gate>,
}

impl WorkerGate {
    /// One worker's hold on the gate that all share.
    pub fn new(gate: &Arc<Gate>) -> Arc<Self> {
        Arc::new(Self { gate: gate.clone() })
    }
}

/// The caps of one configuration.
#[derive(Debug)]
pub struct Overload {
    settings: Settings,
    /// By `Route::index`.
    routes: Box<[Entry]>,
    /// The gates of caps that are gone, by the names of their routes, while somebody holds them.
    parted: Box<[(Arc<str>, Weak<Gate>)]>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    /// The most that may be in flight over all when one of this route begins.
    most: u32,
    reserved: bool,
    own: Option<(Arc<Gate>, u32)>,
}

impl Overload {
    /// The caps of a new configuration. A route with a cap that `before` knew
    /// by the same name goes on with what is in flight there, also where it
    /// had none for a while. Without a cap nobody is counted: what is in
    /// flight when a route gets its first one is not held against it.
    pub fn new(settings: Settings, routes: Vec<RouteCap>, before: Option<&Self>) -> Self {
        let mut known = before.map(Self::gates).unwrap_or_default();
        let routes = routes
            .into_iter()
            .map(|route| Entry {
                most: if route.reserved {
                    settings.in_flight.saturating_add(settings.reserve)
                } else {
                    settings.in_flight
                },
                reserved: route.reserved,
                own: route.in_flight.map(|most| {
                    let gate = known.remove(&route.name);
                    (gate.unwrap_or_default(), most)
                }),
                name: route.name,
            })
            .collect();
        let parted = known
            .into_iter()
            .map(|(name, gate)| (name, Arc::downgrade(&gate)))
            .collect();
        Self {
            settings,
            routes,
            parted,
        }
    }

    /// The gates of caps in force, and of those gone that somebody holds.
    fn gates(&self) -> HashMap<Arc<str>, Arc<Gate>> {
        let own = self
            .routes
            .iter()
            .filter_map(|entry| Some((entry.name.clone(), entry.own.as_ref()?.0.clone())));
        let parted = self
            .parted
            .iter()
            .filter_map(|(name, gate)| Some((name.clone(), gate.upgrade()?)));
        own.chain(parted).collect()
    }

    /// A place for a request of the route with this index, if there is room.
    pub fn seat(&self, all: &Arc<WorkerGate>, route: usize) -> Option<Seat> {
        let entry = self.entry(route);
        let own = match &entry.own {
            Some((gate, most)) => Some(Taken::of(gate, *most)?),
            None => None,
        };
        all.gate.take(entry.most).then(|| Seat {
            all: all.clone(),
            _own: own,
        })
    }

    /// The same, with a wait for room. The route's own cap comes first, so
    /// that those who wait for it stand in nobody else's way.
    ///
    /// # Errors
    /// [`Overloaded`]. Reserved routes do not wait: a health check that would have to is told so.
    pub async fn wait(&self, all: &Arc<WorkerGate>, route: usize) -> Result<Seat, Overloaded> {
        let entry = self.entry(route);
        if entry.reserved {
            return Err(match &entry.own {
                Some((gate, most)) if gate.inside() >= *most => Overloaded::RouteFull,
                _ => Overloaded::NoReserve,
            });
        }
        let until = Instant::now() + self.settings.queue_timeout;
        let bound = self.settings.queue as usize;
        let own = match &entry.own {
            Some((gate, most)) => Some(gate.wait(*most, bound, until).await?),
            None => None,
        };
        all.gate.wait(entry.most, bound, until).await?.keep();
        Ok(Seat {
            all: all.clone(),
            _own: own,
        })
    }

    /// Requests that wait for the cap of their route.
    pub fn waiting(&self) -> u32 {
        let own = self.routes.iter().filter_map(|entry| entry.own.as_ref());
        own.map(|(gate, _)| gate.waiting()).sum()
    }

    fn entry(&self, route: usize) -> &Entry {
        self.routes
            .get(route)
            .expect("caps and routes are of one configuration")
    }
}

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

    fn take(&self, most: u32) -> bool {
        let one_more = |inside| (inside < most).then(|| inside + 1);
        self.inside.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    fn leave(&self) {
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

    async fn wait(
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
struct Taken(Option<Arc<Gate>>);

impl Taken {
    fn of(gate: &Arc<Gate>, most: u32) -> Option<Self> {
        gate.take(most).then(|| Self(Some(gate.clone())))
    }

    /// Stays inside, for another to leave in its place.
    fn keep(mut self) {
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

#[cfg(test)]
mod tests;
