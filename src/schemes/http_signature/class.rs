//! What kinds of bytes the fields are made of (RFC 9651).

/// What a text begins with that is of a class, and the rest of it. Only ASCII is of any.
pub(super) fn split(text: &str, class: u8) -> (&str, &str) {
    let other = |byte: u8| CLASS[usize::from(byte)] & class == 0;
    let end = text.bytes().position(other);
    text.split_at(end.unwrap_or(text.len()))
}

pub(super) const SPACE: u8 = 1;
pub(super) const TAB: u8 = 1 << 1;
pub(super) const DIGIT: u8 = 1 << 2;
/// What a key is made of (RFC 9651, section 3.1.2).
pub(super) const KEY: u8 = 1 << 3;
/// What a token is made of (section 3.3.4).
pub(super) const TOKEN: u8 = 1 << 4;
/// What stands in a string without an escape (section 3.3.3).
pub(super) const TEXT: u8 = 1 << 5;
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
