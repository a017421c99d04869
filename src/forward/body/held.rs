//! A body that is read before its proof is known, since its hash is a part of
//! what is signed: in memory, and no more of it than strangers may have.
//!
//! Whoever sends it has proven nothing yet, so all of this has bounds of its
//! own: bytes of one body (the route's), of one address, and of all together,
//! and a time for the whole of it. Who has proven himself leaves this room, or a
//! slow upstream, which takes no more of such bodies, would shut strangers out.

use super::arrival::Arrival;
use super::{BodyError, BoxError, Meter};
use crate::crypto::{DigestAlgorithm, Hasher};
use bytes::Bytes;
use http_body::Body;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes of all such bodies together.
const MAX_ALL: usize = 64 * 1024 * 1024;
/// Bytes of all that were proven since, and are still to be sent.
const MAX_PROVEN: usize = 64 * 1024 * 1024;
/// Bytes of the bodies of one address (IPv6 by /64), and of the few that share its place.
const MAX_SHARE: usize = 16 * 1024 * 1024;
/// Places that addresses share.
const SHARES: usize = 256;
/// How long all of one may take to arrive.
const WITHIN: Duration = Duration::from_secs(30);
/// What a body's first piece takes room for, unless its length is known.
const USUAL: usize = 16 * 1024;

static ALL: AtomicUsize = AtomicUsize::new(0);
static PROVEN: AtomicUsize = AtomicUsize::new(0);
static SHARED: [AtomicUsize; SHARES] = [const { AtomicUsize::new(0) }; SHARES];

/// A body that was read, and its SHA-256.
#[derive(Debug)]
pub struct Held {
    /// All of it. The room it takes is given back with it.
    pub bytes: Vec<u8>,
    /// Its hash.
    pub sha256: [u8; 32],
    room: Room,
}

impl Held {
    /// All of it. The room it takes is given back with the last of these bytes.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(Kept {
            bytes: self.bytes,
            _room: self.room,
        })
    }

    /// The same, of whoever has proven himself: it takes strangers no room any more.
    pub fn into_proven_bytes(mut self) -> Bytes {
        self.room.leave_strangers();
        self.into_bytes()
    }
}

/// Reads all of `body`, which may have `limit` bytes, for whoever is at `peer`.
///
/// # Errors
/// [`BodyError`]: too long, too slow, or there is no room.
pub async fn hold<B>(body: B, limit: u64, peer: Option<IpAddr>) -> Result<Held, BodyError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let length = body.size_hint();
    if length.lower() > limit {
        return Err(BodyError::NotHeld { limit });
    }
    let known = length
        .exact()
        .and_then(|length| usize::try_from(length).ok());
    let arrival = Arrival::new(body, u64::MAX, Meter::default());
    let taking = take(arrival, limit, known, Room::of(peer));
    tokio::time::timeout(WITHIN, taking)
        .await
        .unwrap_or(Err(BodyError::Timeout))
}

async fn take(
    mut arrival: Arrival,
    limit: u64,
    known: Option<usize>,
    mut room: Room,
) -> Result<Held, BodyError> {
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    let mut bytes = Vec::new();
    while let Some(data) = arrival.next().await? {
        if arrival.taken() > limit {
            return Err(BodyError::NotHeld { limit });
        }
        room.take(data.len())?;
        if bytes.is_empty() {
            // Not all that is announced: only what has come is paid for.
            bytes.reserve(known.unwrap_or(USUAL).min(USUAL.max(data.len())));
        }
        hasher.update(&data);
        bytes.extend_from_slice(&data);
    }
    bytes.shrink_to_fit();
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&hasher.finish());
    Ok(Held {
        bytes,
        sha256,
        room,
    })
}

/// Bytes with the room that they take.
struct Kept {
    bytes: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What one body has of the memory for all, until it is dropped.
#[derive(Debug)]
struct Room {
    share: &'static AtomicUsize,
    bytes: usize,
    is_proven: bool,
}

impl Room {
    fn of(peer: Option<IpAddr>) -> Self {
        /// Strangers cannot choose with whom they share.
        static HASH: OnceLock<RandomState> = OnceLock::new();
        let network = match peer {
            Some(IpAddr::V6(address)) => Some(IpAddr::V6((address.to_bits() >> 64 << 64).into())),
            other => other,
        };
        let place = HASH.get_or_init(RandomState::new).hash_one(network) % SHARES as u64;
        Self {
            share: &SHARED[place as usize],
            bytes: 0,
            is_proven: false,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        for (counter, most) in [(self.share, MAX_SHARE), (&ALL, MAX_ALL)] {
            if counter.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
                counter.fetch_sub(bytes, Ordering::Relaxed);
                if most == MAX_ALL {
                    self.share.fetch_sub(bytes, Ordering::Relaxed);
                }
                return Err(BodyError::NoRoom);
            }
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Moves it to the room of the proven. Where that is full it stays: all of
    /// it has a bound.
    fn leave_strangers(&mut self) {
        let proven = PROVEN.fetch_add(self.bytes, Ordering::Relaxed) + self.bytes;
        if proven > MAX_PROVEN {
            PROVEN.fetch_sub(self.bytes, Ordering::Relaxed);
            return;
        }
        self.give_back();
        self.is_proven = true;
    }

    fn give_back(&self) {
        if self.is_proven {
            PROVEN.fetch_sub(self.bytes, Ordering::Relaxed);
            return;
        }
        self.share.fetch_sub(self.bytes, Ordering::Relaxed);
        ALL.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    fn room(text: &str) -> Room {
        Room::of(Some(text.parse().unwrap()))
    }

    #[tokio::test]
    async fn a_body_is_held_with_its_hash_up_to_its_limit() {
        let body = |length| Full::new(Bytes::from(vec![b'x'; length]));
        let held = hold(body(3), 3, None).await.unwrap();
        assert_eq!(held.bytes, b"xxx");
        assert_eq!(held.sha256, crate::crypto::digest::sha256(&[b"xxx"]));
        assert_eq!(held.into_bytes(), "xxx");
        let refused = hold(body(4), 3, None).await.unwrap_err();
        assert!(matches!(refused, BodyError::NotHeld { limit: 3 }));
    }

    #[test]
    fn one_address_cannot_take_all_the_room_and_gives_it_back() {
        let mut first = room("2001:db8::1");
        first.take(MAX_SHARE).unwrap();
        let mut same = room("2001:db8::2");
        assert!(same.take(1).is_err());
        let mut other = (1..=255)
            .map(|last| room(&format!("10.0.0.{last}")))
            .find(|room| !std::ptr::eq(room.share, first.share))
            .unwrap();
        other.take(1).unwrap();
        drop(first);
        same.take(1).unwrap();
    }

    #[test]
    fn who_has_proven_himself_takes_strangers_no_room_while_there_is_some_for_him() {
        /// Of nobody else: other tests have the rest.
        static SHARE: AtomicUsize = AtomicUsize::new(0);
        let held = || {
            let mut room = Room {
                share: &SHARE,
                bytes: 0,
                is_proven: false,
            };
            room.take(MAX_SHARE).map(|()| Held {
                bytes: vec![b'x'; 3],
                sha256: [0; 32],
                room,
            })
        };
        let refused = held().unwrap();
        assert!(held().is_err());
        drop(refused.into_bytes());
        let taken = || SHARE.load(Ordering::Relaxed);
        assert_eq!(taken(), 0);
        // Its bytes are still to be sent.
        let mut unsent = Vec::new();
        while taken() == 0 {
            unsent.push(held().unwrap().into_proven_bytes());
            assert!(unsent.len() <= MAX_PROVEN / MAX_SHARE + 1);
        }
        assert!(held().is_err(), "the last one found no room of the proven");
        unsent.clear();
        assert_eq!(taken(), 0);
        assert!(PROVEN.load(Ordering::Relaxed) <= MAX_PROVEN - MAX_SHARE);
    }
}
