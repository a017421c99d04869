//! Where the fields of a request go: into the bytes of a head, or into a map.

use bytes::{BufMut as _, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// What our own values of a request have together, mostly.
const USUAL_TEXT: usize = 384;

/// A field that we set.
pub(super) struct Ours {
    name: HeaderName,
    /// What its line begins with: the end of the one before, the name, a colon and a space.
    front: &'static str,
}

impl Ours {
    pub(super) const HOST: Self = Self::new("\r\nhost: ");
    pub(super) const CONNECTION: Self = Self::new("\r\nconnection: ");
    pub(super) const TE: Self = Self::new("\r\nte: ");
    pub(super) const COOKIE: Self = Self::new("\r\ncookie: ");
    pub(super) const CONTENT_ENCODING: Self = Self::new("\r\ncontent-encoding: ");
    pub(super) const CONTENT_LENGTH: Self = Self::new("\r\ncontent-length: ");
    pub(super) const TRANSFER_ENCODING: Self = Self::new("\r\ntransfer-encoding: ");

    /// Of its line's beginning, which is one piece to write.
    pub(super) const fn new(front: &'static str) -> Self {
        let (_, name) = front.split_at(2);
        let (name, _) = name.split_at(name.len() - 2);
        Self {
            name: HeaderName::from_static(name),
            front,
        }
    }
}

/// Takes the fields of one request, each once.
pub(super) trait Sink {
    /// Whether the request goes out as HTTP/1.1, which frames its body by fields.
    const IS_HTTP_1: bool;

    /// A field as it came.
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue);

    /// A field whose value `write` writes, of what can hold no control byte.
    fn text(&mut self, ours: Ours, write: impl FnOnce(&mut BytesMut));

    /// The same of names. A control byte, which `config` lets into none, becomes `?`.
    #[inline]
    fn names(&mut self, ours: Ours, write: impl FnOnce(&mut BytesMut)) {
        self.text(ours, |text| {
            let from = text.len();
            write(text);
            without_controls(text.get_mut(from..).unwrap_or_default());
        });
    }

    /// A field whose value is a secret: it is kept in no table of a connection.
    fn secret(&mut self, name: &HeaderName, value: &[u8]);

    /// A field with one of our own words.
    fn word(&mut self, ours: Ours, word: &'static str);
}

/// The lines of a head of HTTP/1.1. The end of the last one and the empty one behind it are not written here.
pub(super) struct Lines<'h>(pub(super) &'h mut BytesMut);

impl Lines<'_> {
    fn put(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        self.0.reserve(name.len() + value.len() + 4);
        self.0.put_slice(b"\r\n");
        self.0.put_slice(name);
        self.0.put_slice(b": ");
        self.0.put_slice(value);
    }
}

impl Sink for Lines<'_> {
    const IS_HTTP_1: bool = true;

    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(name, value.as_bytes());
    }

    #[inline]
    fn text(&mut self, ours: Ours, write: impl FnOnce(&mut BytesMut)) {
        self.0.put_slice(ours.front.as_bytes());
        let from = self.0.len();
        write(self.0);
        debug_assert!(!self.0[from..].iter().any(|byte| is_control(*byte)));
    }

    fn secret(&mut self, name: &HeaderName, value: &[u8]) {
        self.put(name, value);
        let from = self.0.len() - value.len();
        without_controls(self.0.get_mut(from..).unwrap_or_default());
    }

    #[inline]
    fn word(&mut self, ours: Ours, word: &'static str) {
        self.text(ours, |text| text.put_slice(word.as_bytes()));
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

    fn text(&mut self, ours: Ours, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.buffer);
        let value = HeaderValue::from_maybe_shared(self.buffer.split().freeze());
        self.fields
            .append(ours.name, value.expect("it has no control byte"));
    }

    fn secret(&mut self, name: &HeaderName, value: &[u8]) {
        // RFC 7541, section 7.1.3.
        let mut value = HeaderValue::from_bytes(value).expect("`config` lets no other value in");
        value.set_sensitive(true);
        self.fields.append(name, value);
    }

    fn word(&mut self, ours: Ours, word: &'static str) {
        self.fields
            .append(ours.name, HeaderValue::from_static(word));
    }
}

const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

fn without_controls(text: &mut [u8]) {
    let (blocks, rest) = text.as_chunks::<16>();
    // All of a block at a time, without a way out: that is several bytes an instruction.
    let is_bad = |block: &[u8; 16]| {
        let bytes = block.iter();
        bytes.fold(false, |any, byte| any | is_control(*byte))
    };
    if blocks.iter().any(is_bad) || rest.iter().any(|byte| is_control(*byte)) {
        for byte in text.iter_mut().filter(|byte| is_control(**byte)) {
            *byte = b'?';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_byte_never_leaves_in_a_name_or_a_secret_wherever_it_stands() {
        const APP: Ours = Ours::new("\r\napp: ");
        for (before, behind) in [(0, 0), (3, 1), (15, 0), (16, 0), (20, 40)] {
            let around = |control| format!("{0:a<before$}{control}{0:\t<behind$}", "");
            let (bad, clean) = (around("\r\n\u{7f}"), around("???"));
            let mut lines = BytesMut::from("GET / HTTP/1.1");
            Lines(&mut lines).names(APP, |text| text.put_slice(bad.as_bytes()));
            Lines(&mut lines).secret(&APP.name, bad.as_bytes());
            let wanted = format!("GET / HTTP/1.1\r\napp: {clean}\r\napp: {clean}");
            assert_eq!(lines, wanted);
            let mut map = Map::with_capacity(1);
            map.names(APP, |text| text.put_slice(bad.as_bytes()));
            assert_eq!(map.fields["app"], clean);
        }
    }
}
