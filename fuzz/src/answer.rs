//! Answers of servers: they are read the same however they arrive, what
//! stands behind one is no part of it, and what is held has a bound.
//! An input is what a server sends, to a `HEAD` if it begins with that line.

use http::{HeaderMap, Method, StatusCode};
use portcullis::forward::http1::answer::{Part, Reading};

/// More than may be held while more has to come: the longest head.
const MAX_HELD: usize = 64 * 1024;
/// More fields than an answer may have.
const MAX_FIELDS: usize = 200;

/// What must hold of any bytes.
pub(super) fn check(bytes: &[u8]) {
    let (asked, bytes) = match bytes.strip_prefix(b"HEAD\n") {
        Some(bytes) => (Method::HEAD, bytes),
        None => (Method::GET, bytes),
    };
    let whole = Read::of(bytes, bytes.len(), &asked);
    whole.assert_sane(bytes, &asked);
    for step in [1, 7, 64] {
        assert_eq!(Read::of(bytes, step, &asked), whole, "in steps of {step}");
    }
    if whole.is_over {
        let more = [bytes, b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\nforged"].concat();
        assert_eq!(Read::of(&more, more.len(), &asked), whole, "with more");
    }
}

/// What came of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    head: Option<(StatusCode, HeaderMap, bool)>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// It ended, as its framing said.
    is_over: bool,
    is_bad: bool,
    /// It would be whole if the server closed behind these bytes.
    may_end: bool,
}

impl Read {
    /// Of bytes that arrive so many at a time.
    fn of(bytes: &[u8], step: usize, asked: &Method) -> Self {
        let mut reading = Reading::answer_to(asked.clone());
        let mut read = Self::default();
        for some in bytes.chunks(step.max(1)) {
            reading.bring(some);
            while !read.is_over && !read.is_bad && read.take(&mut reading) {}
            if read.is_over || read.is_bad {
                return read;
            }
            assert!(reading.held() <= MAX_HELD + some.len());
        }
        read.may_end = reading.ends_with_the_connection();
        read
    }

    /// Takes one part; `false` when more has to come first.
    fn take(&mut self, reading: &mut Reading) -> bool {
        match reading.read() {
            Err(_) => self.is_bad = true,
            Ok(None) => return false,
            Ok(Some(Part::Head {
                status,
                fields,
                keeps_open,
            })) => {
                assert_eq!(self.head, None, "one head only");
                self.head = Some((status, fields, keeps_open));
            }
            Ok(Some(Part::Data(data))) => {
                assert!(!data.is_empty(), "no news");
                self.body.extend_from_slice(&data);
            }
            Ok(Some(Part::Trailers(fields))) => {
                self.trailers = Some(fields);
                self.is_over = true;
            }
            Ok(Some(Part::End)) => self.is_over = true,
        }
        true
    }

    fn assert_sane(&self, bytes: &[u8], asked: &Method) {
        assert!(self.body.len() <= bytes.len());
        let Some((status, fields, keeps_open)) = &self.head else {
            assert!(self.body.is_empty() && !self.is_over && !self.may_end);
            return;
        };
        assert!((200..600).contains(&status.as_u16()), "{status}");
        assert!(fields.len() <= MAX_FIELDS);
        let all = |name| fields.get_all(name).iter().collect::<Vec<_>>();
        let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
        assert!(lengths.len() + codings.len() <= 1, "two framings");
        if *asked == Method::HEAD || matches!(status.as_u16(), 204 | 304) {
            assert!(self.body.is_empty(), "a body where none can be");
        } else if let [length] = *lengths {
            let length: u64 = length.to_str().unwrap().parse().unwrap();
            assert!(self.body.len() as u64 <= length);
            assert_eq!(self.is_over, self.body.len() as u64 == length);
        } else if codings.is_empty() {
            assert!(!self.is_over && self.may_end && !keeps_open);
        } else {
            assert!(!self.may_end, "a chunked body has an end of its own");
        }
    }
}
