//! Algorithms, and keys bound to one of them. The only room that names the
//! cryptography libraries.
//!
//! In: secrets, public keys and bytes. Out: signatures, digests, yes or no in
//! constant time. This room never: logs, reads a clock, or chooses an algorithm
//! from what a stranger sent – a key knows its own.

pub mod aws4;
pub mod certificate;
pub mod checksum;
pub mod digest;
pub mod hmac;
pub mod seal;

mod algorithm;
mod bad_key;
pub(crate) mod blocks;
pub(crate) mod counted;
mod ed25519;
mod encoded;
mod equal;
mod generated;
mod jwk;
mod key_form;
mod private_key;
mod public_key;
mod signing;
mod thumbprint;
mod verifying;
mod work;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use bad_key::BadKey;
pub use digest::{DigestAlgorithm, Hasher};
pub use encoded::ecdsa_side_by_side;
pub use equal::is_equal;
pub use generated::generate;
pub use hmac::{HmacKey, Tag, WeakSecret};
pub use jwk::PublicJwk;
pub use private_key::PrivateKey;
pub use public_key::{PssSalt, PublicKey};
pub use signing::{Signature, SigningKey};
pub use verifying::VerifyingKey;
#[cfg(test)]
pub(crate) use work::Work;

/// Fills `out` from the system's random source.
///
/// # Panics
/// When the operating system has no randomness to give: nothing can be safe then.
pub fn random(out: &mut [u8]) {
    aws_lc_rs::rand::fill(out).expect("the operating system gives random bytes");
}
