//! What must be covered, the same for every scheme (design, section 4).
//!
//! "Present means covered": what is not there need not be, and cannot be
//! added or taken away without breaking the proof.

use super::received::{Field, Received};
use crate::route::{Part, Route};

/// The parts that a proof covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered(u8);

impl Covered {
    /// Nothing yet.
    pub const fn nothing() -> Self {
        Self(0)
    }

    /// Marks `part` as covered.
    pub const fn add(&mut self, part: Part) {
        self.0 |= 1 << part as u8;
    }

    /// Whether `part` is covered.
    pub const fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }
}

/// The parts of `received` that must be covered, are not, and are not waived.
pub fn missing(
    covered: Covered,
    received: &Received<'_>,
    route: &Route,
    unix_seconds: i64,
) -> impl Iterator<Item = Part> {
    Part::ALL.into_iter().filter(move |part| {
        !covered.has(*part) && is_present(*part, received) && !route.waives(*part, unix_seconds)
    })
}

/// Whether `received` has `part` at all.
pub fn is_present(part: Part, received: &Received<'_>) -> bool {
    match part {
        Part::Method | Part::Authority | Part::Path => true,
        Part::Query => received.query().is_some(),
        Part::Authorization => received.shows(Field::Authorization),
        Part::Body => received.has_body() || received.shows(Field::ContentDigest),
    }
}
