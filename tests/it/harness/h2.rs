//! HTTP/2 by hand: fields as literals, without compression, so that nothing
//! is put right on the way.

use super::{Connection, Request, Response};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Sends one request over a connection of its own; `None` when its stream, or
/// the connection, is reset instead of answered. Of the answer's fields only the status is read.
pub fn ask(address: SocketAddr, fields: &[(&str, &str)], body: Option<&[u8]>) -> Option<Response> {
    let mut connection = begin(address, fields, body);
    let mut response = None;
    loop {
        let start = connection.take(9);
        if start.len() < 9 {
            return None;
        }
        let length = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let payload = connection.take(length as usize);
        let stream = u32::from_be_bytes([start[5] & 0x7f, start[6], start[7], start[8]]);
        match (start[3], stream) {
            (HEADERS, 1) => {
                response = Some(Response {
                    status: status(&payload),
                    fields: Vec::new(),
                    body: Vec::new(),
                    complete: true,
                });
            }
            (DATA, 1) => response.as_mut()?.body.extend(payload),
            (RST_STREAM, 1) => return None,
            (GOAWAY, _) if payload[4..8] != [0; 4] => return None,
            _ => {}
        }
        if stream == 1 && [HEADERS, DATA].contains(&start[3]) && start[4] & END_STREAM != 0 {
            return response;
        }
    }
}

/// Sends a request, and leaves its answer to the test.
pub fn open(address: SocketAddr, request: &Request) -> Connection {
    let lower = lower(request);
    begin(address, &fields(request, &lower), request.body.as_deref())
}

fn begin(address: SocketAddr, fields: &[(&str, &str)], body: Option<&[u8]>) -> Connection {
    let mut connection = Connection::open(address);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    head(&mut bytes, fields, body.is_none());
    // What a peer takes before it has been asked, on a stream and on a connection.
    assert!(body.is_none_or(|body| body.len() < 65_536));
    for chunk in body.unwrap_or_default().chunks(MAX_FRAME) {
        frame(&mut bytes, DATA, 0, 1, chunk);
    }
    if body.is_some() {
        frame(&mut bytes, DATA, END_STREAM, 1, &[]);
    }
    connection.send(&bytes);
    connection
}

/// Speaks HTTP/2 as a server with these settings, and sends what `answer` makes for each head that comes.
pub fn to_each_head(stream: &mut TcpStream, settings: &[u8], answer: impl Fn() -> Vec<u8>) {
    let mut bytes = Vec::new();
    frame(&mut bytes, SETTINGS, 0, 0, settings);
    let _ = stream.write_all(&bytes);
    let mut preface = [0; 24];
    let _ = stream.read_exact(&mut preface);
    let mut start = [0; 9];
    while stream.read_exact(&mut start).is_ok() {
        let length = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let mut payload = vec![0; length as usize];
        let _ = stream.read_exact(&mut payload);
        if start[3] == HEADERS {
            let _ = stream.write_all(&answer());
        }
    }
}

/// The fields of a request as HTTP/2 has them.
pub fn fields<'f>(request: &'f Request, lower: &'f [(String, String)]) -> Vec<(&'f str, &'f str)> {
    let mut fields = vec![
        (":method", request.method.as_str()),
        (":scheme", request.scheme),
        (":authority", &request.authority),
        (":path", &request.target),
    ];
    fields.extend(
        lower
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    fields
}

/// A request's own fields, in lower case.
pub fn lower(request: &Request) -> Vec<(String, String)> {
    request
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect()
}

/// Sends a request as it is.
pub fn send(request: &Request, address: SocketAddr) -> Response {
    let lower = lower(request);
    ask(address, &fields(request, &lower), request.body.as_deref())
        .expect("the request was reset instead of answered")
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Setting: bytes of a stream's body that the other end may send unasked.
pub const INITIAL_WINDOW: u16 = 4;

/// Error codes (RFC 9113, section 7).
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// One connection, frame by frame.
#[derive(Debug)]
pub struct Session(Connection);

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether its stream ends with it.
    pub fn ends(&self) -> bool {
        [DATA, HEADERS].contains(&self.kind) && self.flags & END_STREAM != 0
    }

    /// The error that it tells: of a GOAWAY or an RST.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status that it tells, of a HEADERS.
    pub fn status(&self) -> u16 {
        status(&self.payload)
    }
}

impl Session {
    /// Connects, and says these settings.
    pub fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut session = Self(Connection::open(address));
        session.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        session.frame(SETTINGS, 0, 0, &payload);
        session
    }

    /// Sends any bytes; false when the other end has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.try_send(bytes)
    }

    /// Sends a frame; false when the other end has closed.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut bytes = Vec::new();
        frame(&mut bytes, kind, flags, stream, payload);
        self.send(&bytes)
    }

    /// Sends a request's head.
    pub fn head(&mut self, stream: u32, request: &Request, ends: bool) -> bool {
        let mut bytes = Vec::new();
        put_request(&mut bytes, stream, request, ends);
        self.send(&bytes)
    }

    /// Resets a stream.
    pub fn reset(&mut self, stream: u32) -> bool {
        self.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
    }

    /// Opens a window; stream 0 is the connection's.
    pub fn open_window(&mut self, stream: u32, by: u32) -> bool {
        self.frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
    }

    /// The next frame; `None` at the end.
    pub fn next(&mut self) -> Option<Frame> {
        let head = self.0.take(9);
        if head.len() < 9 {
            return None;
        }
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        let length = number(&head[..3]) as usize;
        let payload = self.0.take(length);
        (payload.len() == length).then_some(Frame {
            kind: head[3],
            flags: head[4],
            stream: number(&head[5..]) & 0x7fff_ffff,
            payload,
        })
    }

    /// The next frame of that kind on that stream.
    #[track_caller]
    pub fn wait_for(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.next().expect("the connection ended");
            assert!(frame.kind != GOAWAY || kind == GOAWAY, "{frame:?}");
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
        }
    }

    /// Waits until all that was sent has been read; false when the connection ended instead.
    pub fn settle(&mut self) -> bool {
        if !self.frame(PING, 0, 0, b"settled?") {
            return false;
        }
        while let Some(frame) = self.next() {
            if frame.kind == PING && frame.flags & ACK != 0 {
                return true;
            }
            if frame.kind == GOAWAY {
                return false;
            }
        }
        false
    }

    /// Pings, and waits for the answer; the error of the GOAWAY that comes
    /// instead, or of none where the connection ends without one.
    pub fn pong_or_goodbye(&mut self) -> Option<u32> {
        self.frame(PING, 0, 0, b"settled?");
        loop {
            match self.next() {
                None => return Some(0),
                Some(frame) if frame.kind == GOAWAY => return Some(frame.error()),
                Some(frame) if frame.kind == PING && frame.flags & ACK != 0 => return None,
                Some(_) => {}
            }
        }
    }

    /// The error of the GOAWAY that comes, or `None` when the connection ends without one.
    pub fn goodbye(&mut self) -> Option<u32> {
        loop {
            let frame = self.next()?;
            if frame.kind == GOAWAY {
                return Some(frame.error());
            }
        }
    }

    /// The status of the answer on a stream, and whether it came to its end.
    pub fn answer(&mut self, stream: u32) -> (Option<u16>, bool) {
        let mut status = None;
        while let Some(frame) = self.next() {
            match frame.kind {
                _ if frame.stream != stream => {}
                HEADERS if status.is_none() => status = Some(frame.status()),
                RST_STREAM => return (status, false),
                _ => {}
            }
            if frame.stream == stream && frame.ends() {
                return (status, true);
            }
        }
        (status, false)
    }

    /// Sends a request without a body in its answer, and waits for it: the
    /// first frame of stream 1 that tells of more than data, or else the answer.
    pub fn round(&mut self, stream: u32, request: &Request) -> Frame {
        self.head(stream, request, true);
        loop {
            let frame = self.next().expect("the connection ended");
            let is_answer = [HEADERS, RST_STREAM].contains(&frame.kind);
            // The head of a good answer on stream 1 is no news.
            let is_news = frame.kind == RST_STREAM || (is_answer && frame.status() != 200);
            if is_answer && (frame.stream == stream || (frame.stream == 1 && is_news)) {
                return frame;
            }
        }
    }

    /// The socket.
    pub const fn connection(&self) -> &Connection {
        &self.0
    }
}

/// A request's head as frames.
pub fn put_request(bytes: &mut Vec<u8>, stream: u32, request: &Request, ends: bool) {
    let lower = lower(request);
    head_on(bytes, stream, &fields(request, &lower), ends);
}
/// What every peer takes without being asked.
const MAX_FRAME: usize = 16_384;

fn head(bytes: &mut Vec<u8>, fields: &[(&str, &str)], ends: bool) {
    head_on(bytes, 1, fields, ends);
}

/// A head of these fields as frames.
pub fn head_on(bytes: &mut Vec<u8>, stream: u32, fields: &[(&str, &str)], ends: bool) {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is never indexed (RFC 7541, section 6.2.3).
        block.push(0x10);
        literal(&mut block, name.as_bytes());
        literal(&mut block, value.as_bytes());
    }
    let mut chunks = block.chunks(MAX_FRAME).peekable();
    let mut kind = HEADERS;
    while let Some(chunk) = chunks.next() {
        let mut flags = 0;
        if kind == HEADERS && ends {
            flags |= END_STREAM;
        }
        if chunks.peek().is_none() {
            flags |= END_HEADERS;
        }
        frame(bytes, kind, flags, stream, chunk);
        kind = CONTINUATION;
    }
}

/// A frame's bytes.
pub fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A string of a head, not compressed (RFC 7541, section 5.2).
pub fn literal(block: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        block.push(text.len() as u8);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

/// `:status`, the first field of an answer: indexed, or a literal of three digits.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may stand first.
    let block = if block[0] & 0xe0 == 0x20 {
        &block[1..]
    } else {
        block
    };
    match block[0] {
        indexed @ 0x88..=0x8e => INDEXED[usize::from(indexed - 0x88)],
        _ if block[1] == 3 => std::str::from_utf8(&block[2..5]).unwrap().parse().unwrap(),
        _ => huffman_digits(&block[2..]),
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B): 0, 1 and 2 have 5 bits, the others 6.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1))
        .collect();
    let number = |bits: &[u8]| {
        bits.iter()
            .fold(0_u16, |sum, bit| sum << 1 | u16::from(*bit))
    };
    let (mut place, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[place..place + 5]);
        let digit = if short < 3 {
            place += 5;
            short
        } else {
            place += 6;
            number(&bits[place - 6..place]) - 0x19 + 3
        };
        status = status * 10 + digit;
    }
    status
}
