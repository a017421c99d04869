//! What a head says of its message and its connection.

use super::class::is_name;
use crate::server::Fault;

/// The largest `Content-Length`: what fits an `i64`, so that no reader's count runs over.
pub(super) const MAX_LENGTH: u64 = i64::MAX as u64;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The next head.
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The next head, or another protocol, as is yet to be decided (RFC 9110, section 7.8).
    Undecided,
}

/// What it says, as far as it was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Says {
    pub(super) http_10: bool,
    pub(super) upgrade: bool,
    /// `Connection` names `close`.
    pub(super) close: bool,
    /// `Connection` names `keep-alive`.
    pub(super) keep_alive: bool,
    /// `Expect` is `100-continue`.
    pub(super) waits: bool,
    /// `TE` names `trailers`.
    pub(super) takes_trailers: bool,
    host: bool,
    chunked: bool,
    length: Option<u64>,
}

impl Says {
    /// Takes in one field. Most names are told from these by their length alone.
    pub(super) fn hear(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let is = |wanted| is_name(name, wanted);
        match name.len() {
            2 if is("te") => self.takes_trailers |= names(value, "trailers"),
            4 if is("host") => {
                if self.host {
                    return Err(Fault::Malformed("there is more than one `Host`"));
                }
                self.host = true;
            }
            6 if is("expect") => {
                self.waits = value.trim_ascii().eq_ignore_ascii_case(b"100-continue");
            }
            7 if is("upgrade") => self.upgrade = true,
            10 if is("connection") => {
                self.close |= names(value, "close");
                self.keep_alive |= names(value, "keep-alive");
            }
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(Fault::Malformed("there is more than one `Content-Length`"));
                }
                self.length = Some(content_length(value.trim_ascii())?);
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Malformed(
                        "the only transfer coding accepted is `chunked`, once",
                    ));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What the fields together say.
    pub(super) fn body(self) -> Result<Body, Fault> {
        if !self.host && !self.http_10 {
            return Err(Fault::Malformed("there is no `Host`"));
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Fault::Malformed(
                "`Content-Length` and `Transfer-Encoding` exclude each other",
            )),
            (true, None) if self.http_10 => {
                Err(Fault::Malformed("HTTP/1.0 has no `Transfer-Encoding`"))
            }
            (true, None) => Ok(Body::Chunked),
            (false, None | Some(0)) if self.upgrade && !self.http_10 => Ok(Body::Undecided),
            (false, None | Some(0)) => Ok(Body::None),
            (false, Some(length)) => Ok(Body::Length(length)),
        }
    }

    /// Whether its client takes the connection to stay open behind the answer.
    pub(super) const fn keeps_open(self) -> bool {
        !self.close && (self.keep_alive || !self.http_10)
    }
}

/// Whether a list names `wanted`.
fn names(list: &[u8], wanted: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The length that a field announces.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Fault> {
    const BAD: Fault = Fault::Malformed("`Content-Length` is not one number from 0 to 2^63 - 1");
    /// Digits of [`MAX_LENGTH`]: what can be summed up without running over a `u64`.
    const MAX_DIGITS: usize = 19;
    if value.is_empty() || value.len() > MAX_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let length = value
        .iter()
        .fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
    if length > MAX_LENGTH {
        return Err(BAD);
    }
    Ok(length)
}
