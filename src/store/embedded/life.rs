//! How long proofs are remembered, through changes of it.
//!
//! A proof is forgotten once it could no longer be accepted. Where the window
//! then grows it could be again. So what was made under a shorter window is
//! held to that: it is remembered for as long, and refused thereafter. What
//! says its end itself is remembered to there in any case, and held to that. The
//! same where `skew` grows: what ended before its window was then remembered
//! for less long than it would be now.

use super::Settings;
use crate::clock::whole_seconds;
use crate::replay::Once;
use std::sync::atomic::{AtomicI64, Ordering};

/// Proofs made at or before the second `made` are good for `seconds` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) made: i64,
    pub(super) seconds: i64,
}

impl Held {
    /// None is held to anything.
    pub(super) const NONE: Self = Self {
        made: i64::MIN,
        seconds: i64::MAX,
    };
}

/// What is in force.
#[derive(Debug)]
pub(super) struct Life {
    seconds: AtomicI64,
    skew: AtomicI64,
    held_made: AtomicI64,
    held_seconds: AtomicI64,
    /// What was forgotten as some were held to more than before: by that they are over, whatever the clock says later.
    forgotten: AtomicI64,
}

impl Life {
    /// `seconds` for every proof, but for those that are held to less.
    pub(super) const fn new(seconds: i64, skew: i64, held: Held) -> Self {
        Self {
            seconds: AtomicI64::new(seconds),
            skew: AtomicI64::new(skew),
            held_made: AtomicI64::new(held.made),
            held_seconds: AtomicI64::new(held.seconds),
            forgotten: AtomicI64::new(i64::MIN),
        }
    }

    /// Takes over what `settings` ask for. Nothing that ends at the second `forgotten` or later is forgotten yet.
    pub(super) fn change(&self, settings: &Settings, now: i64, forgotten: i64) {
        let seconds = whole_seconds(settings.retention);
        let skew = self
            .skew
            .swap(whole_seconds(settings.skew), Ordering::AcqRel);
        let before = self.seconds.swap(seconds, Ordering::AcqRel);
        if seconds <= before && whole_seconds(settings.skew) <= skew {
            return;
        }
        let held = self.held();
        // By what is forgotten, not by the clock, which may be wrong.
        let all_are_over = held.made.saturating_add(before) < forgotten;
        let held_to = if all_are_over {
            self.forgotten.fetch_max(forgotten, Ordering::AcqRel);
            before
        } else {
            held.seconds.min(before)
        };
        self.held_seconds.store(held_to, Ordering::Release);
        // A request that is being verified may have read the clock a moment later.
        let made = now.saturating_add(skew.max(whole_seconds(settings.skew)) + 1);
        self.held_made.store(made, Ordering::Release);
    }

    pub(super) fn seconds(&self) -> i64 {
        self.seconds.load(Ordering::Acquire)
    }

    pub(super) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Acquire)
    }

    pub(super) fn held(&self) -> Held {
        Held {
            made: self.held_made.load(Ordering::Acquire),
            seconds: self.held_seconds.load(Ordering::Acquire),
        }
    }

    /// Up to where a later process has to count proofs as forgotten, whatever its files hold. It is there before the
    /// [`Self::held`] that it is of: whoever writes both down reads it last.
    pub(super) fn forgotten(&self) -> i64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Whether a proof is good no more, or may have been forgotten: nothing is that ends at the second `forgotten` or
    /// later. So a clock that was ahead refuses nothing that was not, and one that is set back brings nothing back.
    pub(super) fn is_over(&self, once: &Once, now: i64, forgotten: i64) -> bool {
        let held = self.held();
        // Of one that says its end, no window changes that; how much longer it was remembered, one may have. So `skew`
        // may have of any.
        let shortest = || once.made.saturating_add(held.seconds).min(once.last);
        once.made <= held.made && once.own_end.unwrap_or_else(shortest) < now.max(forgotten)
    }
}
