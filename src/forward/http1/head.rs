//! The head of an answer, from the bytes that a server sent (RFC 9112).

use super::framing::Framing;
use crate::forward::spare;
use crate::schemes::received::MAX_NOMINATED;
use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, InvalidHeaderName, SERVER, TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, response};
use std::mem::MaybeUninit;
use std::time::Duration;

/// Bytes that the head of an answer may have.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// Fields that it may have.
const MAX_FIELDS: usize = 200;
/// Fields that the gateway adds, mostly.
const OURS: usize = 4;
/// Interim answers before the final one.
const MAX_INTERIM: u8 = 8;

/// Reads heads from what has arrived, until the final one.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Bytes in which no end of the head was found.
    searched: usize,
    interim: u8,
    /// Whether the server was asked to switch protocols.
    pub(super) may_switch: bool,
}

/// A final answer's head, and what it says of its body and its connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: response::Parts,
    pub(super) framing: Framing,
    /// Whether the server will take another request behind it.
    pub(super) keeps_open: bool,
    /// How long it waits for that one, where it says so.
    pub(super) waits: Option<Duration>,
}

impl Reader {
    /// The final head, taken off the front of `arrived`; `None` while it is not all there.
    ///
    /// # Errors
    /// What is wrong with it. The connection is of no more use then.
    pub(super) fn read(
        &mut self,
        arrived: &mut BytesMut,
        asked: &Method,
    ) -> Result<Option<Head>, &'static str> {
        loop {
            let Some(end) = self.end(arrived) else {
                return if arrived.len() > MAX_HEAD {
                    Err("its head is longer than 64 KiB")
                } else {
                    Ok(None)
                };
            };
            if end > MAX_HEAD {
                return Err("its head is longer than 64 KiB");
            }
            self.searched = 0;
            let bytes = arrived.split_to(end).freeze();
            let (parts, says) = parse(&bytes)?;
            match parts.status {
                StatusCode::SWITCHING_PROTOCOLS if self.may_switch => {
                    return Ok(Some(Head::switching(parts)));
                }
                StatusCode::SWITCHING_PROTOCOLS => {
                    return Err("it switches protocols, which nobody asked for");
                }
                status if status.is_informational() => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err("it has more than 8 interim answers");
                    }
                }
                _ => return Head::new(parts, &says, asked).map(Some),
            }
        }
    }

    /// Where the head ends: behind the first empty line. A line may end
    /// without its carriage return (RFC 9112, section 2.2).
    fn end(&mut self, arrived: &[u8]) -> Option<usize> {
        // An empty line before the head would be one at its start too.
        let from = self.searched.saturating_sub(2);
        for at in memchr::memchr_iter(b'\n', arrived.get(from..)?) {
            let behind = from + at + 1;
            match arrived.get(behind..)? {
                [b'\n', ..] => return Some(behind + 1),
                [b'\r', b'\n', ..] => return Some(behind + 2),
                _ => {}
            }
        }
        self.searched = arrived.len();
        None
    }
}

fn parse(head: &Bytes) -> Result<(response::Parts, Says), &'static str> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        head,
        &mut fields,
    );
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err("it has more than 200 fields"),
        Ok(httparse::Status::Partial) | Err(_) => return Err("its head is not valid HTTP/1.1"),
    }
    let status = response.code.filter(|code| (100..600).contains(code));
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status.ok_or("its status is not between 100 and 599")?;
    // With room for what the gateway adds.
    spare::make_room(&mut parts.headers, response.headers.len() + OURS);
    let mut says = Says::default();
    for field in &*response.headers {
        let name = field_name(field.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err("a field of it is not valid");
        };
        says.hear(&name, value.as_bytes());
        parts.headers.append(name, value);
    }
    says.http_10 = response.version == Some(0);
    Ok((parts, says))
}

/// Of those that most answers have it is told by the two ways in which servers write them.
fn field_name(name: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    Ok(match name {
        b"Connection" | b"connection" => CONNECTION,
        b"Content-Length" | b"content-length" => CONTENT_LENGTH,
        b"Content-Type" | b"content-type" => CONTENT_TYPE,
        b"Date" | b"date" => DATE,
        b"Server" | b"server" => SERVER,
        _ => return HeaderName::from_bytes(name),
    })
}

/// What a head says of its body and its connection.
#[derive(Debug, Default)]
struct Says {
    http_10: bool,
    /// The last `Content-Length`, and how many there are.
    length: Option<Result<u64, &'static str>>,
    lengths: usize,
    /// Whether the last `Transfer-Encoding` is `chunked`, and how many there are.
    is_chunked: bool,
    codings: usize,
    /// `Connection` names `close`, or `keep-alive`.
    close: bool,
    keep_alive: bool,
    /// Names in `Connection`.
    nominated: usize,
    /// The least `timeout` of `Keep-Alive`.
    waits: Option<Duration>,
}

impl Says {
    fn hear(&mut self, name: &HeaderName, value: &[u8]) {
        match *name {
            CONTENT_LENGTH => {
                self.length = Some(decimal(value));
                self.lengths += 1;
            }
            TRANSFER_ENCODING => {
                self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
                self.codings += 1;
            }
            CONNECTION => {
                self.nominated += value.split(|byte| *byte == b',').count();
                self.close |= names(value, b"close");
                self.keep_alive |= names(value, b"keep-alive");
            }
            _ if name.as_str() == "keep-alive" => {
                self.waits = self.waits.into_iter().chain(waits(value)).min();
            }
            _ => {}
        }
    }

    /// How long the body is (RFC 9112, section 6.3). What two readers could read
    /// differently is refused.
    fn framing(&self, status: StatusCode, asked: &Method) -> Result<Framing, &'static str> {
        if self.nominated > MAX_NOMINATED {
            return Err("its `Connection` names more than 32 fields");
        }
        if self.lengths > 1 {
            return Err("there is more than one `Content-Length`");
        }
        if self.codings > 0 {
            if self.lengths > 0 {
                return Err("it has both `Content-Length` and `Transfer-Encoding`");
            }
            if self.http_10 {
                return Err("it has `Transfer-Encoding` in HTTP/1.0");
            }
            if self.codings > 1 || !self.is_chunked {
                return Err("its transfer coding is not `chunked`");
            }
        }
        let length = self.length.transpose()?;
        let has_none = *asked == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        Ok(match length {
            _ if has_none => Framing::Length(0),
            Some(length) => Framing::Length(length),
            None if self.is_chunked => Framing::CHUNKED,
            None => Framing::UntilClose,
        })
    }
}

impl Head {
    /// What comes behind it is no HTTP.
    const fn switching(parts: response::Parts) -> Self {
        Self {
            parts,
            framing: Framing::UntilClose,
            keeps_open: false,
            waits: None,
        }
    }

    fn new(parts: response::Parts, says: &Says, asked: &Method) -> Result<Self, &'static str> {
        let framing = says.framing(parts.status, asked)?;
        let keeps_open = if says.http_10 {
            says.keep_alive
        } else {
            !says.close
        };
        // What it tells of cannot be there, and would pass for the next answer if it came.
        let tells_of_body = parts.status == StatusCode::NO_CONTENT
            && (says.codings > 0 || says.length.is_some_and(|length| length != Ok(0)));
        Ok(Self {
            parts,
            framing,
            keeps_open: keeps_open && !tells_of_body && framing != Framing::UntilClose,
            waits: says.waits,
        })
    }
}

fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    const BAD: &str = "its `Content-Length` is not a number";
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    digits
        .iter()
        .try_fold(0_i64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        })
        .map(|length| length as u64)
        .ok_or(BAD)
}

/// The `timeout` in a `Keep-Alive` (RFC 2068, section 19.7.1.1); what cannot be read says nothing.
fn waits(value: &[u8]) -> Option<Duration> {
    value.split(|byte| *byte == b',').find_map(|one| {
        let at = memchr::memchr(b'=', one)?;
        let (name, seconds) = (one.get(..at)?, one.get(at + 1..)?);
        if !name.trim_ascii().eq_ignore_ascii_case(b"timeout") {
            return None;
        }
        decimal(seconds.trim_ascii()).ok().map(Duration::from_secs)
    })
}

fn names(value: &[u8], wanted: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(wanted))
}
