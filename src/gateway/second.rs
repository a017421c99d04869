//! A failure that a client answers by trying again is told once its second is over.
//!
//! A proof without a nonce has its time in whole seconds. What a client sends again at once, of its own accord, it
//! signs to the same text: that is used up, and a `replayed`, which none tries again, would stand in place of what
//! went wrong. So it hears of that when the second is over in which it can have signed. Who waits here is proven,
//! and in nobody's way.

use super::Gateway;
use super::answer::Source;
use super::caught;
use super::ending::Ending;
use super::outcome::Answered;
use crate::clock::Now;
use crate::limit::Charged;
use http::StatusCode;
use std::future::pending;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// So long after it came another second has begun than a request was signed in, whatever its client's clock says.
const SECOND: Duration = Duration::from_secs(1);

/// How many wait in a worker: who comes then is told at once.
const MOST: usize = 1024;

/// Bytes of a server's answer that are read while it waits.
const AHEAD: usize = 64 * 1024;

/// The rest of a second.
pub(super) type Rest<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Those who wait in a worker.
pub(super) struct Waiting(Semaphore);

impl Waiting {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self(Semaphore::new(MOST))
    }

    /// One more, until it is dropped; `None` where there are too many.
    fn one(&self) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }
}

/// Whether a proof is used up of which the same client can make no other within its second.
pub(super) fn is_used_up(charged: &Charged) -> bool {
    let proof = charged.permit().caller().proof();
    // What says its end itself, such as a presigned URL, is no other one later.
    let is_of_its_second = proof.is_some_and(|proof| proof.nonce.is_none() && !proof.says_its_end);
    is_of_its_second && charged.unwritten().is_some()
}

impl Gateway {
    /// What is to be waited for before the answer is given; its place and its connection are given up, so that
    /// nobody else waits for them.
    pub(super) fn rest_of_second<'a>(
        &'a self,
        answered: &'a mut Answered,
        ending: &'a mut Ending,
    ) -> Option<Rest<'a>> {
        if !ending.has_used_up() {
            return None;
        }
        let status = tried_again(answered)?;
        let came = ending.record().started;
        let rest = rest(came, self.shared.clock.later(came))?;
        let waits = self.waiting.one()?;
        ending.keep(None);
        // Where its client goes meanwhile, this is what the record tells: the wait is ours.
        ending.note_status(status);
        ending.record().cut = true;
        let stops = self.stops.clone();
        Some(Box::pin(async move {
            over(rest, stops, read_ahead(answered, ending)).await;
            drop(waits);
            ending.record().cut = false;
        }))
    }
}

/// The status of what clients take for a failure that passes.
fn tried_again(answered: &Answered) -> Option<StatusCode> {
    let status = match answered {
        Ok(Ok(response)) => response.status(),
        Ok(Err(stopped)) => stopped.refusal.code().status(),
        Err(_) => return None,
    };
    let passes = matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    passes.then_some(status)
}

/// Reads what is left of a server's answer, so that its connection does not wait with it.
async fn read_ahead(answered: &mut Answered, ending: &mut Ending) {
    let (Ok(Ok(_)), Some((Source::Upstream(body), _))) = (&*answered, ending.carried()) else {
        return;
    };
    let read = {
        let reading = pin!(body.read_ahead(AHEAD));
        caught::catch(reading).await
    };
    if let Err(panicked) = read {
        ending.carry(Source::NOTHING);
        *answered = Err(panicked);
    }
}

/// What is left of the second of a request that came at `came`.
fn rest(came: Now, now: Now) -> Option<Duration> {
    let passed = now.monotonic().saturating_sub(came.monotonic());
    SECOND.checked_sub(passed).filter(|rest| !rest.is_zero())
}

/// Ends after `rest`, or as soon as we stop; till then `meanwhile` goes on.
async fn over(rest: Duration, stops: CancellationToken, meanwhile: impl Future<Output = ()>) {
    let meanwhile = async {
        meanwhile.await;
        pending::<()>().await;
    };
    // Either is the end of it.
    let _ = timeout(rest, stops.run_until_cancelled(meanwhile)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
    use tokio::time::Instant;

    #[test]
    fn nobody_waits_for_longer_than_a_second_from_when_the_request_came() {
        let at = |millis| Now::new(Duration::from_hours(1), Duration::from_millis(millis));
        for (later, left) in [(0, 1_000), (400, 600), (1_000, 0), (9_000, 0)] {
            let left = (left > 0).then(|| Duration::from_millis(left));
            assert_eq!(rest(at(5_000), at(5_000 + later)), left, "{later}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_second_is_waited_for_and_not_where_we_stop() {
        let began = Instant::now();
        let stops = CancellationToken::new();
        let rest = Duration::from_millis(600);
        // Whether there is nothing to do meanwhile, or too much.
        over(rest, stops.clone(), ready(())).await;
        assert_eq!(began.elapsed().as_millis(), 600);
        over(rest, stops.clone(), pending()).await;
        assert_eq!(began.elapsed().as_millis(), 1_200);
        stops.cancel();
        over(rest, stops.clone(), ready(())).await;
        over(rest, stops, pending()).await;
        assert_eq!(began.elapsed().as_millis(), 1_200);
    }

    #[test]
    fn so_many_wait_and_no_more_until_one_of_them_is_told() {
        let waiting = Waiting::new();
        let mut all: Vec<_> = (0..MOST).map(|_| waiting.one().unwrap()).collect();
        assert!(waiting.one().is_none());
        drop(all.pop());
        assert!(waiting.one().is_some());
    }
}
