//! What kinds of bytes the fields are made of (RFC 9651).

/// What bytes begin with that is of a class, and the rest of them. Only ASCII is of any.
pub(super) fn split(bytes: &[u8], class: u8) -> (&[u8], &[u8]) {
    let other = |byte: &u8| CLASS[usize::from(*byte)] & class == 0;
    let end = bytes.iter().position(other);
    bytes.split_at(end.unwrap_or(bytes.len()))
}

/// How many bytes come first that stand in a string without an escape (section 3.3.3):
/// found eight at a time, since strings are what there is most of.
pub(super) fn unescaped(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let of = |byte: u8| ONES * u64::from(byte);
    // The high bit of each byte that is zero; of those behind the first one it may tell more.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(of(b' ')) & !word;
        let other = zero(word ^ of(b'"')) | zero(word ^ of(b'\\')) | zero(word ^ of(0x7f));
        let found = (other | control | word) & HIGH;
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    bytes.len() - rest.len() + split(rest, TEXT).0.len()
}

pub(super) const SPACE: u8 = 1;
pub(super) const TAB: u8 = 1 << 1;
pub(super) const DIGIT: u8 = 1 << 2;
/// What a key is made of (RFC 9651, section 3.1.2).
pub(super) const KEY: u8 = 1 << 3;
/// What a token is made of (section 3.3.4).
pub(super) const TOKEN: u8 = 1 << 4;
/// What stands in a string without an escape (section 3.3.3).
const TEXT: u8 = 1 << 5;
/// What a field's name is made of, in lower case (RFC 9110, section 5.6.2).
pub(super) const FIELD: u8 = 1 << 6;

/// The classes of each byte.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        let lower = b.is_ascii_lowercase() || b.is_ascii_digit();
        let mark = matches!(
            b,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        );
        let classes = [
            (SPACE, b == b' '),
            (TAB, b == b'\t'),
            (DIGIT, b.is_ascii_digit()),
            (KEY, lower || matches!(b, b'_' | b'-' | b'.' | b'*')),
            (
                TOKEN,
                lower || b.is_ascii_uppercase() || mark || matches!(b, b':' | b'/'),
            ),
            (TEXT, matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\')),
            (FIELD, lower || mark),
        ];
        let mut at = 0;
        while at < classes.len() {
            let (class, is_of_it) = classes[at];
            if is_of_it {
                table[byte] |= class;
            }
            at += 1;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_string_is_found_wherever_it_ends() {
        for end in 0..=u8::MAX {
            for length in 0..20 {
                let mut text = vec![b'a'; 20];
                text[length] = end;
                text[length + 1..].fill(b'"');
                let wanted = split(&text, TEXT).0.len();
                assert_eq!(unescaped(&text), wanted, "{end:#x} behind {length}");
            }
        }
        assert_eq!(unescaped(b"ends nowhere"), 12);
    }
}
