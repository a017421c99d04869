//! The least that HTTP/2 asks of a caller (RFC 9113). Heads are encoded ahead
//! of time, without the dynamic table, so that any of them can go on any connection.

use super::link::Stream;
use super::sign::Prepared;
use bytes::{Buf, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
/// The largest frame that everyone takes.
const LARGEST: usize = 16 * 1024;
/// The windows a connection starts with, before anything is said.
const WINDOW: i64 = 65_535;
/// What we let the other side send before we say so again.
const OURS: u32 = 1 << 30;
/// What is written at a time at most.
const PIECE: usize = 64 * 1024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) struct Http2 {
    stream: Box<dyn Stream>,
    read: BytesMut,
    out: Vec<u8>,
    next: u32,
    window: i64,
    stream_window: i64,
    /// Bytes that came since we last opened our window.
    taken: u32,
    flying: Vec<Flying>,
    going_away: bool,
}

/// A request under way.
struct Flying {
    stream: u32,
    request: usize,
    sent: usize,
    window: i64,
    status: u16,
}

impl Http2 {
    pub(crate) async fn open(mut stream: Box<dyn Stream>) -> io::Result<Self> {
        let mut out = PREFACE.to_vec();
        let settings = [
            // So that the status can be read without a table.
            (HEADER_TABLE_SIZE, 0),
            (ENABLE_PUSH, 0),
            (INITIAL_WINDOW_SIZE, OURS),
        ];
        frame(&mut out, SETTINGS, 0, 0, settings.len() * 6);
        for (name, value) in settings {
            out.extend(name.to_be_bytes());
            out.extend(value.to_be_bytes());
        }
        window_update(&mut out, 0, OURS);
        stream.write_all(&out).await?;
        stream.flush().await?;
        out.clear();
        Ok(Self {
            stream,
            read: BytesMut::with_capacity(PIECE),
            out,
            next: 1,
            window: WINDOW,
            stream_window: WINDOW,
            taken: 0,
            flying: Vec::new(),
            going_away: false,
        })
    }

    /// Sends every request, up to `streams` at a time; `told` gets each status.
    pub(crate) async fn converse(
        &mut self,
        requests: &[Prepared],
        streams: usize,
        told: &mut impl FnMut(u16),
    ) -> io::Result<()> {
        let mut waiting = 0..requests.len();
        loop {
            while self.flying.len() < streams && !self.going_away {
                let Some(request) = waiting.next() else { break };
                self.start(request, &requests[request]);
            }
            self.send_bodies(requests);
            if !self.out.is_empty() {
                self.stream.write_all(&self.out).await?;
                self.stream.flush().await?;
                self.out.clear();
            }
            if self.flying.is_empty() {
                let all = waiting.is_empty();
                return if all { Ok(()) } else { Err(closed()) };
            }
            self.read.reserve(PIECE);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(closed());
            }
            self.take_frames(told)?;
        }
    }

    fn start(&mut self, request: usize, prepared: &Prepared) {
        let stream = self.next;
        self.next += 2;
        let flags = if prepared.body.is_empty() {
            END_HEADERS | END_STREAM
        } else {
            END_HEADERS
        };
        frame(&mut self.out, HEADERS, flags, stream, prepared.head.len());
        self.out.extend(&prepared.head);
        self.flying.push(Flying {
            stream,
            request,
            sent: 0,
            window: self.stream_window,
            status: 0,
        });
    }

    fn send_bodies(&mut self, requests: &[Prepared]) {
        for flying in &mut self.flying {
            let body = &requests[flying.request].body;
            while flying.sent < body.len() && self.out.len() < PIECE * 4 {
                let open = self.window.min(flying.window);
                let Ok(open) = usize::try_from(open) else {
                    break;
                };
                let part = (body.len() - flying.sent).min(open).min(LARGEST);
                if part == 0 {
                    break;
                }
                let end = flying.sent + part;
                let flags = if end == body.len() { END_STREAM } else { 0 };
                frame(&mut self.out, DATA, flags, flying.stream, part);
                self.out.extend(&body[flying.sent..end]);
                flying.sent = end;
                flying.window -= part as i64;
                self.window -= part as i64;
            }
        }
    }

    fn take_frames(&mut self, told: &mut impl FnMut(u16)) -> io::Result<()> {
        while let Some(head) = self.read.first_chunk::<FRAME_HEAD>() {
            let [a, b, c, kind, flags, id @ ..] = *head;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if self.read.len() < FRAME_HEAD + length {
                break;
            }
            let stream = u32::from_be_bytes(id) & (u32::MAX >> 1);
            self.read.advance(FRAME_HEAD);
            let payload = self.read.split_to(length);
            self.take(kind, flags, stream, &payload, told)?;
        }
        if self.taken > OURS / 2 {
            window_update(&mut self.out, 0, self.taken);
            self.taken = 0;
        }
        Ok(())
    }

    fn take(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        told: &mut impl FnMut(u16),
    ) -> io::Result<()> {
        let flying = self.flying.iter().position(|one| one.stream == stream);
        match kind {
            DATA => self.taken += payload.len() as u32,
            HEADERS => {
                let padding = usize::from(flags & PADDED > 0);
                let skip = padding + 5 * usize::from(flags & PRIORITY > 0);
                if let Some(at) = flying
                    && self.flying[at].status == 0
                {
                    let block = payload.get(skip..).unwrap_or_default();
                    self.flying[at].status = status(block).ok_or(io::ErrorKind::InvalidData)?;
                }
            }
            // Behind a whole answer it only says that the rest of our body is not wanted.
            RST_STREAM if flying.is_some() => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            SETTINGS if flags & ACK == 0 => self.settle(payload),
            PING if flags & ACK == 0 => {
                frame(&mut self.out, PING, ACK, 0, payload.len());
                self.out.extend(payload);
            }
            WINDOW_UPDATE => {
                let more = i64::from(payload.first_chunk().map_or(0, |n| u32::from_be_bytes(*n)));
                match flying {
                    Some(at) => self.flying[at].window += more,
                    None if stream == 0 => self.window += more,
                    None => {}
                }
            }
            GOAWAY => self.going_away = true,
            _ => {}
        }
        if (kind == DATA || kind == HEADERS)
            && flags & END_STREAM > 0
            && let Some(at) = flying
        {
            told(self.flying.swap_remove(at).status);
        }
        Ok(())
    }

    fn settle(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            if name == INITIAL_WINDOW_SIZE {
                let change = i64::from(value) - self.stream_window;
                self.stream_window += change;
                for flying in &mut self.flying {
                    flying.window += change;
                }
            }
        }
        frame(&mut self.out, SETTINGS, ACK, 0, 0);
    }
}

fn closed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, length: usize) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    out.extend([a, b, c, kind, flags]);
    out.extend(stream.to_be_bytes());
}

fn window_update(out: &mut Vec<u8>, stream: u32, more: u32) {
    frame(out, WINDOW_UPDATE, 0, stream, 4);
    out.extend(more.to_be_bytes());
}

/// A field as it can be sent on any connection: nothing enters the table (RFC 7541, section 6.2.2).
pub(crate) fn encode(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    for text in [name, value] {
        let length = text.len();
        if length < 127 {
            out.push(length as u8);
        } else {
            out.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                out.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            out.push(rest as u8);
        }
        out.extend(text.as_bytes());
    }
}

/// The status, which stands first.
fn status(mut block: &[u8]) -> Option<u16> {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // The table's new size goes before it.
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        [index @ 0x88..=0x8e, ..] => KNOWN.get(usize::from(index - 0x88)).copied(),
        // A literal, of the name `:status`, which is from 8 to 14 in the static table.
        [0x08..=0x0e | 0x18..=0x1e | 0x48..=0x4e, length, rest @ ..] => {
            let value = rest.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                return str::from_utf8(value).ok()?.parse().ok();
            }
            decompress(value)
        }
        _ => None,
    }
}

/// Digits of the static Huffman code (RFC 7541, appendix B): 0 to 2 in five bits, the others in six.
fn decompress(value: &[u8]) -> Option<u16> {
    let mut bits = value
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | bits.next()?;
        }
        let digit = if code <= 2 {
            code
        } else {
            (code << 1 | bits.next()?).checked_sub(0b01_1001)? + 3
        };
        number = number * 10 + digit;
    }
    Some(number)
}
