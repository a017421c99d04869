//! The head of an answer, written out, and how its body is framed (RFC 9112, section 6).

use super::reader::Asked;
use crate::server::date;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, TRAILER,
    TRANSFER_ENCODING,
};
use http::{Method, StatusCode, Version, response};
use http_body::Body;
use tokio::time::Instant;

/// What of a request its answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) asks: Asks,
    pub(super) http_10: bool,
    pub(super) takes_trailers: bool,
}

/// What its method makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Answer,
    /// `HEAD`: no body follows.
    Head,
    /// `CONNECT`: of a success no body follows.
    Connect,
}

impl From<&Method> for Asks {
    fn from(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Answer,
        }
    }
}

impl Asker {
    /// Who sent what is no request.
    pub(super) const NOBODY: Self = Self {
        asks: Asks::Answer,
        http_10: false,
        takes_trailers: false,
    };
}

impl From<&Asked> for Asker {
    fn from(asked: &Asked) -> Self {
        Self {
            asks: Asks::from(&asked.parts.method),
            http_10: asked.parts.version == Version::HTTP_10,
            takes_trailers: asked.takes_trailers,
        }
    }
}

/// How long an answer's body is, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// There is none.
    Empty,
    Known(u64),
    Unknown,
}

/// How long `body` is.
pub(super) fn size_of(body: &impl Body) -> Size {
    match body.size_hint().exact() {
        _ if body.is_end_stream() => Size::Empty,
        Some(length) => Size::Known(length),
        None => Size::Unknown,
    }
}

/// How the body goes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks, and of trailers these.
    Chunks(Vec<HeaderName>),
    /// Until the connection ends.
    UntilClose,
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) framed: Framed,
    /// Whether a request may follow.
    pub(super) keeps_open: bool,
}

/// Writes the head out. `keeps_open` is whether a request may follow, if the
/// head does not say otherwise.
pub(super) fn write(
    text: &mut Vec<u8>,
    parts: &response::Parts,
    size: Size,
    asker: Asker,
    keeps_open: bool,
    now: Instant,
) -> Written {
    let status = parts.status;
    let framing = Framing::new(status, size, asker);
    status_line(text, status, asker.http_10);
    let mut has_date = false;
    let mut connection = Connection::default();
    for (name, value) in &parts.headers {
        match *name {
            // The framing is ours.
            CONTENT_LENGTH | TRANSFER_ENCODING => continue,
            TRAILER if !framing.may_be_chunked => continue,
            CONNECTION => connection.told(value),
            DATE => has_date = true,
            _ => {}
        }
        field(text, name.as_str().as_bytes(), value.as_bytes());
    }
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let framed = framing.write(text, &parts.headers, asker);
    let is_last_word =
        is_switch || asker.asks == Asks::Connect && status.is_success() || connection.closes;
    let keeps_open = keeps_open && !is_last_word && framed != Framed::UntilClose;
    if !(keeps_open || asker.http_10 || connection.closes || is_switch) {
        text.extend_from_slice(b"connection: close\r\n");
    } else if keeps_open && asker.http_10 && !connection.keeps_open {
        text.extend_from_slice(b"connection: keep-alive\r\n");
    }
    if !has_date {
        date::write(text, now);
    }
    text.extend_from_slice(b"\r\n");
    Written { framed, keeps_open }
}

fn status_line(text: &mut Vec<u8>, status: StatusCode, http_10: bool) {
    if status == StatusCode::OK && !http_10 {
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    text.extend_from_slice(if http_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    // There must be a space, and some want a word behind it.
    let reason = status.canonical_reason().unwrap_or("<none>");
    text.extend_from_slice(reason.as_bytes());
    text.extend_from_slice(b"\r\n");
}

fn field(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // One look at the room for all four.
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Writes the trailers that were announced behind the last chunk.
pub(super) fn write_trailers(text: &mut Vec<u8>, trailers: &HeaderMap, announced: &[HeaderName]) {
    for (name, value) in trailers {
        if announced.contains(name) {
            field(text, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// What the answer's own `Connection` says.
#[derive(Debug, Default)]
struct Connection {
    closes: bool,
    keeps_open: bool,
}

impl Connection {
    fn told(&mut self, value: &HeaderValue) {
        for one in value.as_bytes().split(|byte| *byte == b',') {
            let one = one.trim_ascii();
            self.closes |= one.eq_ignore_ascii_case(b"close");
            self.keeps_open |= one.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// The framing in the making.
#[derive(Debug)]
struct Framing {
    size: Size,
    has_body: bool,
    may_tell_length: bool,
    may_be_chunked: bool,
}

impl Framing {
    fn new(status: StatusCode, size: Size, asker: Asker) -> Self {
        let may_tell_length = !(status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || asker.asks == Asks::Connect && status.is_success());
        let has_body = may_tell_length && asker.asks != Asks::Head;
        Self {
            size,
            has_body,
            may_tell_length,
            may_be_chunked: has_body && !asker.http_10,
        }
    }

    /// Writes the fields that frame the body.
    fn write(self, text: &mut Vec<u8>, fields: &HeaderMap, asker: Asker) -> Framed {
        let length = match self.size {
            Size::Known(length) => Some(length),
            // `HEAD` tells what `GET` would have.
            Size::Empty if self.has_body => Some(0),
            Size::Empty if asker.asks == Asks::Head => told(fields),
            Size::Empty => None,
            Size::Unknown => told(fields),
        };
        if let Some(length) = length.filter(|_| self.may_tell_length) {
            text.extend_from_slice(b"content-length: ");
            decimal(text, length);
            text.extend_from_slice(b"\r\n");
        }
        match length {
            _ if !self.has_body => Framed::Length(0),
            Some(length) => Framed::Length(length),
            None if self.may_be_chunked => {
                text.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Framed::Chunks(if asker.takes_trailers {
                    announced(fields)
                } else {
                    Vec::new()
                })
            }
            None => Framed::UntilClose,
        }
    }
}

/// The length that a head tells, for where the body does not.
fn told(fields: &HeaderMap) -> Option<u64> {
    let mut told = fields.get_all(CONTENT_LENGTH).iter();
    told.find_map(|value| value.to_str().ok()?.parse().ok())
}

/// The trailers that a head announces.
fn announced(fields: &HeaderMap) -> Vec<HeaderName> {
    fields
        .get_all(TRAILER)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

/// Writes a number out.
fn decimal(text: &mut Vec<u8>, mut number: u64) {
    /// Digits of the largest.
    const MOST: usize = 20;
    let mut digits = [b'0'; MOST];
    let mut from = MOST;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        from -= 1;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(digits.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    const ASKER: Asker = Asker::NOBODY;

    fn written(
        status: u16,
        fields: &[(&'static str, &'static str)],
        size: Size,
        asker: Asker,
        keeps_open: bool,
    ) -> (String, Written) {
        let mut answer = Response::builder().status(status).header("date", "now");
        for (name, value) in fields {
            answer = answer.header(*name, *value);
        }
        let (parts, ()) = answer.body(()).unwrap().into_parts();
        let mut text = Vec::new();
        let written = write(&mut text, &parts, size, asker, keeps_open, Instant::now());
        let text = String::from_utf8(text).unwrap();
        (text.replace("date: now\r\n", ""), written)
    }

    #[test]
    fn a_body_is_framed_as_its_size_says_and_by_nobody_else() {
        for (size, framing, framed) in [
            (
                Size::Known(1234),
                "content-length: 1234\r\n",
                Framed::Length(1234),
            ),
            (Size::Known(0), "content-length: 0\r\n", Framed::Length(0)),
            (Size::Empty, "content-length: 0\r\n", Framed::Length(0)),
            (
                Size::Unknown,
                "transfer-encoding: chunked\r\n",
                Framed::Chunks(Vec::new()),
            ),
        ] {
            let fields = [("transfer-encoding", "gzip"), ("x", "y")];
            let (text, written) = written(200, &fields, size, ASKER, true);
            assert_eq!(text, format!("HTTP/1.1 200 OK\r\nx: y\r\n{framing}\r\n"));
            assert_eq!(written.framed, framed);
            assert!(written.keeps_open);
        }
        let (text, unknown) = written(200, &[("content-length", "7")], Size::Unknown, ASKER, true);
        assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
        assert_eq!(unknown.framed, Framed::Length(7));
        let (text, _) = written(200, &[("content-length", "7")], Size::Known(9), ASKER, true);
        assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
    }

    #[test]
    fn an_answer_that_has_no_body_has_none_whatever_its_handler_says() {
        let head = Asker {
            asks: Asks::Head,
            ..ASKER
        };
        let connect = Asker {
            asks: Asks::Connect,
            ..ASKER
        };
        for (status, asker, size, told, framing) in [
            (200, head, Size::Empty, "9", "content-length: 9\r\n"),
            (200, head, Size::Known(9), "9", "content-length: 9\r\n"),
            (200, head, Size::Unknown, "9", "content-length: 9\r\n"),
            (204, ASKER, Size::Known(9), "9", ""),
            (204, ASKER, Size::Empty, "0", ""),
            (304, ASKER, Size::Unknown, "9", ""),
            (101, ASKER, Size::Empty, "9", ""),
            (200, connect, Size::Known(9), "9", "connection: close\r\n"),
        ] {
            let fields = [("content-length", told)];
            let (text, written) = written(status, &fields, size, asker, true);
            let (_, fields) = text.split_once("\r\n").unwrap();
            assert_eq!(
                fields,
                format!("{framing}\r\n"),
                "{status} {asker:?} {size:?}"
            );
            assert_eq!(written.framed, Framed::Length(0), "{status} {asker:?}");
        }
        assert_eq!(
            written(200, &[], Size::Empty, head, true).0,
            "HTTP/1.1 200 OK\r\n\r\n"
        );
    }

    #[test]
    fn whether_the_connection_stays_open_is_told_as_its_client_knows_it() {
        let old = Asker {
            http_10: true,
            ..ASKER
        };
        let close = [("connection", "x, Close")];
        for (fields, asker, keeps_open, stays, line) in [
            (&[][..], ASKER, true, true, ""),
            (&[], ASKER, false, false, "connection: close\r\n"),
            (&close, ASKER, true, false, ""),
            (&close, ASKER, false, false, ""),
            (&[], old, true, true, "connection: keep-alive\r\n"),
            (&[], old, false, false, ""),
            (&close, old, true, false, ""),
        ] {
            let (text, written) = written(404, fields, Size::Known(1), asker, keeps_open);
            let behind = text.split_once("content-length: 1\r\n").unwrap().1;
            assert_eq!(behind, format!("{line}\r\n"), "{fields:?} {asker:?}");
            assert_eq!(written.keeps_open, stays, "{fields:?} {asker:?}");
        }
        let (text, until_close) = written(404, &[], Size::Unknown, old, true);
        assert_eq!(text, "HTTP/1.0 404 Not Found\r\n\r\n");
        assert_eq!(until_close.framed, Framed::UntilClose);
        assert!(!until_close.keeps_open);
        assert!(!written(101, &[], Size::Empty, ASKER, true).1.keeps_open);
    }

    #[test]
    fn trailers_go_out_where_they_are_announced_and_wanted() {
        let wants = Asker {
            takes_trailers: true,
            ..ASKER
        };
        let fields = [("trailer", "X-Sum, x-none"), ("trailer", "grpc-status")];
        let Framed::Chunks(announced) = written(200, &fields, Size::Unknown, wants, true).1.framed
        else {
            panic!("no chunks");
        };
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "grpc-status", "other"] {
            trailers.append(name, HeaderValue::from_static("1"));
        }
        let mut text = Vec::new();
        write_trailers(&mut text, &trailers, &announced);
        assert_eq!(text, b"x-sum: 1\r\ngrpc-status: 1\r\n");
        let (_, unwanted) = written(200, &fields, Size::Unknown, ASKER, true);
        assert_eq!(unwanted.framed, Framed::Chunks(Vec::new()));
    }

    #[test]
    fn numbers_are_written_out_to_the_largest() {
        for number in [0, 9, 10, 1_024, u64::MAX] {
            let mut text = Vec::new();
            decimal(&mut text, number);
            assert_eq!(text, number.to_string().into_bytes());
        }
    }
}
