//! Nonces for proofs (RFC 9449, section 9): a time, and a MAC of it under a key that this process
//! made for itself, or that several gateways share. Nothing is kept of them.

use crate::clock::whole_seconds;
use crate::crypto::{Algorithm, BadKey, HmacKey};
use crate::schemes::freshness::Freshness;
use crate::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use std::sync::{Arc, OnceLock};
use subtle::ConstantTimeEq;

/// Bytes of the MAC that a nonce holds.
const MAC: usize = 16;
/// What stands before the time in what is signed: the key may have other uses.
const LABEL: &[u8] = b"portcullis nonce";

/// Who makes nonces, and knows them again.
#[derive(Clone, Debug)]
pub struct Nonces {
    key: Arc<HmacKey>,
    is_shared: bool,
}

impl Nonces {
    /// Of this process alone, for as long as it runs.
    pub fn own() -> Self {
        static KEY: OnceLock<Arc<HmacKey>> = OnceLock::new();
        let key = KEY.get_or_init(|| Arc::new(HmacKey::dummy(Algorithm::HmacSha256)));
        Self {
            key: key.clone(),
            is_shared: false,
        }
    }

    /// Of all gateways that have this secret.
    ///
    /// # Errors
    /// [`BadKey`]: it is too short, or a public key.
    pub fn shared(secret: &Secret) -> Result<Self, BadKey> {
        let key = HmacKey::of_ours(secret).map(Arc::new)?;
        Ok(Self {
            key,
            is_shared: true,
        })
    }

    /// The key, where other gateways have it too. What else it signs begins in another way.
    pub fn of_all(&self) -> Option<&HmacKey> {
        self.is_shared.then_some(&*self.key)
    }

    /// A nonce for proofs that are made from now on.
    pub fn fresh(&self, now: i64) -> String {
        BASE64URL_NOPAD.encode(&self.of(now))
    }

    /// Whether one of us gave `nonce` out, within the window before `now`. The clock of another gateway may be ahead.
    pub(in crate::schemes::token) fn hold(
        &self,
        nonce: &str,
        now: i64,
        freshness: Freshness,
    ) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(nonce.as_bytes()) else {
            return false;
        };
        let Some((time, _)) = bytes.split_first_chunk::<8>() else {
            return false;
        };
        let time = i64::from_be_bytes(*time);
        let is_ours = bool::from(self.of(time).as_slice().ct_eq(&bytes));
        let (window, skew) = (
            whole_seconds(freshness.window),
            whole_seconds(freshness.skew),
        );
        is_ours && time <= now.saturating_add(skew) && now.saturating_sub(time) <= window
    }

    fn of(&self, time: i64) -> [u8; 8 + MAC] {
        let mut signed = [0; LABEL.len() + 8];
        let (label, at) = signed.split_at_mut(LABEL.len());
        label.copy_from_slice(LABEL);
        at.copy_from_slice(&time.to_be_bytes());
        let mut nonce = [0; 8 + MAC];
        nonce[..8].copy_from_slice(&time.to_be_bytes());
        nonce[8..].copy_from_slice(&self.key.sign(&signed).as_bytes()[..MAC]);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FRESHNESS: Freshness = Freshness {
        window: Duration::from_mins(5),
        skew: Duration::from_secs(2),
    };

    #[test]
    fn a_nonce_holds_for_its_window_and_none_that_we_did_not_make() {
        let nonces = Nonces::own();
        let hold = |nonce: &str, now| nonces.hold(nonce, now, FRESHNESS);
        let nonce = nonces.fresh(1_000);
        for (now, taken) in [
            (997, false),
            (998, true),
            (1_000, true),
            (1_300, true),
            (1_301, false),
        ] {
            assert_eq!(hold(&nonce, now), taken, "{now}");
        }
        let mut bytes = BASE64URL_NOPAD.decode(nonce.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(!hold(&BASE64URL_NOPAD.encode(&bytes), 1_000));
            bytes[at] ^= 1;
        }
        for other in ["", "x", "AAAA", &nonce[..31], &format!("{nonce}AAAA")] {
            assert!(!hold(other, 1_000), "{other}");
        }
    }

    #[test]
    fn gateways_with_one_secret_take_each_others_nonces_and_no_others() {
        let of = |text: &str| Nonces::shared(&Secret::new(text.as_bytes().to_vec())).unwrap();
        let secret = "0123456789-0123456789-0123456789";
        let (one, other) = (of(secret), of(secret));
        let nonce = one.fresh(1_000);
        assert!(other.hold(&nonce, 1_000, FRESHNESS));
        for strange in [Nonces::own(), of("another-0123456789-0123456789-01")] {
            assert!(!strange.hold(&nonce, 1_000, FRESHNESS));
        }
        assert!(Nonces::shared(&Secret::new(b"short".to_vec())).is_err());
    }
}
