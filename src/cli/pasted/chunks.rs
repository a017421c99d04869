//! A body as it went over the wire in chunks (RFC 9112, section 7.1), put together.

use crate::server::http1::chunks::{MAX_SIZE_DIGITS, MAX_TRAILERS};
use http::header::{HeaderName, HeaderValue};

/// The body of `text`, whose lines may end in LF alone, or why the gateway refuses its chunks; `None` where it is
/// not in any.
pub(super) fn put_together(text: &[u8]) -> Option<Result<Vec<u8>, &'static str>> {
    let mut body = Vec::new();
    let mut fault = None;
    let mut rest = text;
    loop {
        let (size, behind) = line(rest);
        let (size, bad) = size_of(size)?;
        fault = fault.or(bad);
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
    let mut lines = rest
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let mut trailers = 0;
    for trailer in lines.by_ref().take_while(|line| !line.is_empty()) {
        trailers += trailer.len() + b"\r\n".len();
        if trailers > MAX_TRAILERS {
            fault = fault.or(Some("the trailers are too large"));
        }
        let colon = trailer.iter().position(|byte| *byte == b':')?;
        if !is_field(trailer.split_at(colon)) {
            fault = fault.or(Some("a trailer is not a field line"));
        }
    }
    let is_end = lines.all(<[u8]>::is_empty);
    is_end.then_some(fault.map_or(Ok(body), Err))
}

/// Whether a name, and what stands from its colon on, are a field.
fn is_field((name, value): (&[u8], &[u8])) -> bool {
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
    HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
}

/// The first line, and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n');
    let (line, rest) = text.split_at(end.unwrap_or(text.len()));
    let rest = rest.strip_prefix(b"\n").unwrap_or_default();
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// The size of a chunk, and why the gateway refuses what stands there, if it does.
fn size_of(line: &[u8]) -> Option<(usize, Option<&'static str>)> {
    let end = line.iter().position(|byte| *byte == b';');
    let (digits, extensions) = line.split_at(end.unwrap_or(line.len()));
    let is_number = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    let size = usize::from_str_radix(text, 16).ok()?;
    let bad = if digits.len() > MAX_SIZE_DIGITS.into() {
        Some("the size of a chunk has too many digits")
    } else if extensions.is_empty() {
        None
    } else {
        Some("chunk extensions are not accepted")
    };
    Some((size, bad))
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
            (b"+5\r\nhello\r\n0\r\n\r\n", None),
            (b"ffffffffffffffffff\r\nhello", None),
            (b"0\nis the number\n", None),
            (b"{\"a\": 1}\n", None),
            (b"", None),
        ] {
            let put = put_together(text).map(Result::unwrap);
            assert_eq!(put.as_deref(), body, "{text:?}");
        }
    }

    #[test]
    fn chunks_that_the_gateway_refuses_are_none_to_put_together() {
        for (text, why) in [
            (&b"5;a=b\r\nhello\r\n0\r\n\r\n"[..], "extensions"),
            (
                b"00000000000000000000000005\r\nhello\r\n0\r\n\r\n",
                "too many digits",
            ),
            (
                b"5\r\nhello\r\n00000000000000000\r\n\r\n",
                "too many digits",
            ),
            (b"5\r\nhello\r\n0\r\n: x\r\n\r\n", "a trailer"),
            (b"0\r\nx : y\r\n\r\n", "a trailer"),
            (b"0\r\n x: y\r\n\r\n", "a trailer"),
            (b"0\r\nx: \x01y\r\n\r\n", "a trailer"),
        ] {
            let fault = put_together(text).unwrap().unwrap_err();
            assert!(fault.contains(why), "{text:?}: {fault}");
        }
        let trailers = |value: usize| format!("0\r\nx: {}\r\n\r\n", "a".repeat(value));
        let most = MAX_TRAILERS - b"x: \r\n".len();
        assert_eq!(put_together(trailers(most).as_bytes()), Some(Ok(vec![])));
        let more = put_together(trailers(most + 1).as_bytes());
        assert_eq!(more, Some(Err("the trailers are too large")));
    }
}
