//! A client that sends any bytes, and reads an HTTP/1.1 answer with care.

use super::DEADLINE;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to the gateway.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its fields, as written, in order.
    pub fields: Vec<(String, String)>,
    /// Its body, unframed.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing said; `false` when the connection broke off before.
    pub complete: bool,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Connects, where somebody listens.
    pub fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).ok()?;
        stream.set_nodelay(true).unwrap();
        Some(Self::over(stream))
    }

    /// Connects to a Unix socket.
    pub fn open_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        // Reading, writing and their time-outs are the same for every socket.
        Self::over(TcpStream::from(OwnedFd::from(stream)))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends bytes, or as many as the other end takes before it closes.
    pub fn send(&mut self, bytes: &[u8]) {
        // An answer may come, and the connection end, before all is sent: what counts is the answer.
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ),
                "cannot send: {error}"
            );
        }
    }

    /// Sends bytes, and says whether the other end took them.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The socket itself.
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads the answer to a `GET` or the like.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the answer to a request of that method.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method)
            .expect("the connection ended without an answer")
    }

    /// Reads an answer; `None` when the connection ends without one. Interim answers are passed over.
    pub fn try_response_to(&mut self, method: &str) -> Option<Response> {
        loop {
            let (status, fields) = self.head()?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let (body, complete) = if method == "HEAD" || status == 204 || status == 304 {
                (Vec::new(), true)
            } else {
                self.body(&fields)
            };
            return Some(Response {
                status,
                fields,
                body,
                complete,
            });
        }
    }

    /// Reads an answer; `None` when the connection ends before all of it is there.
    pub fn whole_response_to(&mut self, method: &str) -> Option<Response> {
        while find(&self.read, b"\r\n\r\n").is_none() {
            if !self.fill() {
                return None;
            }
        }
        let response = self.try_response_to(method);
        response.filter(|response| response.complete)
    }

    /// Reads one head, be it of an interim answer.
    pub fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.fill() {
                assert!(
                    self.read.is_empty(),
                    "the answer broke off in its head: {:?}",
                    String::from_utf8_lossy(&self.read)
                );
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default();
        assert!(status.starts_with("HTTP/1."), "no status line: {status}");
        let status = status[9..12].parse().unwrap();
        let fields = lines
            .map(|line| {
                let (name, value) = line.split_once(':').expect("a field");
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Some((status, fields))
    }

    /// Reads exactly `count` bytes of whatever comes; fewer when the connection ends.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count && self.fill() {}
        let count = count.min(self.read.len());
        self.read.drain(..count).collect()
    }

    /// What was read and not yet taken.
    pub fn take_buffered(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    /// Says that nothing more will be sent; the answer that still comes, if any.
    pub fn try_response_after_finish(&mut self) -> Option<Response> {
        self.finish();
        self.try_response_to("GET")
    }

    /// Whether the connection ends now, without another byte. Waits for it.
    pub fn is_closed(&mut self) -> bool {
        !self.fill() && self.read.is_empty()
    }

    fn body(&mut self, fields: &[(String, String)]) -> (Vec<u8>, bool) {
        let value = |name: &str| {
            fields
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return self.chunks();
        }
        if let Some(length) = value("content-length") {
            let length: usize = length.parse().unwrap();
            let body = self.take(length);
            let complete = body.len() == length;
            return (body, complete);
        }
        while self.fill() {}
        (std::mem::take(&mut self.read), true)
    }

    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.line() else {
                return (body, false);
            };
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                .expect("the size of a chunk");
            if size == 0 {
                // Trailers, if any, end with an empty line.
                loop {
                    match self.line() {
                        None => return (body, false),
                        Some(line) if line.is_empty() => return (body, true),
                        Some(_) => {}
                    }
                }
            }
            let chunk = self.take(size);
            body.extend_from_slice(&chunk);
            if chunk.len() < size || self.take(2).len() < 2 {
                return (body, false);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads what has come; `false` at the connection's end.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer in time: {error}"),
        }
    }
}

impl Response {
    /// The value of a field that is there once at most.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name).into_iter();
        let first = values.next();
        assert!(values.next().is_none(), "`{name}` is there twice");
        first
    }

    /// Every value of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The code of a refusal.
    pub fn code(&self) -> String {
        assert_eq!(
            self.field("content-type"),
            Some("application/problem+json"),
            "not a refusal: {} {}",
            self.status,
            self.text()
        );
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    /// The detail of a refusal.
    pub fn detail(&self) -> String {
        self.json()["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// All that its receiver sees of it, but the time and the name of this very answer.
    pub fn seen(&self) -> String {
        let is_own = |name: &str| {
            let owns = ["date", "portcullis-request-id"];
            owns.iter().any(|own| name.eq_ignore_ascii_case(own))
        };
        let mut fields = self.fields.clone();
        fields.retain(|(name, _)| !is_own(name));
        let mut body = self.json();
        body["request_id"] = Value::Null;
        format!("{} {fields:?} {body}", self.status)
    }

    /// Fails unless it is a refusal with this status and code.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.field("content-type")),
            (status, Some("application/problem+json")),
            "wanted {status} {code}, got: {}",
            self.text()
        );
        assert_eq!(self.code(), code, "{}", self.text());
    }

    /// Fails unless the request passed.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.complete, "the answer broke off");
    }
}

/// Where `wanted` stands in `bytes`.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
