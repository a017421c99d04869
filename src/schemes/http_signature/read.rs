//! `Signature-Input` and `Signature`, read strictly (RFC 9421, section 4;
//! structured fields, RFC 9651).
//!
//! Everything borrows from the fields. Strings and tokens keep their text,
//! which is its own canonical form; what has more than one spelling
//! (white space, integers) is kept by value and written anew by `base`.

use super::super::Refused;
use super::component::Component;
use super::cursor::{Cursor, ascii};
use super::spare;
use crate::crypto::digest::sha256;
use crate::schemes::ProofId;
use crate::schemes::received::{Field, Lines, Received};
use http::HeaderName;
use std::cell::OnceCell;

/// Signatures of one request that are looked at.
pub const MAX_SIGNATURES: usize = 4;
/// Components that one signature may cover.
pub const MAX_COMPONENTS: usize = 64;
/// Components of all signatures of a request together that take reading a field or the query
/// anew: those with `sf` or `key`, and `@query-param`. Strangers pay nothing for it.
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
    label: &'r [u8],
    /// What is covered, and how.
    pub input: Input<'r>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// One member of `Signature-Input`.
#[derive(Debug)]
pub struct Input<'r> {
    /// All of it as it stands, where that is its one canonical form.
    pub text: Option<&'r [u8]>,
    /// What is covered, in order.
    pub components: Vec<Component<'r>>,
    /// What stands behind them.
    pub(super) parameters: &'r [u8],
    /// `created`, Unix seconds.
    pub created: Option<i64>,
    /// `expires`, Unix seconds.
    pub expires: Option<i64>,
    /// `keyid`, as text within quotes.
    pub key_id: Option<&'r str>,
    /// `nonce`, as text within quotes.
    pub nonce: Option<&'r [u8]>,
    /// `alg`.
    pub algorithm: Option<&'r [u8]>,
    /// The nonce as that of the key that `keyid` claims, once somebody asked.
    claimed: OnceCell<ProofId>,
}

/// A bare item that we can write in its one canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare<'r> {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// A string: the text between its quotes, escapes kept.
    String(&'r [u8]),
    /// A token.
    Token(&'r [u8]),
    /// A byte sequence: its base64.
    Bytes(&'r [u8]),
    /// `?1`, or nothing at all.
    True,
    /// `?0`.
    False,
}

impl<'r> Presented<'r> {
    /// Reads both fields; `None` when neither is there.
    ///
    /// # Errors
    /// [`Refused::Malformed`] says what cannot be read, and where.
    pub fn read(received: &Received<'r>) -> Result<Option<Self>, Refused> {
        let is_there = |field| received.shows(field);
        match (is_there(Field::SignatureInput), is_there(Field::Signature)) {
            (false, false) => return Ok(None),
            (true, true) => {}
            (true, false) => return Err(malformed("`Signature-Input` stands without `Signature`")),
            (false, true) => return Err(malformed("`Signature` stands without `Signature-Input`")),
        }
        // Given back also where this fails.
        let mut read = Self(spare::candidates());
        let mut taken_apart = 0;
        let shown = "Signature-Input";
        dictionary(
            received.lines(SIGNATURE_INPUT.as_str()),
            shown,
            |label, cursor| {
                let known = &mut read.0;
                let new = known.push_mut(Candidate::new(label));
                let is_read = cursor.input(&mut new.input, &mut taken_apart);
                is_read.map_err(|why| unreadable(shown, label, &why))?;
                if known.iter().filter(|one| one.label == label).count() > 1 {
                    return Err(twice(shown, label));
                }
                if known.len() > MAX_SIGNATURES {
                    return Err(Refused::Malformed(format!(
                        "`{shown}` has more than {MAX_SIGNATURES} signatures"
                    )));
                }
                Ok(())
            },
        )?;
        let mut found = 0;
        let shown = "Signature";
        dictionary(
            received.lines(SIGNATURE.as_str()),
            shown,
            |label, cursor| {
                let bytes = cursor.signature();
                let bytes = bytes.map_err(|why| unreadable(shown, label, &why))?;
                let mut known = read.0.iter_mut().enumerate();
                let Some((at, candidate)) = known.find(|(_, known)| known.label == label) else {
                    return Err(Refused::Malformed(format!(
                        "`{shown}` has the label `{}`, `Signature-Input` has not",
                        ascii(label)
                    )));
                };
                if found & 1 << at != 0 {
                    return Err(twice(shown, label));
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
                alone.label()
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

    /// The nonce of the one signature, as its key's: what will be asked for if it holds.
    pub fn nonce(&self) -> Option<ProofId> {
        let [alone] = &*self.0 else {
            return None;
        };
        alone.input.nonce_of(alone.input.key_id?.as_bytes())
    }

    /// The key id of the first signature: claimed, not proven.
    pub fn claimed_key(&self) -> Option<&'r str> {
        self.0.first().and_then(|candidate| candidate.input.key_id)
    }
}

impl PartialEq for Input<'_> {
    /// Whether both say the same, however it is spelled.
    fn eq(&self, other: &Self) -> bool {
        self.components == other.components && self.parameters().eq(other.parameters())
    }
}

impl<'r> Candidate<'r> {
    /// The dictionary key that joins both fields.
    pub fn label(&self) -> &'r str {
        ascii(self.label)
    }

    fn new(label: &'r [u8]) -> Self {
        Self {
            label,
            input: Input::new(),
            signature: Vec::new(),
        }
    }
}

impl<'r> Input<'r> {
    fn new() -> Self {
        Self {
            text: None,
            components: spare::components(),
            parameters: &[],
            created: None,
            expires: None,
            key_id: None,
            nonce: None,
            algorithm: None,
            claimed: OnceCell::new(),
        }
    }

    /// The nonce as this key's: no other key's nonces are used up by it, whatever `keyid` says.
    pub(super) fn nonce_of(&self, owner: &[u8]) -> Option<ProofId> {
        let nonce = self.nonce?;
        let id = || nonce_id(owner, nonce);
        Some(if self.key_id.map(str::as_bytes) == Some(owner) {
            *self.claimed.get_or_init(id)
        } else {
            id()
        })
    }

    /// Reads one member's value, such as `("@method");created=1;keyid="k"`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(text: &'r str) -> Result<Self, String> {
        let mut cursor = Cursor::new(text.as_bytes());
        let mut input = Self::new();
        cursor.input(&mut input, &mut 0)?;
        if cursor.rest.is_empty() {
            Ok(input)
        } else {
            Err(cursor.unexpected("the end"))
        }
    }

    /// Every parameter, in order.
    pub fn parameters(&self) -> impl Iterator<Item = (&'r [u8], Bare<'r>)> + use<'r> {
        Cursor::new(self.parameters).parameters()
    }
}

impl Drop for Presented<'_> {
    fn drop(&mut self) {
        spare::take_back(std::mem::take(&mut self.0));
    }
}

fn nonce_id(owner: &[u8], nonce: &[u8]) -> ProofId {
    let length = (owner.len() as u64).to_be_bytes();
    ProofId::of(&sha256(&[&length, owner, nonce]))
}

fn malformed(text: &str) -> Refused {
    Refused::Malformed(text.to_owned())
}

fn twice(shown: &str, label: &[u8]) -> Refused {
    let label = ascii(label);
    Refused::Malformed(format!("`{shown}` has the label `{label}` twice"))
}

fn unreadable(shown: &str, label: &[u8], why: &str) -> Refused {
    let label = ascii(label);
    Refused::Malformed(format!("`{shown}`: label `{label}`: {why}"))
}

/// Reads every line of a dictionary field, with `member` what stands behind each label.
fn dictionary<'r>(
    lines: Lines<'r>,
    shown: &str,
    mut member: impl FnMut(&'r [u8], &mut Cursor<'r>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut bytes = 0;
    for line in lines {
        bytes += line.len();
        if bytes > MAX_FIELD {
            return Err(Refused::Malformed(format!(
                "`{shown}` has more than {MAX_FIELD} bytes"
            )));
        }
        let text = line.as_bytes();
        members(text, shown, &mut member).map_err(|why| {
            // The grammar has no place for such a byte: looked for once it is known that something is wrong.
            if text.is_ascii() {
                why
            } else {
                Refused::Malformed(format!("`{shown}` holds a byte outside ASCII"))
            }
        })?;
    }
    Ok(())
}

/// Reads one line of it.
fn members<'r>(
    line: &'r [u8],
    shown: &str,
    mut member: impl FnMut(&'r [u8], &mut Cursor<'r>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let malformed = |why| Refused::Malformed(format!("`{shown}`: {why}"));
    let mut cursor = Cursor::new(without_spaces(line));
    loop {
        let label = cursor.label().map_err(malformed)?;
        member(label, &mut cursor)?;
        if cursor.rest.is_empty() {
            return Ok(());
        }
        cursor.comma().map_err(malformed)?;
    }
}

/// Without those around it.
const fn without_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}
