//! The keys of issuers outside that are fetched: one thread for a gateway,
//! started when a configuration first names a place to fetch from.
//!
//! In: where the keys of each issuer are. Out: the newest of them, in its
//! [`Keys`](crate::schemes::token::Keys). This room never: makes a request wait, asks an issuer more often
//! than its `cooldown` says, whoever asks for it (but once at a reload that changes how its keys are fetched or read),
//! or gives up keys that it has because newer ones cannot be had: only their issuer takes them back.

mod fetch;
mod known;
mod place;

pub use fetch::FETCH_TIMEOUT;
pub use known::Known;
pub use place::{BadPlace, Place};

use crate::clock::{Clock, whole_seconds};
use crate::crypto::Algorithm;
use crate::forward::errands::{Errand, Errands};
use crate::forward::upstream::tls::Client;
use crate::schemes::token::{BadKeySet, KeySet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep_until, timeout};

/// How long a gateway that starts waits for the keys of its issuers.
pub const START_WAIT: Duration = Duration::from_secs(5);
/// By how often a pause is doubled at most while fetches fail.
const MAX_DOUBLINGS: u32 = 6;
/// How many times `cooldown` it is at most where there are no keys that can be used.
const MAX_COOLDOWNS: u32 = 5;

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

impl Settings {
    fn stale_seconds(&self) -> i64 {
        whole_seconds(self.stale)
    }
}

/// An issuer whose keys are fetched, and what is known of them.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where they are.
    pub settings: Settings,
    /// What was fetched. Goes on over a reload where it is of the same place.
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

    /// Whether the other is of the same keys, whatever they are for and however they are fetched.
    pub fn is_of_same_keys(&self, other: &Self) -> bool {
        let (one, other) = (&self.settings, &other.settings);
        one.name == other.name && one.place == other.place
    }

    /// Goes on with what is known of `before`, which is of the same keys. Where they are fetched or read in another way
    /// now, those that are there stay until they are fetched in this way, which is done at once.
    pub fn follow(&mut self, before: &Self) {
        let (one, other) = (&self.settings, &before.settings);
        self.known = if one.tls == other.tls && one.algorithms == other.algorithms {
            before.known.clone()
        } else {
            Arc::new(before.known.read_anew(&one.algorithms))
        };
    }

    /// Tries again, where the last try has failed: as soon as `cooldown` allows.
    pub fn try_again(&self) {
        if self.known.last_try().is_some_and(|(_, failed)| failed > 0) {
            self.known.keys().ask();
        }
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
        let known = self.known.keys().current().len();
        let read = fetched.map(|bytes| (KeySet::read(&bytes, &self.settings.algorithms), bytes));
        let why = match read {
            Ok((Ok(set), bytes)) => return self.put_in_force(set, bytes, clock),
            // It could be read: whoever takes back a key that is in the wrong hands may say just this.
            Ok((Err(BadKeySet::NoKey | BadKeySet::Empty), bytes)) => {
                self.known.keep(bytes);
                self.known.keys().withdraw();
                self.known.failed();
                tracing::warn!(
                    issuer,
                    known,
                    "an issuer lists no key that can be used; those that were known have ended"
                );
                return;
            }
            Ok((Err(bad), _)) => bad.to_string(),
            Err(why) => why,
        };
        self.known.failed();
        tracing::warn!(
            issuer,
            why,
            known,
            "the keys of an issuer cannot be fetched; those that are known stay"
        );
    }

    fn put_in_force(&self, set: KeySet, bytes: Vec<u8>, clock: &Clock) {
        let issuer = &*self.settings.name;
        let now = clock.now().unix_seconds();
        let keys = set.len();
        let until = now.saturating_add(self.settings.stale_seconds());
        let differs = self.known.keys().replace(set, now, until);
        self.known.keep(bytes);
        if self.known.succeeded() || differs {
            tracing::info!(issuer, keys, "the keys of an issuer were fetched");
        }
    }

    /// How long after the last fetch the next one begins, where nobody asks for it: after so many that failed, and
    /// whether the keys `are_stale`.
    fn pause(&self, failures: u32, are_stale: bool) -> Duration {
        let Settings {
            refresh, cooldown, ..
        } = self.settings;
        let longest = refresh.max(cooldown);
        let Some(doublings) = failures.checked_sub(1) else {
            return longest;
        };
        let longest = if are_stale {
            longest.min(cooldown.saturating_mul(MAX_COOLDOWNS))
        } else {
            longest
        };
        let longer = cooldown.saturating_mul(1 << doublings.min(MAX_DOUBLINGS));
        longer.min(longest)
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
    // Those of before a reload, too: an issuer may be down for long.
    known.keys().hold(source.settings.stale_seconds());
    loop {
        if let Some((last, failures)) = known.last_try() {
            // Whoever asks, and whatever was reloaded in between.
            sleep_until(last + source.settings.cooldown).await;
            let are_stale = known.keys().are_stale(clock.now().unix_seconds());
            tokio::select! {
                biased;
                // Heard after a failure too: the issuer may be back long before anyone would try.
                () = known.keys().asked() => {}
                () = sleep_until(last + source.pause(failures, are_stale)) => {}
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
