//! How a worker comes to its end.
//!
//! First it says goodbye: connections are accepted and requests answered, and
//! each answer tells that the connection ends behind it (`Connection: close`;
//! GOAWAY on HTTP/2), so that its client goes elsewhere without losing one.
//! Then it closes: no connection is accepted, and those without a request end.
//! From some moment on no request can come any more, while the last ones are
//! still being answered; whoever waits for that moment is told.

use super::parting::LINGER_TIME;
use crate::clock::alarm::later;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// When we stop, a connection that has not brought a request yet has this
/// long to do so: what was accepted is answered.
pub(super) const LAST_CALL: Duration = Duration::from_millis(500);

/// How far one worker is on its way to the end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    // Beside the tokens, whose state lies behind a lock, for a look at every turn.
    begun: AtomicBool,
    goodbye: CancellationToken,
    refusing: CancellationToken,
    refuses_since: OnceLock<Instant>,
    asking: TaskTracker,
}

/// Held for as long as a request may come on a connection.
pub(super) type Asking = TaskTrackerToken;

impl Closing {
    /// Lets every connection end behind its next answer.
    pub(super) fn say_goodbye(&self) {
        self.begun.store(true, Ordering::Relaxed);
        self.goodbye.cancel();
    }

    /// Lets every connection end with the requests that are in flight.
    pub(super) fn close(&self) {
        self.say_goodbye();
        self.refuses_since.get_or_init(Instant::now);
        self.refusing.cancel();
        self.asking.close();
    }

    /// Whether it is on its way.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Ends when connections shall end behind their next answer.
    pub(super) fn goodbye(&self) -> WaitForCancellationFuture<'_> {
        self.goodbye.cancelled()
    }

    /// Ends when connections shall end with what is in flight.
    pub(super) fn refusing(&self) -> WaitForCancellationFuture<'_> {
        self.refusing.cancelled()
    }

    /// Ends so long after [`Closing::close`], whenever it is asked for.
    pub(super) async fn refusing_for(&self, lasts: Duration) {
        self.refusing().await;
        let since = self.refuses_since.get().copied();
        sleep_until(since.unwrap_or_else(Instant::now) + lasts).await;
    }

    /// Says that a request may come, until what is given back is dropped.
    pub(super) fn asking(&self) -> Asking {
        self.asking.token()
    }

    /// Ends, after [`Closing::close`], when no request can come any more.
    pub(super) async fn settled(&self) {
        self.asking.wait().await;
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Open,
    /// We are about to stop: what comes is answered, and tells the client so.
    Goodbye {
        /// Whether it was told on HTTP/2.
        said: bool,
    },
    /// We stop; a first request may still come.
    LastCall {
        until: Instant,
        cut_at: Instant,
    },
    /// What is in flight is the last.
    Ending {
        /// When it is over, whatever is in flight: when we stop.
        cut_at: Option<Instant>,
        /// How long a client without a request has to hear so.
        word: Word,
    },
}

/// How long a client without a request is waited for, so that it hears that we end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// From when it said something last.
    quiet: Duration,
    /// In all, whatever it says.
    most: Duration,
}

impl Word {
    /// When we stop: one round trip of HTTP/2, so that no request is lost that crosses our goodbye.
    /// Who goes on to open windows still takes an answer, which would be lost with the connection.
    pub(super) const LAST: Self = Self {
        quiet: Duration::from_secs(2),
        most: LINGER_TIME,
    };

    /// So long, whatever it says.
    pub(super) const fn of(lasts: Duration) -> Self {
        Self {
            quiet: lasts,
            most: lasts,
        }
    }
}

/// Since when a client has been without a request, and since when it says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    since: Instant,
    heard: Instant,
    /// How often it had said something by then.
    said: u64,
}

impl Silence {
    /// From now on, of a client that has said something so often.
    pub(super) fn begin(said: u64) -> Self {
        let now = Instant::now();
        Self {
            since: now,
            heard: now,
            said,
        }
    }

    /// Until when the client is waited for, which has said something so often.
    pub(super) fn until(&mut self, word: Word, said: u64) -> Instant {
        if said != self.said {
            self.said = said;
            self.heard = Instant::now();
        }
        later(self.heard, word.quiet).min(later(self.since, word.most))
    }
}

/// Whoever drops the last clone tells it.
pub(super) type Unsettled = mpsc::SyncSender<Infallible>;

/// Waits for the last [`Unsettled`] to be dropped.
#[derive(Debug)]
pub(super) struct Settled(Mutex<mpsc::Receiver<Infallible>>);

impl Settled {
    pub(super) fn new() -> (Unsettled, Self) {
        let (unsettled, settled) = mpsc::sync_channel(0);
        (unsettled, Self(Mutex::new(settled)))
    }

    /// Blocks the thread.
    pub(super) fn wait(&self) {
        let settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing can be sent: it ends when nobody is left who could.
        let _ = settled.recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_to_the_end_has_no_more_time_than_others() {
        let closing = Closing::default();
        closing.close();
        tokio::time::advance(Duration::from_secs(3)).await;
        let asked = Instant::now();
        closing.refusing_for(Duration::from_secs(4)).await;
        assert_eq!(asked.elapsed().as_secs(), 1);
    }
}
