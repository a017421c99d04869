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
use crate::forward::errands::{Errand, Errands};
use crate::forward::upstream::tls::Client;
use crate::schemes::token::KeySet;
use std::sync::Arc;
use std::time::Duration;
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
pub type Fetches = Errands<Source>;

impl Errand for Source {
    const THREAD: &'static str = "issuers";

    fn is_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known) && self.settings == other.settings
    }

    async fn go_on(self, clock: Clock) {
        keep(&self, &clock, || fetch::fetch(&self.settings)).await;
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
