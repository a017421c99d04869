//! Words in a list with one separator. Lists are short and are gone through often: a search for
//! a character in general would take longer than all else that is done with a word.

/// The words of `text` between separators, the empty ones too.
#[derive(Clone, Debug)]
pub(super) struct Words<'t> {
    rest: Option<&'t str>,
    separator: u8,
}

/// The words of a list.
///
/// # Panics
/// In tests, where the separator is no ASCII.
pub(super) const fn words(text: &str, separator: u8) -> Words<'_> {
    debug_assert!(separator.is_ascii());
    Words {
        rest: Some(text),
        separator,
    }
}

/// What stands before the first separator, and what behind it.
pub(super) fn halves(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(separator, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.rest?;
        let end = memchr::memchr(self.separator, rest.as_bytes());
        let Some((word, more)) = end.and_then(|end| rest.split_at_checked(end)) else {
            self.rest = None;
            return Some(rest);
        };
        // The separator is one byte long.
        self.rest = more.get(1..);
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_stands_between_separators() {
        for text in ["", ";", "a", "a;b", ";a;;b;", "é;ü", "host;x-amz-date"] {
            let ours: Vec<&str> = words(text, b';').collect();
            let theirs: Vec<&str> = text.split(';').collect();
            assert_eq!(ours, theirs, "{text}");
            assert_eq!(halves(text, b';'), text.split_once(';'), "{text}");
        }
    }
}
