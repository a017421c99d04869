//! Colours, and text of strangers made safe for a terminal.

use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// Titles.
pub(super) const TITLE: Style = Style::new().bold();
/// What went as it should.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to copy.
pub(super) const COPY: Style = AnsiColor::Cyan.on_default();
/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();

/// `text` with control characters written out: a terminal must not obey what
/// a server or a file says.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            write!(out, "{}", c.escape_default()).expect("a String takes every char");
        } else {
            out.push(c);
        }
    }
    out
}

/// The front of a stranger's text, as it may stand in a message: the whole may be megabytes of another file.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    let front = text.chars().take(LONGEST);
    let mut out: String = front.flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters_of_strangers() {
        assert_eq!(visible("a\u{1b}[31mb\r\n"), "a\\u{1b}[31mb\\r\\n");
    }

    #[test]
    fn of_a_long_text_a_message_has_the_front() {
        assert_eq!(short(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(short(&"\0".repeat(81)), format!("{}…", "\\0".repeat(80)));
    }
}
