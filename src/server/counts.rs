//! What was turned away before it was a request: counted, and told now and then.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What happens often is told once in so long.
const PAUSE: Duration = Duration::from_mins(1);

/// Counters over all workers.
#[derive(Debug, Default)]
pub struct Counts {
    full: Count,
    per_address: Count,
    strange: Count,
    header: Count,
    forwarded: Count,
    handshake: Count,
    accept: Count,
    flood: Count,
    heads: Count,
    /// Connections that are open.
    open: AtomicU64,
}

/// A connection that is open, until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What may happen often: counted, and told now and then.
#[derive(Debug, Default)]
pub(crate) struct Count {
    number: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Count {
    /// Counts one; gives the number back when it is time to tell it.
    pub(crate) fn add(&self) -> Option<u64> {
        self.add_some(1)
    }

    fn add_some(&self, more: u64) -> Option<u64> {
        let number = self.number.fetch_add(more, Ordering::Relaxed) + more;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if told.is_some_and(|before| now.duration_since(before) < PAUSE) {
            return None;
        }
        *told = Some(now);
        Some(number)
    }

    fn get(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }
}

impl Counts {
    /// Connections closed since there were `max_connections`.
    pub fn full(&self) -> u64 {
        self.full.get()
    }

    /// Connections closed since their address had `max_connections_per_address`.
    pub fn per_address(&self) -> u64 {
        self.per_address.get()
    }

    /// Connections closed since only trusted proxies may connect.
    pub fn strange(&self) -> u64 {
        self.strange.get()
    }

    /// Connections of trusted proxies closed since they did not begin with a PROXY header.
    pub fn header(&self) -> u64 {
        self.header.get()
    }

    /// Requests of trusted proxies that did not tell readably whom they are from.
    pub fn forwarded(&self) -> u64 {
        self.forwarded.get()
    }

    /// Connections whose TLS handshake failed.
    pub fn handshake(&self) -> u64 {
        self.handshake.get()
    }

    /// Connections over HTTP/2 that we ended since their clients sent too much that is cheap for them.
    pub fn flood(&self) -> u64 {
        self.flood.get()
    }

    /// Requests over HTTP/2 that the library refused by itself, so that no record tells of them.
    pub fn heads(&self) -> u64 {
        self.heads.get()
    }

    /// How often no connection could be accepted, most often for want of files.
    pub fn accept(&self) -> u64 {
        self.accept.get()
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn one_opens(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    pub(super) fn cannot_accept(&self, error: &io::Error) {
        if let Some(failed) = self.accept.add() {
            tracing::warn!(failed, %error, "cannot accept connections; trying again");
        }
    }

    pub(super) fn at_the_cap(&self) {
        if let Some(closed) = self.full.add() {
            tracing::warn!(closed, "connections are closed: `max_connections` are open");
        }
    }

    pub(super) fn at_the_cap_of_an_address(&self, peer: IpAddr) {
        if let Some(closed) = self.per_address.add() {
            tracing::warn!(
                closed,
                %peer,
                "connections are closed: an address has `max_connections_per_address` open"
            );
        }
    }

    pub(super) fn strange_peer(&self, peer: Option<IpAddr>) {
        if let Some(closed) = self.strange.add() {
            tracing::warn!(
                closed,
                peer = shown(peer),
                "connections are closed: they do not come from one of `trusted_proxies`, as `proxy_protocol` asks"
            );
        }
    }

    pub(super) fn without_a_header(&self, peer: Option<IpAddr>, why: &'static str) {
        if let Some(closed) = self.header.add() {
            tracing::warn!(
                closed,
                peer = shown(peer),
                why,
                "connections of trusted proxies are closed: they do not begin with a PROXY header"
            );
        }
    }

    pub(super) fn unshaken(&self, peer: Option<IpAddr>, why: &io::Error) {
        // A balancer that looks whether we are there, or a client that changed its mind.
        if why.kind() == io::ErrorKind::UnexpectedEof {
            return;
        }
        if let Some(closed) = self.handshake.add() {
            tracing::warn!(
                closed,
                peer = shown(peer),
                %why,
                "connections are closed: their TLS handshake fails"
            );
        }
    }

    pub(super) fn flooded_by(&self, peer: Option<IpAddr>) {
        if let Some(closed) = self.flood.add() {
            tracing::warn!(
                closed,
                peer = shown(peer),
                "connections are closed: their clients flood us over HTTP/2"
            );
        }
    }

    pub(super) fn refused_heads(&self, more: u64, peer: Option<IpAddr>) {
        if let Some(requests) = self.heads.add_some(more) {
            tracing::warn!(
                requests,
                peer = shown(peer),
                "requests over HTTP/2 are refused before they have a record: too large, malformed or too many at a time"
            );
        }
    }

    pub(super) fn unreadable_forwarded(&self, peer: Option<IpAddr>) {
        if let Some(requests) = self.forwarded.add() {
            tracing::warn!(
                requests,
                peer = shown(peer),
                "a trusted proxy does not tell readably whom a request is from"
            );
        }
    }
}

fn shown(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "unix".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_often_is_told_once_a_minute() {
        let count = Count::default();
        assert_eq!(count.add(), Some(1));
        assert_eq!((count.add(), count.add()), (None, None));
        tokio::time::advance(PAUSE).await;
        assert_eq!(count.add(), Some(4));
        assert_eq!(count.add(), None);
        assert_eq!(count.get(), 5);
    }
}
