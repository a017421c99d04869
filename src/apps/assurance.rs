//! How well a caller is proven: routes and plans may ask for it.

/// How well a caller is proven; a later one is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// Not at all: a public route.
    #[default]
    None,
    /// It showed something that was made with an app's key.
    Key,
    /// It signed this very request.
    Signed,
    /// Somebody whose word counts has looked at the app's instance, and said so in a token.
    Attested,
    /// Both.
    AttestedSigned,
}

impl Assurance {
    /// Every one, the least first.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Key,
        Self::Signed,
        Self::Attested,
        Self::AttestedSigned,
    ];

    /// The word in `gateway.toml`, in `Portcullis-Assurance` and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Key => "key",
            Self::Signed => "signed",
            Self::Attested => "attested",
            Self::AttestedSigned => "attested+signed",
        }
    }

    /// What two proofs for one app give together. A token of an app's own key
    /// adds nothing to a signature.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Signed, Self::Attested) | (Self::Attested, Self::Signed) => Self::AttestedSigned,
            (one, other) => one.max(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Assurance::{self, Attested, AttestedSigned, Key, None, Signed};

    #[test]
    fn two_proofs_are_worth_the_better_and_only_signature_and_attestation_add_up() {
        for (one, other, both) in [
            (Key, Signed, Signed),
            (Signed, Attested, AttestedSigned),
            (Key, Attested, Attested),
            (None, Key, Key),
            (AttestedSigned, Signed, AttestedSigned),
        ] {
            assert_eq!(one.and(other), both);
            assert_eq!(other.and(one), both);
        }
        assert!(Assurance::ALL.is_sorted());
    }
}
