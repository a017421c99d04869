//! `Signature-Input` and `Signature`, read strictly (RFC 9421, section 4;
//! structured fields, RFC 9651).
//!
//! Everything borrows from the fields. Strings and tokens keep their text,
//! which is its own canonical form; what has more than one spelling
//! (white space, integers) is kept by value and written anew by `base`.

use super::super::Refused;
use crate::crypto::Algorithm;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName};

/// Signatures of one request that are looked at.
pub const MAX_SIGNATURES: usize = 4;
/// Components that one signature may cover.
pub const MAX_COMPONENTS: usize = 64;
/// Components of one signature that take reading a field or the query anew:
/// those with `sf` or `key`, and `@query-param`. Strangers pay nothing for it.
pub const MAX_TAKEN_APART: usize = 8;
/// Parameters of one signature, or of one component.
pub const MAX_PARAMETERS: usize = 16;
/// Bytes that `Signature-Input`, and `Signature`, may have, and a field of
/// which `sf` or `key` is covered.
pub const MAX_FIELD: usize = 8 * 1024;

/// `Signature-Input`.
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature`.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The signatures that a request shows.
#[derive(Debug)]
pub struct Presented<'r>(Vec<Candidate<'r>>);

/// One label's signature and what it says it covers.
#[derive(Debug)]
pub struct Candidate<'r> {
    /// The dictionary key that joins both fields.
    pub label: &'r str,
    /// What is covered, and how.
    pub input: Input<'r>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// One member of `Signature-Input`.
#[derive(Debug, PartialEq, Eq)]
pub struct Input<'r> {
    /// What is covered, in order.
    pub components: Vec<Component<'r>>,
    /// Every parameter, in order, for the signature base.
    pub parameters: Vec<(&'r str, Bare<'r>)>,
    /// `created`, Unix seconds.
    pub created: Option<i64>,
    /// `expires`, Unix seconds.
    pub expires: Option<i64>,
    /// `keyid`, as text within quotes.
    pub key_id: Option<&'r str>,
    /// `nonce`, as text within quotes.
    pub nonce: Option<&'r str>,
    /// `alg`.
    pub algorithm: Option<&'r str>,
}

/// A covered component: a field or a derived one, and how it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component<'r> {
    /// Lower-case field name, or `@name`.
    pub name: &'r str,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter<'r>>,
}

/// A component's parameter (RFC 9421, section 2.1 and 2.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'r> {
    /// `sf`: the field's strict serialization.
    Sf,
    /// `key`: one member of a dictionary field.
    Key(&'r str),
    /// `bs`: every line as a byte sequence.
    Bs,
    /// `tr`: a trailer field.
    Tr,
    /// `req`: of the request, when a response is signed.
    Req,
    /// `name` of `@query-param`.
    Name(&'r str),
}

/// A bare item that we can write in its one canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare<'r> {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// A string: the text between its quotes, escapes kept.
    String(&'r str),
    /// A token.
    Token(&'r str),
    /// A byte sequence: its base64.
    Bytes(&'r str),
    /// A boolean.
    Boolean(bool),
}

impl<'r> Presented<'r> {
    /// Reads both fields; `None` when neither is there.
    ///
    /// # Errors
    /// [`Refused::Malformed`] says what cannot be read, and where.
    pub fn read(fields: &'r HeaderMap) -> Result<Option<Self>, Refused> {
        match (
            fields.contains_key(SIGNATURE_INPUT),
            fields.contains_key(SIGNATURE),
        ) {
            (false, false) => return Ok(None),
            (true, true) => {}
            (true, false) => return Err(malformed("`Signature-Input` stands without `Signature`")),
            (false, true) => return Err(malformed("`Signature` stands without `Signature-Input`")),
        }
        let inputs = dictionary(fields, &SIGNATURE_INPUT, "Signature-Input", Cursor::input)?;
        let signatures = dictionary(fields, &SIGNATURE, "Signature", Cursor::signature)?;
        if let Some((label, _)) = signatures
            .iter()
            .find(|(label, _)| inputs.iter().all(|(known, _)| known != label))
        {
            return Err(malformed(&format!(
                "`Signature` has the label `{label}`, `Signature-Input` has not"
            )));
        }
        let mut candidates = Vec::with_capacity(inputs.len());
        let mut signatures = signatures;
        for (label, input) in inputs {
            let Some(at) = signatures.iter().position(|(known, _)| *known == label) else {
                return Err(malformed(&format!(
                    "`Signature-Input` has the label `{label}`, `Signature` has not"
                )));
            };
            candidates.push(Candidate {
                label,
                input,
                signature: signatures.swap_remove(at).1,
            });
        }
        Ok(Some(Self(candidates)))
    }

    /// The signatures, in order: one to four of them.
    pub fn candidates(&self) -> &[Candidate<'r>] {
        &self.0
    }

    /// The key id of the first signature: claimed, not proven.
    pub fn claimed_key(&self) -> Option<&'r str> {
        self.0.first().and_then(|candidate| candidate.input.key_id)
    }
}

impl<'r> Input<'r> {
    /// Reads one member's value, such as `("@method");created=1;keyid="k"`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(text: &'r str) -> Result<Self, String> {
        let mut cursor = Cursor { rest: text };
        let input = cursor.input()?;
        if cursor.rest.is_empty() {
            Ok(input)
        } else {
            Err(cursor.unexpected("the end"))
        }
    }

    /// The algorithm that `alg` names, if there is an `alg`.
    ///
    /// # Errors
    /// It names none that we know.
    pub fn named_algorithm(&self) -> Result<Option<Algorithm>, UnknownAlgorithm> {
        self.algorithm
            .map(|name| Algorithm::from_name(name).ok_or(UnknownAlgorithm))
            .transpose()
    }
}

/// `alg` names no algorithm that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl Component<'_> {
    /// Whether it stands for the whole value, whatever its encoding: no
    /// parameter, or one that loses nothing.
    pub fn is_whole(&self) -> bool {
        self.parameters
            .iter()
            .all(|parameter| matches!(parameter, Parameter::Bs | Parameter::Sf))
    }

    /// Whether its value takes reading a whole field or query.
    fn is_taken_apart(&self) -> bool {
        self.name == "@query-param"
            || self
                .parameters
                .iter()
                .any(|parameter| matches!(parameter, Parameter::Sf | Parameter::Key(_)))
    }
}

fn malformed(text: &str) -> Refused {
    Refused::Malformed(text.to_owned())
}

/// Reads every line of a dictionary field with `value` for its members.
fn dictionary<'r, T>(
    fields: &'r HeaderMap,
    name: &HeaderName,
    shown: &str,
    value: fn(&mut Cursor<'r>) -> Result<T, String>,
) -> Result<Vec<(&'r str, T)>, Refused> {
    let mut members: Vec<(&str, T)> = Vec::with_capacity(1);
    let mut bytes = 0;
    for line in fields.get_all(name) {
        bytes += line.len();
        if bytes > MAX_FIELD {
            return Err(Refused::Malformed(format!(
                "`{shown}` has more than {MAX_FIELD} bytes"
            )));
        }
        let text = line
            .to_str()
            .map_err(|_| Refused::Malformed(format!("`{shown}` holds a byte outside ASCII")))?;
        let mut cursor = Cursor {
            rest: text.trim_matches(' '),
        };
        loop {
            let member = cursor
                .member(value)
                .map_err(|why| Refused::Malformed(format!("`{shown}`: {why}")))?;
            if members.iter().any(|(label, _)| *label == member.0) {
                return Err(Refused::Malformed(format!(
                    "`{shown}` has the label `{}` twice",
                    member.0
                )));
            }
            if members.len() == MAX_SIGNATURES {
                return Err(Refused::Malformed(format!(
                    "`{shown}` has more than {MAX_SIGNATURES} signatures"
                )));
            }
            members.push(member);
            if cursor.rest.is_empty() {
                break;
            }
            cursor
                .comma()
                .map_err(|why| Refused::Malformed(format!("`{shown}`: {why}")))?;
        }
    }
    Ok(members)
}

/// What is left to read of a field's text. All ASCII.
struct Cursor<'r> {
    rest: &'r str,
}

impl<'r> Cursor<'r> {
    fn member<T>(
        &mut self,
        value: fn(&mut Self) -> Result<T, String>,
    ) -> Result<(&'r str, T), String> {
        let label = self.key()?;
        if !self.eat('=') {
            return Err(self.unexpected(&format!("`=` after the label `{label}`")));
        }
        let value = value(self).map_err(|why| format!("label `{label}`: {why}"))?;
        Ok((label, value))
    }

    fn comma(&mut self) -> Result<(), String> {
        self.skip(|c| c == ' ' || c == '\t');
        if !self.eat(',') {
            return Err(self.unexpected("`,` or the end"));
        }
        self.skip(|c| c == ' ' || c == '\t');
        if self.rest.is_empty() {
            return Err("it ends in `,`".to_owned());
        }
        Ok(())
    }

    fn signature(&mut self) -> Result<Vec<u8>, String> {
        let text = self.bytes()?;
        BASE64
            .decode(text.as_bytes())
            .map_err(|_| "the signature is not base64 with padding".to_owned())
    }

    fn input(&mut self) -> Result<Input<'r>, String> {
        let mut input = Input {
            components: Vec::with_capacity(8),
            parameters: Vec::with_capacity(5),
            created: None,
            expires: None,
            key_id: None,
            nonce: None,
            algorithm: None,
        };
        if !self.eat('(') {
            return Err(self.unexpected("`(`, a list of components"));
        }
        self.skip(|c| c == ' ');
        let mut taken_apart = 0;
        while !self.eat(')') {
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
            let spaced = self.skip(|c| c == ' ');
            if !spaced && !self.rest.starts_with(')') {
                return Err(self.unexpected("a space or `)`"));
            }
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
                "nonce" => input.nonce = Some(string(name, value)?),
                "alg" => input.algorithm = Some(string(name, value)?),
                "tag" => drop(string(name, value)?),
                _ => {}
            }
            input.parameters.push((name, value));
        }
        Ok(input)
    }

    fn component(&mut self) -> Result<Component<'r>, String> {
        if !self.rest.starts_with('"') {
            return Err(self.unexpected("a component name in quotes"));
        }
        let name = self.quoted()?;
        check_name(name)?;
        let mut parameters = Vec::new();
        while let Some((key, value)) = self.parameter()? {
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
        if !self.eat(';') {
            return Ok(None);
        }
        self.skip(|c| c == ' ');
        let name = self.key()?;
        let value = if self.eat('=') {
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
                let (value, rest) = match self.rest.get(..2) {
                    Some("?1") => (true, &self.rest[2..]),
                    Some("?0") => (false, &self.rest[2..]),
                    _ => return Err(self.unexpected("`?0` or `?1`")),
                };
                self.rest = rest;
                Ok(Bare::Boolean(value))
            }
            Some(b'-' | b'0'..=b'9') => self.integer().map(Bare::Integer),
            Some(b'A'..=b'Z' | b'a'..=b'z' | b'*') => {
                let is_token =
                    |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
                Ok(Bare::Token(self.take(is_token)))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn integer(&mut self) -> Result<i64, String> {
        /// Digits of an integer (RFC 9651, section 3.3.1).
        const MAX_DIGITS: usize = 15;
        let negative = self.eat('-');
        let digits = self.take(|c| c.is_ascii_digit());
        if digits.is_empty() || digits.len() > MAX_DIGITS {
            return Err(format!("an integer has 1 to {MAX_DIGITS} digits"));
        }
        if self.rest.starts_with('.') {
            return Err("decimals are not accepted; integers are".to_owned());
        }
        let value: i64 = digits
            .parse()
            .map_err(|_| "it is not an integer".to_owned())?;
        Ok(if negative { -value } else { value })
    }

    /// The text between quotes, escapes kept.
    fn quoted(&mut self) -> Result<&'r str, String> {
        let text = self.rest.strip_prefix('"').unwrap_or(self.rest);
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
            .and_then(|rest| rest.split_once(':'))
            .map(|(text, rest)| {
                self.rest = rest;
                text
            })
            .ok_or_else(|| self.unexpected("base64 between two `:`"))
    }

    fn key(&mut self) -> Result<&'r str, String> {
        if !self
            .rest
            .starts_with(|c: char| c.is_ascii_lowercase() || c == '*')
        {
            return Err(self.unexpected("a lower-case name"));
        }
        Ok(self.take(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)))
    }

    fn take(&mut self, want: impl Fn(char) -> bool) -> &'r str {
        let end = self.rest.find(|c| !want(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) -> bool {
        !self.take(unwanted).is_empty()
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn unexpected(&self, accepted: &str) -> String {
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
    if name.starts_with('@') {
        return if DERIVED.contains(&name) {
            Ok(())
        } else {
            Err(format!(
                "`{name}` is no component of a request; {} are",
                DERIVED.join(", ")
            ))
        };
    }
    let good = !name.is_empty()
        && name.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b)
        });
    if good {
        Ok(())
    } else {
        Err(format!("`{name}` is no field name in lower case"))
    }
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
