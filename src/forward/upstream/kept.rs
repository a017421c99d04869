//! Connections of one worker to one server.

use super::Place;
use super::connect::{Http1, Made, connect, connect_alone, to_any};
use super::http2::{Http2, Slot};
use super::left_out::Way;
use super::pool::{NoPlace, Sender, Wants};
use super::resets::Resets;
use super::resolve::{Addresses, Resolve};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{self, Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a connection is kept without a request: where its server says how long it waits for one, less
/// than that. What is sent as the server closes is lost, and may not be sent again.
pub const MAX_IDLE: Duration = Duration::from_secs(30);
/// By how much less, half at most: a request may be on its way for so long, and each for which none is kept costs one.
const MARGIN: Duration = Duration::from_secs(1);
/// How long a connection may take to be made for which no request waits.
const UNHURRIED: Duration = Duration::from_secs(5);

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) place: Arc<Place>,
    pub(super) addresses: Addresses,
    /// One for each request that may be under way. An idle connection holds none: whoever gets one takes
    /// an idle connection first, and one of another kind makes way for what he has to make, so that there
    /// are never more connections than places, beside those that are shared.
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
    connections: Connections,
    /// Those that carry one at a time all the same, since the server may end them for it.
    apart: Connections,
    /// Where the search for a free one begins.
    turn: AtomicUsize,
    /// One is made at a time: whoever waits for it can use it too.
    making: sync::Mutex<()>,
    /// Whether the server, when it last had the choice, settled on HTTP/1.1: it takes one request
    /// at a time, and nothing is to be waited for.
    takes_one: AtomicBool,
}

type Connections = Mutex<Vec<Arc<Http2>>>;

fn all(connections: &Connections) -> MutexGuard<'_, Vec<Arc<Http2>>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those of them that may be given requests; the others are let go of.
fn open(connections: &Connections) -> MutexGuard<'_, Vec<Arc<Http2>>> {
    let mut open = all(connections);
    open.retain(|connection| {
        // One that takes no request at all would be kept beside each further one.
        if connection.load() == 0 && !connection.has_room() {
            connection.retire();
        }
        connection.is_open()
    });
    open
}

impl Kept {
    /// No connections to it yet.
    pub(super) fn new(place: Arc<Place>, addresses: Addresses, lasts: bool) -> Self {
        Self {
            addresses,
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

    /// Whether it has connections that wait for requests.
    pub(super) fn is_used(&self) -> bool {
        // Nobody else looks through those of a server that is asked no more.
        let shares = !open(&self.shared.connections).is_empty();
        let has_apart = !open(&self.shared.apart).is_empty();
        shares || has_apart || !self.idle().connections.is_empty()
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
    pub(super) fn take(&self, wants: Wants, way: &Way) -> Option<Sender> {
        if self.place.may_share() && wants != Wants::Alone {
            let slot = if wants == Wants::Apart {
                self.take_apart(way)
            } else {
                self.take_slot(None, way)
            };
            if let Some(slot) = slot {
                return Some(Sender::Http2(slot));
            }
            if !self.shared.takes_one.load(Ordering::Relaxed) {
                // What is idle was made for who asked to leave HTTP: gRPC, say, cannot go over it.
                return None;
            }
        }
        let mut idle = self.idle();
        // Some may have been closed by the server meanwhile.
        while let Some((mut connection, _)) = idle.connections.pop() {
            if way.may(connection.address()) && connection.is_usable() {
                return Some(Sender::Http1(connection));
            }
        }
        None
    }

    /// A place on the connection that has the fewest requests, in turn, but not on the one that `but` is on.
    fn take_slot(&self, but: Option<&Slot>, way: &Way) -> Option<Slot> {
        let shared = open(&self.shared.connections);
        let turn = match shared.len() {
            0 => return None,
            1 => 0,
            many => self.shared.turn.fetch_add(1, Ordering::Relaxed) % many,
        };
        let (before, from) = shared.split_at(turn);
        from.iter()
            .chain(before)
            .filter(|one| !but.is_some_and(|slot| Arc::ptr_eq(slot.connection(), one)))
            .filter(|one| way.may(one.address) && one.has_room())
            .min_by_key(|one| one.load())
            .and_then(Http2::take)
    }

    /// A place on a connection that has no request.
    fn take_apart(&self, way: &Way) -> Option<Slot> {
        let apart = open(&self.shared.apart);
        let mut may = apart.iter().filter(|one| way.may(one.address));
        let free = may.rfind(|one| one.load() == 0);
        free.and_then(Http2::take)
    }

    /// A place on a connection that others use too, or a new connection.
    pub(super) async fn share(
        self: &Arc<Self>,
        but: Option<&Slot>,
        way: &mut Way,
        by: Instant,
    ) -> io::Result<Sender> {
        let making = timeout_at(by, self.shared.making.lock()).await?;
        let takes_one = self.shared.takes_one.load(Ordering::Relaxed);
        let _making = (!takes_one).then_some(making);
        // It may have come to speak HTTP/2 since it last took one.
        if let Some(slot) = self.take_slot(but, way) {
            return Ok(Sender::Http2(slot));
        }
        self.make(Wants::Any, but, way, by).await
    }

    /// A new connection, or a place on it.
    pub(super) async fn make(
        self: &Arc<Self>,
        wants: Wants,
        but: Option<&Slot>,
        way: &mut Way,
        by: Instant,
    ) -> io::Result<Sender> {
        self.make_way();
        let made = match wants {
            Wants::Alone => connect_alone(&self.place, &self.addresses, way, by).await?,
            Wants::Any | Wants::Apart => {
                let made = connect(&self.place, &self.addresses, way, by).await?;
                let takes_one = matches!(made, Made::Http1(_));
                self.shared.takes_one.store(takes_one, Ordering::Relaxed);
                made
            }
        };
        let connection = match made {
            Made::Http1(connection) => return Ok(Sender::Http1(connection)),
            Made::Http2(connection) => connection,
        };
        let slot = connection.take();
        match wants {
            Wants::Any => {
                if way.strayed(connection.address)
                    && let Some(slot) = self.take_slot(but, way)
                {
                    // There is one already: this one closes.
                    return Ok(Sender::Http2(slot));
                }
                let is_first = {
                    let mut shared = all(&self.shared.connections);
                    shared.push(connection);
                    shared.len() == 1
                };
                if is_first && self.lasts && self.addresses.are_several() {
                    let kept = self.clone();
                    tokio::spawn(async move { kept.spread().await });
                }
            }
            Wants::Apart => {
                connection.tells_nothing();
                all(&self.shared.apart).push(connection);
            }
            Wants::Alone => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "it speaks HTTP/2 only",
                ));
            }
        }
        slot.map(Sender::Http2)
            .ok_or_else(|| io::Error::other("it takes no requests"))
    }

    /// Lets go of connections that wait for requests of another kind, where one more would be more than places.
    fn make_way(&self) {
        let mut idle = self.idle();
        let mut apart = all(&self.shared.apart);
        let waiting = apart.iter().filter(|one| one.load() == 0).count();
        let waiting = idle.connections.len() + waiting;
        let excess = waiting.saturating_sub(self.free.available_permits());
        let alone = excess.min(idle.connections.len());
        idle.connections.drain(..alone);
        let mut excess = excess - alone;
        apart.retain(|one| {
            let goes = excess > 0 && one.load() == 0;
            if goes {
                one.retire();
                excess -= 1;
            }
            !goes
        });
    }

    /// Keeps a connection for another request.
    pub(super) fn keep(self: &Arc<Self>, connection: Http1) {
        if !self.addresses.has(connection.address()) {
            return;
        }
        let may_be_idle = may_be_idle(connection.waits(), self.place.keep_alive);
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

    /// Lets go of connections to addresses that the server no longer has; requests on them go on.
    pub(super) fn forget(&self) {
        if let Some(left_out) = &self.place.left_out {
            left_out.learn(self.addresses.all());
        }
        self.idle()
            .connections
            .retain(|(connection, _)| self.addresses.has(connection.address()));
        for connections in [&self.shared.connections, &self.shared.apart] {
            all(connections).retain(|connection| {
                let stays = self.addresses.has(connection.address);
                if !stays {
                    connection.retire();
                }
                stays
            });
        }
    }

    /// Connects to every address without a connection, where one does for many requests: the first would get all.
    async fn spread(&self) {
        let missing: Vec<_> = {
            let mut shared = all(&self.shared.connections);
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
            let made = to_any(&self.place, &[address], &mut Way::default(), by).await;
            if let Ok(Made::Http2(connection)) = made {
                all(&self.shared.connections).push(connection);
            }
        }
    }
}

/// Closes connections as they grow old, while any is idle: one timer for a server, not one for each of them.
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
fn may_be_idle(waits: Option<Duration>, keep_alive: Option<Duration>) -> Duration {
    let most = keep_alive.unwrap_or_default();
    waits.map_or(most, |waits| {
        most.min(waits.saturating_sub(MARGIN.min(waits / 2)))
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
