//! A body as it went over the wire in chunks (RFC 9112, section 7.1), put together.

/// The body of `text`, whose lines may end in LF alone; `None` where it is not in chunks.
pub(super) fn put_together(text: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut rest = text;
    loop {
        let (size, behind) = line(rest);
        let size = size_of(size)?;
        if size == 0 {
            rest = behind;
            break;
        }
        let (chunk, behind) = behind.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        let (b"", behind) = line(behind) else {
            return None;
        };
        rest = behind;
    }
    let mut lines = rest.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut trailers = lines.by_ref().take_while(|line| !line.is_empty());
    let is_end = trailers.all(|line| line.contains(&b':')) && lines.all(<[u8]>::is_empty);
    is_end.then_some(body)
}

/// The first line, and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n');
    let (line, rest) = text.split_at(end.unwrap_or(text.len()));
    let rest = rest.strip_prefix(b"\n").unwrap_or_default();
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// The size of a chunk. One with extensions is none: the gateway refuses them.
fn size_of(line: &[u8]) -> Option<usize> {
    let is_number = line.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(line).ok().filter(|_| is_number)?;
    usize::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_chunks_is_put_together_and_nothing_else_is() {
        for (text, body) in [
            (&b"5\r\nhello\r\n0\r\n\r\n"[..], Some(&b"hello"[..])),
            (b"5\nhello\nA\n, you two!\n0\n", Some(b"hello, you two!")),
            (b"2\r\n\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", Some(b"\r\n")),
            (b"0\r\n\r\n", Some(b"")),
            (b"0", Some(b"")),
            (b"5\r\nhello\r\n", None),
            (b"7\r\nhello\r\n0\r\n\r\n", None),
            (b"4\r\nhello\r\n0\r\n\r\n", None),
            (b"5;a=b\r\nhello\r\n0\r\n\r\n", None),
            (b"+5\r\nhello\r\n0\r\n\r\n", None),
            (b"ffffffffffffffffff\r\nhello", None),
            (b"0\nis the number\n", None),
            (b"{\"a\": 1}\n", None),
            (b"", None),
        ] {
            assert_eq!(put_together(text).as_deref(), body, "{text:?}");
        }
    }
}
