//! Requests, from head to end, in the bytes as they arrive; without a socket.
//!
//! Open to other crates so that it can be fuzzed.

use super::chunks::{self, Chunks};
use super::class::is_name;
use super::head::{Head, Mark, Progress};
use super::says::Body;
use crate::server::Fault;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue, InvalidHeaderName};
use http::request::Parts;
use http::{Method, Request, Uri, Version};

/// Bytes of a chunk from which on it is handed on by itself, and of a piece that is made of smaller ones.
const SMALL: usize = 1024;
const JOINED: usize = 16 * 1024;

/// Names that most proven requests have and the HTTP library does not know:
/// from here they cost no memory of their own.
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Reads the requests of one connection, one behind the other.
#[derive(Debug, Default)]
pub struct Reader {
    arrived: BytesMut,
    head: Head,
    rest: Rest,
    /// An empty map with the room of one that is no longer used.
    spare: HeaderMap,
}

/// What is still to come of the request whose head was read last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Nothing,
    Length(u64),
    Chunks {
        at: Chunks,
        /// What has arrived is followed to its end before any of it is given
        /// out: so many bytes of it, up to here, or to the end of the body.
        ahead: Chunks,
        followed: usize,
        ends: bool,
    },
}

/// One request's head, and what it says of its message and its connection.
#[derive(Debug)]
pub struct Asked {
    /// Its parts.
    pub parts: Box<Parts>,
    /// Whether its client takes the connection to stay open behind the answer.
    pub keeps_open: bool,
    /// Whether it asks to switch protocols. What follows is neither head nor
    /// body until that is decided.
    pub switches: bool,
    /// Whether its client waits for a 100 before it sends the body.
    pub waits: bool,
    /// Whether its client wants trailers.
    pub takes_trailers: bool,
}

/// What came next of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes of it.
    Data(Bytes),
    /// It is over.
    End,
    /// More has to arrive first.
    More,
}

impl Reader {
    /// Brings what arrived next.
    pub fn bring(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
    }

    /// What arrived and was not read yet, to bring more of it.
    pub(super) const fn arrived(&mut self) -> &mut BytesMut {
        &mut self.arrived
    }

    /// Bytes that arrived and were not read yet.
    pub fn held(&self) -> usize {
        self.arrived.len()
    }

    /// Whether a byte of the next request has arrived: an empty line before it is none.
    pub(super) fn has_begun(&self) -> bool {
        !self.arrived.is_empty() && self.head.has_begun(&self.arrived)
    }

    /// Whether all of the last request was read.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// Bytes to come of the body, where that is known.
    pub(super) const fn left(&self) -> Option<u64> {
        match self.rest {
            Rest::Nothing => Some(0),
            Rest::Length(left) => Some(left),
            Rest::Chunks { .. } => None,
        }
    }

    /// Gives back a map that is no longer used, for the next head.
    pub(super) fn take_back(&mut self, mut fields: HeaderMap) {
        if fields.capacity() <= Self::MAX_SPARE {
            fields.clear();
            self.spare = fields;
        }
    }

    /// Fields that a map may have room for that is kept.
    const MAX_SPARE: usize = 64;

    /// Lets go of all memory that it can do without.
    pub(super) fn let_go(&mut self) {
        if self.arrived.is_empty() {
            self.arrived = BytesMut::new();
            self.head = Head::default();
        }
        self.spare = HeaderMap::new();
    }

    /// What has arrived and was not read.
    pub(super) fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.arrived).freeze()
    }

    /// The next request's head; `None` while it is not all there. The request
    /// before it must be over.
    ///
    /// # Errors
    /// Why what arrived is no head. Nothing behind it means anything.
    pub fn head(&mut self) -> Result<Option<Asked>, Fault> {
        if self.arrived.is_empty() {
            return Ok(None);
        }
        let (bytes, body) = match self.head.read(&self.arrived) {
            Progress::More => return Ok(None),
            Progress::Complete { bytes, body } => (bytes, body),
            Progress::Fault(fault) => return Err(fault),
        };
        let bytes = self.arrived.split_to(bytes).freeze();
        let parts = parts(&self.head, &bytes, &mut self.spare)?;
        let says = self.head.says();
        self.head.reset();
        self.rest = match body {
            Body::None | Body::Undecided => Rest::Nothing,
            Body::Length(length) => Rest::Length(length),
            Body::Chunked => Rest::Chunks {
                at: Chunks::START,
                ahead: Chunks::START,
                followed: 0,
                ends: false,
            },
        };
        Ok(Some(Asked {
            parts,
            keeps_open: says.keeps_open(),
            switches: body == Body::Undecided,
            waits: says.waits && !says.http_10,
            takes_trailers: says.takes_trailers,
        }))
    }

    /// What comes next of the body.
    ///
    /// # Errors
    /// What is wrong with it. Nothing behind it means anything.
    pub fn step(&mut self) -> Result<Step, &'static str> {
        let step = match &mut self.rest {
            Rest::Nothing => return Ok(Step::End),
            Rest::Length(left) => {
                let (step, now_left) = chunks::take(&mut self.arrived, *left);
                *left = now_left;
                if now_left == 0 {
                    self.rest = Rest::Nothing;
                }
                step
            }
            Rest::Chunks {
                at,
                ahead,
                followed,
                ends,
            } => {
                let held = self.arrived.len();
                if !*ends && *followed < held {
                    *ends = ahead.follow(self.arrived.get(*followed..).unwrap_or_default())?;
                    *followed = held;
                }
                let mut step = at.next(&mut self.arrived)?;
                let mut is_over = step == Step::End;
                if let Step::Data(first) = &step
                    && first.len() < SMALL
                    && !self.arrived.is_empty()
                {
                    let joined = joined(at, first, &mut self.arrived)?;
                    is_over = joined.1;
                    step = Step::Data(joined.0);
                }
                *followed -= held - self.arrived.len();
                if is_over {
                    self.rest = Rest::Nothing;
                }
                step
            }
        };
        Ok(step)
    }

    /// All of the body, if all of it has arrived in one piece.
    pub(super) fn whole(&mut self) -> Option<Bytes> {
        let left = usize::try_from(self.left()?).ok()?;
        if self.arrived.len() < left {
            return None;
        }
        self.rest = Rest::Nothing;
        Some(self.arrived.split_to(left).freeze())
    }
}

/// A small chunk and those behind it that are there, as one piece: to hand each on by itself would cost
/// us and the server more than the client. Whether the body ends with them.
fn joined(
    at: &mut Chunks,
    first: &[u8],
    arrived: &mut BytesMut,
) -> Result<(Bytes, bool), &'static str> {
    let mut piece = BytesMut::with_capacity((first.len() + arrived.len()).min(JOINED));
    piece.extend_from_slice(first);
    while piece.len() < JOINED {
        match at.next(arrived)? {
            Step::Data(more) => piece.extend_from_slice(&more),
            Step::More => break,
            Step::End => return Ok((piece.freeze(), true)),
        }
    }
    Ok((piece.freeze(), false))
}

/// The parts of a head that was found to be clean; `spare` is the map for its fields.
fn parts(head: &Head, bytes: &Bytes, spare: &mut HeaderMap) -> Result<Box<Parts>, Fault> {
    // What the head's reader let pass the library takes; if it ever did not, it is no request.
    const UNREADABLE: Fault = Fault::Malformed("the head cannot be read");
    let first = |mark: Mark| bytes.get(mark.start.into()..mark.middle.into());
    let second = |mark: Mark| bytes.get(usize::from(mark.middle) + 1..mark.end.into());
    let request = head.request();
    let (Some(method), Some(target)) = (first(request), second(request)) else {
        return Err(UNREADABLE);
    };
    let mut parts = Box::new(Request::new(()).into_parts().0);
    parts.method = Method::from_bytes(method).map_err(|_| UNREADABLE)?;
    parts.uri = Uri::from_maybe_shared(bytes.slice_ref(target)).map_err(|_| UNREADABLE)?;
    if head.says().http_10 {
        parts.version = Version::HTTP_10;
    }
    std::mem::swap(&mut parts.headers, spare);
    parts.headers.reserve(head.fields().len());
    for mark in head.fields() {
        let (Some(name), Some(value)) = (first(*mark), second(*mark)) else {
            return Err(UNREADABLE);
        };
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value.trim_ascii()));
        let (Ok(name), Ok(value)) = (field_name(name), value) else {
            return Err(UNREADABLE);
        };
        parts.headers.append(name, value);
    }
    Ok(parts)
}

/// Those that come often are told by their length, and from one other of it.
fn field_name(name: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    let is = |wanted| is_name(name, wanted);
    Ok(match name.len() {
        4 if is("host") => header::HOST,
        6 if is("accept") => header::ACCEPT,
        9 if is("signature") => SIGNATURE,
        10 if is("user-agent") => header::USER_AGENT,
        12 if is("content-type") => header::CONTENT_TYPE,
        13 if is("authorization") => header::AUTHORIZATION,
        14 if is("content-digest") => CONTENT_DIGEST,
        15 if is("signature-input") => SIGNATURE_INPUT,
        _ => return HeaderName::from_bytes(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        let mut reader = Reader::default();
        reader.bring(text.as_bytes());
        reader.head().unwrap().unwrap()
    }

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = asked(
            "\r\nPATCH /a%2F?b HTTP/1.1\r\nHOST: \ta \r\nX:\r\nSignature-Input: s=()\r\nx: \u{e9}\r\n\r\n",
        );
        assert_eq!(head.parts.method, "PATCH");
        assert_eq!(head.parts.uri, "/a%2F?b");
        assert_eq!(head.parts.version, Version::HTTP_11);
        let fields: Vec<_> = head.parts.headers.iter().collect();
        let value = |bytes: &'static [u8]| HeaderValue::from_bytes(bytes).unwrap();
        assert_eq!(
            fields,
            [
                (&HeaderName::from_static("host"), &value(b"a")),
                (&HeaderName::from_static("x"), &value(b"")),
                (&HeaderName::from_static("x"), &value("\u{e9}".as_bytes())),
                (&HeaderName::from_static("signature-input"), &value(b"s=()")),
            ]
        );
        assert_eq!(
            asked("GET * HTTP/1.0\r\n\r\n").parts.version,
            Version::HTTP_10
        );
    }

    #[test]
    fn what_a_head_says_of_its_connection_is_heard() {
        let with = |version: &str, fields: &str| {
            asked(&format!(
                "GET / HTTP/1.{version}\r\nHost: a\r\n{fields}\r\n"
            ))
        };
        for (version, fields, keeps_open) in [
            ("1", "", true),
            ("1", "Connection: x, CLOSE\r\n", false),
            (
                "1",
                "Connection: close\r\nConnection: keep-alive\r\n",
                false,
            ),
            ("0", "", false),
            ("0", "connection: Keep-Alive\r\n", true),
            ("0", "connection: keep-alive, close\r\n", false),
        ] {
            assert_eq!(with(version, fields).keeps_open, keeps_open, "{fields:?}");
        }
        let expects = "Expect: 100-Continue\r\nContent-Length: 1\r\n";
        assert!(with("1", expects).waits && !with("0", expects).waits);
        assert!(!with("1", "Expect: x\r\n").waits);
        assert!(with("1", "TE: gzip, Trailers\r\n").takes_trailers);
        assert!(!with("1", "TE: trailers;q=1\r\n").takes_trailers);
        assert!(with("1", "Upgrade: x\r\n").switches && !with("0", "Upgrade: x\r\n").switches);
    }

    #[test]
    fn small_chunks_that_are_there_are_one_piece_and_large_ones_stay_apart() {
        let mut reader = Reader::default();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let small = "1\r\na\r\n".repeat(3_000);
        reader.bring(format!("{head}{small}0\r\nX: y\r\n\r\n").as_bytes());
        reader.head().unwrap().unwrap();
        assert_eq!(reader.step(), Ok(Step::Data("a".repeat(3_000).into())));
        assert!(reader.is_between());
        assert_eq!(reader.step(), Ok(Step::End));

        let large = "b".repeat(SMALL);
        let text = format!("{SMALL:x}\r\n{large}\r\n1\r\nc\r\n1\r\nd\r\n1");
        reader.bring(format!("{head}{text}").as_bytes());
        reader.head().unwrap().unwrap();
        assert_eq!(reader.step(), Ok(Step::Data(large.into())));
        assert_eq!(reader.step(), Ok(Step::Data("cd".into())));
        assert_eq!(reader.step(), Ok(Step::More));
        assert!(!reader.is_between());
    }

    #[test]
    fn of_chunks_that_arrived_together_with_bad_ones_none_is_given_out() {
        let mut reader = Reader::default();
        reader.bring(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        reader.head().unwrap().unwrap();
        assert_eq!(reader.step(), Ok(Step::Data(Bytes::from_static(b"a"))));
        reader.bring(b"1\r\nb\r\n1;x\r\n");
        assert_eq!(reader.step(), Err("chunk extensions are not accepted"));
    }

    #[test]
    fn a_body_that_arrived_with_its_head_is_taken_whole_and_what_follows_stays() {
        let mut reader = Reader::default();
        reader.bring(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
        reader.head().unwrap().unwrap();
        assert_eq!(reader.whole(), None);
        reader.bring(b"cGET");
        assert_eq!(reader.whole().unwrap(), "abc");
        assert!(reader.is_between() && reader.has_begun());
        assert_eq!(reader.held(), 3);
        reader.let_go();
        assert_eq!(reader.held(), 3);
    }
}
