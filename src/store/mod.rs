//! What must be remembered, behind the traits of the rooms that need it.

pub mod embedded;

use std::path::PathBuf;
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
