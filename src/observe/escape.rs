//! Text that a stranger may have chosen, as it stands in a line of the log.

/// Bytes that are written of any text a stranger has chosen.
pub(super) const MAX_TEXT: usize = 2 * 1024;

/// As a JSON string's inside: everything but printable ASCII is escaped, also
/// what only a terminal would act upon.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    let shown = &text[..text.floor_char_boundary(MAX_TEXT)];
    if is_plain(shown.as_bytes()) {
        out.extend_from_slice(shown.as_bytes());
    } else {
        for character in shown.chars() {
            escape_one(out, character);
        }
    }
    if shown.len() < text.len() {
        out.extend_from_slice(b"...");
    }
}

/// Whether nothing has to be escaped. Eight bytes at a time: most texts are short, and wider steps would be lost on them.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // The highest bit of each byte that is zero, if no byte has it set (and of some above a zero, which changes no answer).
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let odd = |word: u64| {
        let controls = word.wrapping_sub(u64::from(b' ') * ONES) & !word;
        let marks = [b'"', b'\\', 0x7f].map(|mark| zeros(word ^ (u64::from(mark) * ONES)));
        (word | controls | marks[0] | marks[1] | marks[2]) & HIGH
    };
    let (words, rest) = text.as_chunks::<8>();
    let found = words
        .iter()
        .fold(0, |found, word| found | odd(u64::from_le_bytes(*word)));
    let last = text.last_chunk::<8>().copied().unwrap_or_else(|| {
        let mut last = [b' '; 8];
        last.iter_mut()
            .zip(rest)
            .for_each(|(place, byte)| *place = *byte);
        last
    });
    found | odd(u64::from_le_bytes(last)) == 0
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
