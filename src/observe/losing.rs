//! Whether lines of the access log are being lost, told at the beginning and at the end of it.

use std::fmt;
use std::time::Duration;

/// A beginning is told once in so long: a disk that is full may have room for a line now and then.
const PAUSE: Duration = Duration::from_mins(1);

/// What was lost, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Losing {
    /// Lines, since an end of it was last told.
    lost: u64,
    is_told: bool,
    /// When it was last told, in monotonic time.
    told: Option<Duration>,
}

impl Losing {
    /// Lines were lost at a time, and why.
    pub(super) fn more(&mut self, lines: u64, at: Duration, error: &dyn fmt::Display) {
        if let Some(lost) = self.begins(lines, at) {
            tracing::warn!(%error, lost, "lines of the access log are lost");
        }
    }

    /// All that there was has been written.
    pub(super) fn no_more(&mut self) {
        if let Some(lost) = self.ends() {
            tracing::info!(lost, "the access log is written again");
        }
    }

    /// Whether an end of it is to be told.
    pub(super) const fn is_told(&self) -> bool {
        self.is_told
    }

    /// How many were lost, when it is time to tell it.
    fn begins(&mut self, lines: u64, at: Duration) -> Option<u64> {
        self.lost += lines;
        let is_soon = |told| at.saturating_sub(told) < PAUSE;
        if self.is_told || self.told.is_some_and(is_soon) {
            return None;
        }
        self.is_told = true;
        self.told = Some(at);
        Some(self.lost)
    }

    /// How many were lost, when it was told that some are.
    fn ends(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.is_told) {
            return None;
        }
        Some(std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_loss_is_told_when_it_begins_and_when_it_is_over_with_how_many_lines_it_took() {
        let mut losing = Losing::default();
        assert_eq!(losing.ends(), None);
        assert_eq!(losing.begins(3, seconds(1)), Some(3));
        assert_eq!(losing.begins(4, seconds(2)), None);
        assert_eq!(losing.begins(5, seconds(90)), None);
        assert!(losing.is_told());
        assert_eq!(losing.ends(), Some(12));
        assert!(!losing.is_told());
        assert_eq!(losing.ends(), None);
        assert_eq!(losing.begins(1, seconds(100)), Some(1));
    }

    #[test]
    fn a_disk_that_has_room_now_and_then_is_told_of_once_a_minute() {
        let mut losing = Losing::default();
        let mut told = Vec::new();
        for second in 0..=120 {
            told.extend(losing.begins(1, seconds(second)));
            told.extend(losing.ends());
        }
        // What was lost meanwhile is told with the next one.
        assert_eq!(told, [1, 1, 60, 60, 60, 60]);
    }
}
