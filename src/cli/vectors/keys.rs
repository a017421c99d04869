//! Keys to sign with: throw-away ones in the place of the configuration's.

use crate::apps::Key;
use crate::crypto::digest::sha256;
use crate::crypto::{Algorithm, HmacKey, PrivateKey};
use crate::secret::Secret;
use anyhow::Result;
use data_encoding::BASE64;
use std::collections::HashMap;
use std::sync::Arc;

/// Pairs that everybody has: of RFC 9421, appendix B.1, and one of our own for P-384.
macro_rules! pair {
    ($path:literal) => {
        (
            include_str!(concat!("../../../tests/it/vectors/", $path, ".pem")),
            include_str!(concat!("../../../tests/it/vectors/", $path, ".pub.pem")),
        )
    };
}

/// One key, as its holder has it.
pub(super) struct Holder {
    pub(super) id: Arc<str>,
    pub(super) app: Arc<str>,
    pub(super) algorithm: Algorithm,
    /// What it signs with.
    pub(super) secret: Secret,
    /// What may be written of it.
    pub(super) written: Written,
}

/// What is written of a key.
pub(super) enum Written {
    /// A shared secret, as `gateway.toml`'s file holds it.
    Secret(String),
    /// Both halves of a pair.
    Pair(&'static str, &'static str),
    /// Nothing: it is the configuration's own.
    Nothing,
}

/// Every key that signs.
pub(super) struct Holders(Vec<Holder>);

impl Holders {
    /// Gives `keys` secrets that are known here: those in `real`, or ones made of `seed`.
    /// A key whose secret half is nowhere to be had has no holder.
    pub(super) fn of(
        keys: &mut [Key],
        seed: &str,
        real: Option<HashMap<String, Secret>>,
    ) -> Result<Self> {
        let mut real = real;
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let algorithm = key.algorithm();
            let (secret, written) = match &mut real {
                Some(real) if algorithm.is_mac() => match real.remove(&*key.id) {
                    Some(secret) => (secret, Written::Nothing),
                    None => continue,
                },
                // The gateway has the public half only.
                Some(_) => continue,
                None => thrown_away(algorithm, seed, &key.id),
            };
            key.verifying = if algorithm.is_mac() {
                // How long it has to be, `config` has judged.
                HmacKey::weak(algorithm, &secret)?.into()
            } else {
                PrivateKey::read(algorithm, &secret)?.public()?.into()
            };
            all.push(Holder {
                id: key.id.clone(),
                app: key.app.name.clone(),
                algorithm,
                secret,
                written,
            });
        }
        Ok(Self(all))
    }

    /// All of them, in the order of the configuration.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Holder> {
        self.0.iter()
    }
}

/// What tokens are bound to where a DPoP proof shows it: a pair that everybody has, whose signatures are the same each time.
pub(super) fn of_proofs() -> Result<PrivateKey> {
    let (private, _) = pair!("rfc9421/keys/test-key-ed25519");
    let private = Secret::new(private.as_bytes().to_vec());
    Ok(PrivateKey::read(Algorithm::Ed25519, &private)?)
}

fn thrown_away(algorithm: Algorithm, seed: &str, id: &str) -> (Secret, Written) {
    let (private, public) = match algorithm {
        Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
            let piece = |number: u8| {
                let front = [b"portcullis vectors\0".as_slice(), seed.as_bytes(), b"\0"].concat();
                sha256(&[&front, id.as_bytes(), &[0, number]])
            };
            let mut bytes = piece(0).to_vec();
            if algorithm == Algorithm::HmacSha512 {
                bytes.extend(piece(1));
            }
            let written = format!("base64:{}", BASE64.encode(&bytes));
            return (Secret::new(bytes), Written::Secret(written));
        }
        Algorithm::Ed25519 => pair!("rfc9421/keys/test-key-ed25519"),
        Algorithm::EcdsaP256Sha256 => pair!("rfc9421/keys/test-key-ecc-p256"),
        Algorithm::EcdsaP384Sha384 => pair!("openssl/p384"),
        Algorithm::RsaPssSha512 | Algorithm::RsaPssSha256 | Algorithm::RsaV15Sha256 => {
            pair!("rfc9421/keys/test-key-rsa")
        }
    };
    let secret = Secret::new(private.as_bytes().to_vec());
    (secret, Written::Pair(private, public))
}
