//! What is asked of an app, whatever it proves itself with.

use super::Assurance;

/// Whether a rule refuses, or only tells what it would refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It refuses.
    #[default]
    Enforce,
    /// It tells.
    Observe,
}

impl Mode {
    /// The word in `gateway.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// What becomes of a weaker proof of an app that has shown a stronger one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downgrade {
    /// It passes.
    #[default]
    Allow,
    /// It is refused, from the first stronger one on.
    Refuse,
}

impl Downgrade {
    /// The word in `gateway.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        }
    }
}

/// What is asked of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How well it must be proven, as its plan says.
    pub assurance: Assurance,
    /// Whether it may fall back to a weaker proof.
    pub downgrade: Downgrade,
    /// Whether what is asked of it, once it is proven, is enforced.
    pub mode: Mode,
}
