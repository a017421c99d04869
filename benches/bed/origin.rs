//! The origin: reads a request to its end, answers 1 KB. As little as can be.
//! It runs as tasks of the load's own thread, so that no process is switched between the two.

use super::http1::{field, number};
use memchr::memmem;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// What it answers with, unless it is asked for more.
const BODY: usize = 1_000;
const BUFFER: usize = 64 * 1024;
/// A path with this in it is answered with as many bytes as stand behind it.
pub(crate) const BYTES: &str = "/bytes-";
/// A path with this in it is answered with events that have no end.
pub(crate) const EVENTS: &str = "/events";
/// Each of them.
pub(crate) const EVENT: &[u8] = b"data: something new\n\n";
/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(20);
/// The answer to the key that every `WebSocket` of the benches shows (RFC 6455, section 1.3).
const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Listens on a free port, in the runtime that we are in.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Answers one request after another, until the other side has enough.
pub(crate) async fn serve(stream: TcpStream) {
    serve_but(stream, |_| None).await;
}

/// The same, where `other` has no answer of its own to a head.
pub(crate) async fn serve_but(stream: TcpStream, other: impl Fn(&[u8]) -> Option<&'static [u8]>) {
    let _ = stream.set_nodelay(true);
    let usual = answer(BODY);
    let mut requests = Requests::new(stream);
    while let Ok(true) = requests.next().await {
        let wanted = match other(&requests.head) {
            Some(answer) => Wanted::Other(answer),
            None => wanted(&requests.head),
        };
        let sent = match wanted {
            Wanted::Usual => requests.stream.write_all(&usual).await,
            Wanted::Other(answer) => requests.stream.write_all(answer).await,
            Wanted::Bytes(count) => send(&mut requests.stream, count).await,
            Wanted::Events => tell(&mut requests.stream).await,
            Wanted::WebSocket => {
                let _ = requests.stream.write_all(UPGRADED).await;
                return echo(requests.stream).await;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

enum Wanted {
    Usual,
    Other(&'static [u8]),
    Bytes(usize),
    Events,
    WebSocket,
}

fn wanted(head: &[u8]) -> Wanted {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if let Some(at) = memmem::find(line, BYTES.as_bytes()) {
        let digits = line[at + BYTES.len()..].split(|byte| !byte.is_ascii_digit());
        return Wanted::Bytes(digits.take(1).map(number).sum());
    }
    if memmem::find(line, EVENTS.as_bytes()).is_some() {
        return Wanted::Events;
    }
    if field(head, b"upgrade:").is_some() {
        return Wanted::WebSocket;
    }
    Wanted::Usual
}

async fn send(stream: &mut TcpStream, mut count: usize) -> io::Result<()> {
    stream.write_all(&head(count)).await?;
    let piece = vec![b'x'; BUFFER];
    while count > 0 {
        let part = count.min(piece.len());
        stream.write_all(&piece[..part]).await?;
        count -= part;
    }
    Ok(())
}

/// One event after another, until nobody takes them.
async fn tell(stream: &mut TcpStream) -> io::Result<()> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"15\r\n".as_slice(), EVENT, b"\r\n"].concat();
    stream.write_all(HEAD).await?;
    loop {
        stream.write_all(&chunk).await?;
        sleep(PAUSE).await;
    }
}

/// Gives back what comes, in a buffer that is there only while something is.
async fn echo(stream: TcpStream) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        let mut buffer = [0; 256];
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                let _ = stream.try_write(&buffer[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn head(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")
        .into_bytes()
}

fn answer(length: usize) -> Vec<u8> {
    let mut answer = head(length);
    answer.resize(answer.len() + length, b'x');
    answer
}

/// The requests of one connection.
pub(crate) struct Requests {
    pub(crate) stream: TcpStream,
    /// Of the last one.
    pub(crate) head: Vec<u8>,
    buffer: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            head: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Reads one request to its end; `false` when there is no other.
    pub(crate) async fn next(&mut self) -> io::Result<bool> {
        let end = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.read().await? {
                return Ok(false);
            }
        };
        self.head.clear();
        self.head.extend(self.buffer.drain(..end));
        let chunked = field(&self.head, b"transfer-encoding:").is_some();
        let length = field(&self.head, b"content-length:").map_or(0, number);
        if !chunked {
            return self.skip(length).await;
        }
        loop {
            let line = loop {
                if let Some(at) = memmem::find(&self.buffer, b"\r\n") {
                    break at;
                }
                if !self.read().await? {
                    return Ok(false);
                }
            };
            let digits = str::from_utf8(&self.buffer[..line]).expect("a proxy sends digits");
            let size = usize::from_str_radix(digits, 16).expect("a proxy sends digits");
            // The line's end, the chunk, and the chunk's end.
            if !self.skip(line + 2 + size + 2).await? {
                return Ok(false);
            }
            if size == 0 {
                return Ok(true);
            }
        }
    }

    async fn skip(&mut self, mut length: usize) -> io::Result<bool> {
        loop {
            let part = length.min(self.buffer.len());
            self.buffer.drain(..part);
            length -= part;
            if length == 0 {
                return Ok(true);
            }
            if !self.read().await? {
                return Ok(false);
            }
        }
    }

    async fn read(&mut self) -> io::Result<bool> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(BUFFER);
        }
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}
