//! What kinds of bytes a head is made of.

/// Control bytes that no value may hold; HTAB is white space there.
pub(super) const fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// Whether a name may hold it.
pub(super) const fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) const TOKEN: u8 = 1;
/// What `http::Uri` takes in a path, ASCII only.
pub(super) const PATH: u8 = 2;
/// What it takes in a query, ASCII only.
pub(super) const QUERY: u8 = 4;

/// Whether it is of a class.
pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// Whether all are of a class.
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    bytes
        .iter()
        .fold(class, |left, byte| left & CLASS[*byte as usize])
        != 0
}

/// How many bytes of a class it starts with. Apart, since the compiler would count
/// with each byte all that its caller makes of the number.
#[inline(never)]
pub(super) fn leading(bytes: &[u8], class: u8) -> usize {
    bytes
        .iter()
        .position(|byte| !is(*byte, class))
        .unwrap_or(bytes.len())
}

/// Whether a field's name is `wanted`, which is letters in lower case and `-`,
/// in any case.
pub(super) fn is_name(name: &[u8], wanted: &str) -> bool {
    const CASE: u8 = b'a' - b'A';
    // No token has a byte that this makes a `-` of, or a letter, but these.
    name.len() == wanted.len()
        && name
            .iter()
            .zip(wanted.as_bytes())
            .fold(0, |differ, (a, b)| differ | ((a | CASE) ^ b))
            == 0
}

const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || is_one_of(b, b"!#$%&'*+-.^_`|~") {
            table[byte] |= TOKEN;
        }
        if b.is_ascii_graphic() && !is_one_of(b, b"#<>?`") {
            table[byte] |= PATH;
        }
        if b.is_ascii_graphic() && !is_one_of(b, b"#<>\"") {
            table[byte] |= QUERY;
        }
        byte += 1;
    }
    table
};

const fn is_one_of(byte: u8, bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case_and_no_other_token_is_taken_for_it() {
        for byte in 0..=u8::MAX {
            for (wanted, letter) in [("a", b'a'), ("z", b'z'), ("-", b'-')] {
                let is_it = byte.eq_ignore_ascii_case(&letter);
                if is_token(byte) {
                    assert_eq!(is_name(&[byte], wanted), is_it, "{byte} and {wanted}");
                }
            }
        }
        assert!(is_name(b"Content-LENGTH", "content-length"));
        assert!(!is_name(b"content-lengt", "content-length"));
        assert_eq!(leading(b"a-b: c", TOKEN), 3);
        assert_eq!(leading(b"ab", TOKEN), 2);
    }
}
