//! A chunked body (RFC 9112, section 7.1), followed byte by byte.
//!
//! Nothing is held back: a body whose chunks are bad ends in an error, which
//! is all that can be said once its head has been let through. Extensions are
//! refused: nobody uses them but those who want two readers to disagree.

use super::class::{is_control, is_token};
use super::reader::Step;
use bytes::{Buf as _, BytesMut};

/// Bytes the trailers of one body may have together.
pub(crate) const MAX_TRAILERS: usize = 8 * 1024;
/// Digits a chunk's size may have; with the sign bit free, see [`MAX_CHUNK`].
pub(crate) const MAX_SIZE_DIGITS: u8 = 16;
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

impl Chunks {
    pub(super) const START: Self = Self {
        at: At::Size {
            value: 0,
            digits: 0,
        },
        trailers: 0,
    };

    /// Follows bytes without taking them; true when the body ends among them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<bool, &'static str> {
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
                return Ok(false);
            };
            rest = after;
            if self.step(*byte)? {
                return Ok(true);
            }
        }
    }

    /// Takes what comes next off the front of `arrived`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn next(&mut self, arrived: &mut BytesMut) -> Result<Step, &'static str> {
        if let At::Data { left } = self.at {
            return Ok(self.data(arrived, left));
        }
        let mut taken = 0;
        for byte in &**arrived {
            taken += 1;
            if self.step(*byte)? {
                arrived.advance(taken);
                return Ok(Step::End);
            }
            if let At::Data { left } = self.at {
                arrived.advance(taken);
                return Ok(self.data(arrived, left));
            }
        }
        arrived.clear();
        Ok(Step::More)
    }

    fn data(&mut self, arrived: &mut BytesMut, left: u64) -> Step {
        let (step, left) = take(arrived, left);
        self.at = match left {
            0 => At::DataCr,
            left => At::Data { left },
        };
        step
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

/// As many of `left` bytes as are there, and how many are left then.
pub(super) fn take(arrived: &mut BytesMut, left: u64) -> (Step, u64) {
    let here = arrived
        .len()
        .min(usize::try_from(left).unwrap_or(usize::MAX));
    if here == 0 {
        return (Step::More, left);
    }
    let data = arrived.split_to(here).freeze();
    (Step::Data(data), left - here as u64)
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

    /// What comes of `bytes` that arrive so many at a time: the body, how it
    /// ends, and how many bytes are left over.
    fn read(bytes: &[u8], step: usize) -> (Vec<u8>, Result<Step, &'static str>, usize) {
        let mut chunks = Chunks::START;
        let (mut arrived, mut data) = (BytesMut::new(), Vec::new());
        let mut given = 0;
        for part in bytes.chunks(step) {
            arrived.extend_from_slice(part);
            given += part.len();
            loop {
                match chunks.next(&mut arrived) {
                    Ok(Step::Data(piece)) => data.extend_from_slice(&piece),
                    Ok(Step::More) => break,
                    end => return (data, end, arrived.len() + bytes.len() - given),
                }
            }
        }
        (data, Ok(Step::More), 0)
    }

    #[test]
    fn a_body_ends_where_its_last_chunk_ends_however_it_arrives() {
        for (body, data) in [
            (&b"0\r\n\r\n"[..], &b""[..]),
            (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
            (
                b"00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n",
                b"01234567890123456789",
            ),
            (b"1\r\n\n\r\n0\r\nx-sum: 1\r\nempty:\r\n\r\n", b"\n"),
        ] {
            let stream = [body, b"GET / HTTP/1.1"].concat();
            for step in 1..=stream.len() {
                let (read, end, left) = read(&stream, step);
                assert_eq!(end, Ok(Step::End), "{body:?} by {step}");
                assert_eq!(left, "GET / HTTP/1.1".len(), "{body:?} by {step}");
                assert_eq!(read, data, "{body:?} by {step}");
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
                let (_, Err(said), _) = read(body, step) else {
                    panic!("{body:?} by {step} passes");
                };
                assert!(said.contains(why), "{body:?} by {step}: {said}");
            }
        }
    }
}
