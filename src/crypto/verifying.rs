//! What verifies: a shared secret or a public key.

use super::digest::sha256;
use super::{Algorithm, HmacKey, PublicKey, Tag, counted};

/// A key bound to one algorithm, as whoever verifies has it.
#[derive(Clone, Debug)]
pub enum VerifyingKey {
    /// A shared secret.
    Mac(HmacKey),
    /// A public key.
    Public(PublicKey),
}

impl VerifyingKey {
    /// The algorithm this key is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Mac(key) => key.algorithm(),
            Self::Public(key) => key.algorithm(),
        }
    }

    /// By what `text` is known again, when `signature` is this key's: a text under another key is
    /// another one, and the same under another id of this key.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> Option<Tag> {
        counted::verifies();
        match self {
            Self::Mac(key) => key.verify(text, signature),
            Self::Public(key) => key
                .verify(text, signature)
                .then(|| Tag::of_digest(&sha256(&[key.thumbprint(), text]))),
        }
    }

    /// What tells it from other keys of its algorithm: its thumbprint, or a MAC that only its secret makes.
    pub fn mark(&self) -> Tag {
        match self {
            Self::Mac(key) => key.sign(b"which key is it?"),
            Self::Public(key) => Tag::of_digest(key.thumbprint()),
        }
    }

    /// The secret, where it is one.
    pub const fn mac(&self) -> Option<&HmacKey> {
        match self {
            Self::Mac(key) => Some(key),
            Self::Public(_) => None,
        }
    }

    /// The public key, where it is one.
    pub const fn public(&self) -> Option<&PublicKey> {
        match self {
            Self::Mac(_) => None,
            Self::Public(key) => Some(key),
        }
    }

    /// A key that nobody has, which costs what this one costs.
    #[must_use]
    pub fn double(&self) -> Self {
        match self {
            Self::Mac(key) => Self::Mac(HmacKey::dummy(key.algorithm())),
            Self::Public(key) => Self::Public(key.double()),
        }
    }

    /// Whether both cost the same to verify with.
    pub fn costs_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mac(one), Self::Mac(other)) => one.algorithm() == other.algorithm(),
            (Self::Public(one), Self::Public(other)) => one.costs_as(other),
            _ => false,
        }
    }
}

impl From<HmacKey> for VerifyingKey {
    fn from(key: HmacKey) -> Self {
        Self::Mac(key)
    }
}

impl From<PublicKey> for VerifyingKey {
    fn from(key: PublicKey) -> Self {
        Self::Public(key)
    }
}
