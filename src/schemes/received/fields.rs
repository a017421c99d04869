//! The one walk over all fields. What schemes ask for is noted on it: to look
//! it up again, name by name, would cost more than the walk.

use super::{MAX_FIELDS, MAX_HEAD, Malformed, framing};
use crate::schemes::digest::CONTENT_DIGEST;
use http::header::{self, AsHeaderName, HeaderMap, HeaderName, HeaderValue, ValueIter};

/// Fields of which a second one is refused: two readers would pick different ones.
const SINGLE: [HeaderName; 9] = [
    header::AUTHORIZATION,
    CONTENT_DIGEST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::DATE,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("dpop"),
    HeaderName::from_static("x-amz-date"),
];

/// What the name of a field may be made of. Servers that hand fields on as variables read all else that the
/// grammar lets pass as `-`, and one name for another.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'-';
        byte += 1;
    }
    table
};

/// A field that later steps ask for; most requests have few of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `Accept`.
    Accept,
    /// `Authorization`.
    Authorization,
    /// `Connection`.
    Connection,
    /// `Content-Digest`.
    ContentDigest,
    /// `Content-Type`.
    ContentType,
    /// `Date`.
    Date,
    /// `Digest`.
    Digest,
    /// `DPoP`.
    Dpop,
    /// `Host`.
    Host,
    /// `Portcullis-Token`.
    PortcullisToken,
    /// `Proxy-Authorization`.
    ProxyAuthorization,
    /// `Signature`.
    Signature,
    /// `Signature-Input`.
    SignatureInput,
    /// `X-Amz-Content-Sha256`.
    XAmzContentSha256,
    /// `X-Amz-Date`.
    XAmzDate,
}

impl Field {
    const COUNT: usize = Self::XAmzDate as usize + 1;

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "accept" => Self::Accept,
            "authorization" => Self::Authorization,
            "connection" => Self::Connection,
            "content-digest" => Self::ContentDigest,
            "content-type" => Self::ContentType,
            "date" => Self::Date,
            "digest" => Self::Digest,
            "dpop" => Self::Dpop,
            "host" => Self::Host,
            "portcullis-token" => Self::PortcullisToken,
            "proxy-authorization" => Self::ProxyAuthorization,
            "signature" => Self::Signature,
            "signature-input" => Self::SignatureInput,
            "x-amz-content-sha256" => Self::XAmzContentSha256,
            "x-amz-date" => Self::XAmzDate,
            _ => return None,
        })
    }
}

/// Where the first line of each [`Field`] stands, and of which there are more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown<'r> {
    first: [Option<&'r HeaderValue>; Field::COUNT],
    repeated: u16,
}

/// The lines of one field, in order.
#[derive(Debug)]
pub struct Lines<'r> {
    first: Option<&'r HeaderValue>,
    more: Option<ValueIter<'r, HeaderValue>>,
}

impl<'r> Iterator for Lines<'r> {
    type Item = &'r HeaderValue;

    fn next(&mut self) -> Option<&'r HeaderValue> {
        self.first.take().or_else(|| self.more.as_mut()?.next())
    }
}

impl<'r> Shown<'r> {
    pub(super) const fn first(&self, field: Field) -> Option<&'r HeaderValue> {
        self.first[field as usize]
    }

    pub(super) fn lines(&self, name: &str, fields: &'r HeaderMap) -> Lines<'r> {
        self.lines_by(Field::named(name), name, fields)
    }

    pub(super) fn lines_of(&self, name: &HeaderName, fields: &'r HeaderMap) -> Lines<'r> {
        self.lines_by(Field::named(name.as_str()), name, fields)
    }

    fn lines_by(
        &self,
        known: Option<Field>,
        name: impl AsHeaderName,
        fields: &'r HeaderMap,
    ) -> Lines<'r> {
        let first = known.and_then(|field| self.first(field));
        let is_all = known.is_some_and(|field| self.repeated & 1 << field as u16 == 0);
        let more = (!is_all).then(|| {
            let mut all = fields.get_all(name).iter();
            all.by_ref()
                .take(usize::from(first.is_some()))
                .for_each(drop);
            all
        });
        Lines { first, more }
    }

    fn note(&mut self, field: Field, line: &'r HeaderValue) {
        let first = &mut self.first[field as usize];
        if first.is_some() {
            self.repeated |= 1 << field as u16;
        } else {
            *first = Some(line);
        }
    }
}

/// Whether a value begins or ends with white space, which HTTP/1.1 has around values (RFC 9110, section 5.5)
/// and HTTP/2 nowhere (RFC 9113, section 8.2.1): sent on it would be another one.
fn has_outer_space(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    is_space(bytes.first()) || is_space(bytes.last())
}

/// Checks the fields of a head that came over HTTP/2 or not.
pub(super) fn check(fields: &HeaderMap, is_http2: bool) -> Result<Shown<'_>, Malformed> {
    let mut bytes = 0;
    let mut before = None;
    let mut shown = Shown::default();
    let mut speaks_of_framing = false;
    for (name, value) in fields {
        let text = name.as_str();
        // Name, `: `, value, line end.
        bytes += text.len() + value.len() + 4;
        // A name that is known is good. All are short: a call that sets out to look at many bytes at a time
        // costs more than it spares.
        if let Some(field) = Field::named(text) {
            shown.note(field, value);
        } else if let Some(odd) = text.bytes().find(|byte| !IN_NAME[usize::from(*byte)]) {
            return Err(Malformed::Name(text.into(), char::from(odd)));
        }
        if is_http2 && has_outer_space(value) {
            return Err(Malformed::Value(name.clone()));
        }
        // Values of one name come one behind the other.
        if before.is_some_and(|before| std::ptr::eq(before, name)) && SINGLE.contains(name) {
            return Err(Malformed::Repeated(name.clone()));
        }
        before = Some(name);
        speaks_of_framing |= matches!(
            *name,
            header::CONNECTION | header::TRANSFER_ENCODING | header::EXPECT
        );
    }
    if fields.len() > MAX_FIELDS || bytes > MAX_HEAD {
        return Err(Malformed::HeadTooLarge);
    }
    if speaks_of_framing {
        framing::check(fields)?;
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_map_whether_a_scheme_asks_for_the_field_or_not() {
        let mut fields = HeaderMap::new();
        let all = [
            ("host", "h"),
            ("signature", "1"),
            ("signature", "2"),
            ("signature", "3"),
            ("x-other", "a"),
            ("x-other", "b"),
        ];
        for (name, value) in all {
            fields.append(name, HeaderValue::from_static(value));
        }
        let shown = check(&fields, true).unwrap();
        for name in ["host", "signature", "signature-input", "x-other", "x-none"] {
            let lines: Vec<_> = shown.lines(name, &fields).collect();
            assert_eq!(lines, fields.get_all(name).iter().collect::<Vec<_>>());
            let name = HeaderName::from_static(name);
            assert_eq!(lines, shown.lines_of(&name, &fields).collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_are_of_letters_digits_and_hyphens_alone() {
        for byte in 0x21..0x7f_u8 {
            let name = format!("portcullis{}app", char::from(byte));
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            let mut fields = HeaderMap::new();
            fields.insert(name, HeaderValue::from_static("root"));
            let is_plain = byte.is_ascii_alphanumeric() || byte == b'-';
            let read = check(&fields, false);
            assert_eq!(read.is_ok(), is_plain, "{}", char::from(byte));
        }
    }

    #[test]
    fn white_space_around_a_value_is_refused_where_no_version_of_http_has_it() {
        let bad = [" ", " a", "a\t"].map(|value| (value, true));
        for (value, is_bad) in bad.into_iter().chain([("", false), ("a b", false)]) {
            let fields = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
            assert_eq!(check(&fields, true).is_err(), is_bad, "{value:?}");
            check(&fields, false).unwrap();
        }
    }
}
