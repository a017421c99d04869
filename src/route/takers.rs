//! Whose tokens may stand in a field.

/// Issuers there may be: a route knows them by a bit each.
pub const MAX_ISSUERS: usize = 64;

/// Whose tokens are taken from a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takers {
    /// Those that apps make themselves.
    pub own: bool,
    /// Those of issuers outside.
    pub issuers: IssuerSet,
}

impl Takers {
    /// Apps alone.
    pub const OWN: Self = Self {
        own: true,
        issuers: IssuerSet::NONE,
    };
}

/// Some of the issuers, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssuerSet(pub u64);

impl IssuerSet {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// With the one at `place`, which is below [`MAX_ISSUERS`].
    #[must_use]
    pub const fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << (place % MAX_ISSUERS))
    }

    /// Whether the one at `place` is among them.
    pub const fn has(self, place: usize) -> bool {
        place < MAX_ISSUERS && self.0 & 1 << place != 0
    }

    /// Whether one of them is among the `others`.
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
