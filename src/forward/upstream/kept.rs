//! Connections of one worker to one server.

use super::connect::{Http1, Made, Version, connect, connect_alone, to_any};
use super::http2::{Http2, Slot};
use super::pool::{NoPlace, Sender};
use super::resets::Resets;
use super::resolve::{Addresses, Resolve};
use super::{At, Place};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{self, Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a connection is kept without a request: where its server says how
/// long it waits for one, less than that. What is sent as the server closes is
/// lost, and may not be sent again.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(30);
/// By how much less, but by no more than half: a request may be on its way for so long, and where
/// none were kept at all, each would cost a connection.
const MARGIN: Duration = Duration::from_secs(1);
/// How long a connection may take to be made for which no request waits.
const UNHURRIED: Duration = Duration::from_secs(5);

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) place: Arc<Place>,
    pub(super) addresses: Addresses,
    /// One for each request that may be under way. An idle connection holds
    /// none: whoever gets one takes an idle connection first, so that there
    /// are never more connections than places.
    free: Semaphore,
    idle: Mutex<Idle>,
    /// Told when one grows old before the time that [`sweep`] waits for.
    sooner: Arc<Notify>,
    shared: Shared,
    pub(super) resets: Resets,
    /// Whether there is more to come than one request.
    lasts: bool,
}

#[derive(Debug, Default)]
struct Idle {
    /// The longest unused first; the last is used next, so that others age and go. With each,
    /// when it is too old.
    connections: Vec<(Http1, Instant)>,
    /// When they are looked through next.
    swept_at: Option<Instant>,
}

/// Connections that carry many requests.
#[derive(Debug, Default)]
struct Shared {
    connections: Mutex<Vec<Arc<Http2>>>,
    /// Where the search for a free one begins.
    turn: AtomicUsize,
    /// One is made at a time: whoever waits for it can use it too.
    making: sync::Mutex<Option<Version>>,
}

impl Kept {
    /// No connections to it yet.
    pub(super) fn new(place: Arc<Place>, lasts: bool) -> Self {
        Self {
            addresses: match &place.at {
                At::Clear { host, port } | At::Tls { host, port, .. } => Addresses::of(host, *port),
                At::Unix { .. } => Addresses::none(),
            },
            free: Semaphore::new(place.max_connections.min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
            sooner: Arc::default(),
            shared: Shared::default(),
            resets: Resets::default(),
            place,
            lasts,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Vec<Arc<Http2>>> {
        let connections = self.shared.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of them that may be given requests; the others are let go of.
    fn open(&self) -> MutexGuard<'_, Vec<Arc<Http2>>> {
        let mut shared = self.shared();
        shared.retain(|connection| {
            // One that takes no request at all would be kept beside each further one.
            if connection.load() == 0 && !connection.has_room() {
                connection.retire();
            }
            connection.is_open()
        });
        shared
    }

    /// Whether it has connections that wait for requests.
    pub(super) fn is_used(&self) -> bool {
        // Nobody else looks through those of a server that is asked no more.
        let shared = self.open();
        !shared.is_empty() || !self.idle().connections.is_empty()
    }

    /// Takes one of the places; [`Lease`] frees it. Tells until when it waited, if it did.
    pub(super) async fn take_place(&self, by: Instant) -> Result<Option<Instant>, NoPlace> {
        let (permit, waited_until) = match self.free.try_acquire() {
            Ok(permit) => (permit, None),
            Err(_) => match timeout_at(by, self.free.acquire()).await {
                Ok(Ok(permit)) => (permit, Some(Instant::now())),
                _ => {
                    return Err(NoPlace {
                        limit: self.place.max_connections,
                    });
                }
            },
        };
        permit.forget();
        Ok(waited_until)
    }

    /// How many places are free.
    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.free.available_permits()
    }

    /// Frees a place that was taken.
    pub(super) fn free_place(&self) {
        self.free.add_permits(1);
    }

    /// A connection, or a place on one, if one is usable.
    pub(super) fn take(&self) -> Option<Sender> {
        if self.place.may_share()
            && let Some(slot) = self.take_slot(None)
        {
            return Some(Sender::Http2(slot));
        }
        let mut idle = self.idle();
        // Some may have been closed by the server meanwhile.
        while let Some((mut connection, _)) = idle.connections.pop() {
            if connection.is_usable() {
                return Some(Sender::Http1(connection));
            }
        }
        None
    }

    /// A place on the connection that has the fewest requests, in turn, but
    /// not on the one that `but` is on.
    fn take_slot(&self, but: Option<&Slot>) -> Option<Slot> {
        let shared = self.open();
        let turn = match shared.len() {
            0 => return None,
            1 => 0,
            many => self.shared.turn.fetch_add(1, Ordering::Relaxed) % many,
        };
        let (before, from) = shared.split_at(turn);
        from.iter()
            .chain(before)
            .filter(|one| !but.is_some_and(|slot| slot.is_on(one)))
            .filter(|one| one.has_room())
            .min_by_key(|one| one.load())
            .and_then(Http2::take)
    }

    /// A place on a connection that others use too, or a new connection.
    pub(super) async fn share(
        self: &Arc<Self>,
        but: Option<&Slot>,
        by: Instant,
    ) -> io::Result<Sender> {
        let mut making = timeout_at(by, self.shared.making.lock()).await?;
        if *making == Some(Version::Http1) {
            // It takes one request at a time: nothing is to be waited for.
            drop(making);
            // Unless it has come to speak HTTP/2 since.
            if let Some(slot) = self.take_slot(but) {
                return Ok(Sender::Http2(slot));
            }
            let made = self.make(by).await?;
            if matches!(made, Sender::Http2(_))
                && let Ok(mut making) = self.shared.making.try_lock()
            {
                *making = Some(Version::Http2);
            }
            return Ok(made);
        }
        if let Some(slot) = self.take_slot(but) {
            return Ok(Sender::Http2(slot));
        }
        let made = self.make(by).await?;
        *making = Some(match &made {
            Sender::Http1(_) => Version::Http1,
            Sender::Http2(_) => Version::Http2,
        });
        Ok(made)
    }

    /// A new connection, or a place on it.
    pub(super) async fn make(self: &Arc<Self>, by: Instant) -> io::Result<Sender> {
        match connect(&self.place, &self.addresses, by).await? {
            Made::Http1(connection) => Ok(Sender::Http1(connection)),
            Made::Http2(connection) => {
                let slot = connection.take();
                let is_first = {
                    let mut shared = self.shared();
                    shared.push(connection);
                    shared.len() == 1
                };
                if is_first && self.lasts && self.addresses.are_several() {
                    let kept = self.clone();
                    tokio::spawn(async move { kept.spread().await });
                }
                slot.map(Sender::Http2)
                    .ok_or_else(|| io::Error::other("it takes no requests"))
            }
        }
    }

    /// A new connection that speaks HTTP/1.1.
    pub(super) async fn make_alone(&self, by: Instant) -> io::Result<Http1> {
        match connect_alone(&self.place, &self.addresses, by).await? {
            Made::Http1(connection) => Ok(connection),
            Made::Http2(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it speaks HTTP/2 only",
            )),
        }
    }

    /// Keeps a connection for another request.
    pub(super) fn keep(self: &Arc<Self>, connection: Http1) {
        if !self.addresses.has(connection.address()) {
            return;
        }
        let may_be_idle = may_be_idle(connection.waits());
        if may_be_idle.is_zero() {
            return;
        }
        let until = Instant::now() + may_be_idle;
        let mut idle = self.idle();
        idle.connections.push((connection, until));
        match idle.swept_at {
            None => {
                idle.swept_at = Some(until);
                tokio::spawn(sweep(Arc::downgrade(self), self.sooner.clone()));
            }
            Some(at) if until < at => {
                idle.swept_at = Some(until);
                self.sooner.notify_one();
            }
            Some(_) => {}
        }
    }

    /// Closes what is too old; when the next one will be.
    fn close_old(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle();
        idle.connections
            .retain_mut(|(connection, until)| now < *until && connection.is_usable());
        // Servers may wait longer after one answer than after another.
        idle.swept_at = idle.connections.iter().map(|(_, until)| *until).min();
        idle.swept_at
    }

    /// Lets go of connections to addresses that the server no longer has;
    /// requests that are under way on them go on.
    pub(super) fn forget(&self) {
        self.idle()
            .connections
            .retain(|(connection, _)| self.addresses.has(connection.address()));
        self.shared().retain(|connection| {
            let stays = self.addresses.has(connection.address);
            if !stays {
                connection.retire();
            }
            stays
        });
    }

    /// Connects to every address that has no connection yet, where one is
    /// enough for many requests: otherwise the first would get them all.
    async fn spread(&self) {
        let missing: Vec<_> = {
            let mut shared = self.shared();
            shared.retain(|connection| connection.is_open());
            if shared.is_empty() {
                return;
            }
            let mut addresses = self.addresses.in_turn();
            addresses.retain(|address| shared.iter().all(|one| one.address != Some(*address)));
            let room = self.place.max_connections.saturating_sub(shared.len());
            addresses.truncate(room);
            addresses
        };
        for address in missing {
            let by = Instant::now() + UNHURRIED;
            if let Ok(Made::Http2(connection)) = to_any(&self.place, &[address], by).await {
                self.shared().push(connection);
            }
        }
    }
}

/// Closes connections as they grow old, for as long as any is idle: one
/// timer for a server rather than one for a connection.
async fn sweep(kept: Weak<Kept>, sooner: Arc<Notify>) {
    loop {
        let next = kept
            .upgrade()
            .and_then(|kept| kept.close_old(Instant::now()));
        match next {
            Some(next) => {
                // Either way they are looked through again.
                let _ = timeout_at(next, sooner.notified()).await;
            }
            None => return,
        }
    }
}

/// How long a connection is kept whose server waits so long for a request, or does not say.
fn may_be_idle(waits: Option<Duration>) -> Duration {
    waits.map_or(MAX_IDLE, |waits| {
        let margin = MARGIN.min(waits / 2);
        waits.saturating_sub(margin).min(MAX_IDLE)
    })
}

/// Looks a server's name up again and again, for as long as it is used.
pub(super) async fn watch(kept: Weak<Kept>, resolver: Arc<dyn Resolve>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(kept) = kept.upgrade() else {
            return;
        };
        if !kept.addresses.look_again(&*resolver).await {
            return;
        }
        kept.forget();
        kept.spread().await;
    }
}
