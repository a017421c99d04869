//! The words of a command line, as a POSIX shell reads them – without doing
//! anything that a shell does: what it would fill in, run or redirect is refused.

use crate::cli::stop::Stop;
use anyhow::Result;

/// Words of a line.
const MAX_WORDS: usize = 4_096;

/// The words of a line.
#[derive(Debug)]
pub struct Words {
    /// Every one, in order.
    pub all: Vec<String>,
    /// Whether a string in double quotes goes on at once in another: Windows' `cmd` writes one quote so.
    pub has_doubled: bool,
}

/// The words of `line`.
///
/// # Errors
/// A quote without its end, or what only a shell can do.
pub fn words(line: &str) -> Result<Words> {
    let mut reader = Reader {
        rest: line.trim_end(),
        words: Vec::new(),
        word: None,
        has_doubled: false,
    };
    while let Some(c) = reader.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => reader.end_word()?,
            '\'' => reader.single()?,
            '"' => reader.double()?,
            '\\' => match reader.next() {
                // A line that goes on.
                Some('\n') => {}
                Some('\r') if reader.rest.starts_with('\n') => {
                    reader.next();
                }
                Some(c) => reader.push(c),
                None => return Err(unfinished("`\\`").into()),
            },
            '$' if reader.rest.starts_with('\'') => {
                reader.next();
                reader.ansi()?;
            }
            '$' if reader.is_name_next() => return Err(filled_in().into()),
            '`' if reader.rest.starts_with(['\n', '\r']) => {
                return Err(
                    Stop::failed("the lines end in backticks, as PowerShell wants it")
                        .hint("write it in one line, or end its lines in `\\`; browsers copy it so as cURL (bash), or (POSIX)")
                        .into(),
                );
            }
            '`' => return Err(filled_in().into()),
            '^' if reader.rest.starts_with(['"', '\n', '\r']) => {
                return Err(
                    Stop::failed("the line is quoted for Windows' `cmd`, with `^`")
                        .hint("let the browser copy it as cURL (bash), or (POSIX)")
                        .into(),
                );
            }
            '|' | ';' | '&' | '>' | '<' | '(' | ')' if reader.word.is_none() || c != '(' => {
                return Err(Stop::failed(format!(
                    "`{c}` stands outside quotes, where a shell ends the command"
                ))
                .hint("paste the `curl` command alone, its URL in quotes")
                .into());
            }
            '#' if reader.word.is_none() => reader.comment(),
            c => reader.push(c),
        }
    }
    reader.end_word()?;
    Ok(Words {
        all: reader.words,
        has_doubled: reader.has_doubled,
    })
}

/// What stands in `$'…'`.
enum Piece {
    Character(char),
    /// A part of one, where it is beyond ASCII.
    Byte(u8),
    /// No escape: the backslash stands for itself.
    AsItIs(char),
}

struct Reader<'l> {
    rest: &'l str,
    words: Vec<String>,
    /// The one that is being read; empty quotes make one too.
    word: Option<String>,
    has_doubled: bool,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) -> Result<(), Stop> {
        if self.words.len() == MAX_WORDS {
            let message = format!("the line has more than {MAX_WORDS} words");
            return Err(Stop::failed(message));
        }
        self.words.extend(self.word.take());
        Ok(())
    }

    /// Whether what follows `$` is a name, which a shell fills in.
    fn is_name_next(&self) -> bool {
        self.rest
            .starts_with(|c: char| c.is_ascii_alphanumeric() || "_{(?!@*#".contains(c))
    }

    fn comment(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or_default();
    }

    fn single(&mut self) -> Result<(), Stop> {
        let (inside, rest) = self
            .rest
            .split_once('\'')
            .ok_or_else(|| unfinished("`'`"))?;
        self.word.get_or_insert_default().push_str(inside);
        self.rest = rest;
        Ok(())
    }

    fn double(&mut self) -> Result<(), Stop> {
        let start = self.word.get_or_insert_default().len();
        loop {
            match self.next() {
                None => return Err(unfinished("`\"`")),
                Some('"') if self.rest.starts_with('"') => {
                    self.has_doubled = true;
                    return self.not_json(start);
                }
                Some('"') => return Ok(()),
                Some('`') => return Err(filled_in()),
                Some('$') if self.is_name_next() => return Err(filled_in()),
                Some('\\') => match self.next() {
                    Some('\n') => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                    None => return Err(unfinished("`\"`")),
                },
                Some(c) => self.push(c),
            }
        }
    }

    /// Refuses what begins at `start` of the word as JSON does: it is Windows' `cmd` that doubles the quotes in one.
    fn not_json(&self, start: usize) -> Result<(), Stop> {
        let inside = self.word.as_deref().and_then(|word| word.get(start..));
        let inside = inside.unwrap_or_default().trim();
        let is_front = inside
            .chars()
            .all(|c| c.is_whitespace() || "{[".contains(c));
        if is_front && !inside.is_empty() {
            return Err(doubled());
        }
        Ok(())
    }

    /// `$'…'`, as browsers write what holds quotes or is no ASCII.
    fn ansi(&mut self) -> Result<(), Stop> {
        let mut bytes = Vec::new();
        loop {
            let told = match self.next() {
                None => return Err(unfinished("`$'`")),
                Some('\'') => break,
                Some('\\') => self.escape()?,
                Some(c) => Piece::Character(c),
            };
            match told {
                Piece::Character(c) => {
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Piece::Byte(byte) => bytes.push(byte),
                Piece::AsItIs(c) => {
                    bytes.push(b'\\');
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| no_character())?;
        self.word.get_or_insert_default().push_str(&text);
        Ok(())
    }

    fn escape(&mut self) -> Result<Piece, Stop> {
        let c = self.next().ok_or_else(|| unfinished("`$'`"))?;
        let told = match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' | 'E' => '\u{1b}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '?' => c,
            'x' => {
                let value = self.digits(16, 2).ok_or_else(no_character)?;
                return Ok(Piece::Byte(value as u8));
            }
            'u' => self.code_unit()?,
            'U' => {
                let value = self.digits(16, 8).ok_or_else(no_character)?;
                char::from_u32(value).ok_or_else(no_character)?
            }
            '0'..='7' => {
                let first = c.to_digit(8).unwrap_or_default();
                let mut value = first;
                for _ in 0..2 {
                    let digit = self.rest.chars().next().and_then(|c| c.to_digit(8));
                    let Some(digit) = digit else { break };
                    self.next();
                    value = value * 8 + digit;
                }
                let byte = u8::try_from(value).map_err(|_| no_character())?;
                return Ok(Piece::Byte(byte));
            }
            other => return Ok(Piece::AsItIs(other)),
        };
        Ok(Piece::Character(told))
    }

    /// `\uD83D\uDE00` is one character in what browsers write.
    fn code_unit(&mut self) -> Result<char, Stop> {
        let first = self.digits(16, 4).ok_or_else(no_character)?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(no_character);
        }
        let rest = self.rest.strip_prefix("\\u").ok_or_else(no_character)?;
        self.rest = rest;
        let second = self.digits(16, 4).ok_or_else(no_character)?;
        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
        let low = low.ok_or_else(no_character)?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low).ok_or_else(no_character)
    }

    /// As many digits as there are, up to `most`.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let digits = self.rest.bytes().take(most);
        let count = digits
            .take_while(|byte| (*byte as char).is_digit(radix))
            .count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        u32::from_str_radix(digits, radix).ok()
    }
}

fn unfinished(what: &str) -> Stop {
    Stop::failed(format!("{what} is opened and not closed"))
        .hint("paste the whole command, as it was copied")
}

/// A POSIX shell would read on, without a quote there.
fn doubled() -> Stop {
    Stop::failed("`\"\"` stands within double quotes, as Windows' `cmd` writes a quote")
        .hint("let the browser copy it as cURL (bash), or (POSIX); or put the value in single quotes, with each quote once")
}

fn filled_in() -> Stop {
    Stop::failed("a `$` or a backtick stands where a shell would fill something in")
        .hint("write the value itself, or put it in single quotes")
}

fn no_character() -> Stop {
    Stop::failed("an escape within `$'…'` is no character, or not all of one")
        .hint("`\\u00e9` is one, and so are all of its bytes in UTF-8, `\\xc3\\xa9`; or write the letter itself")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::curl::quoted;

    #[test]
    fn words_are_read_as_a_shell_reads_them() {
        for (line, wanted) in [
            ("a 'b c' \"d e\"f", &["a", "b c", "d ef"][..]),
            ("a \\\n  b \\\r\n c", &["a", "b", "c"]),
            (r"'it'\''s' '' \ x", &["it's", "", " x"]),
            (r#""a\"b\\c\d$ e""#, &["a\"b\\c\\d$ e"]),
            (r#"x "" "a"'b'"" "#, &["x", "", "ab"]),
            (
                r"$'a\'b\u00e9\xc3\xa9\303\251\x41\101\uD83D\uDE00\n\q' $",
                &["a'béééAA😀\n\\q", "$"],
            ),
            ("a # b\nc#d", &["a", "c#d"]),
            ("a(b", &["a(b"]),
            ("", &[]),
        ] {
            assert_eq!(words(line).unwrap().all, wanted, "{line}");
        }
    }

    #[test]
    fn a_string_that_goes_on_in_another_is_read_as_a_shell_does_and_noted() {
        for (line, wanted) in [
            (r#"a "http://h/x""y""#, &["a", "http://h/xy"][..]),
            (r#"a "A: b""c""#, &["a", "A: bc"]),
            (r#"a "A: """"#, &["a", "A: "]),
            (r#"a """x""""#, &["a", "x"]),
            (r#"a "h?a=""$""#, &["a", "h?a=$"]),
            (r#"a "[""#, &["a", "["]),
        ] {
            let read = words(line).unwrap();
            assert_eq!(read.all, wanted, "{line}");
            assert_eq!(read.has_doubled, !line.ends_with(r#""[""#), "{line}");
        }
        assert!(!words(r#"a "b"'c' "" """#).unwrap().has_doubled);
        let told = |line: &str| words(line).unwrap_err().to_string();
        assert!(told(r#"a "h?a=""$B""#).contains("fill something in"));
        for json in [r#"a "{""b"":1}""#, r#"a "[""b""]""#, r#"a "[ {""b"":1}]""#] {
            assert!(told(json).contains("`cmd`"), "{json}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_refused() {
        for line in [
            "a $B",
            "a \"$B\"",
            "a `b`",
            "a \"`b`\"",
            "a $(b)",
            "a ${b}",
            "a | b",
            "a; b",
            "a &",
            "a > b",
            "a ^\"b",
            r#"a "{""b"":1}""#,
            "a `\n b",
            "'a",
            "\"a",
            "$'a",
            "a \\",
            r"$'\uD83D'",
            r"$'\xff'",
            r"$'\xc3'",
            r"$'\u'",
            r"$'\400'",
        ] {
            assert!(words(line).is_err(), "{line}");
        }
        let told = |line: &str| words(line).unwrap_err().to_string();
        assert!(told("a `\r\n b").contains("PowerShell"));
        assert!(words(&"a ".repeat(MAX_WORDS + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn every_word_that_is_quoted_is_read_again(word in "\\PC*") {
            let line = quoted(&word);
            proptest::prop_assert_eq!(words(&line).unwrap().all, [word]);
        }
    }
}
