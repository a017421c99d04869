//! How keys that we make are written: so that scanners for leaked secrets know
//! them, and a slip of the hand is noticed.
//!
//! `pcs_` says whose it is, a letter what it is, then come 43 characters of
//! 256 random bits, and 6 of a check sum (CRC-32) over all before it. The text
//! itself is the secret, byte for byte: a caller has nothing to decode.

use crate::crypto;
use crate::crypto::checksum::{Checksum, Summer};
use crate::secret::Secret;
use std::fmt;
use zeroize::Zeroizing;

/// For scanners.
pub const PATTERN: &str = "pcs_[a-z]_[0-9A-Za-z]{49}";

const PREFIX: &str = "pcs_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 43;
const SUM: usize = 6;
const LENGTH: usize = PREFIX.len() + 2 + RANDOM + SUM;

/// What a printed key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The secret of a key that signs.
    Secret,
    /// A static key.
    Static,
    /// A one-time code to enrol by.
    Enrolment,
    /// A token of the admin API.
    Admin,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Secret, Self::Static, Self::Enrolment, Self::Admin];

    const fn letter(self) -> char {
        match self {
            Self::Secret => 's',
            Self::Static => 'k',
            Self::Enrolment => 'e',
            Self::Admin => 'a',
        }
    }
}

/// A key as it is shown, once. Never prints by itself.
#[derive(Clone)]
pub struct Printed(Zeroizing<String>);

/// Why a text is no key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrint {
    /// It does not look like one at all.
    #[error("this is no key that a gateway has made: they are `{PATTERN}`")]
    Foreign,
    /// It is one for something else.
    #[error("this is a key for something else")]
    OtherKind,
    /// A character is wrong, or some are missing.
    #[error("a character of the key is wrong, or some are missing: its check sum does not fit")]
    Sum,
}

impl Printed {
    /// A fresh one.
    pub fn new(kind: Kind) -> Self {
        let mut random = Zeroizing::new([0; 32]);
        crypto::random(&mut *random);
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        text.push(kind.letter());
        text.push('_');
        push(&mut text, &mut *random, RANDOM);
        let mut sum = sum(&text);
        push(&mut text, &mut sum, SUM);
        Self(text)
    }

    /// Reads one, as it may be typed.
    ///
    /// # Errors
    /// [`BadPrint`].
    pub fn read(kind: Kind, text: &str) -> Result<Self, BadPrint> {
        let rest = text.strip_prefix(PREFIX).ok_or(BadPrint::Foreign)?;
        let (letter, rest) = rest.split_once('_').ok_or(BadPrint::Foreign)?;
        if !rest.bytes().all(|byte| DIGITS.contains(&byte)) || letter.len() != 1 {
            return Err(BadPrint::Foreign);
        }
        if text.len() != LENGTH {
            return Err(BadPrint::Sum);
        }
        let (front, shown) = text.split_at(LENGTH - SUM);
        let mut wanted = String::new();
        push(&mut wanted, &mut sum(front), SUM);
        if shown != wanted {
            return Err(BadPrint::Sum);
        }
        if !letter.starts_with(kind.letter()) {
            return Err(BadPrint::OtherKind);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, to be shown to whom it is for. Every call is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same as a secret.
    pub fn secret(&self) -> Secret {
        Secret::new(self.0.as_bytes().to_vec())
    }
}

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Printed(..)")
    }
}

fn sum(text: &str) -> [u8; 4] {
    let mut summer = Summer::new(Checksum::Crc32);
    summer.update(text.as_bytes());
    let mut sum = [0; 4];
    sum.copy_from_slice(&summer.finish());
    sum
}

/// Adds a number, the most significant byte first, in base 62 with so many digits. Leaves zeros behind.
fn push(text: &mut String, number: &mut [u8], digits: usize) {
    let mut reversed = Zeroizing::new([0_u8; RANDOM]);
    for digit in &mut reversed[..digits] {
        let mut rest = 0_u32;
        for byte in number.iter_mut() {
            rest = rest << 8 | u32::from(*byte);
            *byte = (rest / 62) as u8;
            rest %= 62;
        }
        *digit = DIGITS[rest as usize];
    }
    text.extend(reversed[..digits].iter().rev().map(|byte| *byte as char));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_made_is_read_again_and_no_two_are_alike() {
        let mut seen = HashSet::new();
        for kind in Kind::ALL {
            for _ in 0..200 {
                let made = Printed::new(kind);
                let text = made.expose();
                assert_eq!(text.len(), LENGTH);
                assert_eq!(Printed::read(kind, text).unwrap().expose(), text);
                assert!(seen.insert(text.to_owned()));
                assert_eq!(made.secret().expose(), text.as_bytes());
            }
        }
        assert_eq!(format!("{:?}", Printed::new(Kind::Secret)), "Printed(..)");
    }

    #[test]
    fn every_slip_of_one_character_is_noticed() {
        let made = Printed::new(Kind::Secret);
        let text = made.expose();
        for place in PREFIX.len() + 2..LENGTH {
            let other = if text.as_bytes()[place] == b'7' {
                '8'
            } else {
                '7'
            };
            let mut wrong: Vec<char> = text.chars().collect();
            wrong[place] = other;
            let wrong: String = wrong.into_iter().collect();
            assert_eq!(
                Printed::read(Kind::Secret, &wrong).unwrap_err(),
                BadPrint::Sum
            );
            assert!(Printed::read(Kind::Secret, &text[..place]).is_err());
        }
        assert_eq!(
            Printed::read(Kind::Static, text).unwrap_err(),
            BadPrint::OtherKind
        );
        for foreign in ["", "pcs_", "ghp_abc", "pcs_s_", "pcs_s_ä", "pcs__"] {
            assert!(Printed::read(Kind::Secret, foreign).is_err(), "{foreign}");
        }
    }

    #[test]
    fn a_number_is_written_in_base_62() {
        let mut text = String::new();
        push(&mut text, &mut [0xff; 32], RANDOM);
        push(&mut text, &mut [0, 0, 0, 61], SUM);
        push(&mut text, &mut [0, 0, 0, 62], SUM);
        // 2^256 - 1, by another implementation.
        assert!(text.ends_with("00000z000010"));
        assert_eq!(text.len(), RANDOM + 2 * SUM);
        assert_eq!(
            &text[..RANDOM],
            "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"
        );
    }
}
