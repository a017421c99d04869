//! Private keys: what signs.

use super::bad_key::{BadKey, MAX_RSA_BITS};
use super::encoded::{Kind, Pem, ed25519_seed, private_key_info, rsa_public_key, text};
use super::jwk::{Jwk, Operation, bytes, natural};
use super::public_key::check_kind;
use super::{Algorithm, PssSalt, PublicKey, thumbprint};
use crate::secret::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A private key bound to one algorithm. Never prints; cheap to copy.
#[derive(Clone)]
pub struct PrivateKey {
    algorithm: Algorithm,
    pair: Arc<Pair>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Reads a key that is not encrypted: PEM (`PRIVATE KEY`, `EC PRIVATE KEY`,
    /// `RSA PRIVATE KEY`) or a JWK.
    ///
    /// # Errors
    /// [`BadKey`], also where it holds a public key.
    pub fn read(algorithm: Algorithm, key: &Secret) -> Result<Self, BadKey> {
        if algorithm.is_mac() {
            return Err(BadKey::NoPair(algorithm));
        }
        let text = text(key.expose())?;
        let pair = match Pem::read(text) {
            Some(pem) => Pair::of_pem(algorithm, &pem?)?,
            None if text.starts_with('{') => Pair::of_jwk(algorithm, text)?,
            None => return Err(BadKey::Unreadable("it is neither PEM nor a JWK")),
        };
        Ok(Self {
            algorithm,
            pair: Arc::new(pair),
        })
    }

    /// The algorithm this key is bound to.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// [`BadKey`]: an RSA key's exponent is one that we do not take.
    pub fn public(&self) -> Result<PublicKey, BadKey> {
        match &*self.pair {
            Pair::Ed25519(pair) => PublicKey::curve(self.algorithm, pair.public_key().as_ref()),
            Pair::Ecdsa(pair) => PublicKey::curve(self.algorithm, pair.public_key().as_ref()),
            Pair::Rsa(pair) => {
                let (modulus, exponent) = rsa_public_key(pair.public_key().as_ref())?;
                PublicKey::rsa(self.algorithm, modulus, exponent, PssSalt::Digest)
            }
        }
    }

    /// The public half as a JWK, the members that are needed and no others (RFC 7638, section 3.2).
    pub fn public_jwk(&self) -> String {
        match &*self.pair {
            Pair::Ed25519(pair) => {
                thumbprint::point_jwk(self.algorithm, pair.public_key().as_ref())
            }
            Pair::Ecdsa(pair) => thumbprint::point_jwk(self.algorithm, pair.public_key().as_ref()),
            Pair::Rsa(pair) => {
                let (modulus, exponent) =
                    rsa_public_key(pair.public_key().as_ref()).unwrap_or_default();
                thumbprint::rsa_jwk(modulus, exponent)
            }
        }
    }

    /// The signature of `text`, in the form of RFC 9421 (section 3.3) and RFC 7518.
    ///
    /// # Panics
    /// Never: a key that was accepted signs every text.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        let signs = "a key that was accepted signs every text";
        match &*self.pair {
            Pair::Ed25519(pair) => pair.sign(text).as_ref().to_vec(),
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), text).expect(signs);
                signature.as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    Algorithm::RsaPssSha512 => &RSA_PSS_SHA512,
                    Algorithm::RsaPssSha256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), text, &mut signature)
                    .expect(signs);
                signature
            }
        }
    }
}

impl PrivateKey {
    /// A key that nobody has, which costs what this one costs. RSA keys of one size share theirs: it
    /// takes a while to make one.
    ///
    /// # Errors
    /// [`BadKey::OddSize`].
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn double(&self) -> Result<Self, BadKey> {
        static RSA: [OnceLock<Arc<Pair>>; 3] = [const { OnceLock::new() }; 3];
        let generates = "the operating system gives random bytes";
        let pair = match &*self.pair {
            Pair::Ed25519(_) => {
                Arc::new(Pair::Ed25519(Ed25519KeyPair::generate().expect(generates)))
            }
            Pair::Ecdsa(_) => {
                let library = match self.algorithm {
                    Algorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
                    _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
                };
                Arc::new(Pair::Ecdsa(
                    EcdsaKeyPair::generate(library).expect(generates),
                ))
            }
            Pair::Rsa(pair) => {
                let bits = pair.public_modulus_len() * 8;
                let (place, size) = match bits {
                    2048 => (0, KeySize::Rsa2048),
                    3072 => (1, KeySize::Rsa3072),
                    4096 => (2, KeySize::Rsa4096),
                    bits => return Err(BadKey::OddSize { bits }),
                };
                let make = || {
                    let made = RsaKeyPair::generate(size).expect(generates);
                    Arc::new(Pair::Rsa(made))
                };
                RSA[place].get_or_init(make).clone()
            }
        };
        Ok(Self {
            algorithm: self.algorithm,
            pair,
        })
    }
}

impl Pair {
    fn of_pem(algorithm: Algorithm, pem: &Pem<'_>) -> Result<Self, BadKey> {
        match pem.label {
            "PRIVATE KEY" => {
                let (kind, key) = private_key_info(&pem.der)?;
                check_kind(kind, algorithm)?;
                match kind {
                    Kind::Ed25519 => ed25519(ed25519_seed(key)?),
                    Kind::P256 | Kind::P384 => ecdsa(algorithm, &pem.der),
                    Kind::Rsa | Kind::RsaPss => rsa(RsaKeyPair::from_der(key)),
                }
            }
            "EC PRIVATE KEY" => ecdsa(algorithm, &pem.der),
            "RSA PRIVATE KEY" => {
                check_kind(Kind::Rsa, algorithm)?;
                rsa(RsaKeyPair::from_der(&pem.der))
            }
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => Err(BadKey::Public),
            "ENCRYPTED PRIVATE KEY" => Err(BadKey::Unreadable(
                "it is encrypted; `openssl pkey` writes it as it is, to a file that only you can read",
            )),
            _ => Err(BadKey::Unreadable("its PEM is of something else")),
        }
    }

    fn of_jwk(algorithm: Algorithm, text: &str) -> Result<Self, BadKey> {
        let (kind, jwk) = Jwk::read(text, algorithm, Operation::Sign)?;
        check_kind(kind, algorithm)?;
        if jwk.d.is_none() {
            return Err(BadKey::Public);
        }
        match kind {
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes(jwk.d)?, &bytes(jwk.x)?);
                pair.map(Self::Ed25519).map_err(|_| INCONSISTENT)
            }
            Kind::P256 => ecdsa_of(&ECDSA_P256_SHA256_FIXED_SIGNING, &jwk, 32),
            Kind::P384 => ecdsa_of(&ECDSA_P384_SHA384_FIXED_SIGNING, &jwk, 48),
            Kind::Rsa | Kind::RsaPss => rsa(RsaKeyPair::from_components(&KeyPairComponents {
                public_key: RsaPublicKeyComponents {
                    n: natural(jwk.n)?,
                    e: natural(jwk.e)?,
                },
                d: bytes(jwk.d)?,
                p: bytes(jwk.p)?,
                q: bytes(jwk.q)?,
                dP: bytes(jwk.dp)?,
                dQ: bytes(jwk.dq)?,
                qInv: bytes(jwk.qi)?,
            })),
        }
    }
}

const INCONSISTENT: BadKey = BadKey::Unreadable("its parts do not belong together");

fn ed25519(seed: &[u8]) -> Result<Pair, BadKey> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed);
    pair.map(Pair::Ed25519).map_err(|_| INCONSISTENT)
}

fn ecdsa(algorithm: Algorithm, der: &[u8]) -> Result<Pair, BadKey> {
    let (library, kind) = curve(algorithm).ok_or(BadKey::OtherKind {
        found: "a key on an elliptic curve",
        algorithm,
    })?;
    let pair = EcdsaKeyPair::from_private_key_der(library, der);
    pair.map(Pair::Ecdsa).map_err(|_| {
        BadKey::Unreadable(match kind {
            Kind::P256 => "it is not whole, or not on curve P-256",
            _ => "it is not whole, or not on curve P-384",
        })
    })
}

fn ecdsa_of(
    library: &'static EcdsaSigningAlgorithm,
    jwk: &Jwk<'_>,
    size: usize,
) -> Result<Pair, BadKey> {
    let (private, point) = (bytes(jwk.d)?, jwk.point(size)?);
    let pair = EcdsaKeyPair::from_private_key_and_public_key(library, &private, &point);
    pair.map(Pair::Ecdsa).map_err(|_| INCONSISTENT)
}

const fn curve(algorithm: Algorithm) -> Option<(&'static EcdsaSigningAlgorithm, Kind)> {
    match algorithm {
        Algorithm::EcdsaP256Sha256 => Some((&ECDSA_P256_SHA256_FIXED_SIGNING, Kind::P256)),
        Algorithm::EcdsaP384Sha384 => Some((&ECDSA_P384_SHA384_FIXED_SIGNING, Kind::P384)),
        _ => None,
    }
}

fn rsa<E>(pair: Result<RsaKeyPair, E>) -> Result<Pair, BadKey> {
    let pair = pair.map_err(|_| INCONSISTENT)?;
    let bits = pair.public_modulus_len() * 8;
    if bits > MAX_RSA_BITS {
        return Err(BadKey::Size { bits });
    }
    Ok(Pair::Rsa(pair))
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm)
    }
}
