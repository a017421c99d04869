//! Text that a stranger may have chosen, as it stands in a line of the log.

/// Bytes that are written of any text a stranger has chosen.
pub(super) const MAX_TEXT: usize = 2 * 1024;

/// As a JSON string's inside: everything but printable ASCII is escaped, also
/// what only a terminal would act upon.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    if text.len() <= MAX_TEXT && is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        escape_each(out, text);
    }
}

#[cold]
fn escape_each(out: &mut Vec<u8>, text: &str) {
    let shown = &text[..text.floor_char_boundary(MAX_TEXT)];
    for character in shown.chars() {
        escape_one(out, character);
    }
    if shown.len() < text.len() {
        out.extend_from_slice(b"...");
    }
}

/// Whether nothing has to be escaped. Eight bytes at a time: most texts are short, and wider steps would be lost on them.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // The highest bit of the first byte that is to be escaped (and of some above it, which changes no answer): none
    // before it lends to or takes from the next.
    let odd = |word: u64| {
        let controls = word.wrapping_sub(u64::from(b' ') * ONES);
        let marks = [b'"', b'\\'].map(|mark| (word ^ (u64::from(mark) * ONES)).wrapping_sub(ONES));
        word | controls | marks[0] | marks[1] | word.wrapping_add(ONES)
    };
    let (words, rest) = text.as_chunks::<8>();
    let found = words
        .iter()
        .fold(0, |found, word| found | odd(u64::from_le_bytes(*word)));
    let last = match (text.last_chunk::<8>(), rest) {
        (Some(last), _) => u64::from_le_bytes(*last),
        (None, rest) => short(rest),
    };
    (found | odd(last)) & HIGH == 0
}

/// All bytes of a text of less than eight, some of them twice, or spaces.
fn short(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    let spaces = u64::from_le_bytes([b' '; 8]);
    text.iter()
        .fold(spaces, |word, byte| word << 8 | u64::from(*byte))
}

fn escape_one(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        ' '..='~' => out.push(character as u8),
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                let nibbles = [12, 8, 4, 0].map(|shift| usize::from(*unit >> shift & 0xf));
                out.extend(nibbles.map(|nibble| HEX[nibble]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_escaped_is_found_at_every_place_of_a_text_of_every_length() {
        for length in 0..20 {
            let plain = &"01 !#$[]^_`az{|}~./:"[..length];
            assert!(is_plain(plain.as_bytes()), "{plain}");
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = plain.as_bytes().to_vec();
                    text[place] = byte;
                    let is_odd = !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
                    assert_eq!(is_plain(&text), !is_odd, "{byte} at {place} of {length}");
                }
            }
        }
    }
}
