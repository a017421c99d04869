//! What stands beside the apps of a configuration and outlives it: apps that
//! are made at run time, as the look-ups of a request see them.

use super::doubles::Doubles;
use super::{Assurance, Key, Minter, Scheme, StandIns, StaticKey};
use crate::crypto::aws4::DayKeys;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The first index of an app that is made at run time: far above those of any configuration.
pub const FIRST_MADE: usize = 1 << 40;

/// Where look-ups go on that find nothing in the configuration. Each costs one
/// atomic load and no further hash, however many there are.
pub trait Beside: Send + Sync + fmt::Debug {
    /// The key of that id, whose [`hash`] is at hand, whatever its state.
    fn key(&self, hash: u64, id: &str) -> Option<Arc<Key>>;

    /// The static key that is shown, whatever its state. It takes as long where there is none.
    fn static_key(&self, shown: &[u8]) -> Option<Arc<StaticKey>>;

    /// The static key of that id.
    fn static_key_of(&self, id: &str) -> Option<Arc<StaticKey>>;

    /// The app of that name, where it gets tokens of the key service.
    fn minter(&self, app: &str) -> Option<Arc<Minter>>;

    /// What apps are answered like that are not there.
    fn stand_ins(&self) -> Arc<StandIns>;

    /// Apps that get tokens of the key service by keys whose public half is published at that second;
    /// no more than so many.
    fn published(&self, at: i64, most: usize) -> Vec<Arc<Minter>>;

    /// The instance of that id.
    fn instance(&self, id: &str) -> Option<Arc<Instance>>;

    /// Whether there is any static key.
    fn has_static_keys(&self) -> bool;

    /// How many keys there are.
    fn count(&self) -> u64;

    /// What AWS's signers make of the key whose state decides what an unknown id costs: one near it by the hash.
    fn days(&self, hash: u64) -> Option<Arc<DayKeys>>;

    /// A kind of key for each unknown id.
    fn doubles(&self) -> Arc<Doubles>;

    /// Whether this id, or this static key, is one that was laid out: its own id then.
    fn honey(&self, id: Option<&str>, shown: Option<&[u8]>) -> Option<Arc<str>>;

    /// Whether any was.
    fn has_honey(&self) -> bool;

    /// Remembers that a key or a static key proved a caller; at most once a minute for each.
    fn used(&self, id: &str, scheme: Scheme, at: i64);
}

/// An instance of an app, as the look-ups of a request see it.
#[derive(Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: Box<str>,
    /// Its app's name.
    pub app: Box<str>,
    /// Its public key, a JWK.
    pub public: Box<str>,
    /// RFC 7638 thumbprint of that, base64url.
    pub thumbprint: Box<str>,
    /// `false`: it was revoked.
    pub enabled: bool,
}

/// What an app has that was made at run time.
#[derive(Debug)]
pub struct Made {
    /// Its plan, if it has one.
    pub plan: Option<Arc<PlanInForce>>,
    /// Which one of that name it is; a later one is larger.
    pub number: u64,
}

/// A plan, as far as apps that were made at run time see it: it outlives
/// settings, and is as those in force say.
#[derive(Debug)]
pub struct PlanInForce {
    /// Its name.
    pub name: Arc<str>,
    known: AtomicBool,
    assurance: AtomicU8,
}

impl PlanInForce {
    /// One of which nothing is known yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            known: AtomicBool::new(false),
            assurance: AtomicU8::new(0),
        }
    }

    /// It is there, and asks for this much; or it is not there.
    pub fn set(&self, assurance: Option<Assurance>) {
        let rank = assurance.unwrap_or_default() as u8;
        self.assurance.store(rank, Ordering::Release);
        self.known.store(assurance.is_some(), Ordering::Release);
    }

    /// Whether the settings in force have it.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// How well its apps must be proven.
    pub fn assurance(&self) -> Assurance {
        let rank = self.assurance.load(Ordering::Acquire);
        let mut all = Assurance::ALL.into_iter();
        all.find(|one| *one as u8 == rank).unwrap_or_default()
    }
}

/// What a key has that was made at run time.
#[derive(Debug)]
pub struct MadeKey {
    current: AtomicBool,
    draining: Option<i64>,
    /// When a use was last told of, by scheme, in seconds of Unix time that fit.
    told: [AtomicU32; Scheme::ALL.len()],
}

/// Seconds between two notes of one key's use.
const NOTED: u32 = 60;

impl MadeKey {
    /// One that drains from that second on, if ever.
    pub fn new(draining: Option<i64>) -> Self {
        Self {
            current: AtomicBool::new(true),
            draining,
            told: Default::default(),
        }
    }

    /// Another took its place, or none: what was cached of it is void.
    pub fn replaced(&self) {
        self.current.store(false, Ordering::Release);
    }

    /// Whether it is still the one that a look-up finds.
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire)
    }

    /// Whether another should be used.
    pub fn is_draining(&self, at: i64) -> bool {
        self.draining.is_some_and(|from| at >= from)
    }

    /// Takes over when uses were last told of.
    pub fn goes_on(&self, before: &Self) {
        for (told, before) in self.told.iter().zip(&before.told) {
            told.store(before.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Whether a use now has to be told of: once a minute, to one of those who ask.
    pub fn is_to_be_told(&self, scheme: Scheme, at: i64) -> bool {
        let told = &self.told[scheme as usize];
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let before = told.load(Ordering::Relaxed);
        at.abs_diff(before) >= NOTED
            && told
                .compare_exchange(before, at, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The one hash of an id, for every look-up by it. Strangers cannot tell which ids share a place.
pub fn hash(id: &[u8]) -> u64 {
    static HASH: OnceLock<RandomState> = OnceLock::new();
    HASH.get_or_init(RandomState::new).hash_one(id)
}

/// What has a hash, and lies where that says.
type Entry<T> = (u64, Arc<T>);

/// A map that is made whole and never changed, by hashes that are at hand.
pub(super) struct Table<T> {
    /// A power of two, at most half of them taken.
    places: Box<[Option<Entry<T>>]>,
    len: usize,
}

/// What lies in a [`Table`].
pub(super) trait Placed {
    /// What it is found by.
    fn by(&self) -> &[u8];
}

impl Placed for Key {
    fn by(&self) -> &[u8] {
        self.id.as_bytes()
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            places: Box::new([None]),
            len: 0,
        }
    }
}

impl<T: Placed> Table<T> {
    /// Of what has different names; of two with the same the later one stays.
    pub(super) fn new(entries: Vec<(u64, Arc<T>)>) -> Self {
        let room = (entries.len() * 2 + 1).next_power_of_two();
        let mut table = Self {
            places: vec![None; room].into(),
            len: 0,
        };
        for (hash, entry) in entries {
            let place = table.place(hash, entry.by());
            table.len += usize::from(table.places[place].is_none());
            table.places[place] = Some((hash, entry));
        }
        table
    }

    pub(super) fn find(&self, hash: u64, by: &[u8]) -> Option<&Arc<T>> {
        let place = self.place(hash, by);
        self.places[place].as_ref().map(|(_, entry)| entry)
    }

    /// Where it lies, or would: half of the places are free, so that this ends.
    fn place(&self, hash: u64, by: &[u8]) -> usize {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        while let Some((other, entry)) = &self.places[place] {
            if *other == hash && entry.by() == by {
                break;
            }
            place = (place + 1) & mask;
        }
        place
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.entries().map(|(_, entry)| entry)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &(u64, Arc<T>)> {
        self.places.iter().flatten()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.len)
    }
}
