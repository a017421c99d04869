//! The challenge: a text that only we can make, which nobody has to remember until it is answered.
//!
//! It holds the second it was made at and something random, and a MAC over both and the app's name. So it is
//! bound to the app, ends by itself, and a flood of questions for one costs no memory.

use super::Reason;
use crate::crypto::digest::sha256;
use crate::crypto::{HmacKey, random};
use crate::schemes::ProofId;
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

/// How long a challenge may be answered, in seconds.
pub const LIFETIME: i64 = 60;
/// How far ahead the clock may have been that it was made by: ours, or another gateway's with the same secret.
const AHEAD: i64 = 5;

/// What stands before all that is signed, so that nothing else that the key signs is a challenge.
const CONTEXT: &[u8] = b"portcullis challenge v1";
const VERSION: u8 = 1;
const TIME: usize = 8;
const RANDOM: usize = 16;
const MAC: usize = 16;
const FRONT: usize = 1 + TIME + RANDOM;
const WHOLE: usize = FRONT + MAC;

/// Makes challenges, and knows its own, and those of other gateways with the same key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Challenges<'k>(pub(super) &'k HmacKey);

/// One that was answered in time, and for the app that it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// By what it is known again.
    pub(super) id: ProofId,
    /// When it was made.
    pub(super) made: i64,
}

impl Challenges<'_> {
    /// A challenge for `app`, whether there is one of that name or not.
    pub(super) fn make(self, app: &str, now: i64) -> String {
        let mut whole = [0; WHOLE];
        let (front, mac) = whole.split_at_mut(FRONT);
        front[0] = VERSION;
        front[1..=TIME].copy_from_slice(&now.to_be_bytes());
        random(&mut front[1 + TIME..]);
        mac.copy_from_slice(&self.mac(app, front));
        BASE64URL_NOPAD.encode(&whole)
    }

    /// What an answered challenge is. Whatever is wrong with it, one MAC and one hash are made to find out.
    pub(super) fn check(self, challenge: &str, app: &str, now: i64) -> Result<Answered, Reason> {
        let mut whole = [0; WHOLE];
        let is_whole = match BASE64URL_NOPAD.decode(challenge.as_bytes()) {
            Ok(bytes) if bytes.len() == WHOLE => {
                whole.copy_from_slice(&bytes);
                true
            }
            _ => false,
        };
        let (front, mac) = whole.split_at(FRONT);
        let is_ours = bool::from(self.mac(app, front).ct_eq(mac));
        let id = ProofId::of(&sha256(&[CONTEXT, b" answered", &whole]));
        if !is_whole || !is_ours || front[0] != VERSION {
            return Err(Reason::ForeignChallenge);
        }
        let mut time = [0; TIME];
        time.copy_from_slice(&front[1..=TIME]);
        let made = i64::from_be_bytes(time);
        if now >= made.saturating_add(LIFETIME) {
            return Err(Reason::ExpiredChallenge);
        }
        if made > now.saturating_add(AHEAD) {
            return Err(Reason::EarlyChallenge);
        }
        Ok(Answered { id, made })
    }

    fn mac(self, app: &str, front: &[u8]) -> [u8; MAC] {
        let length = [u8::try_from(app.len()).unwrap_or(u8::MAX)];
        let tag = self
            .0
            .sign_parts(&[CONTEXT, &length, app.as_bytes(), front]);
        let mut mac = [0; MAC];
        mac.copy_from_slice(&tag.as_bytes()[..MAC]);
        mac
    }
}

impl Answered {
    /// Last second at which it could be answered by anybody's clock.
    pub(super) const fn until(self) -> i64 {
        self.made.saturating_add(LIFETIME + AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Algorithm;
    use crate::secret::Secret;

    const NOW: i64 = 1_800_000_000;

    fn challenges(byte: u8) -> Challenges<'static> {
        let key = HmacKey::new(Algorithm::HmacSha256, &Secret::new(vec![byte; 32]));
        Challenges(Box::leak(Box::new(key.unwrap())))
    }

    #[test]
    fn a_challenge_is_ours_for_its_app_and_for_a_minute() {
        let ours = challenges(7);
        let made = ours.make("mobile", NOW);
        assert_eq!(made.len(), 55);
        assert!(ours.check(&made, "mobile", NOW).is_ok());
        assert!(ours.check(&made, "mobile", NOW + LIFETIME - 1).is_ok());
        let refused = |challenge: &str, app, now| ours.check(challenge, app, now).unwrap_err();
        assert_eq!(
            refused(&made, "mobile", NOW + LIFETIME),
            Reason::ExpiredChallenge
        );
        assert_eq!(refused(&made, "mobilf", NOW), Reason::ForeignChallenge);
        assert_eq!(refused(&made, "mobile", NOW - 6), Reason::EarlyChallenge);
        assert!(ours.check(&made, "mobile", NOW - 5).is_ok());
        assert_eq!(
            challenges(8).check(&made, "mobile", NOW),
            Err(Reason::ForeignChallenge)
        );
    }

    #[test]
    fn no_byte_of_it_can_be_changed_and_no_two_are_the_same() {
        let ours = challenges(7);
        let made = ours.make("mobile", NOW);
        assert_ne!(made, ours.make("mobile", NOW));
        let bytes = BASE64URL_NOPAD.decode(made.as_bytes()).unwrap();
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            let text = BASE64URL_NOPAD.encode(&other);
            assert!(ours.check(&text, "mobile", NOW).is_err(), "{place}");
        }
        for text in [
            "",
            "x",
            &made[1..],
            &format!("{made}A"),
            &format!("{made}="),
        ] {
            assert_eq!(
                ours.check(text, "mobile", NOW),
                Err(Reason::ForeignChallenge)
            );
        }
        let first = ours.check(&made, "mobile", NOW).unwrap();
        assert_eq!(ours.check(&made, "mobile", NOW + 9).unwrap(), first);
    }
}
