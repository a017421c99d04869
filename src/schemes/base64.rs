//! Base64 as proofs are written in it: with padding at its end and nowhere else,
//! and no text for the same bytes but one. The library takes padding within a
//! text too, and twice as long.

/// What each byte stands for; what is no digit, for less than nothing.
const VALUES: [i8; 256] = {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [-1; 256];
    let mut at = 0;
    while at < digits.len() {
        values[digits[at] as usize] = at as i8;
        at += 1;
    }
    values
};

/// Reads `text` into `out`, in place of what is there; `false` where it is not base64.
pub(super) fn read(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let (groups, []) = text.as_chunks() else {
        return false;
    };
    let Some((last, groups)) = groups.split_last() else {
        return true;
    };
    out.reserve(text.len() / 4 * 3);
    out.resize(3 * groups.len(), 0);
    let mut all = 0;
    for (group, place) in groups.iter().zip(out.as_chunks_mut().0) {
        *place = three(*group, &mut all);
    }
    let (last, size) = match *last {
        [a, b, b'=', b'='] => ([a, b, b'A', b'A'], 1),
        [a, b, c, b'='] => ([a, b, c, b'A'], 2),
        whole => (whole, 3),
    };
    let last = three(last, &mut all);
    let (told, rest) = last.split_at(size);
    out.extend_from_slice(told);
    all >= 0 && rest.iter().all(|byte| *byte == 0)
}

/// The bytes of four digits, which are added to `all`, bit by bit: one that is none makes it negative.
fn three(digits: [u8; 4], all: &mut i32) -> [u8; 3] {
    let [a, b, c, d] = digits.map(|digit| i32::from(VALUES[usize::from(digit)]));
    let bits = a << 18 | b << 12 | c << 6 | d;
    *all |= bits;
    let [_, one, two, three] = bits.to_be_bytes();
    [one, two, three]
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use proptest::prelude::*;

    fn ours(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![1, 2, 3];
        read(text, &mut out).then_some(out)
    }

    /// As the library reads it, but for padding within the text.
    fn theirs(text: &[u8]) -> Option<Vec<u8>> {
        let mut behind = text.iter().skip_while(|byte| **byte != b'=');
        let is_at_end = behind.all(|byte| *byte == b'=');
        BASE64.decode(text).ok().filter(|_| is_at_end)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let text = BASE64.encode(&bytes);
            prop_assert_eq!(ours(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn what_one_change_makes_of_it_is_read_as_the_library_reads_it(
            bytes in proptest::collection::vec(any::<u8>(), 0..20),
            at in any::<prop::sample::Index>(),
            changed in any::<u8>(),
            cut in 0..3_usize,
        ) {
            let mut text = BASE64.encode(&bytes).into_bytes();
            text.push(b'=');
            let at = at.index(text.len());
            text[at] = changed;
            text.truncate(text.len().saturating_sub(cut));
            prop_assert_eq!(ours(&text), theirs(&text));
        }
    }

    #[test]
    fn padding_within_a_text_is_refused() {
        assert_eq!(ours(b"AA==AAA="), None);
        assert_eq!(ours(b"AAAAAAA="), Some(vec![0; 5]));
    }

    #[test]
    fn every_last_group_is_read_as_the_library_reads_it() {
        let digits = b"AQgwBf/+=-";
        let each = || digits.iter().copied();
        for a in each() {
            for b in each() {
                for c in each() {
                    for d in each() {
                        let text = [a, b, c, d];
                        assert_eq!(ours(&text), theirs(&text), "{text:?}");
                    }
                }
            }
        }
    }
}
