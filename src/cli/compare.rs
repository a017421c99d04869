//! Two signature bases side by side: where they part, and why most likely.

use super::paint::{BAD, FAINT, visible};
use crate::apps::Scheme;
use crate::schemes::Received;
use crate::schemes::doctor::{Mistake, Sample, Tries};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, Write};

/// Where two texts part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// Byte of the text, from 0.
    pub(super) byte: usize,
    /// Line, from 1.
    pub(super) line: usize,
    /// Character of the line, from 1.
    pub(super) column: usize,
    /// What stands there in the gateway's text.
    pub(super) gateway: String,
    /// What stands there in the caller's.
    pub(super) caller: String,
    /// The gateway's whole line.
    pub(super) gateway_line: String,
    /// The caller's.
    pub(super) caller_line: String,
    /// How far into both lines, as they are shown, the difference is; not where they are veiled.
    #[serde(skip)]
    pub(super) indent: Option<usize>,
}

/// Characters of a line that are shown before and behind the place where two differ.
const AROUND: usize = 1_000;

impl Difference {
    /// Leaves of long lines what is around the place where they differ: a file that is none may have megabytes of one.
    /// It is done once what must not be seen is veiled, which is known by how a line begins.
    pub(super) fn shorten(&mut self) {
        let at = self.indent.unwrap_or_default();
        let left_out = at.saturating_sub(AROUND);
        for line in [&mut self.gateway_line, &mut self.caller_line] {
            let mut shown: String = line.chars().skip(left_out).take(2 * AROUND).collect();
            if left_out > 0 {
                shown.insert(0, '…');
            }
            if line.chars().nth(left_out + 2 * AROUND).is_some() {
                shown.push('…');
            }
            *line = shown;
        }
        if left_out > 0 {
            self.indent = Some(AROUND + 1);
        }
    }
}

/// Writes the lines of a text with their numbers, the one of `marked` marked.
pub(super) fn write_lines<'l>(
    out: &mut impl Write,
    lines: impl Iterator<Item = &'l str>,
    marked: Option<&Difference>,
) -> io::Result<()> {
    for (number, line) in (1..).zip(lines) {
        let here = marked.is_some_and(|difference| difference.line == number);
        let (paint, mark) = if here { (BAD, '>') } else { (FAINT, ' ') };
        writeln!(out, "{paint}{mark}{number:>3}{paint:#}  {}", visible(line))?;
    }
    Ok(())
}

/// The first place where `caller` differs from `gateway`.
pub(super) fn first_difference(gateway: &[u8], caller: &[u8]) -> Option<Difference> {
    if gateway == caller {
        return None;
    }
    let pairs = gateway.iter().zip(caller);
    let mut at = { pairs }.take_while(|(a, b)| a == b).count();
    // Where a character of several bytes differs within, it differs as a whole.
    while at > 0 && gateway.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at -= 1;
    }
    let front = gateway.get(..at).unwrap_or_default();
    let start = front.iter().rposition(|byte| *byte == b'\n');
    let start = start.map_or(0, |end| end + 1);
    let front = String::from_utf8_lossy(front.get(start..).unwrap_or_default());
    let whole = |text: &[u8]| {
        let rest = text.get(start..).unwrap_or_default();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        visible(&String::from_utf8_lossy(line))
    };
    Some(Difference {
        byte: at,
        line: 1 + gateway
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count(),
        column: 1 + front.chars().count(),
        gateway: character(gateway.get(at..).unwrap_or_default()),
        caller: character(caller.get(at..).unwrap_or_default()),
        gateway_line: whole(gateway),
        caller_line: whole(caller),
        indent: Some(visible(&front).chars().count()),
    })
}

/// `caller` in each way that it may have been before an editor kept it: as it is, and with the line ends of
/// `gateway`, at its end, between its lines, and both. An editor writes CR LF for LF, and one more at the end.
pub(super) fn as_edited<'c>(gateway: &[u8], caller: &'c [u8]) -> [Cow<'c, [u8]>; 4] {
    let lines = if gateway.contains(&b'\r') {
        Cow::Borrowed(caller)
    } else {
        without_cr(caller)
    };
    let both = ended(gateway, &lines).into_owned();
    [caller.into(), ended(gateway, caller), lines, both.into()]
}

/// Whether `caller` is `gateway`'s text, as it is or as an editor kept it.
pub(super) fn is_same(gateway: &[u8], caller: &[u8]) -> bool {
    let ways = as_edited(gateway, caller);
    ways.iter().any(|way| **way == *gateway)
}

/// `text` with a newline at its end where `gateway` has one, and without it where that has none.
fn ended<'t>(gateway: &[u8], text: &'t [u8]) -> Cow<'t, [u8]> {
    match (gateway.ends_with(b"\n"), text.strip_suffix(b"\n")) {
        (true, None) => [text, b"\n"].concat().into(),
        (false, Some(front)) => front.strip_suffix(b"\r").unwrap_or(front).into(),
        _ => text.into(),
    }
}

/// `text` with LF where it has CR LF.
fn without_cr(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\r') {
        return text.into();
    }
    let lines = text.split(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    lines.join(&b'\n').into()
}

/// The character that `text` begins with, in words where it does not print.
fn character(text: &[u8]) -> String {
    let front = text.get(..4).unwrap_or(text);
    let valid = match std::str::from_utf8(front) {
        Ok(text) => text,
        Err(why) => {
            let (valid, _) = front.split_at(why.valid_up_to());
            std::str::from_utf8(valid).unwrap_or_default()
        }
    };
    match (valid.chars().next(), text.first()) {
        (None, None) => "the end of the text".to_owned(),
        (None, Some(byte)) => format!("the byte 0x{byte:02X}"),
        (Some('\n'), _) => "the end of the line".to_owned(),
        (Some('\r'), _) => "a carriage return (CR)".to_owned(),
        (Some(' '), _) => "a space".to_owned(),
        (Some('\t'), _) => "a tab".to_owned(),
        (Some(c), _) if c.is_ascii_graphic() => format!("`{c}`"),
        (Some(c), _) => format!("U+{:04X}", u32::from(c)),
    }
}

/// Why the caller's text most likely differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Likely {
    /// The stable word of it, where it is a mistake that we can make again.
    pub(super) mistake: Option<Mistake>,
    /// What was done, and what is right.
    pub(super) says: &'static str,
}

/// The mistake that makes our text into `caller`, whole or in the line where they part first.
pub(super) fn likely(sample: &Sample<'_>, received: &Received<'_>, caller: &str) -> Option<Likely> {
    let base = String::from_utf8_lossy(&sample.text);
    let known = |mistake: Mistake| Likely {
        mistake: Some(mistake),
        says: mistake.says(),
    };
    let is_the_text = |texts: &[&str]| texts.contains(&caller);
    if let Some(mistake) = sample.find(received, &mut Tries::all(), is_the_text) {
        return Some(known(mistake));
    }
    let lines = base.split('\n').zip(caller.split('\n')).enumerate();
    let (at, (ours, theirs)) = { lines }.find(|(_, (ours, theirs))| ours != theirs)?;
    let is_aws = sample.scheme == Scheme::AwsSigv4;
    let has_the_line = |texts: &[&str]| {
        let mut all = texts.iter();
        all.any(|text| {
            let mut lines = text.split('\n');
            if is_aws {
                // Its lines are known by their place: where one is missing, the next stands there.
                let mine = caller.split('\n').take(at + 1);
                lines.take(at + 1).eq(mine)
            } else {
                lines.nth(at) == Some(theirs)
            }
        })
    };
    let found = sample.find(received, &mut Tries::all(), has_the_line);
    found.map(known).or_else(|| {
        let by_eye = match sample.scheme {
            Scheme::HttpSignature => by_shape(&base, caller, ours, theirs),
            Scheme::AwsSigv4 => by_place(&base, caller, (at, ours, theirs)),
            _ => by_lines(&base, caller, ours, theirs),
        };
        by_eye.map(|says| Likely {
            mistake: None,
            says,
        })
    })
}

/// Its lines, without so many at its end.
fn sorted(text: &str, without: usize) -> Vec<&str> {
    let mut lines: Vec<_> = text.trim_end().lines().collect();
    lines.truncate(lines.len().saturating_sub(without));
    lines.sort_unstable();
    lines
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Mistakes that can be seen and not remade, in the text of any scheme.
fn by_lines(base: &str, caller: &str, ours: &str, theirs: &str) -> Option<&'static str> {
    by_letters(base, caller, ours, theirs).or_else(|| {
        let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_owned());
        (name(ours)? == name(theirs)?).then_some(VALUES)
    })
}

/// Those of them that leave every letter, though in another place or in another case.
fn by_letters(base: &str, caller: &str, ours: &str, theirs: &str) -> Option<&'static str> {
    if sorted(base, 0) == sorted(caller, 0) {
        return Some("the lines stand in another order");
    }
    if ours.eq_ignore_ascii_case(theirs) {
        return Some("upper and lower case differ");
    }
    if without_spaces(ours) == without_spaces(theirs) {
        return Some("white space differs: this line must be the same to the byte");
    }
    None
}

/// The same in either text of AWS's, whose lines are known by their place: `at`, from 0, they part first.
fn by_place(
    base: &str,
    caller: &str,
    (at, ours, theirs): (usize, &str, &str),
) -> Option<&'static str> {
    if let Some(says) = by_letters(base, caller, ours, theirs) {
        return Some(says);
    }
    let count = base.split('\n').count();
    // A canonical request has three lines before its fields and three behind them, a string to sign four in all.
    if count == 4 {
        return match at {
            1 => Some(MOMENT),
            2 => Some(SCOPE),
            // Of the hash is told by who has the text that it is of.
            _ => None,
        };
    }
    let says = match (at, count - at) {
        (0, _) => "the method differs: it stands as in the request line",
        (1, _) if theirs.contains('?') => {
            "the query stands behind the path: its own line is the next"
        }
        (1, _) => "another path was signed than arrived: it is signed as the gateway sees it",
        (2, _) => "another query was signed than arrived",
        (_, 1) => OTHER_BODY,
        (_, 2) => "the list of names differs: it stands as in `SignedHeaders`",
        _ => match (ours.split_once(':'), theirs.split_once(':')) {
            (Some(("x-amz-date", _)), Some(("x-amz-date", _))) => MOMENT,
            (Some((name, _)), Some((same, _))) if name == same => VALUES,
            _ => FIELDS,
        },
    };
    Some(says)
}

/// The same in a signature base of RFC 9421.
fn by_shape(base: &str, caller: &str, ours: &str, theirs: &str) -> Option<&'static str> {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        letters.sort_unstable();
        letters
    };
    if ours.starts_with("\"@signature-params\"") && theirs.starts_with("\"@signature-params\"") {
        if without_spaces(ours) == without_spaces(theirs) {
            return Some(SPACES);
        }
        if letters(ours) == letters(theirs) {
            return Some(
                "the components or parameters stand in another order: the last line repeats `Signature-Input` as it was sent",
            );
        }
        return Some(
            "the last line must repeat the value of `Signature-Input` behind the label, every parameter as it was sent",
        );
    }
    // The last is no component.
    if sorted(base, 1) == sorted(caller, 1) {
        return Some(
            "the components stand in another order: it is the order of the list in `Signature-Input`",
        );
    }
    if ours.eq_ignore_ascii_case(theirs) {
        return Some("upper and lower case differ");
    }
    if without_spaces(ours) == without_spaces(theirs) {
        return Some(SPACES);
    }
    let name = |line: &str| line.split_once(": ").map(|(name, _)| name.to_owned());
    match (name(ours), name(theirs)) {
        (Some(a), Some(b)) if a == b => Some(VALUES),
        (Some(_), Some(_)) => {
            Some("the components differ: one line for each component of the list, in its order")
        }
        _ => None,
    }
}

const MOMENT: &str = "the time differs: it stands as in `X-Amz-Date`, like `20150830T123600Z`";
const SCOPE: &str = "the scope differs: it stands as in `Credential`, behind the key's id";
const FIELDS: &str = "the fields differ: one line for each name in `SignedHeaders`, in its order, and an empty one behind them";
/// Of a body, or of its hash, that differs.
pub(super) const OTHER_BODY: &str = "another body was signed than arrived: sign the bytes that are sent, and let nothing on the way write them anew";
const VALUES: &str = "the values differ: what was signed is not what arrived";
const SPACES: &str =
    "white space differs: one space between components, none around `;` and `=`, values trimmed";

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "\"@method\": POST\n\"@query\": ?a=1\n\"@signature-params\": ()";

    fn difference(gateway: &str, caller: &[u8]) -> Option<Difference> {
        first_difference(gateway.as_bytes(), caller)
    }

    #[test]
    fn the_first_difference_has_line_column_and_both_characters() {
        let caller = BASE.replace("?a=1", "a=1");
        let told = difference(BASE, caller.as_bytes()).unwrap();
        assert_eq!((told.line, told.column, told.byte), (2, 11, 26));
        assert_eq!(told.gateway, "`?`");
        assert_eq!(told.caller, "`a`");
        assert_eq!(told.indent, Some(10));
        assert_eq!(difference(BASE, BASE.as_bytes()), None);
    }

    #[test]
    fn of_long_lines_what_is_around_the_difference_is_left() {
        let mut told = difference(BASE, "\0".repeat(100_000).as_bytes()).unwrap();
        told.shorten();
        assert_eq!(told.gateway_line, "\"@method\": POST");
        assert_eq!(told.caller_line.chars().count(), 2 * AROUND + 1);
        assert_eq!(told.indent, Some(0));
        let front = "x".repeat(5_000);
        let (ours, theirs) = (format!("{front}a"), format!("{front}b{front}"));
        let mut told = difference(&ours, theirs.as_bytes()).unwrap();
        told.shorten();
        assert_eq!(told.column, 5_001);
        for (line, character) in [(&told.gateway_line, 'a'), (&told.caller_line, 'b')] {
            assert!(line.starts_with("…xxx"), "{line}");
            assert_eq!(line.chars().nth(told.indent.unwrap()), Some(character));
        }
        assert!(told.caller_line.ends_with("xxx…"));
    }

    #[test]
    fn a_text_that_goes_on_differs_where_ours_ends() {
        let told = difference(BASE, format!("{BASE}\n").as_bytes()).unwrap();
        assert_eq!(told.gateway, "the end of the text");
        assert_eq!(told.caller, "the end of the line");
    }

    #[test]
    fn a_text_is_the_same_with_the_line_ends_that_an_editor_gives_it() {
        for (gateway, caller, wanted) in [
            ("a\nb", "a\nb", true),
            ("a\nb", "a\nb\n", true),
            ("a\nb", "a\r\nb", true),
            ("a\nb", "a\r\nb\r\n", true),
            ("a\nb\n", "a\nb", true),
            ("a\nb\n", "a\r\nb", true),
            ("a\r\nb", "a\r\nb\r\n", true),
            ("", "\n", true),
            ("a\nb", "a\nb\n\n", false),
            ("a\nb", "a\rb", false),
            ("a\r\nb", "a\nb", false),
            ("a\nb", "\na\nb", false),
            ("a\nb", "a\nc\n", false),
        ] {
            let found = is_same(gateway.as_bytes(), caller.as_bytes());
            assert_eq!(found, wanted, "{gateway:?} {caller:?}");
        }
    }

    #[test]
    fn each_line_of_a_canonical_request_is_told_by_its_place() {
        const OURS: &str =
            "POST\n/a\nb=2\nhost:h\nx-amz-date:20270115T080000Z\n\nhost;x-amz-date\n5a";
        const TO_SIGN: &str = "AWS4-HMAC-SHA256\n20270115T080000Z\n20270115/eu/s3/aws4_request\n5a";
        for (from, to, wanted) in [
            ("POST", "PUT", "the method differs"),
            ("/a", "/api/a", "another path was signed"),
            ("/a", "/a?b=2", "its own line is the next"),
            ("b=2", "c=3", "another query was signed"),
            ("host:h", "host:other", VALUES),
            ("host:h", "accept:h", FIELDS),
            ("host:h", "x-amz-date:20270115T080001Z", FIELDS),
            ("20270115T080000Z", "20200101T000000Z", MOMENT),
            ("20270115T080000Z", "1799999999", MOMENT),
            ("Z\n\n", "Z\nx-more:1\n\n", FIELDS),
            ("\nhost;x", "\nx", "the list of names differs"),
            ("5a", "5b", OTHER_BODY),
            ("5a", "5A", "upper and lower case differ"),
            ("/a", "/a ", "white space differs"),
        ] {
            let caller = OURS.replacen(from, to, 1);
            let lines = OURS.split('\n').zip(caller.split('\n')).enumerate();
            let (at, (ours, theirs)) = { lines }
                .find(|(_, (ours, theirs))| ours != theirs)
                .unwrap();
            let told = by_place(OURS, &caller, (at, ours, theirs)).unwrap();
            assert!(told.contains(wanted), "{from:?} {to:?}: {told}");
        }
        for (at, theirs, wanted) in [
            (1, "20200101T000000Z", Some(MOMENT)),
            (1, "2027-01-15", Some(MOMENT)),
            (2, "20270115/us/s3/aws4_request", Some(SCOPE)),
            (3, "5b", None),
        ] {
            let ours = TO_SIGN.split('\n').nth(at).unwrap();
            let caller = TO_SIGN.replacen(ours, theirs, 1);
            let told = by_place(TO_SIGN, &caller, (at, ours, theirs));
            assert_eq!(told, wanted, "{theirs}");
        }
    }

    #[test]
    fn what_does_not_print_is_told_in_words() {
        for (caller, told) in [
            (&b"a\rb"[..], "a carriage return (CR)"),
            (b"a\tb", "a tab"),
            (b"a\xffb", "the byte 0xFF"),
            ("aéb".as_bytes(), "U+00E9"),
            (b"a\0", "U+0000"),
            (b"a", "the end of the text"),
        ] {
            assert_eq!(difference("ax", caller).unwrap().caller, told);
        }
        // Two characters that begin with the same byte.
        let told = difference("aé", "aè".as_bytes()).unwrap();
        assert_eq!((told.column, told.byte), (2, 1));
        assert_eq!((&*told.gateway, &*told.caller), ("U+00E9", "U+00E8"));
    }
}
