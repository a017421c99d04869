//! HTTP/2 by hand: fields as literals, without compression, so that nothing
//! is put right on the way.

use super::{Connection, Request, Response};
use std::net::SocketAddr;

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

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What every peer takes without being asked.
const MAX_FRAME: usize = 16_384;

fn head(bytes: &mut Vec<u8>, fields: &[(&str, &str)], ends: bool) {
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
        frame(bytes, kind, flags, 1, chunk);
        kind = CONTINUATION;
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

fn literal(block: &mut Vec<u8>, text: &[u8]) {
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
