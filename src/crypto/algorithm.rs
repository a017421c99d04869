//! The algorithms, by all their names.

use std::fmt;

/// A signature algorithm, named as in the HTTP Signature Algorithms registry
/// (RFC 9421, section 6.2) – plus `hmac-sha512` and `rsa-pss-sha256`, which are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256; `HS256` in a token.
    HmacSha256,
    /// HMAC with SHA-512; for requests only.
    HmacSha512,
    /// Edwards curve 25519; `EdDSA` in a token.
    Ed25519,
    /// Elliptic curve P-256 with SHA-256; `ES256` in a token.
    EcdsaP256Sha256,
    /// Elliptic curve P-384 with SHA-384; `ES384` in a token.
    EcdsaP384Sha384,
    /// RSA with PSS padding and SHA-512; for requests only.
    RsaPssSha512,
    /// RSA with PSS padding and SHA-256: `PS256`, for tokens only.
    RsaPssSha256,
    /// RSA with the padding of PKCS #1, version 1.5, and SHA-256; `RS256` in a token.
    RsaV15Sha256,
}

impl Algorithm {
    /// Every algorithm, in the order they are documented.
    pub const ALL: [Self; 8] = [
        Self::HmacSha256,
        Self::HmacSha512,
        Self::Ed25519,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::RsaPssSha512,
        Self::RsaPssSha256,
        Self::RsaV15Sha256,
    ];

    /// Those whose key is a shared secret.
    pub const MACS: [Self; 2] = [Self::HmacSha256, Self::HmacSha512];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    /// The algorithm of that name, if we know it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name in tokens and JWKs (RFC 7518, section 3.1; RFC 8037, section 3.1).
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HS256",
            Self::HmacSha512 => "HS512",
            Self::Ed25519 => "EdDSA",
            Self::EcdsaP256Sha256 => "ES256",
            Self::EcdsaP384Sha384 => "ES384",
            Self::RsaPssSha512 => "PS512",
            Self::RsaPssSha256 => "PS256",
            Self::RsaV15Sha256 => "RS256",
        }
    }

    /// The algorithm that tokens and JWKs call so: Ed25519 has two names (RFC 9864, section 2.2).
    pub fn from_jose_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::Ed25519);
        }
        Self::ALL
            .into_iter()
            .find(|known| known.jose_name() == name)
    }

    /// Whether its key is a shared secret.
    pub const fn is_mac(self) -> bool {
        matches!(self, Self::HmacSha256 | Self::HmacSha512)
    }

    /// Whether its padding has a salt.
    pub const fn has_salt(self) -> bool {
        matches!(self, Self::RsaPssSha512 | Self::RsaPssSha256)
    }

    /// Whether it signs requests (RFC 9421).
    pub const fn is_for_requests(self) -> bool {
        !matches!(self, Self::RsaPssSha256)
    }

    /// Whether it signs tokens.
    pub const fn is_for_tokens(self) -> bool {
        !matches!(self, Self::HmacSha512 | Self::RsaPssSha512)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
