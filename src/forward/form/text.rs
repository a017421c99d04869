//! The text of a form: what its names are, however a server reads them.

/// Appends `bytes` as a form has them (RFC 6749, appendix B): a space as `%20`,
/// which all readers take.
pub fn encode(bytes: &[u8], to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(byte) {
            to.push(*byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            to.extend([b'%', DIGITS[high], DIGITS[low]]);
        }
    }
}

/// A name as the most lenient of servers takes it: some end it at a `[` or a NUL,
/// some take `.` and a space for `_`, some do not look at the case of letters.
pub fn folded(name: &[u8]) -> Vec<u8> {
    let end = name.iter().position(|byte| matches!(byte, b'[' | 0));
    let name = name[..end.unwrap_or(name.len())].trim_ascii();
    let fold = |byte: &u8| match byte {
        b'.' | b' ' | b'-' | b'+' => b'_',
        other => other.to_ascii_lowercase(),
    };
    name.iter().map(fold).collect()
}

/// Whether all servers end a name at the same place. Where brackets do not stand in pairs behind it,
/// some leave them out and read on, some put `_` in their place.
fn is_even(name: &[u8]) -> bool {
    let is_bracket = |byte: &u8| matches!(byte, b'[' | b']');
    let name = name.trim_ascii_start();
    match name.iter().position(is_bracket) {
        None => true,
        Some(at) => at > 0 && name[at] == b'[' && name[at..].contains(&b']'),
    }
}

/// A name that is not encoded right, or has odd brackets: two servers may take it for two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odd;

/// The names of a form, folded; `;` parts its members as well as `&`.
pub(super) struct Names<'f> {
    rest: Option<&'f [u8]>,
}

impl<'f> Names<'f> {
    pub(super) const fn of(form: &'f [u8]) -> Self {
        Self { rest: Some(form) }
    }
}

impl Iterator for Names<'_> {
    type Item = Result<Vec<u8>, Odd>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest?;
            let mut parts = rest.splitn(2, |byte| matches!(byte, b'&' | b';'));
            let member = parts.next().unwrap_or_default();
            self.rest = parts.next();
            if !member.is_empty() {
                let name = member.split(|byte| *byte == b'=').next();
                return Some(decoded(name.unwrap_or_default()).and_then(|name| {
                    if is_even(&name) {
                        Ok(folded(&name))
                    } else {
                        Err(Odd)
                    }
                }));
            }
        }
    }
}

fn decoded(name: &[u8]) -> Result<Vec<u8>, Odd> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let ([high, low], tail) = rest.split_first_chunk().ok_or(Odd)?;
                out.push(digit(*high)? << 4 | digit(*low)?);
                rest = tail;
            }
            byte if byte.is_ascii() => out.push(*byte),
            // Bytes outside ASCII would be encoded.
            _ => return Err(Odd),
        }
    }
    Ok(out)
}

fn digit(byte: u8) -> Result<u8, Odd> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(Odd),
    }
}
