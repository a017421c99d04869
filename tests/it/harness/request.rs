//! A request as it goes over the wire, built by hand.

use super::raw::{Connection, Response};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// A request: every byte of it is the test's.
#[derive(Clone, Debug)]
pub struct Request {
    /// As written.
    pub method: String,
    /// As written.
    pub target: String,
    /// `Host`, and what is signed.
    pub authority: String,
    /// What is signed.
    pub scheme: &'static str,
    /// Besides `Host` and the framing.
    pub fields: Vec<(String, String)>,
    /// `None` has no framing field at all.
    pub body: Option<Vec<u8>>,
    /// Whether the body goes in chunks instead of under a length.
    pub chunked: bool,
}

impl Request {
    /// A request without fields or body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            authority: "localhost".into(),
            scheme: "http",
            fields: Vec::new(),
            body: None,
            chunked: false,
        }
    }

    /// Addressed to `address`.
    pub fn to(mut self, address: SocketAddr) -> Self {
        self.authority = address.to_string();
        self
    }

    /// Under another name than the address it is sent to.
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = authority.into();
        self
    }

    /// With another method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// With another target.
    pub fn target(mut self, change: impl Fn(&str) -> String) -> Self {
        self.target = change(&self.target);
        self
    }

    /// Itself with another method, another authority and other targets, one at a time; it has a query.
    pub fn elsewhere(&self) -> [(&'static str, Self); 6] {
        let (path, query) = self.target.split_once('?').expect("it has a query");
        let to = |target: String| self.clone().target(|_| target.clone());
        [
            ("method", self.clone().method("PUT")),
            ("authority", self.clone().authority("other.example")),
            ("path", to(format!("{path}8?{query}"))),
            ("query", to(format!("{path}?{query}3"))),
            ("more query", to(format!("{path}?{query}&admin=1"))),
            ("lost query", to(path.to_owned())),
        ]
    }

    /// With one field more.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Without a field.
    pub fn without(mut self, name: &str) -> Self {
        self.fields
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// With a field's value changed by `change`.
    pub fn change(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let mut found = false;
        for (known, value) in &mut self.fields {
            if known.eq_ignore_ascii_case(name) {
                *value = change(value);
                found = true;
            }
        }
        assert!(found, "there is no field `{name}` to change");
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With its body in chunks.
    pub const fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The values of a field, each trimmed, joined by `, ` (RFC 9421, section 2.1).
    pub fn value(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The head as HTTP/1.1, with its empty line.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.target, self.authority
        );
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match &self.body {
            Some(_) if self.chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Some(body) => {
                let _ = write!(head, "Content-Length: {}\r\n", body.len());
            }
            None => {}
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body as it is framed.
    pub fn framed_body(&self) -> Vec<u8> {
        let body = self.body.clone().unwrap_or_default();
        if !self.chunked {
            return body;
        }
        let mut framed = Vec::new();
        for chunk in body.chunks((body.len() / 64).max(7)) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        framed
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend(self.framed_body());
        bytes
    }

    /// Sends it over a connection of its own.
    pub fn send_to(&self, address: SocketAddr) -> Response {
        let mut connection = Connection::open(address);
        connection.send(&self.bytes());
        connection.response_to(&self.method)
    }
}
