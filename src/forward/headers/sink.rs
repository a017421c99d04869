//! Where the fields of a request go: into the bytes of a head, or into a map.

use bytes::{BufMut as _, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// What our own values of a request have together, mostly.
const USUAL_TEXT: usize = 384;

/// Takes the fields of one request, each once.
pub(super) trait Sink {
    /// Whether the request goes out as HTTP/1.1, which frames its body by fields.
    const IS_HTTP_1: bool;

    /// A field as it came.
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue);

    /// A field whose value `write` writes. A control byte, which `config` lets
    /// into no name, becomes `?`.
    fn text(&mut self, name: HeaderName, write: impl FnOnce(&mut BytesMut));

    /// A field whose value is a secret: it is kept in no table of a connection.
    fn secret(&mut self, name: &HeaderName, value: &[u8]);

    /// A field with one of our own words.
    fn word(&mut self, name: HeaderName, word: &'static str) {
        self.text(name, |text| text.put_slice(word.as_bytes()));
    }
}

/// The lines of a head of HTTP/1.1, which end in an empty one that is not written here.
pub(super) struct Lines<'h>(pub(super) &'h mut BytesMut);

impl Sink for Lines<'_> {
    const IS_HTTP_1: bool = true;

    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        self.0.reserve(name.len() + value.len() + 4);
        self.0.put_slice(name);
        self.0.put_slice(b": ");
        self.0.put_slice(value);
        self.0.put_slice(b"\r\n");
    }

    fn text(&mut self, name: HeaderName, write: impl FnOnce(&mut BytesMut)) {
        self.0.put_slice(name.as_str().as_bytes());
        self.0.put_slice(b": ");
        let from = self.0.len();
        write(self.0);
        without_controls(self.0.get_mut(from..).unwrap_or_default());
        self.0.put_slice(b"\r\n");
    }

    fn secret(&mut self, name: &HeaderName, value: &[u8]) {
        self.text(name.clone(), |text| text.put_slice(value));
    }

    fn word(&mut self, name: HeaderName, word: &'static str) {
        self.0.put_slice(name.as_str().as_bytes());
        self.0.put_slice(b": ");
        self.0.put_slice(word.as_bytes());
        self.0.put_slice(b"\r\n");
    }
}

/// A map. Our own values lie one behind the other in one buffer.
pub(super) struct Map {
    pub(super) fields: HeaderMap,
    buffer: BytesMut,
}

impl Map {
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self {
            fields: HeaderMap::with_capacity(fields),
            buffer: BytesMut::with_capacity(USUAL_TEXT),
        }
    }
}

impl Sink for Map {
    const IS_HTTP_1: bool = false;

    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.fields.append(name, value.clone());
    }

    fn text(&mut self, name: HeaderName, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.buffer);
        without_controls(&mut self.buffer);
        let value = HeaderValue::from_maybe_shared(self.buffer.split().freeze());
        self.fields
            .append(name, value.expect("no control byte is left"));
    }

    fn secret(&mut self, name: &HeaderName, value: &[u8]) {
        // RFC 7541, section 7.1.3.
        let mut value = HeaderValue::from_bytes(value).expect("`config` lets no other value in");
        value.set_sensitive(true);
        self.fields.append(name, value);
    }

    fn word(&mut self, name: HeaderName, word: &'static str) {
        self.fields.append(name, HeaderValue::from_static(word));
    }
}

fn without_controls(text: &mut [u8]) {
    let is_control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    // All of it at a time, without a way out: that is several bytes an instruction.
    let any = text.iter().fold(false, |any, byte| any | is_control(*byte));
    if any {
        for byte in text.iter_mut().filter(|byte| is_control(**byte)) {
            *byte = b'?';
        }
    }
}
