//! Points of Ed25519 (RFC 8032, section 5.1) that are no public keys, though the library takes them for such.

use super::bad_key::BadKey;

/// The prime of the field, little-endian as all numbers here.
const PRIME: [u8; 32] = number(0xed, 0xff, 0x7f);

/// The `y` of the eight points whose order is small. Signatures under such a key are made by anybody:
/// no private half is needed for them.
const SMALL_ORDER: [[u8; 32]; 5] = [
    number(0, 0, 0),
    number(1, 0, 0),
    number(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn number(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut number = [between; 32];
    number[0] = first;
    number[31] = last;
    number
}

/// Refuses a point of small order, and one in another form than its own. Whether there is a point with that
/// `y` is not looked at here: where there is none, the library verifies nothing.
pub(super) fn check(point: &[u8]) -> Result<(), BadKey> {
    let mut y: [u8; 32] = point
        .try_into()
        .map_err(|_| BadKey::Unreadable("its point does not have 32 bytes"))?;
    // The highest bit is the sign of `x`.
    y[31] &= 0x7f;
    if y.iter().rev().ge(PRIME.iter().rev()) {
        return Err(BadKey::Unreadable(
            "its point is not written in its one form (RFC 8032, section 5.1.2)",
        ));
    }
    if SMALL_ORDER.contains(&y) {
        return Err(BadKey::Unreadable(
            "its point has a small order, so that anybody can sign for it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With either sign of `x`.
    fn both(y: [u8; 32]) -> [[u8; 32]; 2] {
        let mut other = y;
        other[31] |= 0x80;
        [y, other]
    }

    #[test]
    fn a_point_of_small_order_is_no_key_however_it_is_written() {
        // Zero and one are written by the prime and the number after it as well.
        let more = [PRIME, number(0xee, 0xff, 0x7f)];
        for point in SMALL_ORDER.into_iter().chain(more).flat_map(both) {
            assert!(check(&point).is_err(), "{point:?}");
        }
    }

    #[test]
    fn a_point_has_one_form() {
        for first in 0xed..=0xff {
            for point in both(number(first, 0xff, 0x7f)) {
                assert!(check(&point).is_err(), "{point:?}");
            }
        }
        let below = [number(0xeb, 0xff, 0x7f), number(0xff, 0xff, 0x7e)];
        for point in below.into_iter().flat_map(both) {
            assert_eq!(check(&point), Ok(()), "{point:?}");
        }
    }
}
