//! Comparing in constant time, a word at a time: byte by byte it takes as long
//! as hashing two blocks.

use subtle::ConstantTimeEq;

const WORD: usize = size_of::<u64>();

/// Whether both are the same. It takes as long wherever they differ; only their length is no secret.
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (words, rest) = one.as_chunks::<WORD>();
    let (other_words, other_rest) = other.as_chunks::<WORD>();
    let mut differs = 0;
    for (one, other) in words.iter().zip(other_words) {
        differs |= u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    }
    for (one, other) in rest.iter().zip(other_rest) {
        differs |= u64::from(*one ^ *other);
    }
    bool::from(differs.ct_eq(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_at_every_length() {
        for length in 0..70 {
            let one: Vec<u8> = (0..length).collect();
            assert!(is_equal(&one, &one.clone()));
            for at in 0..one.len() {
                for bit in [1, 0x80] {
                    let mut other = one.clone();
                    other[at] ^= bit;
                    assert!(!is_equal(&one, &other), "{at} of {length}");
                }
            }
            assert!(!is_equal(&one, &[&one[..], &[0]].concat()));
            assert!(one.is_empty() || !is_equal(&one, &one[1..]));
        }
    }
}
