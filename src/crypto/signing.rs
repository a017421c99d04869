//! What signs: a shared secret or a private key.

use super::{Algorithm, BadKey, HmacKey, PrivateKey, Tag, VerifyingKey, counted};
use crate::secret::Secret;

/// A key bound to one algorithm, as whoever signs has it.
#[derive(Clone, Debug)]
pub enum SigningKey {
    /// A shared secret.
    Mac(HmacKey),
    /// A private key.
    Private(PrivateKey),
}

/// A signature that was just made.
#[derive(Clone, Debug)]
pub enum Signature {
    /// A MAC.
    Tag(Tag),
    /// That of a private key.
    Bytes(Vec<u8>),
}

impl SigningKey {
    /// Binds `key` to `algorithm`: the bytes of a secret, or a private key in PEM or as a JWK.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(algorithm: Algorithm, key: &Secret) -> Result<Self, BadKey> {
        if algorithm.is_mac() {
            HmacKey::new(algorithm, key).map(Self::Mac)
        } else {
            PrivateKey::read(algorithm, key).map(Self::Private)
        }
    }

    /// Binds a key that was taken over from elsewhere: a secret may be short.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn taken_over(algorithm: Algorithm, key: &Secret) -> Result<Self, BadKey> {
        if algorithm.is_mac() {
            HmacKey::weak(algorithm, key).map(Self::Mac)
        } else {
            Self::new(algorithm, key)
        }
    }

    /// The algorithm this key is bound to.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Mac(key) => key.algorithm(),
            Self::Private(key) => key.algorithm(),
        }
    }

    /// The signature of `text`.
    pub fn sign(&self, text: &[u8]) -> Signature {
        counted::signs();
        match self {
            Self::Mac(key) => Signature::Tag(key.sign(text)),
            Self::Private(key) => Signature::Bytes(key.sign(text)),
        }
    }

    /// A key that nobody has, which costs what this one costs.
    ///
    /// # Errors
    /// [`BadKey::OddSize`]: an RSA key of a size of which none is made.
    pub fn double(&self) -> Result<Self, BadKey> {
        match self {
            Self::Mac(key) => Ok(Self::Mac(HmacKey::dummy(key.algorithm()))),
            Self::Private(key) => key.double().map(Self::Private),
        }
    }

    /// The public half as a JWK, where there is one.
    pub fn public_jwk(&self) -> Option<String> {
        match self {
            Self::Mac(_) => None,
            Self::Private(key) => Some(key.public_jwk()),
        }
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// [`BadKey`]: an RSA key's exponent is one that we do not take.
    pub fn verifying(&self) -> Result<VerifyingKey, BadKey> {
        match self {
            Self::Mac(key) => Ok(VerifyingKey::Mac(key.clone())),
            Self::Private(key) => key.public().map(VerifyingKey::Public),
        }
    }
}

impl From<HmacKey> for SigningKey {
    fn from(key: HmacKey) -> Self {
        Self::Mac(key)
    }
}

impl Signature {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Tag(tag) => tag.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}
