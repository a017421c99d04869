//! The master key: what seals the secrets of keys, and hashes static keys.

use super::records::Sealed;
use crate::apps::{KeyHash, Pepper};
use crate::crypto::seal::SealingKey;
use crate::crypto::{Algorithm, BadKey, HmacKey};
use crate::secret::Secret;
use data_encoding::{BASE64, HEXLOWER};
use std::fmt;
use std::sync::Arc;

/// What is sealed so that another master key is noticed before it is used.
const PROBE: &str = "portcullis";

/// The gateway's master key, cheap to copy. Who has it and the store has every secret in it; who has only one of
/// them has none. Never prints.
#[derive(Clone)]
pub struct MasterKey(Arc<Keys>);

struct Keys {
    sealing: SealingKey,
    pepper: Pepper,
    id: [u8; 8],
}

/// Something was sealed under another master key, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed under another master key, or was changed")]
pub struct NotOpened;

impl MasterKey {
    /// Takes a secret over.
    ///
    /// # Errors
    /// [`BadKey`]: it is too short, or a key of another kind.
    ///
    /// # Panics
    /// Never: what follows from a secret is long enough to be one.
    pub fn new(secret: &Secret) -> Result<Self, BadKey> {
        let derive = |used_for: &str| {
            let tag = HmacKey::of_ours(secret)?.sign(used_for.as_bytes());
            Ok::<_, BadKey>(Secret::new(tag.as_bytes().to_vec()))
        };
        let pepper = HmacKey::new(Algorithm::HmacSha256, &derive("portcullis static keys v1")?)?;
        let mut id = [0; 8];
        id.copy_from_slice(&derive("portcullis master key id v1")?.expose()[..8]);
        Ok(Self(Arc::new(Keys {
            sealing: SealingKey::new(secret, "portcullis secrets v1")?,
            pepper: Pepper::new(pepper),
            id,
        })))
    }

    /// Seals the secret of the key with this id.
    pub fn seal(&self, key_id: &str, secret: &Secret) -> Sealed {
        let sealed = self.0.sealing.seal(&of_key(key_id), secret.expose());
        Sealed(BASE64.encode(&sealed))
    }

    /// Opens the secret of the key with this id.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(&self, key_id: &str, sealed: &Sealed) -> Result<Secret, NotOpened> {
        let sealed = BASE64.decode(sealed.0.as_bytes()).map_err(|_| NotOpened)?;
        let opened = self.0.sealing.open(&of_key(key_id), &sealed);
        opened.map_err(|_| NotOpened)
    }

    /// What static keys are hashed under.
    pub fn pepper(&self) -> &Pepper {
        &self.0.pepper
    }

    /// The hash of a static key, as records hold it.
    pub fn hash_static(&self, key: &[u8]) -> String {
        HEXLOWER.encode(&KeyHash::of(&self.0.pepper, key).0)
    }

    /// By what a store knows its master key again.
    pub fn probe(&self) -> Vec<u8> {
        self.0.sealing.seal(PROBE, PROBE.as_bytes())
    }

    /// Whether `probe` was made by this key.
    pub fn made(&self, probe: &[u8]) -> bool {
        let opened = self.0.sealing.open(PROBE, probe);
        opened.is_ok_and(|text| text.expose() == PROBE.as_bytes())
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for MasterKey {}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

fn of_key(id: &str) -> String {
    format!("key {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwk_is_a_master_key_as_it_is_written_and_a_public_one_is_none() {
        let oct = format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43));
        let master = MasterKey::new(&Secret::new(oct.into())).unwrap();
        let sealed = master.seal("a", &Secret::new(b"canary".to_vec()));
        assert_eq!(master.open("a", &sealed).unwrap().expose(), b"canary");
        let public =
            r#"{"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;
        let refused = MasterKey::new(&Secret::new(public.into())).unwrap_err();
        assert!(matches!(refused, BadKey::KeyAsSecret { .. }));
    }

    #[test]
    fn a_secret_opens_for_its_own_key_under_its_own_master_key_alone() {
        let master = MasterKey::new(&Secret::new(vec![1; 32])).unwrap();
        let other = MasterKey::new(&Secret::new(vec![2; 32])).unwrap();
        let sealed = master.seal("a", &Secret::new(b"canary".to_vec()));
        assert_eq!(master.open("a", &sealed).unwrap().expose(), b"canary");
        assert!(master.open("b", &sealed).is_err());
        assert!(other.open("a", &sealed).is_err());
        assert!(master.made(&master.probe()) && !other.made(&master.probe()));
        assert!(master == master.clone() && master != other);
        assert_ne!(master.hash_static(b"key"), other.hash_static(b"key"));
        assert!(!format!("{master:?}{sealed:?}").contains("canary"));
    }

    #[test]
    fn a_probe_is_no_sealed_secret_and_a_sealed_secret_no_probe() {
        let master = MasterKey::new(&Secret::new(vec![1; 32])).unwrap();
        let probe = Sealed(BASE64.encode(&master.probe()));
        let sealed = master.seal(PROBE, &Secret::new(PROBE.into()));
        assert!(master.open(PROBE, &probe).is_err());
        assert!(!master.made(&BASE64.decode(sealed.0.as_bytes()).unwrap()));
    }
}
