//! The keys of issuers outside that are fetched: one thread for a gateway,
//! started when a configuration first names a place to fetch from.
//!
//! In: where the keys of each issuer are. Out: the newest of them, in its
//! [`Keys`](crate::schemes::token::Keys). This room never: makes a request wait, asks an issuer more often
//! than its `cooldown` says, whoever asks for it, or gives up keys that it has
//! because newer ones cannot be had.

mod fetch;
mod known;
mod place;

pub use fetch::FETCH_TIMEOUT;
pub use known::Known;
pub use place::{BadPlace, Place};

use crate::clock::Clock;
use crate::crypto::Algorithm;
use crate::forward::upstream::tls::Client;
use crate::schemes::token::KeySet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};

/// How long a gateway that starts waits for the keys of its issuers.
pub const START_WAIT: Duration = Duration::from_secs(5);
/// By how often a pause is doubled at most while fetches fail.
const MAX_DOUBLINGS: u32 = 6;

/// Where the keys of an issuer are, and how often they are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The issuer's name in `[issuers]`.
    pub name: Arc<str>,
    /// Where.
    pub place: Place,
    /// How TLS is spoken to it; `None` in clear text.
    pub tls: Option<Arc<Client>>,
    /// What the keys may be for.
    pub algorithms: Vec<Algorithm>,
    /// How often they are fetched.
    pub refresh: Duration,
    /// The shortest time from one fetch to the next.
    pub cooldown: Duration,
    /// How long keys are used that cannot be fetched again.
    pub stale: Duration,
}

/// An issuer whose keys are fetched, and what is known of them.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where they are.
    pub settings: Settings,
    /// What was fetched. Goes on where a reload changes none of what it depends on.
    pub known: Arc<Known>,
}

impl Source {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            known: Arc::default(),
        }
    }

    /// Whether what is known of the other holds for this one too.
    pub fn is_of_same_keys(&self, other: &Self) -> bool {
        let (one, other) = (&self.settings, &other.settings);
        one.name == other.name
            && one.place == other.place
            && one.tls == other.tls
            && one.algorithms == other.algorithms
    }

    fn is_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known) && self.settings == other.settings
    }

    /// Fetches the keys once, for whoever judges by them and ends: they do not grow old.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn fetch_once(&self, clock: &Clock) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let fetched =
            runtime.block_on(async { timeout(FETCH_TIMEOUT, fetch::fetch(&self.settings)).await });
        runtime.shutdown_background();
        let bytes = fetched.unwrap_or_else(|_| Err(too_late()))?;
        let set = KeySet::read(&bytes, &self.settings.algorithms).map_err(|bad| bad.to_string())?;
        let now = clock.now().unix_seconds();
        self.known.keys().replace(set, now, i64::MAX);
        Ok(())
    }

    /// Takes in what came of a fetch.
    fn take(&self, fetched: Result<Vec<u8>, String>, clock: &Clock) {
        let issuer = &*self.settings.name;
        let read = fetched.and_then(|bytes| {
            KeySet::read(&bytes, &self.settings.algorithms).map_err(|bad| bad.to_string())
        });
        match read {
            Ok(set) => {
                let now = clock.now().unix_seconds();
                let keys = set.len();
                let stale = i64::try_from(self.settings.stale.as_secs()).unwrap_or(i64::MAX);
                let differs = self
                    .known
                    .keys()
                    .replace(set, now, now.saturating_add(stale));
                if self.known.succeeded() || differs {
                    tracing::info!(issuer, keys, "the keys of an issuer were fetched");
                }
            }
            Err(why) => {
                let known = self.known.keys().current().len();
                self.known.failed();
                tracing::warn!(
                    issuer,
                    why,
                    known,
                    "the keys of an issuer cannot be fetched; those that are known stay"
                );
            }
        }
    }

    /// How long the next fetch waits at least, after so many that failed.
    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        let longer = self.settings.cooldown.saturating_mul(1 << doublings);
        longer.min(self.settings.refresh.max(self.settings.cooldown))
    }
}

/// Fetches keys until it is dropped.
#[derive(Debug)]
pub struct Fetches {
    clock: Clock,
    wanted: watch::Sender<Vec<Source>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Fetches {
    /// Nothing is fetched yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            wanted: watch::Sender::new(Vec::new()),
            thread: Mutex::new(None),
        }
    }

    /// Fetches these from now on, and no others.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn set(&self, wanted: Vec<Source>) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() && !wanted.is_empty() {
            *thread = Some(self.start()?);
        }
        self.wanted.send_replace(wanted);
        Ok(())
    }

    fn start(&self) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let wanted = self.wanted.subscribe();
        let clock = self.clock.clone();
        thread::Builder::new()
            .name("issuers".to_owned())
            .spawn(move || {
                runtime.block_on(run(wanted, clock));
                // A name that is being looked up is not waited for.
                runtime.shutdown_background();
            })
    }
}

/// Waits until each of `sources` was asked once, but no longer than `wait`.
pub fn settle(sources: &[Source], wait: Duration, clock: &Clock) {
    let start = clock.now();
    for source in sources {
        // A clock that stands still waits for each: nobody but a test has one.
        let passed = clock.now().monotonic().saturating_sub(start.monotonic());
        source.known.wait_for_first(wait.saturating_sub(passed));
    }
}

impl Drop for Fetches {
    fn drop(&mut self) {
        let thread = self.thread.get_mut();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        // The thread ends when nobody can want anything any more.
        self.wanted = watch::Sender::new(Vec::new());
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Ends its task when it is dropped.
struct Running {
    source: Source,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut wanted: watch::Receiver<Vec<Source>>, clock: Clock) {
    let mut running: Vec<Running> = Vec::new();
    loop {
        let sources = wanted.borrow_and_update().clone();
        running.retain(|one| sources.iter().any(|source| source.is_as(&one.source)));
        for source in sources {
            if running.iter().any(|one| one.source.is_as(&source)) {
                continue;
            }
            let (again, clock) = (source.clone(), clock.clone());
            let task = tokio::spawn(async move {
                let place = again.settings.clone();
                keep(&again, &clock, || fetch::fetch(&place)).await;
            });
            running.push(Running {
                source,
                task: task.abort_handle(),
            });
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Fetches the keys of one issuer, one fetch at a time.
async fn keep<F: Future<Output = Result<Vec<u8>, String>>>(
    source: &Source,
    clock: &Clock,
    fetch: impl Fn() -> F,
) {
    let known = &source.known;
    loop {
        if let Some((last, failures)) = known.last_try() {
            // Whoever asks, and whatever was reloaded in between.
            sleep_until(last + source.pause(failures)).await;
            if failures == 0 {
                tokio::select! {
                    () = sleep_until(last + source.settings.refresh) => {}
                    () = known.keys().asked() => {}
                }
            }
        }
        known.begin();
        let fetched = timeout(FETCH_TIMEOUT, fetch())
            .await
            .unwrap_or_else(|_| Err(too_late()));
        source.take(fetched, clock);
    }
}

fn too_late() -> String {
    format!("it did not answer within {} s", FETCH_TIMEOUT.as_secs())
}

#[cfg(test)]
mod tests;
