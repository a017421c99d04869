//! The addresses of a server's name, asked for again while it is used.

use super::left_out::LeftOut;
use super::lost;
use super::used_up::UsedUp;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, timeout_at};

/// Addresses of a name that are used; those behind them are left out.
pub(super) const MAX_ADDRESSES: usize = 32;
/// How long a name may be looked up while nobody waits for it, and how old what it found may be
/// when somebody comes.
const LOOK_UP: Duration = Duration::from_secs(10);

/// What a resolver finds, some time later.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Who knows the addresses of names.
pub trait Resolve: Send + Sync + 'static {
    /// Looks for the addresses of `host`.
    fn resolve(&self, host: &str, port: u16) -> Found;
}

/// The system's resolver.
#[derive(Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, host: &str, port: u16) -> Found {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// The addresses of one server.
#[derive(Debug)]
pub(super) struct Addresses {
    known: Mutex<Known>,
    /// `None` where nothing has to be looked up.
    name: Option<Name>,
}

#[derive(Debug, Default)]
struct Known {
    list: Vec<SocketAddr>,
    /// Which of them the next connection goes to.
    next: usize,
}

#[derive(Debug)]
struct Name {
    host: Box<str>,
    port: u16,
    /// Whether a request came since somebody last looked.
    used: AtomicBool,
    /// Whether it is looked up again and again.
    watched: AtomicBool,
    /// One look-up at a time.
    turn: sync::Mutex<UnderWay>,
    /// Where others leave what they found: other workers, checks, and who had the server before a reload.
    last_found: Option<Arc<LeftOut>>,
}

/// A look-up that nobody has heard the end of. Whoever comes next waits for it too, rather than
/// have one more begun: the system's resolver goes on, on a thread, when nobody waits for it.
#[derive(Default)]
struct UnderWay(Option<LookUp>);

struct LookUp {
    found: Found,
    /// When somebody last saw that it went on: what it finds is no older.
    went_on_at: Instant,
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnderWay").field(&self.0.is_some()).finish()
    }
}

impl UnderWay {
    /// What a look-up found that others left. Nothing where it still goes on, where it failed or
    /// where it may have ended so long ago that what it found is no longer true.
    async fn left_by_others(&mut self) -> Option<Vec<SocketAddr>> {
        let look_up = self.0.as_mut()?;
        let now = Instant::now();
        // What has ended must not seem to go on because this task has had its turn.
        let polled = poll_fn(|cx| Poll::Ready(look_up.found.as_mut().poll(cx)));
        let Poll::Ready(found) = unconstrained(polled).await else {
            look_up.went_on_at = now;
            return None;
        };
        let is_fresh = now.duration_since(look_up.went_on_at) <= LOOK_UP;
        self.0 = None;
        found.ok().filter(|_| is_fresh)
    }
}

impl Name {
    /// What anybody last found for it, if somebody did.
    fn last_found(&self) -> Vec<SocketAddr> {
        let last_found = self.last_found.as_ref();
        last_found.map_or_else(Vec::new, |last_found| last_found.known())
    }

    /// What is found before `by`. Where it is not there by then it is left to the next who asks.
    async fn find(
        &self,
        under_way: &mut UnderWay,
        by: Instant,
        resolver: &dyn Resolve,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Some(list) = under_way.left_by_others().await {
            return some(list);
        }
        loop {
            let is_left = under_way.0.is_some();
            let look_up = under_way.0.get_or_insert_with(|| LookUp {
                found: resolver.resolve(&self.host, self.port),
                went_on_at: Instant::now(),
            });
            let ended = timeout_at(by, look_up.found.as_mut()).await;
            look_up.went_on_at = Instant::now();
            let found = ended?;
            under_way.0 = None;
            match found {
                Ok(list) => return some(list),
                // What it failed for may have been long ago.
                Err(_) if is_left => {}
                // Nobody was asked for it.
                Err(why) if UsedUp::of(&why).is_some() => return Err(why),
                Err(why) => return Err(not_found(&format!("the name is not found: {why}"))),
            }
        }
    }
}

/// The addresses of a name that has any.
fn some(list: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    if list.is_empty() {
        return Err(not_found("the name has no address"));
    }
    Ok(list)
}

fn not_found(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, why)
}

impl Addresses {
    /// Those of a host, which may be an address itself; what was found for it lies in `last_found`.
    pub(super) fn of(host: &str, port: u16, last_found: Option<Arc<LeftOut>>) -> Self {
        let literal = host.parse::<IpAddr>().ok();
        Self {
            known: Mutex::new(Known {
                list: literal
                    .map(|address| SocketAddr::new(address, port))
                    .into_iter()
                    .collect(),
                next: 0,
            }),
            name: literal.is_none().then(|| Name {
                host: host.into(),
                port,
                used: AtomicBool::new(false),
                watched: AtomicBool::new(false),
                turn: sync::Mutex::default(),
                last_found,
            }),
        }
    }

    /// This one alone, which is not looked up.
    pub(super) fn only(address: SocketAddr) -> Self {
        let only = Self::none();
        only.learn(vec![address]);
        only
    }

    /// Of a server that has none.
    pub(super) fn none() -> Self {
        Self {
            known: Mutex::default(),
            name: None,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request comes. True when somebody has to look up the name first.
    pub(super) fn is_due(&self) -> bool {
        let Some(name) = &self.name else {
            return false;
        };
        name.used.store(true, Ordering::Relaxed);
        !name.watched.load(Ordering::Relaxed)
    }

    /// Looks up the name before `by`, unless somebody else just did. True when
    /// it has to be watched from now on. What was last found is kept when
    /// the resolver fails.
    pub(super) async fn look_up(&self, by: Instant, resolver: &dyn Resolve) -> io::Result<bool> {
        let Some(name) = &self.name else {
            return Ok(false);
        };
        let mut turn = timeout_at(by, name.turn.lock()).await?;
        if name.watched.load(Ordering::Relaxed) {
            return Ok(false);
        }
        // Where some are known, there shall be time left to ask them.
        let by = if self.known().list.is_empty() && name.last_found().is_empty() {
            by
        } else {
            let now = Instant::now();
            now + by.saturating_duration_since(now) / 2
        };
        self.take(name, name.find(&mut turn, by, resolver).await)?;
        name.watched.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Looks the name up before `by`, whoever did last. What was last found is kept when the resolver
    /// fails.
    pub(super) async fn find(
        &self,
        by: Instant,
        resolver: &dyn Resolve,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Some(name) = &self.name {
            let mut turn = timeout_at(by, name.turn.lock()).await?;
            self.take(name, name.find(&mut turn, by, resolver).await)?;
        }
        Ok(self.all())
    }

    /// Looks the name up once more, if it was used since this was last asked;
    /// false when it was not, and is no longer watched.
    pub(super) async fn look_again(&self, resolver: &dyn Resolve) -> bool {
        let Some(name) = &self.name else {
            return false;
        };
        if !name.used.swap(false, Ordering::Relaxed) {
            name.watched.store(false, Ordering::Relaxed);
            return false;
        }
        let mut turn = name.turn.lock().await;
        let by = Instant::now() + LOOK_UP;
        // Where none are known, whoever asks for one is told.
        let _ = self.take(name, name.find(&mut turn, by, resolver).await);
        true
    }

    /// Takes over what was found. Where the resolver fails, what was last found is kept, whoever found it: it is no
    /// older than what is known here. That is told when it begins.
    fn take(&self, name: &Name, found: io::Result<Vec<SocketAddr>>) -> io::Result<()> {
        let why = match found {
            Ok(list) => {
                self.learn(list);
                lost::is_found(&name.host, name.port);
                return Ok(());
            }
            Err(why) => why,
        };
        let last_found = name.last_found();
        if !last_found.is_empty() {
            self.learn(last_found);
        }
        if self.known().list.is_empty() {
            return Err(why);
        }
        lost::is_lost(&name.host, name.port, &why);
        Ok(())
    }

    fn learn(&self, mut list: Vec<SocketAddr>) {
        let mut seen = std::collections::HashSet::new();
        list.retain(|address| seen.insert(*address));
        list.truncate(MAX_ADDRESSES);
        self.known().list = list;
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<SocketAddr> {
        self.known().list.clone()
    }

    /// All of them, the one whose turn it is first.
    pub(super) fn in_turn(&self) -> Vec<SocketAddr> {
        let mut known = self.known();
        let mut list = known.list.clone();
        let count = list.len();
        if count > 1 {
            list.rotate_left(known.next % count);
            known.next = known.next.wrapping_add(1);
        }
        list
    }

    /// Whether there are others than the one that a connection went to.
    pub(super) fn are_several(&self) -> bool {
        self.known().list.len() > 1
    }

    /// Whether a connection to `address` may still be used. One that stems
    /// from no name always may.
    pub(super) fn has(&self, address: Option<SocketAddr>) -> bool {
        match address {
            Some(address) if self.name.is_some() => self.known().list.contains(&address),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_few_each_once_and_taken_in_turn() {
        let addresses = Addresses::of("orders.test", 80, None);
        let many: Vec<SocketAddr> = (0..1_000_u16)
            .map(|n| ([127, 0, 0, 1], 1 + n / 2).into())
            .collect();
        addresses.learn(many);
        let first = addresses.in_turn();
        assert_eq!(first.len(), MAX_ADDRESSES);
        assert_eq!(addresses.in_turn()[0], first[1]);
    }

    /// Finds an address, or nothing.
    struct Finds(bool);

    impl Resolve for Finds {
        fn resolve(&self, _: &str, port: u16) -> Found {
            let found = self.0.then(|| vec![([127, 0, 0, 1], port).into()]);
            Box::pin(async move { found.ok_or_else(|| io::Error::other("no such name")) })
        }
    }

    #[derive(Clone, Default)]
    struct Told(std::sync::Arc<Mutex<Vec<u8>>>);

    impl io::Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_name_that_is_lost_while_its_addresses_are_known_is_told_once_and_that_it_is_found_again()
     {
        let told = Told::default();
        let sink = told.clone();
        let events = tracing_subscriber::fmt().with_writer(move || sink.clone());
        let _events = tracing::subscriber::set_default(events.finish());
        // Of two workers.
        let workers = [(); 2].map(|()| Addresses::of("lost.test", 80, None));
        for finds in [true, false, false, true, true] {
            for addresses in &workers {
                let by = Instant::now() + LOOK_UP;
                let known = addresses.find(by, &Finds(finds)).await.unwrap();
                assert_eq!(known.len(), 1);
            }
        }
        let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
        let count = |what: &str| told.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("cannot be looked up; the known addresses stay"), 1);
        assert_eq!(count("can be looked up again"), 1);
        assert_eq!(count("lost.test:80"), 2, "{told}");
    }

    #[test]
    fn an_address_is_no_name() {
        for host in ["127.0.0.1", "::1"] {
            let addresses = Addresses::of(host, 80, None);
            assert!(!addresses.is_due());
            assert_eq!(addresses.in_turn().len(), 1);
        }
    }
}
