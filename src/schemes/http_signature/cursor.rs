//! The grammar of both fields, read from left to right: what is left of a text,
//! and how to take the next piece of it.

use super::class::{DIGIT, KEY, SPACE, TAB, TOKEN, split, unescaped};
use super::component::Component;
use super::read::{Bare, Input, MAX_COMPONENTS, MAX_PARAMETERS, MAX_TAKEN_APART};
use super::spare;
use crate::schemes::base64;
use data_encoding::BASE64;
use std::iter;

/// What is left to read of a field's text. What is taken of it is ASCII.
pub(super) struct Cursor<'r> {
    pub(super) rest: &'r [u8],
    /// Whether what was read since the list began stands in its one canonical form.
    pub(super) is_canonical: bool,
}

impl<'r> Cursor<'r> {
    pub(super) const fn new(text: &'r [u8]) -> Self {
        Self {
            rest: text,
            is_canonical: true,
        }
    }

    /// A label and the sign behind it.
    pub(super) fn label(&mut self) -> Result<&'r [u8], String> {
        let label = self.key()?;
        if !self.eat(b'=') {
            return Err(self.unexpected(&format!("`=` after the label `{}`", ascii(label))));
        }
        Ok(label)
    }

    pub(super) fn comma(&mut self) -> Result<(), String> {
        self.skip(SPACE | TAB);
        if !self.eat(b',') {
            return Err(self.unexpected("`,` or the end"));
        }
        self.skip(SPACE | TAB);
        if self.rest.is_empty() {
            return Err("it ends in `,`".to_owned());
        }
        Ok(())
    }

    pub(super) fn signature(&mut self) -> Result<Vec<u8>, String> {
        // What stands there is not repeated: it may be a signature that nobody has used yet.
        let text = self
            .bytes()
            .map_err(|_| "the signature is not base64 between two `:`".to_owned())?;
        let mut bytes = spare::signature();
        if !base64::read(text, &mut bytes) {
            return Err("the signature is not base64 with padding".to_owned());
        }
        Ok(bytes)
    }

    /// Reads a list of components and its parameters into `input`, which is empty. `taken_apart`
    /// is how many of the request are taken apart already; those of this list are added.
    pub(super) fn input(
        &mut self,
        input: &mut Input<'r>,
        taken_apart: &mut usize,
    ) -> Result<(), String> {
        let from = self.rest;
        self.is_canonical = true;
        self.components(&mut input.components, taken_apart)?;
        let behind = self.rest;
        let mut count = 0;
        while self.eat(b';') {
            let name = self.name()?;
            let value = self.value(name)?;
            let is_twice = match name {
                b"created" => input.created.is_some(),
                b"expires" => input.expires.is_some(),
                b"keyid" => input.key_id.is_some(),
                b"nonce" => input.nonce.is_some(),
                b"alg" => input.algorithm.is_some(),
                // Few have any other.
                _ => input.parameters().any(|(known, _)| known == name),
            };
            if is_twice {
                return Err(format!("the parameter `{}` is there twice", ascii(name)));
            }
            if count == MAX_PARAMETERS {
                return Err(format!("it has more than {MAX_PARAMETERS} parameters"));
            }
            count += 1;
            match name {
                b"created" => input.created = Some(time(name, value)?),
                b"expires" => input.expires = Some(time(name, value)?),
                b"keyid" => input.key_id = Some(ascii(string(name, value)?)),
                b"nonce" => match string(name, value)? {
                    // Every request that has it would be a replay of the first.
                    b"" => return Err("`nonce` is empty: send a fresh one, or none".to_owned()),
                    nonce => input.nonce = Some(nonce),
                },
                b"alg" => input.algorithm = Some(string(name, value)?),
                b"tag" => drop(string(name, value)?),
                _ => {}
            }
            input.parameters = self.since(behind);
        }
        input.text = Some(self.since(from)).filter(|_| self.is_canonical);
        Ok(())
    }

    /// The list in brackets.
    fn components(
        &mut self,
        components: &mut Vec<Component<'r>>,
        taken_apart: &mut usize,
    ) -> Result<(), String> {
        if !self.eat(b'(') {
            return Err(self.unexpected("`(`, a list of components"));
        }
        self.is_canonical &= !self.skip(SPACE);
        while !self.eat(b')') {
            let component = Component::read(self)?;
            *taken_apart += usize::from(component.is_taken_apart());
            if *taken_apart > MAX_TAKEN_APART {
                return Err(format!(
                    "more than {MAX_TAKEN_APART} components are covered with `sf`, `key` or `name`, by all signatures together; cover whole fields and `@query`"
                ));
            }
            if components.len() == MAX_COMPONENTS {
                return Err(format!("it covers more than {MAX_COMPONENTS} components"));
            }
            let is_it = |known: &Component<'_>| known.kind == component.kind && *known == component;
            if components.iter().any(is_it) {
                return Err(format!("it covers `{}` twice", component.name()));
            }
            components.push(component);
            let is_apart = self.eat(b' ');
            let more = self.skip(SPACE);
            let is_last = self.peek() == Some(b')');
            if !is_apart && !is_last {
                return Err(self.unexpected("a space or `)`"));
            }
            self.is_canonical &= is_apart != is_last && !more;
        }
        Ok(())
    }

    /// What is left of parameters that were read before.
    pub(super) fn parameters(mut self) -> impl Iterator<Item = (&'r [u8], Bare<'r>)> + use<'r> {
        iter::from_fn(move || self.parameter().ok().flatten())
    }

    /// `;name` or `;name=value`, if one follows.
    pub(super) fn parameter(&mut self) -> Result<Option<(&'r [u8], Bare<'r>)>, String> {
        if !self.eat(b';') {
            return Ok(None);
        }
        let name = self.name()?;
        Ok(Some((name, self.value(name)?)))
    }

    /// The name of a parameter.
    fn name(&mut self) -> Result<&'r [u8], String> {
        self.is_canonical &= !self.skip(SPACE);
        self.key()
    }

    /// What stands behind the name of a parameter.
    fn value(&mut self, name: &[u8]) -> Result<Bare<'r>, String> {
        if !self.eat(b'=') {
            return Ok(Bare::True);
        }
        self.bare()
            .map_err(|why| format!("the parameter `{}`: {why}", ascii(name)))
    }

    fn bare(&mut self) -> Result<Bare<'r>, String> {
        match self.peek() {
            Some(b'"') => self.quoted().map(Bare::String),
            Some(b':') => {
                let text = self.bytes()?;
                // Only the canonical spelling can be written again as it was signed.
                BASE64
                    .decode(text)
                    .map(|_| Bare::Bytes(text))
                    .map_err(|_| "it is not base64 with padding".to_owned())
            }
            Some(b'?') => {
                // True has no text of its own (RFC 9651, section 4.1.1.2).
                let (value, rest) = match self.rest {
                    [b'?', b'1', rest @ ..] => (Bare::True, rest),
                    [b'?', b'0', rest @ ..] => (Bare::False, rest),
                    _ => return Err(self.unexpected("`?0` or `?1`")),
                };
                self.is_canonical &= value == Bare::False;
                self.rest = rest;
                Ok(value)
            }
            Some(b'-' | b'0'..=b'9') => self.integer().map(Bare::Integer),
            Some(b'A'..=b'Z' | b'a'..=b'z' | b'*') => Ok(Bare::Token(self.take(TOKEN))),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn integer(&mut self) -> Result<i64, String> {
        /// Digits of an integer (RFC 9651, section 3.3.1).
        const MAX_DIGITS: usize = 15;
        let negative = self.eat(b'-');
        let digits = self.take(DIGIT);
        if digits.is_empty() || digits.len() > MAX_DIGITS {
            return Err(format!("an integer has 1 to {MAX_DIGITS} digits"));
        }
        if self.peek() == Some(b'.') {
            return Err("decimals are not accepted; integers are".to_owned());
        }
        self.is_canonical &= digits == b"0" && !negative || !digits.starts_with(b"0");
        let value = digits
            .iter()
            .fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        Ok(if negative { -value } else { value })
    }

    /// The text between quotes, the first of which comes next; escapes kept.
    pub(super) fn quoted(&mut self) -> Result<&'r [u8], String> {
        let text = self.rest.get(1..).unwrap_or_default();
        let mut end = unescaped(text);
        loop {
            match text.get(end..).unwrap_or_default() {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(text.get(..end).unwrap_or_default());
                }
                // Almost none has an escape.
                [b'\\', b'"' | b'\\', rest @ ..] => end += 2 + unescaped(rest),
                [b'\\', _, ..] => return Err("`\\` escapes only `\\` and `\"`".to_owned()),
                [b'\\'] | [] => return Err("a string does not end".to_owned()),
                [_, ..] => return Err("a string holds a control character".to_owned()),
            }
        }
    }

    /// The text between colons.
    fn bytes(&mut self) -> Result<&'r [u8], String> {
        let rest = self.rest.strip_prefix(b":");
        let both = rest.and_then(|rest| {
            let (text, rest) = rest.split_at(memchr::memchr(b':', rest)?);
            Some((text, rest.get(1..)?))
        });
        let (text, rest) = both.ok_or_else(|| self.unexpected("base64 between two `:`"))?;
        self.rest = rest;
        Ok(text)
    }

    #[inline]
    fn key(&mut self) -> Result<&'r [u8], String> {
        if !matches!(self.peek(), Some(b'a'..=b'z' | b'*')) {
            return Err(self.unexpected("a lower-case name"));
        }
        Ok(self.take(KEY))
    }

    /// What was read since it was `from` that was left.
    pub(super) fn since(&self, from: &'r [u8]) -> &'r [u8] {
        from.get(..from.len() - self.rest.len()).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self, class: u8) -> &'r [u8] {
        let (taken, rest) = split(self.rest, class);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, class: u8) -> bool {
        !self.take(class).is_empty()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[cold]
    pub(super) fn unexpected(&self, accepted: &str) -> String {
        const SHOWN: usize = 16;
        match ascii(
            self.rest
                .get(..SHOWN.min(self.rest.len()))
                .unwrap_or_default(),
        ) {
            "" => format!("it ends where {accepted} is expected"),
            found => format!("found `{found}` where {accepted} is expected"),
        }
    }
}

/// What is a part of the text.
pub(super) fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

fn time(name: &[u8], value: Bare<'_>) -> Result<i64, String> {
    match value {
        Bare::Integer(seconds) if seconds >= 0 => Ok(seconds),
        _ => Err(format!(
            "`{}` is not a time in whole Unix seconds",
            ascii(name)
        )),
    }
}

fn string<'r>(name: &[u8], value: Bare<'r>) -> Result<&'r [u8], String> {
    match value {
        Bare::String(text) => Ok(text),
        _ => Err(format!("`{}` is not a string in quotes", ascii(name))),
    }
}
