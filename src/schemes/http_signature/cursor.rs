//! The grammar of both fields, read from left to right: what is left of a text,
//! and how to take the next piece of it.

use super::class::{DIGIT, FIELD, KEY, SPACE, TAB, TEXT, TOKEN, split};
use super::read::{
    Bare, Component, Input, MAX_COMPONENTS, MAX_PARAMETERS, MAX_TAKEN_APART, Parameter,
};
use super::spare;
use data_encoding::BASE64;

/// What is left to read of a field's text. All ASCII.
pub(super) struct Cursor<'r> {
    pub(super) rest: &'r str,
    /// Whether what was read since the list began stands in its one canonical form.
    is_canonical: bool,
}

impl<'r> Cursor<'r> {
    pub(super) const fn new(text: &'r str) -> Self {
        Self {
            rest: text,
            is_canonical: true,
        }
    }

    pub(super) fn member<T>(
        &mut self,
        value: fn(&mut Self) -> Result<T, String>,
    ) -> Result<(&'r str, T), String> {
        let label = self.key()?;
        if !self.eat(b'=') {
            return Err(self.unexpected(&format!("`=` after the label `{label}`")));
        }
        let value = value(self).map_err(|why| format!("label `{label}`: {why}"))?;
        Ok((label, value))
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
        let unreadable = || "the signature is not base64 with padding".to_owned();
        let room = BASE64.decode_len(text.len()).map_err(|_| unreadable())?;
        let mut bytes = spare::signature();
        bytes.resize(room, 0);
        let read = BASE64.decode_mut(text.as_bytes(), &mut bytes);
        bytes.truncate(read.map_err(|_| unreadable())?);
        Ok(bytes)
    }

    pub(super) fn input(&mut self) -> Result<Input<'r>, String> {
        let from = self.rest;
        self.is_canonical = true;
        let mut input = Input {
            text: None,
            components: spare::components(),
            parameters: spare::parameters(),
            created: None,
            expires: None,
            key_id: None,
            nonce: None,
            algorithm: None,
        };
        if !self.eat(b'(') {
            return Err(self.unexpected("`(`, a list of components"));
        }
        self.is_canonical &= !self.skip(SPACE);
        let mut taken_apart = 0;
        while !self.eat(b')') {
            let component = self.component()?;
            taken_apart += usize::from(component.is_taken_apart());
            if taken_apart > MAX_TAKEN_APART {
                return Err(format!(
                    "it covers more than {MAX_TAKEN_APART} components with `sf`, `key` or `name`; cover whole fields and `@query`"
                ));
            }
            if input.components.len() == MAX_COMPONENTS {
                return Err(format!("it covers more than {MAX_COMPONENTS} components"));
            }
            if input.components.iter().any(|known| same(known, &component)) {
                return Err(format!("it covers `{}` twice", component.name));
            }
            input.components.push(component);
            let spaces = self.take(SPACE).len();
            let is_last = self.rest.starts_with(')');
            if spaces == 0 && !is_last {
                return Err(self.unexpected("a space or `)`"));
            }
            self.is_canonical &= spaces == usize::from(!is_last);
        }
        while let Some((name, value)) = self.parameter()? {
            if input.parameters.iter().any(|(known, _)| *known == name) {
                return Err(format!("the parameter `{name}` is there twice"));
            }
            if input.parameters.len() == MAX_PARAMETERS {
                return Err(format!("it has more than {MAX_PARAMETERS} parameters"));
            }
            match name {
                "created" => input.created = Some(time(name, value)?),
                "expires" => input.expires = Some(time(name, value)?),
                "keyid" => input.key_id = Some(string(name, value)?),
                "nonce" => match string(name, value)? {
                    // Every request that has it would be a replay of the first.
                    "" => return Err("`nonce` is empty: send a fresh one, or none".to_owned()),
                    nonce => input.nonce = Some(nonce),
                },
                "alg" => input.algorithm = Some(string(name, value)?),
                "tag" => drop(string(name, value)?),
                _ => {}
            }
            input.parameters.push((name, value));
        }
        let read = from.len() - self.rest.len();
        input.text = from.get(..read).filter(|_| self.is_canonical);
        Ok(input)
    }

    fn component(&mut self) -> Result<Component<'r>, String> {
        if !self.rest.starts_with('"') {
            return Err(self.unexpected("a component name in quotes"));
        }
        let name = self.quoted()?;
        check_name(name)?;
        let mut parameters = Vec::new();
        // Nearly none has any.
        while self.rest.starts_with(';')
            && let Some((key, value)) = self.parameter()?
        {
            let parameter = match (key, value) {
                ("sf", Bare::Boolean(true)) => Parameter::Sf,
                ("bs", Bare::Boolean(true)) => Parameter::Bs,
                ("tr", Bare::Boolean(true)) => Parameter::Tr,
                ("req", Bare::Boolean(true)) => Parameter::Req,
                ("key", Bare::String(text)) => Parameter::Key(text),
                ("name", Bare::String(text)) => Parameter::Name(text),
                _ => {
                    return Err(format!(
                        "the parameter `{key}` of `{name}` is not known; `sf`, `bs`, `key=\"…\"` and `name=\"…\"` are"
                    ));
                }
            };
            let twice = parameters
                .iter()
                .any(|known| std::mem::discriminant(known) == std::mem::discriminant(&parameter));
            if twice {
                return Err(format!("the parameter `{key}` of `{name}` is there twice"));
            }
            parameters.push(parameter);
        }
        Ok(Component { name, parameters })
    }

    /// `;name` or `;name=value`, if one follows.
    fn parameter(&mut self) -> Result<Option<(&'r str, Bare<'r>)>, String> {
        if !self.eat(b';') {
            return Ok(None);
        }
        self.is_canonical &= !self.skip(SPACE);
        let name = self.key()?;
        let value = if self.eat(b'=') {
            self.bare()
                .map_err(|why| format!("the parameter `{name}`: {why}"))?
        } else {
            Bare::Boolean(true)
        };
        Ok(Some((name, value)))
    }

    fn bare(&mut self) -> Result<Bare<'r>, String> {
        match self.rest.as_bytes().first() {
            Some(b'"') => self.quoted().map(Bare::String),
            Some(b':') => {
                let text = self.bytes()?;
                // Only the canonical spelling can be written again as it was signed.
                BASE64
                    .decode(text.as_bytes())
                    .map(|_| Bare::Bytes(text))
                    .map_err(|_| "it is not base64 with padding".to_owned())
            }
            Some(b'?') => {
                // True has no text of its own (RFC 9651, section 4.1.1.2).
                self.is_canonical &= !self.rest.starts_with("?1");
                let (value, rest) = match self.rest.get(..2) {
                    Some("?1") => (true, &self.rest[2..]),
                    Some("?0") => (false, &self.rest[2..]),
                    _ => return Err(self.unexpected("`?0` or `?1`")),
                };
                self.rest = rest;
                Ok(Bare::Boolean(value))
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
        if self.rest.starts_with('.') {
            return Err("decimals are not accepted; integers are".to_owned());
        }
        self.is_canonical &= digits == "0" && !negative || !digits.starts_with('0');
        let value: i64 = digits
            .parse()
            .map_err(|_| "it is not an integer".to_owned())?;
        Ok(if negative { -value } else { value })
    }

    /// The text between quotes, escapes kept.
    fn quoted(&mut self) -> Result<&'r str, String> {
        let text = self.rest.strip_prefix('"').unwrap_or(self.rest);
        // Almost none has an escape.
        let (inside, rest) = split(text, TEXT);
        if let Some(rest) = rest.strip_prefix('"') {
            self.rest = rest;
            return Ok(inside);
        }
        let mut escaped = false;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'"' | b'\\' if escaped => escaped = false,
                _ if escaped => return Err("`\\` escapes only `\\` and `\"`".to_owned()),
                b'\\' => escaped = true,
                b'"' => {
                    self.rest = &text[at + 1..];
                    return Ok(&text[..at]);
                }
                0x20..=0x7e => {}
                _ => return Err("a string holds a control character".to_owned()),
            }
        }
        Err("a string does not end".to_owned())
    }

    /// The text between colons.
    fn bytes(&mut self) -> Result<&'r str, String> {
        self.rest
            .strip_prefix(':')
            .and_then(|rest| {
                let end = memchr::memchr(b':', rest.as_bytes())?;
                self.rest = rest.get(end + 1..)?;
                rest.get(..end)
            })
            .ok_or_else(|| self.unexpected("base64 between two `:`"))
    }

    fn key(&mut self) -> Result<&'r str, String> {
        if !matches!(self.rest.as_bytes().first(), Some(b'a'..=b'z' | b'*')) {
            return Err(self.unexpected("a lower-case name"));
        }
        Ok(self.take(KEY))
    }

    fn take(&mut self, class: u8) -> &'r str {
        let (taken, rest) = split(self.rest, class);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, class: u8) -> bool {
        !self.take(class).is_empty()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let is_there = self.rest.as_bytes().first() == Some(&wanted);
        if is_there {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        is_there
    }

    pub(super) fn unexpected(&self, accepted: &str) -> String {
        const SHOWN: usize = 16;
        match self.rest.get(..SHOWN.min(self.rest.len())) {
            Some("") | None => format!("it ends where {accepted} is expected"),
            Some(found) => format!("found `{found}` where {accepted} is expected"),
        }
    }
}

/// The same component: same name and the same parameters in any order.
fn same(a: &Component<'_>, b: &Component<'_>) -> bool {
    a.name == b.name
        && a.parameters.len() == b.parameters.len()
        && a.parameters
            .iter()
            .all(|parameter| b.parameters.contains(parameter))
}

fn check_name(name: &str) -> Result<(), String> {
    const DERIVED: [&str; 8] = [
        "@method",
        "@target-uri",
        "@authority",
        "@scheme",
        "@request-target",
        "@path",
        "@query",
        "@query-param",
    ];
    let is_field = |name: &str| !name.is_empty() && split(name, FIELD).1.is_empty();
    match name.strip_prefix('@') {
        Some(derived) if DERIVED.iter().any(|known| is_same(&known[1..], derived)) => Ok(()),
        Some(_) => Err(format!(
            "`{name}` is no component of a request; {} are",
            DERIVED.join(", ")
        )),
        None if is_field(name) => Ok(()),
        None => Err(format!("`{name}` is no field name in lower case")),
    }
}

/// The same text. For short ones, which a call to compare them would cost more than the comparison.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| a == b)
}

fn time(name: &str, value: Bare<'_>) -> Result<i64, String> {
    match value {
        Bare::Integer(seconds) if seconds >= 0 => Ok(seconds),
        _ => Err(format!("`{name}` is not a time in whole Unix seconds")),
    }
}

fn string<'r>(name: &str, value: Bare<'r>) -> Result<&'r str, String> {
    match value {
        Bare::String(text) => Ok(text),
        _ => Err(format!("`{name}` is not a string in quotes")),
    }
}
