//! Why something is no key for an algorithm.

use super::{Algorithm, WeakSecret};

/// Why something is no key for an algorithm. None of it repeats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The secret is too short.
    #[error(transparent)]
    Weak(#[from] WeakSecret),
    /// A secret was given for an algorithm that takes none.
    #[error("`{0}` takes a key pair, not a secret")]
    NoMac(Algorithm),
    /// A key of another kind stands where a secret belongs.
    #[error("this is a key {form}, and `{algorithm}` takes a secret")]
    KeyAsSecret {
        /// How it is written.
        form: &'static str,
        /// What takes a secret.
        algorithm: Algorithm,
    },
    /// A secret stands there with a JWK around it.
    #[error("this is a secret as a JWK, and `{0}` takes the secret itself")]
    SecretAsJwk(Algorithm),
    /// A secret belongs here.
    #[error("`{0}` takes a secret, not a key pair")]
    NoPair(Algorithm),
    /// A request cannot be signed with it.
    #[error("`{0}` signs tokens, but no requests")]
    ForTokens(Algorithm),
    /// Callers of the dialect do not sign with it.
    #[error(
        "`{0}` is not of this dialect: its callers sign with `hmac-…`, those of `cavage-12` also with `ed25519`, `rsa-pss-sha512` and `rsa-v1_5-sha256`"
    )]
    OfAnotherDialect(Algorithm),
    /// It cannot be read.
    #[error("this is not a key that can be used: {0}")]
    Unreadable(&'static str),
    /// It is a key for something else.
    #[error("this is {found}, and `{algorithm}` takes {}", takes(*.algorithm))]
    OtherKind {
        /// What it is.
        found: &'static str,
        /// What it should be for.
        algorithm: Algorithm,
    },
    /// It says itself what it is for, and that is something else.
    #[error("the key says by its `{member}` that it is not for `{algorithm}`")]
    OtherUse {
        /// Which member of the JWK.
        member: &'static str,
        /// What it should be for.
        algorithm: Algorithm,
    },
    /// Its size is out of bounds.
    #[error("this RSA key has {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")]
    Size {
        /// Bits of its modulus.
        bits: usize,
    },
    /// An RSA key of a size of which none is made.
    #[error("this RSA key has {bits} bits; to sign tokens with it here, it has 2048, 3072 or 4096")]
    OddSize {
        /// Bits of its modulus.
        bits: usize,
    },
    /// A private key stands where the public one belongs.
    #[error("this is a private key: only its caller may have it")]
    Private,
    /// A public key stands where the private one belongs.
    #[error("this is a public key: signing takes the private one")]
    Public,
}

/// The smallest modulus.
pub(super) const MIN_RSA_BITS: usize = 2048;
/// The largest modulus: what verifying costs grows with its square.
pub(super) const MAX_RSA_BITS: usize = 4096;

const fn takes(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HmacSha256 | Algorithm::HmacSha512 => "a secret",
        Algorithm::Ed25519 => "an Ed25519 key",
        Algorithm::EcdsaP256Sha256 => "a key on curve P-256",
        Algorithm::EcdsaP384Sha384 => "a key on curve P-384",
        Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256 | Algorithm::RsaV15Sha256 => "an RSA key",
    }
}
