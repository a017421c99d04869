//! One request's head, line by line: complete and clean, or a [`Fault`].
//!
//! Only heads of which there is one reading (RFC 9112) are read at all: what
//! two readers could read differently (a `#fragment`, a `Content-Length`
//! beside a `Transfer-Encoding`, a bare line feed) is a fault, told as soon
//! as its line is there.

use super::class::{PATH, QUERY, TOKEN, all, is, is_control, leading};
use super::says::{Body, Says};
use crate::server::Fault;
use memchr::memchr;

/// Bytes a target may have.
pub(super) const MAX_TARGET: usize = 8 * 1024;
/// Bytes a method may have.
pub(super) const MAX_METHOD: usize = 32;
/// Fields a head may have.
pub(super) const MAX_FIELDS: usize = 100;
/// Bytes all field lines of a head may have together.
pub(super) const MAX_FIELD_BYTES: usize = 32 * 1024;
/// Bytes a head may have: one empty line before it, the request line, the fields.
pub(super) const MAX_HEAD: usize = CRLF + MAX_REQUEST_LINE + CRLF + MAX_FIELD_BYTES + CRLF;

const CRLF: usize = 2;
const MAX_REQUEST_LINE: usize = MAX_METHOD + " ".len() + MAX_TARGET + " HTTP/1.1".len();

/// How far the reading of a head came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All is well so far, and the end is not there.
    More,
    /// It is complete and clean.
    Complete {
        /// Bytes it has.
        bytes: usize,
        /// What follows.
        body: Body,
    },
    /// It is no head.
    Fault(Fault),
}

/// A head in the reading. Each byte is looked at once, however the bytes arrive.
#[derive(Debug, Default)]
pub(super) struct Head {
    stage: Stage,
    /// Where the current line starts.
    line: usize,
    /// Up to where no line end was found.
    scanned: usize,
    /// Where the fields start.
    fields_from: usize,
    /// What is in front of the fields: method and target.
    request: Mark,
    /// The fields: name and value.
    marks: Vec<Mark>,
    says: Says,
}

/// Where a line of a head starts, its first part ends and its second one ends.
/// Between the two parts is one byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) start: u16,
    pub(super) middle: u16,
    pub(super) end: u16,
}

const _: () = assert!(MAX_HEAD <= u16::MAX as usize);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing, or one empty line, which a lenient client left behind (RFC 9112, section 2.2).
    #[default]
    Start,
    AfterEmptyLine,
    Fields,
}

impl Head {
    /// Reads on. `bytes` start where the head starts, and hold what the last call held.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Progress {
        loop {
            let unseen = bytes.get(self.scanned..).unwrap_or_default();
            let Some(newline) = memchr(b'\n', unseen) else {
                self.scanned = bytes.len();
                return match self.begun(bytes.get(self.line..).unwrap_or_default()) {
                    Ok(()) => Progress::More,
                    Err(fault) => Progress::Fault(fault),
                };
            };
            let end = self.scanned + newline;
            let line = bytes.get(self.line..end).unwrap_or_default();
            let ended = self.begun(line).and_then(|()| match line.split_last() {
                Some((b'\r', line)) => self.ended(line, end + 1),
                _ => Err(BARE_LF),
            });
            self.line = end + 1;
            self.scanned = self.line;
            match ended {
                Ok(false) => {}
                Ok(true) => {
                    return match self.says.body() {
                        Ok(body) => Progress::Complete {
                            bytes: self.line,
                            body,
                        },
                        Err(fault) => Progress::Fault(fault),
                    };
                }
                Err(fault) => return Progress::Fault(fault),
            }
        }
    }

    /// Whether a byte of a request has come: an empty line before it is none.
    pub(super) fn has_begun(&self, held: &[u8]) -> bool {
        self.stage == Stage::Fields || !matches!(held.get(self.line..), None | Some([] | b"\r"))
    }

    /// What can be said of a line before its end is there, and must not change when it is.
    fn begun(&self, line: &[u8]) -> Result<(), Fault> {
        if self.stage == Stage::Fields {
            let bytes = self.line - self.fields_from + line.len();
            // Without the LF of the empty line behind the fields.
            return if bytes < MAX_FIELD_BYTES + CRLF {
                Ok(())
            } else {
                Err(Fault::HeadTooLarge)
            };
        }
        match line.first() {
            None | Some(b'\r' | b'\n') => {}
            Some(first) if is(*first, TOKEN) => {}
            Some(&HANDSHAKE) => return Err(SPEAKS_TLS),
            Some(_) => return Err(BAD_METHOD),
        }
        if line.len() <= MAX_REQUEST_LINE + "\r".len() {
            return Ok(());
        }
        match memchr(b' ', line.get(..=MAX_METHOD).unwrap_or_default()) {
            Some(_) => Err(Fault::TargetTooLong),
            None => Err(METHOD_TOO_LONG),
        }
    }

    /// Reads one line without its end; true when it is the last.
    fn ended(&mut self, line: &[u8], next: usize) -> Result<bool, Fault> {
        match (self.stage, line.is_empty()) {
            (Stage::Start, true) => self.stage = Stage::AfterEmptyLine,
            (Stage::AfterEmptyLine, true) => return Err(EMPTY_LINES),
            (Stage::Start | Stage::AfterEmptyLine, false) => {
                let (mark, http_10) = request_line(line)?;
                self.request = mark.from(self.line);
                self.says.http_10 = http_10;
                self.stage = Stage::Fields;
                self.fields_from = next;
            }
            (Stage::Fields, true) => return Ok(true),
            (Stage::Fields, false) => self.field(line)?,
        }
        Ok(false)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        if self.marks.len() == MAX_FIELDS {
            return Err(Fault::HeadTooLarge);
        }
        let (name, value) = field_line(line)?;
        let mark = Mark::new(name.len(), line.len());
        self.marks.push(mark.from(self.line));
        self.says.hear(name, value)
    }

    /// Starts over, for the next head.
    pub(super) fn reset(&mut self) {
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        *self = Self {
            marks,
            ..Self::default()
        };
    }

    /// Where method and target stand, once it is complete.
    pub(super) const fn request(&self) -> Mark {
        self.request
    }

    /// Where the fields stand, once it is complete.
    pub(super) fn fields(&self) -> &[Mark] {
        &self.marks
    }

    /// What it says, once it is complete.
    pub(super) const fn says(&self) -> Says {
        self.says
    }
}

impl Mark {
    /// Of a line that starts at 0. Both are within [`MAX_HEAD`].
    const fn new(middle: usize, end: usize) -> Self {
        Self {
            start: 0,
            middle: middle as u16,
            end: end as u16,
        }
    }

    /// The same in a line that starts at `start`, within [`MAX_HEAD`].
    const fn from(self, start: usize) -> Self {
        let start = start as u16;
        Self {
            start,
            middle: start + self.middle,
            end: start + self.end,
        }
    }
}

const BARE_LF: Fault = Fault::Malformed("a line ends in LF without CR");
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;
const SPEAKS_TLS: Fault = Fault::Malformed("the client speaks TLS, and this port plain HTTP");
const BAD_METHOD: Fault = Fault::Malformed("the method is not a token");
const METHOD_TOO_LONG: Fault = Fault::Malformed("the method is too long");
const EMPTY_LINES: Fault = Fault::Malformed("there is more than one empty line before the request");

/// Reads `METHOD SP target SP HTTP/1.x`; true when it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<(Mark, bool), Fault> {
    if line.first() == Some(&HANDSHAKE) {
        return Err(SPEAKS_TLS);
    }
    let Some((method, rest)) =
        memchr(b' ', line).and_then(|space| Some((line.get(..space)?, line.get(space + 1..)?)))
    else {
        return Err(Fault::Malformed(
            "the request line is not a method, a target and a version",
        ));
    };
    if method.len() > MAX_METHOD {
        return Err(METHOD_TOO_LONG);
    }
    if !all(method, TOKEN) {
        return Err(BAD_METHOD);
    }
    let (target, http_10) = if let Some(target) = rest.strip_suffix(b" HTTP/1.1") {
        (target, false)
    } else if let Some(target) = rest.strip_suffix(b" HTTP/1.0") {
        (target, true)
    } else {
        return Err(Fault::Malformed(
            "the request line does not end in `HTTP/1.1` or `HTTP/1.0`",
        ));
    };
    target_is_good(target)?;
    let mark = Mark::new(method.len(), method.len() + " ".len() + target.len());
    Ok((mark, http_10))
}

/// What is wrong with `line`, without its end, as a request line.
pub(crate) fn fault_in_request_line(line: &[u8]) -> Option<Fault> {
    request_line(line).err()
}

fn target_is_good(target: &[u8]) -> Result<(), Fault> {
    if target.len() > MAX_TARGET {
        return Err(Fault::TargetTooLong);
    }
    let (path, query) = match memchr(b'?', target) {
        Some(mark) => target.split_at_checked(mark).unwrap_or((target, &[])),
        None => (target, &[][..]),
    };
    if !(all(path, PATH) && all(query, QUERY)) {
        return Err(Fault::Malformed(what_is_bad_in(target)));
    }
    // Any other form is rare: the library's own reader says what it would make of it.
    if target.first() == Some(&b'/') || reads_as_written(target) {
        Ok(())
    } else {
        Err(Fault::Malformed(
            "the target is neither a path nor an absolute URL",
        ))
    }
}

/// Whether `http::Uri` keeps a target that is no path as it is. A path that is left out is `/`.
fn reads_as_written(target: &[u8]) -> bool {
    http::Uri::try_from(target).is_ok_and(|uri| {
        let read = uri.to_string();
        let read = read.as_bytes();
        read == target || read.strip_suffix(b"/") == Some(target)
    })
}

fn what_is_bad_in(target: &[u8]) -> &'static str {
    let first_bad = target
        .iter()
        .find(|byte| !is(**byte, PATH | QUERY) || **byte == b'"');
    match first_bad {
        Some(b' ') => "the request line is not a method, a target and a version",
        Some(b'#') => "the target holds a `#`",
        Some(0..=0x1f | 0x7f) => "the target holds a control byte",
        Some(0x80..) => "the target holds a byte that is not ASCII",
        _ => "the target holds a byte that must be percent-encoded",
    }
}

/// Splits a field line into name and value, of a head or of trailers.
fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Fault::Malformed("a field line is folded"));
    }
    let (name, value) = match line.split_at_checked(leading(line, TOKEN)) {
        Some((name, [b':', value @ ..])) if !name.is_empty() => (name, value),
        _ => return Err(what_is_bad_in_field(line)),
    };
    // No table here, so that the compiler looks at many bytes at a time.
    let control = value
        .iter()
        .fold(false, |found, byte| found | is_control(*byte));
    if control {
        return Err(Fault::Malformed(
            "the value of a field holds a control byte",
        ));
    }
    Ok((name, value))
}

fn what_is_bad_in_field(line: &[u8]) -> Fault {
    let Some(name) = memchr(b':', line).and_then(|colon| line.get(..colon)) else {
        return Fault::Malformed("a field line has no colon");
    };
    Fault::Malformed(match name.last() {
        None => "a field has no name",
        Some(b' ' | b'\t') => "there is a space before the colon of a field",
        Some(_) => "the name of a field is not a token",
    })
}

#[cfg(test)]
mod tests;
