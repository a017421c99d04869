//! What must be remembered, behind the traits of the rooms that need it.
//!
//! In: where it lies and how much of it there may be. Out: something that
//! fills the trait. This room never: decides what a missing memory means for
//! a request; it says what is lost and the room that asks decides.

pub mod embedded;
pub mod kept_secret;
pub mod moved_up;
pub mod registry;
mod same;
mod whole;

pub(crate) use whole::folder_of;

use crate::clock::Clock;
use embedded::OpenError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `[state]`, and what of `[freshness]` the memory of proofs needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where what must outlive the process lies.
    pub directory: PathBuf,
    /// Proofs that can be remembered at a time.
    pub proofs: usize,
    /// How long a proof is remembered at most: `Freshness::retention`.
    pub retention: Duration,
    /// How far ahead a caller's clock may be.
    pub skew: Duration,
}

/// Opens the memory of proofs that `settings` name.
///
/// # Errors
/// [`embedded::OpenError`] when another process has it, or it cannot be written.
pub fn open(
    settings: &Settings,
    clock: &Clock,
) -> Result<(embedded::Proofs, embedded::Opened), embedded::OpenError> {
    embedded::Proofs::open(settings, clock)
}

/// How often we look whether the gateway before us has given it up.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The same, with a wait of at most `wait` for another process that has it
/// and is about to end, or until `given_up` is set. Blocks the thread.
///
/// # Errors
/// As [`open`].
pub fn open_in_turn(
    settings: &Settings,
    clock: &Clock,
    wait: Duration,
    given_up: &AtomicBool,
) -> Result<(embedded::Proofs, embedded::Opened), OpenError> {
    let mut waited = Duration::ZERO;
    loop {
        match open(settings, clock) {
            Err(OpenError::InUse { directory })
                if waited < wait && !given_up.load(Ordering::Acquire) =>
            {
                if waited.is_zero() {
                    let directory = directory.display();
                    tracing::info!(%directory, "waiting for the gateway before us to give up its memory of proofs");
                }
                std::thread::sleep(LOOK_AGAIN);
                waited += LOOK_AGAIN;
            }
            opened => return opened,
        }
    }
}
