//! Public keys: what verifies and cannot sign.

use super::bad_key::{BadKey, MAX_RSA_BITS, MIN_RSA_BITS};
use super::encoded::{Kind, Pem, rsa_public_key, subject_public_key, text};
use super::jwk::{Jwk, Operation, bytes, natural};
use super::work::{Work, done};
use super::{Algorithm, ed25519, random, thumbprint};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPssSaltLength, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A public key bound to one algorithm. Cheap to copy.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    salt: PssSalt,
    /// The modulus, of an RSA key.
    modulus: Arc<[u8]>,
    thumbprint: [u8; 32],
    parsed: Arc<Parsed>,
}

/// The library's keys.
enum Parsed {
    One(ParsedPublicKey),
    /// One RSA key for PSS: for salts of the digest's length, and for the longest ones.
    Salts(ParsedPublicKey, ParsedPublicKey),
}

/// Which salts of PSS padding are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PssSalt {
    /// As long as the digest, which RFC 9421 (section 3.3.1) and RFC 7518 (section 3.5) demand.
    #[default]
    Digest,
    /// That, and the longest that fits, which some libraries use unless told
    /// otherwise. Both are always tried, so that a wrong signature costs what a right one costs.
    Any,
}

impl PublicKey {
    /// Reads a key: PEM (`PUBLIC KEY`, or `RSA PUBLIC KEY`) or a JWK.
    ///
    /// # Errors
    /// [`BadKey`], also where it holds a private key.
    pub fn read(algorithm: Algorithm, key: &[u8], salt: PssSalt) -> Result<Self, BadKey> {
        let text = text(key)?;
        match Pem::read(text) {
            Some(pem) => Self::of_pem(algorithm, &pem?, salt),
            None if text.starts_with('{') => Self::of_jwk(algorithm, text, salt),
            None => Err(BadKey::Unreadable("it is neither PEM nor a JWK")),
        }
    }

    fn of_pem(algorithm: Algorithm, pem: &Pem<'_>, salt: PssSalt) -> Result<Self, BadKey> {
        match pem.label {
            "PUBLIC KEY" => Self::of_subject(algorithm, &pem.der, salt),
            "RSA PUBLIC KEY" => {
                check_kind(Kind::Rsa, algorithm)?;
                let (modulus, exponent) = rsa_public_key(&pem.der)?;
                Self::rsa(algorithm, modulus, exponent, salt)
            }
            label if label.ends_with("PRIVATE KEY") => Err(BadKey::Private),
            "CERTIFICATE" => Err(BadKey::Unreadable(
                "it is a certificate; `openssl x509 -noout -pubkey` takes the key out of it",
            )),
            _ => Err(BadKey::Unreadable("its PEM is of something else")),
        }
    }

    /// Reads a key in DER, as it stands in certificates (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn of_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, BadKey> {
        Self::of_subject(algorithm, der, PssSalt::Digest)
    }

    fn of_subject(algorithm: Algorithm, der: &[u8], salt: PssSalt) -> Result<Self, BadKey> {
        let (kind, key) = subject_public_key(der)?;
        check_kind(kind, algorithm)?;
        if matches!(kind, Kind::Rsa | Kind::RsaPss) {
            let (modulus, exponent) = rsa_public_key(key)?;
            Self::rsa(algorithm, modulus, exponent, salt)
        } else {
            Self::curve(algorithm, key)
        }
    }

    fn of_jwk(algorithm: Algorithm, text: &str, salt: PssSalt) -> Result<Self, BadKey> {
        let (kind, jwk) = Jwk::read(text, algorithm, Operation::Verify)?;
        if jwk.d.is_some() {
            return Err(BadKey::Private);
        }
        check_kind(kind, algorithm)?;
        Self::of_members(algorithm, kind, &jwk, salt)
    }

    /// A key of the members of a JWK, whose kind was checked.
    pub(super) fn of_members(
        algorithm: Algorithm,
        kind: Kind,
        jwk: &Jwk<'_>,
        salt: PssSalt,
    ) -> Result<Self, BadKey> {
        match kind {
            Kind::Ed25519 => Self::curve(algorithm, &bytes(jwk.x)?),
            Kind::P256 => Self::curve(algorithm, &jwk.point(32)?),
            Kind::P384 => Self::curve(algorithm, &jwk.point(48)?),
            Kind::Rsa | Kind::RsaPss => {
                Self::rsa(algorithm, &natural(jwk.n)?, &natural(jwk.e)?, salt)
            }
        }
    }

    /// A key that is a point, in its one uncompressed form.
    pub(super) fn curve(algorithm: Algorithm, point: &[u8]) -> Result<Self, BadKey> {
        let (library, size): (&'static dyn VerificationAlgorithm, usize) = match algorithm {
            Algorithm::Ed25519 => (&ED25519, 32),
            Algorithm::EcdsaP256Sha256 => (&ECDSA_P256_SHA256_FIXED, 65),
            Algorithm::EcdsaP384Sha384 => (&ECDSA_P384_SHA384_FIXED, 97),
            _ => return Err(BadKey::NoPair(algorithm)),
        };
        if point.len() != size {
            return Err(BadKey::Unreadable(
                "its point is not written whole; keys with compressed points are not taken",
            ));
        }
        if algorithm == Algorithm::Ed25519 {
            ed25519::check(point)?;
        }
        let parsed = ParsedPublicKey::new(library, point)
            .map_err(|_| BadKey::Unreadable("its point is not on the curve"))?;
        Ok(Self {
            algorithm,
            salt: PssSalt::Digest,
            modulus: Arc::default(),
            thumbprint: thumbprint::of_point(algorithm, point),
            parsed: Arc::new(Parsed::One(parsed)),
        })
    }

    /// An RSA key by its numbers, big-endian and without leading zeros.
    pub(super) fn rsa(
        algorithm: Algorithm,
        modulus: &[u8],
        exponent: &[u8],
        salt: PssSalt,
    ) -> Result<Self, BadKey> {
        let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = modulus.len() * 8 - leading as usize;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(BadKey::Size { bits });
        }
        if exponent.len() > 4
            || matches!(exponent, [] | [1])
            || is_even(exponent)
            || is_even(modulus)
        {
            return Err(BadKey::Unreadable(
                "its numbers are not those of an RSA key, or its exponent has more than 32 bits",
            ));
        }
        if was_made_weakly(modulus) {
            return Err(BadKey::Unreadable(
                "the chip that made it had a fault by which others can compute its private half (ROCA)",
            ));
        }
        let components = RsaPublicKeyComponents {
            n: modulus,
            e: exponent,
        };
        let parse = |library: &'static RsaParameters| {
            components
                .to_parsed_public_key(library)
                .map_err(|_| BadKey::Unreadable("its numbers are not those of an RSA key"))
        };
        let parsed = match algorithm {
            Algorithm::RsaV15Sha256 => Parsed::One(parse(&RSA_PKCS1_2048_8192_SHA256)?),
            Algorithm::RsaPssSha256 => Parsed::Salts(
                parse(&RSA_PSS_2048_8192_SHA256)?,
                parse(const { &longest(RSA_PSS_2048_8192_SHA256) })?,
            ),
            Algorithm::RsaPssSha512 => Parsed::Salts(
                parse(&RSA_PSS_2048_8192_SHA512)?,
                parse(const { &longest(RSA_PSS_2048_8192_SHA512) })?,
            ),
            _ => return Err(BadKey::NoPair(algorithm)),
        };
        Ok(Self {
            algorithm,
            salt,
            modulus: modulus.into(),
            thumbprint: thumbprint::of_rsa(modulus, exponent),
            parsed: Arc::new(parsed),
        })
    }

    /// A key that nobody has the private half of, which costs what this one costs.
    #[must_use]
    pub fn double(&self) -> Self {
        Self::unowned(self.algorithm, self.salt, self.modulus.len())
    }

    /// A key that nobody has the private half of, of the smallest size that is
    /// accepted. For an algorithm that is a MAC it is one of Ed25519.
    pub fn dummy(algorithm: Algorithm, salt: PssSalt) -> Self {
        Self::unowned(algorithm, salt, MIN_RSA_BITS / 8)
    }

    /// The same as a JWK: of P-256 where that is the algorithm's curve, else of Ed25519.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn dummy_jwk(algorithm: Algorithm) -> String {
        let fresh = "the library makes keys";
        if algorithm == Algorithm::EcdsaP256Sha256 {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect(fresh);
            thumbprint::point_jwk(algorithm, pair.public_key().as_ref())
        } else {
            let pair = Ed25519KeyPair::generate().expect(fresh);
            thumbprint::point_jwk(Algorithm::Ed25519, pair.public_key().as_ref())
        }
    }

    fn unowned(algorithm: Algorithm, salt: PssSalt, modulus: usize) -> Self {
        let fresh = "the library makes keys";
        let key = match algorithm {
            Algorithm::EcdsaP256Sha256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect(fresh);
                Self::curve(algorithm, pair.public_key().as_ref())
            }
            Algorithm::EcdsaP384Sha384 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect(fresh);
                Self::curve(algorithm, pair.public_key().as_ref())
            }
            Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256 | Algorithm::RsaV15Sha256 => {
                // Nobody can take roots under a modulus that nobody made of primes.
                let mut bytes = vec![0; modulus];
                random(&mut bytes);
                if let [first, .., last] = bytes.as_mut_slice() {
                    *first |= 0x80;
                    *last |= 1;
                }
                Self::rsa(algorithm, &bytes, &[1, 0, 1], salt)
            }
            Algorithm::Ed25519 | Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
                let pair = Ed25519KeyPair::generate().expect(fresh);
                Self::curve(Algorithm::Ed25519, pair.public_key().as_ref())
            }
        };
        key.expect("what was just made is a key of an accepted size")
    }

    /// The algorithm this key is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The same key, which takes more salts.
    #[must_use]
    pub fn with_any_salt(&self) -> Self {
        Self {
            salt: PssSalt::Any,
            ..self.clone()
        }
    }

    /// SHA-256 of the key as a JWK (RFC 7638), by which tokens are bound to it.
    pub const fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Which salts it takes.
    pub const fn salt(&self) -> PssSalt {
        self.salt
    }

    /// Whether both cost the same to verify with.
    pub(super) fn costs_as(&self, other: &Self) -> bool {
        let cost = |key: &Self| (key.algorithm, key.salt, key.modulus.len());
        cost(self) == cost(other)
    }

    /// Whether `signature` is one of `text` by the owner of this key.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        done(Work::PublicKey, text.len());
        let number = self.below_modulus(signature);
        let holds = |key: &ParsedPublicKey| key.verify_sig(text, &number).is_ok();
        let holds = match (&*self.parsed, self.salt) {
            (Parsed::One(key), _) | (Parsed::Salts(key, _), PssSalt::Digest) => holds(key),
            (Parsed::Salts(digest, longest), PssSalt::Any) => holds(digest) | holds(longest),
        };
        holds && matches!(number, Cow::Borrowed(_))
    }

    pub(super) fn is_below_modulus(&self, signature: &[u8]) -> bool {
        signature < &*self.modulus
    }

    /// Of an RSA key.
    #[cfg(test)]
    pub(super) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The library refuses at once what is no number below the modulus, and moduli of one length
    /// differ: a stopwatch would tell an unknown key, which is checked against its double, from the
    /// known one that a signature is of. So such a number is made smaller, and verified to no avail.
    pub(super) fn below_modulus<'s>(&self, signature: &'s [u8]) -> Cow<'s, [u8]> {
        if signature.len() != self.modulus.len() || self.is_below_modulus(signature) {
            return Cow::Borrowed(signature);
        }
        let mut less = signature.to_vec();
        if let Some(first) = less.first_mut() {
            *first = 0;
        }
        Cow::Owned(less)
    }
}

const fn longest(parameters: RsaParameters) -> RsaParameters {
    parameters.with_pss_salt_length(RsaPssSaltLength::Max)
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte.is_multiple_of(2))
}

/// Whether a modulus is of those that a faulty library made (CVE-2017-15361): modulo every small
/// prime, it is a power of 65537.
fn was_made_weakly(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = modulus
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * (65_537 % prime) % prime;
            power == rest
        })
    })
}

/// Whether a key of that kind can be used with `algorithm`.
pub(super) fn check_kind(kind: Kind, algorithm: Algorithm) -> Result<(), BadKey> {
    match (kind, algorithm) {
        (Kind::Ed25519, Algorithm::Ed25519)
        | (Kind::P256, Algorithm::EcdsaP256Sha256)
        | (Kind::P384, Algorithm::EcdsaP384Sha384)
        | (
            Kind::Rsa,
            Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256 | Algorithm::RsaV15Sha256,
        )
        | (Kind::RsaPss, Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256) => Ok(()),
        _ => Err(BadKey::OtherKind {
            found: kind.name(),
            algorithm,
        }),
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.algorithm)
    }
}
