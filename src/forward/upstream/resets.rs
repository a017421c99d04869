//! How fast our clients may make us reset requests at a server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Requests that we reset at a server in one [`SPAN`] without a pause.
const FREE: u32 = 64;
/// How long the place of any further one stays taken.
const SPAN: Duration = Duration::from_secs(1);

/// Counts resets. A client that opens and drops requests as fast as it can
/// would otherwise have us do the same to the server (RFC 9113, section
/// 10.5): so each reset beyond what is free keeps its place for a while, and
/// there are as many places as the server has requests at a time.
#[derive(Debug, Default)]
pub(super) struct Resets(Mutex<Option<(Instant, u32)>>);

impl Resets {
    /// Counts one; how long its place has to stay taken.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *counted {
            Some((since, count)) if now < *since + SPAN => {
                *count = count.saturating_add(1);
                (*count > FREE).then_some(SPAN)
            }
            _ => {
                *counted = Some((now, 1));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_resets_are_free_and_further_ones_keep_their_place() {
        let resets = Resets::default();
        for _ in 0..FREE {
            assert_eq!(resets.pause(Instant::now()), None);
        }
        assert_eq!(resets.pause(Instant::now()), Some(SPAN));
        tokio::time::advance(SPAN).await;
        assert_eq!(resets.pause(Instant::now()), None);
    }
}
