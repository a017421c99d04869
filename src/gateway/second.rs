//! A failure that a client answers by trying again is told once its second is over.
//!
//! A proof without a nonce has its time in whole seconds. What a client sends again at once, of its own accord, it
//! signs to the same text: that is used up, and a `replayed`, which none tries again, would stand in place of what
//! went wrong. So it hears of that when the second is over in which it can have signed. Who waits here is proven,
//! and in nobody's way.

use super::Gateway;
use super::ending::Ending;
use super::outcome::Answered;
use crate::clock::Now;
use crate::limit::Charged;
use http::StatusCode;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// So long after it came another second has begun than a request was signed in, whatever its client's clock says.
const SECOND: Duration = Duration::from_secs(1);

/// The rest of a second.
pub(super) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether a proof is used up of which the same client can make no other within its second.
pub(super) fn is_used_up(charged: &Charged) -> bool {
    let proof = charged.permit().caller().proof();
    // What says its end itself, such as a presigned URL, is no other one later.
    let is_of_its_second = proof.is_some_and(|proof| proof.nonce.is_none() && !proof.says_its_end);
    is_of_its_second && charged.unwritten().is_some()
}

impl Gateway {
    /// What is to be waited for before the answer is given; its place is given up, so that nobody else waits for it.
    pub(super) fn rest_of_second(&self, answered: &Answered, ending: &mut Ending) -> Option<Rest> {
        if !ending.has_used_up() || !is_tried_again(answered) {
            return None;
        }
        let came = ending.record().started;
        let rest = rest(came, self.shared.clock.later(came))?;
        ending.keep(None);
        Some(Box::pin(over(rest, self.stops.clone())))
    }
}

/// Whether clients take it for a failure that passes.
fn is_tried_again(answered: &Answered) -> bool {
    let status = match answered {
        Ok(Ok(response)) => response.status(),
        Ok(Err(stopped)) => stopped.refusal.code().status(),
        Err(_) => return false,
    };
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// What is left of the second of a request that came at `came`.
fn rest(came: Now, now: Now) -> Option<Duration> {
    let passed = now.monotonic().saturating_sub(came.monotonic());
    SECOND.checked_sub(passed).filter(|rest| !rest.is_zero())
}

/// Ends after `rest`, or as soon as we stop.
async fn over(rest: Duration, stops: CancellationToken) {
    // Either is the end of it.
    let _ = timeout(rest, stops.cancelled()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
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
        over(Duration::from_millis(600), stops.clone()).await;
        assert_eq!(began.elapsed().as_millis(), 600);
        stops.cancel();
        over(Duration::from_millis(600), stops).await;
        assert_eq!(began.elapsed().as_millis(), 600);
    }
}
