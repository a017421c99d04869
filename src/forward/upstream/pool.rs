//! Connections of one worker to servers: kept for the next request, bounded, aged.

use super::connect::{Connection, connect, open_raw};
use super::{Io, Place};
use crate::forward::body::ProvenBody;
use hyper::client::conn::http1::SendRequest;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a connection is kept without a request: less than the keep-alive
/// of common servers, so that they seldom close one which we are about to use.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// A worker's connections, by server; outlives configurations.
#[derive(Debug, Default)]
pub struct Pool {
    servers: Mutex<HashMap<Arc<Place>, Arc<Kept>>>,
}

/// Connections to one server.
#[derive(Debug)]
struct Kept {
    place: Arc<Place>,
    /// One for each request that may be under way. An idle connection holds
    /// none: whoever gets one takes an idle connection first, so that there
    /// are never more connections than places.
    free: Semaphore,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The longest unused first; the last is used next, so that others age and go.
    connections: Vec<(Connection, Instant)>,
    is_swept: bool,
}

/// Every connection that a server may have is in use.
#[derive(Debug)]
pub(in crate::forward) struct NoPlace {
    pub(in crate::forward) limit: usize,
}

/// One request's place at a server, and its connection. Dropped, it closes
/// the connection: only [`Lease::give_back`] keeps it.
#[derive(Debug)]
pub(in crate::forward) struct Lease {
    kept: Arc<Kept>,
    connection: Option<Connection>,
}

impl Pool {
    /// No connections yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A place at a server, waited for until `by`; without a connection yet.
    pub(in crate::forward) async fn lease(
        &self,
        place: &Arc<Place>,
        by: Instant,
    ) -> Result<Lease, NoPlace> {
        let kept = self.kept(place);
        kept.take_place(by).await?;
        Ok(Lease {
            kept,
            connection: None,
        })
    }

    fn kept(&self, place: &Arc<Place>) -> Arc<Kept> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = servers.get(place) {
            return kept.clone();
        }
        // A new server: after a reload, others may have gone.
        servers.retain(|_, kept| Arc::strong_count(kept) > 1 || !kept.idle().is_empty());
        let kept = Arc::new(Kept {
            place: place.clone(),
            free: Semaphore::new(place.max_connections.min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        });
        servers.insert(place.clone(), kept.clone());
        kept
    }
}

impl Lease {
    /// Takes a connection that is kept, if one is usable.
    pub(in crate::forward) fn reuse(&mut self) -> Option<&mut SendRequest<ProvenBody>> {
        self.connection = self.kept.take();
        self.connection.as_mut().map(|kept| &mut kept.sender)
    }

    /// Makes a new connection before `by`.
    pub(in crate::forward) async fn connect(
        &mut self,
        by: Instant,
    ) -> io::Result<&mut SendRequest<ProvenBody>> {
        let new = connect(&self.kept.place, by).await?;
        Ok(&mut self.connection.insert(new).sender)
    }

    /// Makes a connection before `by` that nobody else will use.
    pub(in crate::forward) async fn open(&self, by: Instant) -> io::Result<Box<dyn Io>> {
        open_raw(&self.kept.place, by).await
    }

    /// Keeps the connection for another request, if its last one is over on both sides.
    pub(in crate::forward) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.kept.keep(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.kept.free.add_permits(1);
    }
}

impl Kept {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of the places; [`Lease`] frees it.
    async fn take_place(&self, by: Instant) -> Result<(), NoPlace> {
        let permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout_at(by, self.free.acquire()).await {
                Ok(Ok(permit)) => permit,
                _ => {
                    return Err(NoPlace {
                        limit: self.place.max_connections,
                    });
                }
            },
        };
        permit.forget();
        Ok(())
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        // Those that the server has closed meanwhile are no longer ready.
        while let Some((connection, _)) = idle.connections.pop() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        // Ready means: the whole request is out, the whole answer is in, not a
        // byte came behind it, and neither side wants to close.
        if !connection.sender.is_ready() {
            return;
        }
        let mut idle = self.idle();
        idle.connections.push((connection, Instant::now()));
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what is too old; when the next one will be.
    fn close_old(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle();
        idle.connections.retain(|(connection, since)| {
            now.duration_since(*since) < MAX_IDLE && !connection.sender.is_closed()
        });
        let next = idle.connections.first().map(|(_, since)| *since + MAX_IDLE);
        idle.is_swept = next.is_some();
        next
    }
}

impl Idle {
    fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }
}

/// Closes connections as they grow old, for as long as any is idle: one
/// timer for a server rather than one for a connection.
async fn sweep(kept: Weak<Kept>) {
    loop {
        let next = kept
            .upgrade()
            .and_then(|kept| kept.close_old(Instant::now()));
        match next {
            Some(next) => sleep_until(next).await,
            None => return,
        }
    }
}
