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
//!
//! Callers that are not proven have a share of the places, and pass a gate of
//! their own before the one that all pass: anybody can hold places on a route
//! that is public or only observes, and those who are proven find the rest free.

mod gate;

pub use gate::Gate;

use gate::Taken;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Of so many places one is for callers that are not proven, rounded down, but one in any case.
const UNPROVEN: u32 = 2;

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

impl Settings {
    /// How many of `in_flight` may be of callers that are not proven, where any route asks for a proof.
    pub fn unproven(&self) -> u32 {
        (self.in_flight / UNPROVEN).max(1)
    }
}

/// Who asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A caller that is proven to be an app's.
    Proven,
    /// Anybody, where a route lets him pass.
    Unproven,
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
    /// Whether anyone may come, without a proof.
    pub public: bool,
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
    /// As many as may be are in flight of callers that are not proven, and it is one.
    #[error("so many requests without a proof are in flight that it, without one, waited in vain")]
    UnprovenFull,
}

/// A request's place among those in flight; dropping it frees the place.
#[derive(Debug)]
pub struct Seat {
    all: Arc<WorkerGate>,
    /// Under the cap of its route, and under that on callers that are not proven.
    _beside: [Option<Taken>; 2],
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
    /// Those in flight whose callers are not proven, whatever configuration they began under.
    unproven: Arc<Gate>,
    /// The gates of caps that are gone, by the names of their routes, while somebody holds them.
    parted: Box<[(Arc<str>, Weak<Gate>)]>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    /// The most that may be in flight over all when one of this route begins.
    most: u32,
    /// The same of those whose callers are not proven, where any caller may be.
    most_unproven: Option<u32>,
    reserved: bool,
    own: Option<(Arc<Gate>, u32)>,
}

impl Entry {
    /// The most beside such a caller that are not proven, where that is counted.
    fn most_of(&self, who: Who) -> Option<u32> {
        match who {
            Who::Proven => None,
            Who::Unproven => self.most_unproven,
        }
    }
}

impl Overload {
    /// The caps of a new configuration. A route with a cap that `before` knew
    /// by the same name goes on with what is in flight there, also where it
    /// had none for a while. Without a cap nobody is counted: what is in
    /// flight when a route gets its first one is not held against it.
    pub fn new(settings: Settings, routes: Vec<RouteCap>, before: Option<&Self>) -> Self {
        let mut known = before.map(Self::gates).unwrap_or_default();
        // Where nobody can be proven there is nobody to keep places for.
        let asks = routes.iter().any(|route| !route.public);
        let unproven = asks.then(|| settings.unproven());
        let routes = routes
            .into_iter()
            .map(|route| {
                let beyond = if route.reserved { settings.reserve } else { 0 };
                Entry {
                    most: settings.in_flight.saturating_add(beyond),
                    most_unproven: unproven.map(|most| most.saturating_add(beyond)),
                    reserved: route.reserved,
                    own: route.in_flight.map(|most| {
                        let gate = known.remove(&route.name);
                        (gate.unwrap_or_default(), most)
                    }),
                    name: route.name,
                }
            })
            .collect();
        let parted = known
            .into_iter()
            .map(|(name, gate)| (name, Arc::downgrade(&gate)))
            .collect();
        Self {
            settings,
            routes,
            unproven: before.map_or_else(Arc::default, |before| before.unproven.clone()),
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
    pub fn seat(&self, all: &Arc<WorkerGate>, route: usize, who: Who) -> Option<Seat> {
        let entry = self.entry(route);
        let own = match &entry.own {
            Some((gate, most)) => Some(Taken::of(gate, *most)?),
            None => None,
        };
        let unproven = match entry.most_of(who) {
            Some(most) => Some(Taken::of(&self.unproven, most)?),
            None => None,
        };
        all.gate.take(entry.most).then(|| Seat {
            all: all.clone(),
            _beside: [own, unproven],
        })
    }

    /// The same, with a wait for room. The route's own cap comes first, so
    /// that those who wait for it stand in nobody else's way; that on callers
    /// that are not proven comes before the one that all are under for the same reason.
    ///
    /// # Errors
    /// [`Overloaded`]. Reserved routes do not wait: a health check that would have to is told so.
    pub async fn wait(
        &self,
        all: &Arc<WorkerGate>,
        route: usize,
        who: Who,
    ) -> Result<Seat, Overloaded> {
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
        let unproven = match entry.most_of(who) {
            Some(most) => {
                let taken = self.unproven.wait(most, bound, until).await;
                Some(taken.map_err(|_| Overloaded::UnprovenFull)?)
            }
            None => None,
        };
        all.gate.wait(entry.most, bound, until).await?.keep();
        Ok(Seat {
            all: all.clone(),
            _beside: [own, unproven],
        })
    }

    /// Requests that wait for the cap of their route, or for that on callers that are not proven.
    pub fn waiting(&self) -> u32 {
        let own = self.routes.iter().filter_map(|entry| entry.own.as_ref());
        let own: u32 = own.map(|(gate, _)| gate.waiting()).sum();
        own + self.unproven.waiting()
    }

    fn entry(&self, route: usize) -> &Entry {
        self.routes
            .get(route)
            .expect("caps and routes are of one configuration")
    }
}

#[cfg(test)]
mod tests;
