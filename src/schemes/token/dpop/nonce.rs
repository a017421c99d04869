//! Nonces for proofs (RFC 9449, section 9): a time, and a MAC of it under a key that this process
//! made for itself. Nothing is kept of them.

use crate::crypto::{Algorithm, HmacKey};
use data_encoding::BASE64URL_NOPAD;
use std::sync::OnceLock;
use subtle::ConstantTimeEq;

/// Bytes of the MAC that a nonce holds.
const MAC: usize = 16;

/// A nonce for proofs that are made from now on.
pub fn fresh(now: i64) -> String {
    BASE64URL_NOPAD.encode(&of(now))
}

/// Whether we gave `nonce` out within `window` seconds before `now`.
pub(in crate::schemes::token) fn holds(nonce: &str, now: i64, window: i64) -> bool {
    let Ok(bytes) = BASE64URL_NOPAD.decode(nonce.as_bytes()) else {
        return false;
    };
    let Some((time, _)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    let time = i64::from_be_bytes(*time);
    let is_ours = bool::from(of(time).as_slice().ct_eq(&bytes));
    is_ours && time <= now && now.saturating_sub(time) <= window
}

fn of(time: i64) -> [u8; 8 + MAC] {
    static KEY: OnceLock<HmacKey> = OnceLock::new();
    let key = KEY.get_or_init(|| HmacKey::dummy(Algorithm::HmacSha256));
    let mut nonce = [0; 8 + MAC];
    let time = time.to_be_bytes();
    nonce[..8].copy_from_slice(&time);
    nonce[8..].copy_from_slice(&key.sign(&time).as_bytes()[..MAC]);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_holds_for_its_window_and_none_that_we_did_not_make() {
        let nonce = fresh(1_000);
        for (now, taken) in [(999, false), (1_000, true), (1_300, true), (1_301, false)] {
            assert_eq!(holds(&nonce, now, 300), taken, "{now}");
        }
        let mut bytes = BASE64URL_NOPAD.decode(nonce.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(!holds(&BASE64URL_NOPAD.encode(&bytes), 1_000, 300));
            bytes[at] ^= 1;
        }
        for other in ["", "x", "AAAA", &nonce[..31], &format!("{nonce}AAAA")] {
            assert!(!holds(other, 1_000, 300), "{other}");
        }
    }
}
