//! A chunked body (RFC 9112, section 7.1), followed byte by byte.
//!
//! Nothing is held back: a body whose chunks are bad ends in an error, which
//! is all that can be said once its head has been let through. Extensions are
//! refused: nobody uses them but those who want two readers to disagree.

use super::head::{is_control, is_token};

/// Bytes the trailers of one body may have together.
pub(super) const MAX_TRAILERS: usize = 8 * 1024;
/// Digits a chunk's size may have; with the sign bit free, see [`MAX_CHUNK`].
const MAX_SIZE_DIGITS: u8 = 16;
/// The largest chunk.
const MAX_CHUNK: u64 = i64::MAX as u64;

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { value: u64, digits: u8 },
    SizeEnd { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Line,
    Name,
    Value,
    LineEnd,
    LastLf,
}

/// How far the following of a body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes belong to the body, and more will come.
    More,
    /// It ended after so many bytes.
    Complete {
        /// Bytes that belong to the body.
        bytes: usize,
    },
    /// It is no chunked body.
    Bad(&'static str),
}

impl Chunks {
    pub(super) const START: Self = Self {
        at: At::Size {
            value: 0,
            digits: 0,
        },
        trailers: 0,
    };

    /// Follows the next bytes.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Progress {
        let mut rest = bytes;
        loop {
            if let At::Data { left } = self.at {
                let here = left.min(rest.len() as u64);
                rest = rest.get(here as usize..).unwrap_or_default();
                self.at = match left - here {
                    0 => At::DataCr,
                    left => At::Data { left },
                };
            }
            let Some((byte, after)) = rest.split_first() else {
                return Progress::More;
            };
            rest = after;
            match self.step(*byte) {
                Ok(false) => {}
                Ok(true) => {
                    return Progress::Complete {
                        bytes: bytes.len() - rest.len(),
                    };
                }
                Err(why) => return Progress::Bad(why),
            }
        }
    }

    /// Takes one byte that is not data; true when it is the last.
    fn step(&mut self, byte: u8) -> Result<bool, &'static str> {
        self.at = match (self.at, byte) {
            (At::Size { value, digits }, _) => size(value, digits, byte)?,
            (At::SizeEnd { value: 0 }, b'\n') => At::Line,
            (At::SizeEnd { value: left }, b'\n') => At::Data { left },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size {
                value: 0,
                digits: 0,
            },
            (At::LastLf, b'\n') => return Ok(true),
            (At::Line | At::Name | At::Value | At::LineEnd, _) => self.trailer(byte)?,
            _ => return Err("a chunk does not end in CRLF"),
        };
        Ok(false)
    }

    fn trailer(&mut self, byte: u8) -> Result<At, &'static str> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err("the trailers are too large");
        }
        match (self.at, byte) {
            (At::Line, b'\r') => Ok(At::LastLf),
            (At::Name, b':') | (At::Value, b'\t') => Ok(At::Value),
            (At::Line | At::Name, _) if is_token(byte) => Ok(At::Name),
            (At::Value, b'\r') => Ok(At::LineEnd),
            (At::Value, _) if !is_control(byte) => Ok(At::Value),
            (At::LineEnd, b'\n') => Ok(At::Line),
            _ => Err("a trailer is not a field line"),
        }
    }
}

fn size(value: u64, digits: u8, byte: u8) -> Result<At, &'static str> {
    if byte == b'\r' && digits > 0 {
        return if value > MAX_CHUNK {
            Err("a chunk is too large")
        } else {
            Ok(At::SizeEnd { value })
        };
    }
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b';' => return Err("chunk extensions are not accepted"),
        _ => return Err("the size of a chunk is not a hexadecimal number"),
    };
    if digits == MAX_SIZE_DIGITS {
        return Err("the size of a chunk has too many digits");
    }
    Ok(At::Size {
        value: value << 4 | u64::from(digit),
        digits: digits + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(bytes: &[u8], step: usize) -> (Progress, usize) {
        let mut chunks = Chunks::START;
        let mut taken = 0;
        for part in bytes.chunks(step) {
            match chunks.follow(part) {
                Progress::More => taken += part.len(),
                Progress::Complete { bytes } => {
                    return (Progress::Complete { bytes }, taken + bytes);
                }
                bad @ Progress::Bad(_) => return (bad, taken),
            }
        }
        (Progress::More, taken)
    }

    #[test]
    fn a_body_ends_where_its_last_chunk_ends_however_it_arrives() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"3\r\nabc\r\n0\r\n\r\n",
            b"00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n",
            b"1\r\n\n\r\n0\r\nx-sum: 1\r\nempty:\r\n\r\n",
        ] {
            let stream = [body, b"GET / HTTP/1.1"].concat();
            for step in 1..=stream.len() {
                assert_eq!(follow(&stream, step).1, body.len(), "{body:?} by {step}");
            }
        }
    }

    #[test]
    fn chunks_that_two_readers_could_read_differently_are_bad() {
        let long_trailer = [b"0\r\nx: ", &[b'a'; MAX_TRAILERS][..], b"\r\n\r\n"].concat();
        for (body, why) in [
            (&b"\r\n"[..], "not a hexadecimal"),
            (b"g\r\n", "not a hexadecimal"),
            (b"0x1\r\na\r\n", "not a hexadecimal"),
            (b"+1\r\na\r\n", "not a hexadecimal"),
            (b" 1\r\na\r\n", "not a hexadecimal"),
            (b"1 \r\na\r\n", "not a hexadecimal"),
            (b"1\na\n", "not a hexadecimal"),
            (b"1;x=y\r\na\r\n", "extensions"),
            (b"00000000000000001\r\na\r\n", "too many digits"),
            (b"ffffffffffffffff\r\na\r\n", "too large"),
            (b"1\rxa\r\n", "does not end in CRLF"),
            (b"1\r\nab", "does not end in CRLF"),
            (b"1\r\na\n", "does not end in CRLF"),
            (b"1\r\na\r\r", "does not end in CRLF"),
            (b"0\r\n\n", "not a field line"),
            (b"0\r\n x: y\r\n\r\n", "not a field line"),
            (b"0\r\nx y\r\n\r\n", "not a field line"),
            (b"0\r\nx : y\r\n\r\n", "not a field line"),
            (b"0\r\n: y\r\n\r\n", "not a field line"),
            (b"0\r\nx: y\nz: a\r\n\r\n", "not a field line"),
            (b"0\r\nx: \0\r\n\r\n", "not a field line"),
            (b"0\r\n\rx", "does not end in CRLF"),
            (&long_trailer, "too large"),
        ] {
            for step in [1, 2, 3, body.len()] {
                let Progress::Bad(said) = follow(body, step).0 else {
                    panic!("{body:?} by {step} passes");
                };
                assert!(said.contains(why), "{body:?} by {step}: {said}");
            }
        }
    }
}
