//! `Signature-Input` and `Signature`, read strictly (RFC 9421, section 4;
//! structured fields, RFC 9651).
//!
//! Everything borrows from the fields. Strings and tokens keep their text,
//! which is its own canonical form; what has more than one spelling
//! (white space, integers) is kept by value and written anew by `base`.

use super::super::Refused;
use super::cursor::Cursor;
use super::spare;
use crate::crypto::Algorithm;
use http::header::GetAll;
use http::{HeaderMap, HeaderName, HeaderValue};

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
    /// All of it as it stands, where that is its one canonical form.
    pub text: Option<&'r str>,
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
        let (inputs, signatures) = (fields.get_all(SIGNATURE_INPUT), fields.get_all(SIGNATURE));
        let is_there = |lines: &GetAll<'_, HeaderValue>| lines.iter().next().is_some();
        match (is_there(&inputs), is_there(&signatures)) {
            (false, false) => return Ok(None),
            (true, true) => {}
            (true, false) => return Err(malformed("`Signature-Input` stands without `Signature`")),
            (false, true) => return Err(malformed("`Signature` stands without `Signature-Input`")),
        }
        // Given back also where this fails.
        let mut read = Self(spare::candidates());
        dictionary(inputs, "Signature-Input", Cursor::input, |label, input| {
            let known = &mut read.0;
            if known.iter().any(|candidate| candidate.label == label) {
                return Err(twice("Signature-Input", label));
            }
            if known.len() == MAX_SIGNATURES {
                return Err(Refused::Malformed(format!(
                    "`Signature-Input` has more than {MAX_SIGNATURES} signatures"
                )));
            }
            known.push(Candidate {
                label,
                input,
                signature: Vec::new(),
            });
            Ok(())
        })?;
        let mut found = 0;
        dictionary(
            signatures,
            "Signature",
            Cursor::signature,
            |label, bytes| {
                let mut known = read.0.iter_mut().enumerate();
                let Some((at, candidate)) = known.find(|(_, known)| known.label == label) else {
                    return Err(Refused::Malformed(format!(
                        "`Signature` has the label `{label}`, `Signature-Input` has not"
                    )));
                };
                if found & 1 << at != 0 {
                    return Err(twice("Signature", label));
                }
                found |= 1 << at;
                candidate.signature = bytes;
                Ok(())
            },
        )?;
        let mut known = read.0.iter().enumerate();
        if let Some((_, alone)) = known.find(|(at, _)| found & 1 << at == 0) {
            return Err(Refused::Malformed(format!(
                "`Signature-Input` has the label `{}`, `Signature` has not",
                alone.label
            )));
        }
        Ok(Some(read))
    }

    /// The signatures, in order: one to four of them.
    pub fn candidates(&self) -> &[Candidate<'r>] {
        &self.0
    }

    /// The signatures, each by itself.
    pub fn into_candidates(mut self) -> Vec<Candidate<'r>> {
        std::mem::take(&mut self.0)
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
        let mut cursor = Cursor::new(text);
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
    pub(super) fn is_taken_apart(&self) -> bool {
        self.name == "@query-param"
            || self
                .parameters
                .iter()
                .any(|parameter| matches!(parameter, Parameter::Sf | Parameter::Key(_)))
    }
}

impl Drop for Presented<'_> {
    fn drop(&mut self) {
        spare::take_back(std::mem::take(&mut self.0));
    }
}

fn malformed(text: &str) -> Refused {
    Refused::Malformed(text.to_owned())
}

fn twice(shown: &str, label: &str) -> Refused {
    Refused::Malformed(format!("`{shown}` has the label `{label}` twice"))
}

/// Reads every line of a dictionary field with `value` for its members, and hands them out.
fn dictionary<'r, T>(
    lines: GetAll<'r, HeaderValue>,
    shown: &str,
    value: fn(&mut Cursor<'r>) -> Result<T, String>,
    mut each: impl FnMut(&'r str, T) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut bytes = 0;
    for line in lines {
        bytes += line.len();
        if bytes > MAX_FIELD {
            return Err(Refused::Malformed(format!(
                "`{shown}` has more than {MAX_FIELD} bytes"
            )));
        }
        // A field's value holds no control characters, but for tabs.
        let text = std::str::from_utf8(line.as_bytes())
            .ok()
            .filter(|text| text.is_ascii())
            .ok_or_else(|| Refused::Malformed(format!("`{shown}` holds a byte outside ASCII")))?;
        let mut cursor = Cursor::new(text.trim_matches(' '));
        loop {
            let (label, member) = cursor
                .member(value)
                .map_err(|why| Refused::Malformed(format!("`{shown}`: {why}")))?;
            each(label, member)?;
            if cursor.rest.is_empty() {
                break;
            }
            cursor
                .comma()
                .map_err(|why| Refused::Malformed(format!("`{shown}`: {why}")))?;
        }
    }
    Ok(())
}
