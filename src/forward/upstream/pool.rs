//! Connections of one worker to servers: kept for the next request, bounded, aged.

use super::Place;
use super::connect::Http1;
use super::http2::Slot;
use super::kept::{Kept, watch};
use super::left_out::Way;
use super::place::OwnHash;
use super::resolve::{Addresses, Resolve, System};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// A worker's connections, by server; outlives configurations.
pub struct Pool {
    servers: Mutex<HashMap<Arc<Place>, Arc<Kept>, BuildHasherDefault<OwnHash>>>,
    resolver: Arc<dyn Resolve>,
    /// Whether there is more to come than one request.
    lasts: bool,
}

/// Every place that a server has for requests is taken.
#[derive(Debug)]
pub(in crate::forward) struct NoPlace {
    pub(in crate::forward) limit: usize,
}

/// One request's place at a server, and on a connection that others use too.
/// Dropped, it resets its stream there; a connection of its own is kept only
/// by [`Lease::give_back`].
#[derive(Debug)]
pub(in crate::forward) struct Lease {
    kept: Arc<Kept>,
    slot: Option<Slot>,
    waited_until: Option<Instant>,
}

/// What a request wants of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::forward) enum Wants {
    /// Others may be on it, where the server takes many on one.
    Any,
    /// No other is on it: the server may end the connection for this one.
    Apart,
    /// It speaks HTTP/1.1, which alone can be left.
    Alone,
}

/// What a request is sent on.
#[derive(Debug)]
pub(in crate::forward) enum Ready {
    /// A connection of its own.
    Alone(Http1),
    /// [`Lease::slot`].
    Shared,
}

/// What a request can be sent on.
#[derive(Debug)]
pub(super) enum Sender {
    /// A connection of its own.
    Http1(Http1),
    /// A place on a connection.
    Http2(Slot),
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// How many places at its servers are free.
    #[cfg(test)]
    pub(in crate::forward) fn free_places(&self) -> usize {
        let servers = self.servers.lock().unwrap();
        servers.values().map(|kept| kept.free_places()).sum()
    }

    /// No connections yet; names are looked up as the system does.
    pub fn new() -> Self {
        Self::resolving(Arc::new(System))
    }

    /// No connections yet; names are looked up by `resolver`.
    pub fn resolving(resolver: Arc<dyn Resolve>) -> Self {
        Self {
            servers: Mutex::default(),
            resolver,
            lasts: true,
        }
    }

    /// For one request to a server, or to one of its addresses: nothing is kept, or looked after, for
    /// others behind it.
    pub(super) fn for_one(place: &Arc<Place>, at: Option<SocketAddr>) -> Self {
        let addresses = at.map_or_else(|| place.addresses(), Addresses::only);
        let kept = Kept::new(place.clone(), addresses, false);
        Self {
            servers: Mutex::new(HashMap::from_iter([(place.clone(), Arc::new(kept))])),
            lasts: false,
            ..Self::new()
        }
    }

    /// A place at a server, waited for until `by`; without a connection yet.
    pub(in crate::forward) async fn lease(
        &self,
        place: &Arc<Place>,
        by: Instant,
    ) -> Result<Lease, NoPlace> {
        let kept = self.kept(place);
        let waited_until = kept.take_place(by).await?;
        Ok(Lease {
            kept,
            slot: None,
            waited_until,
        })
    }

    /// Makes sure that the addresses of the server are known, if it has a name.
    ///
    /// # Errors
    /// When they are not, and cannot be found before `by`.
    pub(in crate::forward) async fn look_up(&self, lease: &Lease, by: Instant) -> io::Result<()> {
        let kept = &lease.kept;
        if !kept.addresses.is_due() {
            return Ok(());
        }
        // Rare, and its state is large.
        let looked_up = Box::pin(kept.addresses.look_up(by, &*self.resolver)).await?;
        if looked_up && self.lasts {
            kept.forget();
            let every = kept.place.resolve_every;
            tokio::spawn(watch(Arc::downgrade(kept), self.resolver.clone(), every));
        }
        Ok(())
    }

    fn kept(&self, place: &Arc<Place>) -> Arc<Kept> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = servers.get(place) {
            return kept.clone();
        }
        // A new server: after a reload, others may have gone.
        servers.retain(|_, kept| Arc::strong_count(kept) > 1 || kept.is_used());
        let kept = Arc::new(Kept::new(place.clone(), place.addresses(), self.lasts));
        servers.insert(place.clone(), kept.clone());
        kept
    }
}

impl Lease {
    /// When others made room, where it had to be waited for.
    pub(in crate::forward) const fn waited_until(&self) -> Option<Instant> {
        self.waited_until
    }

    /// Takes a connection that is kept, if one is usable.
    pub(in crate::forward) fn reuse(&mut self, wants: Wants, way: &mut Way) -> Option<Ready> {
        way.fit(&self.kept.addresses);
        if way.is_trial() {
            // Those that wait are for others.
            return None;
        }
        let kept = self.kept.take(wants, way)?;
        Some(self.ready(kept, way))
    }

    /// Makes a new connection before `by`. Where others may be on it, it may
    /// be one that another request has just made.
    pub(in crate::forward) async fn connect(
        &mut self,
        wants: Wants,
        way: &mut Way,
        by: Instant,
    ) -> io::Result<Ready> {
        let kept = &self.kept;
        // One that has just failed us is not taken again.
        let failed = self.slot.take();
        // Rare, and a handshake's state is large: requests do not carry it along.
        let new = if wants == Wants::Any && kept.place.may_share() {
            Box::pin(kept.share(failed.as_ref(), way, by)).await?
        } else {
            drop(failed);
            Box::pin(kept.make(wants, None, way, by)).await?
        };
        Ok(self.ready(new, way))
    }

    fn ready(&mut self, sender: Sender, way: &mut Way) -> Ready {
        match sender {
            Sender::Http1(connection) => {
                way.goes(connection.address());
                Ready::Alone(connection)
            }
            Sender::Http2(slot) => {
                way.goes(slot.connection().address);
                self.slot = Some(slot);
                Ready::Shared
            }
        }
    }

    /// Its place on a connection that others use too.
    pub(in crate::forward) const fn slot(&mut self) -> Option<&mut Slot> {
        self.slot.as_mut()
    }

    /// Notes that something was heard of the answer.
    pub(in crate::forward) fn heard(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.heard();
        }
    }

    /// Notes that the server is late, and ends the request there.
    pub(in crate::forward) fn late(self) {
        if let Some(slot) = &self.slot {
            slot.late();
        }
    }

    /// The request is over on both sides: `alone`, if it is good for another
    /// one, is kept for it.
    pub(in crate::forward) fn give_back(mut self, alone: Option<Http1>) {
        if let Some(connection) = alone {
            self.kept.keep(connection);
        }
        if let Some(slot) = &mut self.slot {
            slot.over();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take()
            && let Some(now) = slot.note_reset()
            && let Some(pause) = self.kept.resets.pause(now)
        {
            // The server may still be at work on it, and we would make it
            // reset more than it should have to.
            let kept = self.kept.clone();
            let pausing = async move {
                sleep(pause).await;
                drop(slot);
                kept.free_place();
            };
            // Without a runtime we are about to end.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(pausing);
            }
            return;
        }
        self.kept.free_place();
    }
}
