//! Algorithms, and keys bound to one of them. The only room that names the
//! cryptography libraries.
//!
//! In: secrets and bytes. Out: tags, digests, yes or no in constant time.
//! This room never: logs, reads a clock, or chooses an algorithm from what a
//! stranger sent – a key knows its own.

pub mod certificate;
pub mod digest;
pub mod hmac;

pub use digest::{DigestAlgorithm, Hasher};
pub use hmac::{HmacKey, Tag, WeakSecret};

use std::fmt;

/// A signature algorithm, named as in the HTTP Signature Algorithms registry
/// (RFC 9421, section 6.2) – plus `hmac-sha512`, which is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256; `HS256` in a token.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl Algorithm {
    /// Every algorithm, in the order they are documented.
    pub const ALL: [Self; 2] = [Self::HmacSha256, Self::HmacSha512];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// The algorithm of that name, if we know it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Fills `out` from the system's random source.
///
/// # Panics
/// When the operating system has no randomness to give: nothing can be safe then.
pub fn random(out: &mut [u8]) {
    aws_lc_rs::rand::fill(out).expect("the operating system gives random bytes");
}
