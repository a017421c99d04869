//! The origin: reads a request to its end, answers 1 KB. As little as can be.
//! It runs as tasks of the load's own thread, so that no process is switched between the two.

use super::http1::{field, number};
use memchr::memmem;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: usize = 1_000;
const BUFFER: usize = 64 * 1024;

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
    let _ = stream.set_nodelay(true);
    let answer = answer();
    let mut requests = Requests::new(stream);
    while let Ok(true) = requests.next().await {
        if requests.stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn answer() -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + BODY, b'x');
    answer
}

/// The requests of one connection.
pub(crate) struct Requests {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(BUFFER),
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
        let head = &self.buffer[..end];
        let chunked = field(head, b"transfer-encoding:").is_some();
        let length = field(head, b"content-length:").map_or(0, number);
        self.buffer.drain(..end);
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
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}
