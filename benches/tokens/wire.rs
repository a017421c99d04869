//! One connection on which question follows answer, and how long each answer takes.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
    bearer: String,
}

/// An answer, and how long it took.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Wire {
    pub(crate) fn to(host: SocketAddr) -> Self {
        let stream = TcpStream::connect(host).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream: BufReader::new(stream),
            host,
            bearer: String::new(),
        }
    }

    /// Shows this token with each question.
    pub(crate) fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = format!("authorization: Bearer {token}\r\nif-match: *\r\n");
        self
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            self.bearer,
            body.len()
        );
        let start = Instant::now();
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes()).expect("it takes it");
        let (status, length) = self.head();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a whole answer");
        let took = start.elapsed();
        Answer {
            status,
            body: serde_json::from_slice(&body).expect("JSON"),
            took,
        }
    }

    fn head(&mut self) -> (u16, usize) {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a line");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                return (status, length);
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.strip_prefix("content-length:") {
                length = rest.trim().parse().expect("a length");
            }
        }
    }
}
