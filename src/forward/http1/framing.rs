//! The body of an answer, from the bytes that a server sent (RFC 9112, sections 6 and 7).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Bytes that a line between chunks may have: a size and what nobody reads behind it.
const MAX_SIZE_LINE: usize = 4 * 1024;
/// Bytes that all such lines of a body may have beyond their digits.
const MAX_EXTENSIONS: usize = 64 * 1024;
/// Bytes and fields that the trailers of a body may have.
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 64;
/// Digits of a chunk's size.
const MAX_SIZE_DIGITS: usize = 15;

/// How much of a body is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Whatever comes until the server closes.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before a size; so many bytes of extensions there were.
    Size { extensions: usize },
    /// Within a chunk.
    Data { left: u64, extensions: usize },
    /// Behind a chunk's last byte.
    DataEnd { extensions: usize },
    /// Behind the last chunk.
    Trailers,
    /// All of it was read.
    Over,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Step {
    /// Bytes of the body.
    Data(Bytes),
    /// Trailers; the body is over.
    Trailers(HeaderMap),
    /// It is over.
    End,
    /// More has to arrive first.
    More,
}

impl Framing {
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size { extensions: 0 });

    /// Whether nothing more belongs to the body.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over))
    }

    /// Bytes to come, where that is known.
    pub(super) const fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(Chunk::Over) => Some(0),
            _ => None,
        }
    }

    /// Takes what comes next off the front of `arrived`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn next(&mut self, arrived: &mut BytesMut) -> Result<Step, &'static str> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Length(left) => Ok(take(arrived, left)),
            Self::UntilClose if arrived.is_empty() => Ok(Step::More),
            Self::UntilClose => Ok(Step::Data(arrived.split().freeze())),
            Self::Chunked(chunk) => chunk.next(arrived),
        }
    }
}

fn take(arrived: &mut BytesMut, left: &mut u64) -> Step {
    let here = arrived
        .len()
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    if here == 0 {
        return Step::More;
    }
    *left -= here as u64;
    Step::Data(arrived.split_to(here).freeze())
}

impl Chunk {
    fn next(&mut self, arrived: &mut BytesMut) -> Result<Step, &'static str> {
        loop {
            match self {
                Self::Size { extensions } => {
                    let Some(line) = line(arrived, MAX_SIZE_LINE)? else {
                        return Ok(Step::More);
                    };
                    let (size, beyond) = size(&line)?;
                    let extensions = *extensions + beyond;
                    if extensions > MAX_EXTENSIONS {
                        return Err("its chunks have more than 64 KiB of extensions");
                    }
                    *self = match size {
                        0 => Self::Trailers,
                        left => Self::Data { left, extensions },
                    };
                }
                Self::Data { left, extensions } => {
                    let extensions = *extensions;
                    let step = take(arrived, left);
                    if *left == 0 {
                        *self = Self::DataEnd { extensions };
                    }
                    return Ok(step);
                }
                Self::DataEnd { extensions } => match &**arrived {
                    [b'\r', b'\n', ..] => {
                        arrived.advance(2);
                        *self = Self::Size {
                            extensions: *extensions,
                        };
                    }
                    [] | [b'\r'] => return Ok(Step::More),
                    _ => return Err("a chunk of it is longer than its size"),
                },
                Self::Trailers => {
                    let Some(fields) = trailers(arrived)? else {
                        return Ok(Step::More);
                    };
                    *self = Self::Over;
                    return Ok(if fields.is_empty() {
                        Step::End
                    } else {
                        Step::Trailers(fields)
                    });
                }
                Self::Over => return Ok(Step::End),
            }
        }
    }
}

/// The line at the front, without its end, once all of it is there.
fn line(arrived: &mut BytesMut, longest: usize) -> Result<Option<BytesMut>, &'static str> {
    let window = arrived.get(..longest).unwrap_or(arrived);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if arrived.len() >= longest {
            Err("a line between its chunks is longer than 4 KiB")
        } else {
            Ok(None)
        };
    };
    let mut line = arrived.split_to(end + 1);
    match line.as_ref() {
        [.., b'\r', b'\n'] => line.truncate(end - 1),
        // Only both together end a line here: a size is where readers like to differ.
        _ => return Err("a chunk's size is not valid"),
    }
    Ok(Some(line))
}

/// A chunk's size, and how many bytes of its line say something else.
fn size(line: &[u8]) -> Result<(u64, usize), &'static str> {
    const BAD: &str = "a chunk's size is not valid";
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = digits.count();
    if digits == 0 || digits > MAX_SIZE_DIGITS {
        return Err(BAD);
    }
    let (digits, rest) = line.split_at(digits);
    if !matches!(rest.trim_ascii_start().first(), None | Some(b';')) || rest.contains(&b'\r') {
        return Err(BAD);
    }
    let size = digits.iter().fold(0, |size, digit| {
        size * 16 + u64::from(char::from(*digit).to_digit(16).unwrap_or_default())
    });
    Ok((size, rest.len()))
}

/// The trailers and the empty line behind them, once all of it is there.
fn trailers(arrived: &mut BytesMut) -> Result<Option<HeaderMap>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    let (length, map) = match httparse::parse_headers(arrived, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) => {
            let mut map = HeaderMap::new();
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                let (Ok(name), Ok(value)) = (name, value) else {
                    return Err("its trailers are not valid");
                };
                map.append(name, value);
            }
            (length, map)
        }
        Ok(httparse::Status::Partial) if arrived.len() <= MAX_TRAILERS => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("its trailers are longer than 16 KiB"),
        Err(httparse::Error::TooManyHeaders) => return Err("it has more than 64 trailers"),
        Err(_) => return Err("its trailers are not valid"),
    };
    if length > MAX_TRAILERS {
        return Err("its trailers are longer than 16 KiB");
    }
    arrived.advance(length);
    Ok(Some(map))
}
