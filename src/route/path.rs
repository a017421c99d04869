//! One reading of a path: checked as received, decoded for matching only.

use super::readings;
use std::borrow::Cow;

/// How strictly a route reads paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PathEncoding {
    /// Everything that two readers may read differently is refused.
    #[default]
    Strict,
    /// `//` and `%2F` pass, for backends that were built on them.
    Legacy,
}

/// A path that has one reading. Made only by [`Path::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'r> {
    raw: &'r str,
    canonical: Cow<'r, str>,
    legacy: Option<Ambiguous>,
    /// Whether it holds `%3B`.
    escapes_semicolon: bool,
    /// Whether it holds `%3F` or `%23`, at which a path ends once they are decoded.
    escapes_end: bool,
}

/// Why a path could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// Not in origin form.
    #[error("a path starts with `/`")]
    NoSlash,
    /// `.` or `..` as a segment, plain or encoded, also before `;`.
    #[error("a segment is `.` or `..`")]
    DotSegment,
    /// Two slashes in a row.
    #[error("a segment is empty (`//`)")]
    EmptySegment,
    /// A backslash, plain or encoded.
    #[error("it holds a backslash")]
    Backslash,
    /// A slash hidden as `%2F`.
    #[error("it holds an encoded slash (`%2F`)")]
    EncodedSlash,
    /// A control character, plain or encoded.
    #[error("it holds a control character")]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("a `%` is not followed by two hexadecimal digits")]
    BadEscape,
    /// A byte that must be percent-encoded (RFC 3986, section 3.3).
    #[error("it holds a character that must be percent-encoded")]
    NotEncoded,
    /// Escapes that decode to no UTF-8.
    #[error("its escapes are not UTF-8")]
    NotUtf8,
    /// As some servers read it, another route answers for it.
    #[error(
        "servers that leave out `;…`, decode `%3B`, `%3F` or `%23` first, read `//` and `%2F` as `/`, or a host behind `//`, would take it for another route's"
    )]
    OtherRoute,
    /// More than anybody needs, who does not want one of them to be missed.
    #[error("servers may read it in more ways than are looked at")]
    ManyReadings,
}

impl<'r> Path<'r> {
    /// Checks `raw`, the path as received without its query.
    ///
    /// # Errors
    /// [`Ambiguous`] names what two readers could read differently. `//` and
    /// `%2F` are left for [`Path::allowed_by`]: the route decides on them.
    pub fn read(raw: &'r str) -> Result<Self, Ambiguous> {
        let bytes = raw.as_bytes();
        if bytes.first() != Some(&b'/') {
            return Err(Ambiguous::NoSlash);
        }
        let mut escapes = false;
        let mut suspicious = false;
        let mut before = Class::Plain;
        for &byte in bytes {
            let class = CLASS[byte as usize];
            match class {
                Class::Plain => {}
                // Behind a slash: a segment that begins with it, or is empty.
                Class::Dot | Class::Slash => suspicious |= before == Class::Slash,
                Class::Percent => escapes = true,
                Class::Backslash => return Err(Ambiguous::Backslash),
                Class::Control => return Err(Ambiguous::Control),
                Class::MustEncode => return Err(Ambiguous::NotEncoded),
            }
            before = class;
        }
        let mut path = Self {
            raw,
            canonical: Cow::Borrowed(raw),
            legacy: None,
            escapes_semicolon: false,
            escapes_end: false,
        };
        if escapes {
            path.decode()?;
        }
        if escapes || suspicious {
            path.segments()?;
        }
        Ok(path)
    }

    /// The bytes as received: what is signed, logged and forwarded.
    pub const fn raw(&self) -> &'r str {
        self.raw
    }

    /// The path with all decoded that can stand plain, but `;`: what routes are
    /// matched against. Of unreserved characters that is equivalent to
    /// [`Path::raw`] (RFC 3986, section 6.2.2); of delimiters most servers take
    /// it so, and some signers escape them all.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Whether a route that reads paths by `encoding` takes this one.
    ///
    /// # Errors
    /// What it holds that only [`PathEncoding::Legacy`] takes.
    pub fn allowed_by(&self, encoding: PathEncoding) -> Result<(), Ambiguous> {
        match (self.legacy, encoding) {
            (Some(what), PathEncoding::Strict) => Err(what),
            _ => Ok(()),
        }
    }

    /// Whether it holds `%3B`, which some servers take for the end of a segment's name, and others do not.
    pub(super) const fn escapes_semicolon(&self) -> bool {
        self.escapes_semicolon
    }

    /// What servers make of it that do more with a path than we do, without the path itself.
    ///
    /// # Errors
    /// [`Ambiguous::ManyReadings`].
    pub(super) fn lenient(&self) -> Result<Vec<String>, Ambiguous> {
        let may_be_read_otherwise = self.legacy.is_some()
            || self.escapes_semicolon
            || self.escapes_end
            || self.canonical.contains(';');
        if may_be_read_otherwise {
            readings::of(&self.canonical)
        } else {
            Ok(Vec::new())
        }
    }

    /// Decodes what can stand plain, upper-cases what stays escaped, refuses the rest.
    fn decode(&mut self) -> Result<(), Ambiguous> {
        let bytes = self.raw.as_bytes();
        let mut canonical = String::with_capacity(bytes.len());
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte != b'%' {
                canonical.push(byte as char);
                decoded.push(byte);
                at += 1;
                continue;
            }
            let value = bytes
                .get(at + 1)
                .zip(bytes.get(at + 2))
                .and_then(|(high, low)| octet(*high, *low))
                .ok_or(Ambiguous::BadEscape)?;
            match value {
                0..=0x1f | 0x7f => return Err(Ambiguous::Control),
                b'\\' => return Err(Ambiguous::Backslash),
                b'/' => self.legacy = Some(Ambiguous::EncodedSlash),
                b';' => self.escapes_semicolon = true,
                b'?' | b'#' => self.escapes_end = true,
                _ => {}
            }
            if is_unreserved(value) || is_delimiter(value) && value != b';' {
                canonical.push(value as char);
            } else {
                canonical.push('%');
                canonical.push(UPPER_HEX[(value >> 4) as usize] as char);
                canonical.push(UPPER_HEX[(value & 15) as usize] as char);
            }
            decoded.push(value);
            at += 3;
        }
        if std::str::from_utf8(&decoded).is_err() {
            return Err(Ambiguous::NotUtf8);
        }
        self.canonical = Cow::Owned(canonical);
        Ok(())
    }

    fn segments(&mut self) -> Result<(), Ambiguous> {
        let mut segments = self.canonical.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            // An encoded slash hides segments too: `..%2F` is refused in every mode.
            for part in segment.split("%2F") {
                let name = part.split_once(';').map_or(part, |(name, _)| name);
                let name = name.split_once("%3B").map_or(name, |(name, _)| name);
                if name == "." || name == ".." {
                    return Err(Ambiguous::DotSegment);
                }
            }
            if segment.is_empty() && segments.peek().is_some() {
                self.legacy = Some(Ambiguous::EmptySegment);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Dot,
    Slash,
    Percent,
    Backslash,
    Control,
    MustEncode,
}

/// What each byte means in a path: `pchar` and `/` of RFC 3986, section 3.3, pass.
const CLASS: [Class; 256] = {
    let mut table = [Class::MustEncode; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            0..=0x1f | 0x7f => Class::Control,
            b'.' => Class::Dot,
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'\\' => Class::Backslash,
            _ if is_unreserved(b) || is_delimiter(b) => Class::Plain,
            _ => Class::MustEncode,
        };
        byte += 1;
    }
    table
};

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `sub-delims`, `:` and `@` of RFC 3986: what a path may hold plain and escaped, and most servers take for the same.
const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b':' | b'@')
}

/// What the two hexadecimal digits of an escape stand for.
const fn octet(high: u8, low: u8) -> Option<u8> {
    match (hex(high), hex(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        _ => None,
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (raw, why) in [
            ("", Ambiguous::NoSlash),
            ("orders", Ambiguous::NoSlash),
            ("/a/../b", Ambiguous::DotSegment),
            ("/a/%2e%2E/b", Ambiguous::DotSegment),
            ("/a/.%2e", Ambiguous::DotSegment),
            ("/a/..;x=1/b", Ambiguous::DotSegment),
            ("/a/..%3bx/b", Ambiguous::DotSegment),
            ("/a/..%2fb", Ambiguous::DotSegment),
            ("/.", Ambiguous::DotSegment),
            ("/a\\b", Ambiguous::Backslash),
            ("/\\x/a", Ambiguous::Backslash),
            ("/%5Cx/a", Ambiguous::Backslash),
            ("/\t/x/a", Ambiguous::Control),
            ("/%09/x/a", Ambiguous::Control),
            ("/.//x/a", Ambiguous::DotSegment),
            ("/%2e//x/a", Ambiguous::DotSegment),
            ("/a%5cb", Ambiguous::Backslash),
            ("/a%00", Ambiguous::Control),
            ("/a%7f", Ambiguous::Control),
            ("/a\tb", Ambiguous::Control),
            ("/a%", Ambiguous::BadEscape),
            ("/a%2", Ambiguous::BadEscape),
            ("/a%zz", Ambiguous::BadEscape),
            ("/a%+1", Ambiguous::BadEscape),
            ("/caf\u{e9}", Ambiguous::NotEncoded),
            ("/a b", Ambiguous::NotEncoded),
            ("/a{b}", Ambiguous::NotEncoded),
            ("/a|b", Ambiguous::NotEncoded),
            ("/a\"b", Ambiguous::NotEncoded),
            ("/a%c3", Ambiguous::NotUtf8),
            ("/a%c0%af", Ambiguous::NotUtf8),
        ] {
            assert_eq!(Path::read(raw).unwrap_err(), why, "{raw}");
        }
    }

    #[test]
    fn empty_segments_and_encoded_slashes_pass_only_a_legacy_route() {
        for (raw, why) in [
            ("/a//b", Ambiguous::EmptySegment),
            ("//a", Ambiguous::EmptySegment),
            ("/a%2Fb", Ambiguous::EncodedSlash),
        ] {
            let path = Path::read(raw).unwrap();
            assert_eq!(path.allowed_by(PathEncoding::Strict), Err(why));
            assert_eq!(path.allowed_by(PathEncoding::Legacy), Ok(()));
        }
    }

    #[test]
    fn unreserved_characters_are_decoded_for_matching_and_the_raw_path_is_kept() {
        let path = Path::read("/%6frders/%7e%c3%a9/a.b/..c").unwrap();
        assert_eq!(path.canonical(), "/orders/~%C3%A9/a.b/..c");
        assert_eq!(path.raw(), "/%6frders/%7e%c3%a9/a.b/..c");
        assert_eq!(path.allowed_by(PathEncoding::Strict), Ok(()));
    }

    #[test]
    fn an_escape_of_a_delimiter_is_matched_as_the_plain_one_but_for_a_semicolon() {
        let path = Path::read("/%21%24%26%27%28%29%2a%2B%2C%3D%3a%40%20%3b").unwrap();
        assert_eq!(path.canonical(), "/!$&'()*+,=:@%20%3B");
        assert_eq!(path.allowed_by(PathEncoding::Strict), Ok(()));
        let twice = Path::read("/%253A%25%33A").unwrap();
        assert_eq!(twice.canonical(), "/%253A%253A");
    }

    #[test]
    fn what_servers_make_of_semicolons_and_slashes_is_one_form_more_of_each() {
        let forms = |raw| Path::read(raw).unwrap().lenient().unwrap();
        for raw in ["/a:b@c", "/a%3Ab%40c", "/a%20%C3%A9%2A", "/%253A%253B"] {
            assert_eq!(forms(raw), [""; 0], "{raw}");
        }
        let sorted = |raw| {
            let mut forms = forms(raw);
            forms.sort();
            forms
        };
        // Before escapes are decoded, or thereafter.
        assert_eq!(sorted("/a;b/%3Bc"), ["/a/", "/a/%3Bc", "/a/;c", "/a;b/;c"]);
        assert_eq!(
            sorted("/a%3ab%3bc%2fd"),
            ["/a:b", "/a:b%3Bc/d", "/a:b/d", "/a:b;c%2Fd", "/a:b;c/d",]
        );
    }

    #[test]
    fn what_ends_a_path_once_it_is_decoded_is_one_form_more_of_each() {
        let forms = |raw| Path::read(raw).unwrap().lenient().unwrap();
        assert_eq!(forms("/a%3fb"), ["/a"]);
        assert_eq!(forms("/a%23b%3Fc"), ["/a%23b", "/a"]);
        assert_eq!(forms("/a%253Fb"), [""; 0]);
        assert_eq!(forms("/%3Fb;c"), ["/%3Fb", "/"]);
    }

    #[test]
    fn a_host_that_some_read_behind_two_slashes_or_more_is_left_out_in_one_form_more() {
        for (raw, form) in [
            ("//x/a", "/a"),
            ("//x:80/a", "/a"),
            ("//u@x/a/b", "/a/b"),
            ("///x/a", "/a"),
            ("//x;/a", "/a"),
            ("//x//a", "//a"),
            ("//x", "/"),
            ("//", "/"),
            ("/%2Fx/a", "/a"),
            ("//x%2Fy/a", "/a"),
            ("//x%2Fy/a", "/y/a"),
            ("//x%3Fy/a", "/"),
        ] {
            let forms = Path::read(raw).unwrap().lenient().unwrap();
            assert!(forms.iter().any(|one| one == form), "{raw}: {forms:?}");
        }
        for raw in ["/x//a", "/x:80/a"] {
            let forms = Path::read(raw).unwrap().lenient().unwrap();
            assert!(!forms.iter().any(|one| one == "/a"), "{raw}: {forms:?}");
        }
    }

    #[test]
    fn a_path_has_so_many_readings_and_no_more() {
        let of = |raw: &str| Path::read(raw).unwrap().lenient();
        let url = of("/get/https:%2F%2Fx.org%2Fa%3Fb%3D1%3B2%23c").unwrap();
        assert!((10..20).contains(&url.len()), "{url:?}");
        let many = "//a%2Fb%3Bc//d;e%2Ff%3B/g%23h;i%3Fj//k;l%3Bm%2Fn//o%23p";
        assert_eq!(of(many), Err(Ambiguous::ManyReadings));
    }

    #[test]
    fn a_trailing_slash_is_no_empty_segment() {
        for raw in ["/", "/a/"] {
            assert_eq!(
                Path::read(raw).unwrap().allowed_by(PathEncoding::Strict),
                Ok(())
            );
        }
    }

    /// The path as the most obliging backend would resolve it.
    fn lenient(path: &str) -> String {
        let plain = decoded(path).replace('\\', "/");
        let mut segments: Vec<&str> = Vec::new();
        for segment in plain.split('/').skip(1) {
            match segment.split(';').next() {
                Some("..") => drop(segments.pop()),
                Some(".") => {}
                _ => segments.push(segment),
            }
        }
        let mut text = format!("/{}", segments.join("/"));
        while text.contains("//") {
            text = text.replace("//", "/");
        }
        text
    }

    fn decoded(path: &str) -> String {
        let mut out = String::new();
        let mut rest = path;
        while let Some((before, escape)) = rest.split_once('%') {
            out.push_str(before);
            let value = u8::from_str_radix(&escape[..2], 16).unwrap();
            out.push(value as char);
            rest = &escape[2..];
        }
        out.push_str(rest);
        out
    }

    proptest! {
        #[test]
        fn the_canonical_form_of_a_canonical_form_is_itself(raw in "/[a-z./%0-9A-F;~-]{0,24}") {
            if let Ok(path) = Path::read(&raw) {
                let canonical = path.canonical().to_owned();
                let again = Path::read(&canonical).unwrap();
                prop_assert_eq!(again.canonical(), canonical.as_str());
            }
        }

        #[test]
        fn a_backend_however_lenient_reads_the_path_that_was_matched(
            raw in "(/|//|\\\\|%2f|%2F|%5c|\\.|%2e|;|[abz]|%61|%41|%7a|%25|%20){1,12}",
        ) {
            let raw = format!("/{raw}");
            let Ok(path) = Path::read(&raw) else { return Ok(()) };
            if path.allowed_by(PathEncoding::Strict).is_ok() {
                prop_assert_eq!(lenient(&raw), lenient(path.canonical()));
                // Nothing was left to resolve: what is matched is what any reader ends up with.
                prop_assert_eq!(lenient(&raw), decoded(path.canonical()));
            }
        }

        #[test]
        fn no_spelling_of_a_dot_segment_passes(
            before in "(/[a-z]{1,3}){0,2}",
            dots in "(\\.|%2e|%2E){1,2}",
            after in "(;[a-z]{0,2})?(/[a-z]{0,3}){0,2}",
        ) {
            let spelling = format!("{before}/{dots}{after}");
            prop_assert_eq!(Path::read(&spelling).unwrap_err(), Ambiguous::DotSegment);
        }
    }
}
