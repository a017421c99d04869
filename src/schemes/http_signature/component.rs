//! A covered component: what it is called, and how it is taken (RFC 9421, section 2).

use super::class::{FIELD, split};
use super::cursor::{Cursor, ascii};
use super::read::Bare;

/// A covered component: a field or a derived one, and how it is taken.
#[derive(Clone, Copy, Debug)]
pub struct Component<'r> {
    /// What its name stands for.
    pub kind: Kind,
    /// Which parameters it has.
    flags: u8,
    /// Bytes of the text that are the name in its quotes.
    name: u32,
    /// As it stands: the name in quotes, and its parameters.
    text: &'r [u8],
}

/// What a component's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `@method`.
    Method,
    /// `@target-uri`.
    TargetUri,
    /// `@authority`.
    Authority,
    /// `@scheme`.
    Scheme,
    /// `@request-target`.
    RequestTarget,
    /// `@path`.
    Path,
    /// `@query`.
    Query,
    /// `@query-param`.
    QueryParam,
    /// A field.
    Field,
}

/// `sf`: the field's strict serialization.
pub(super) const SF: u8 = 1;
/// `bs`: every line as a byte sequence.
pub(super) const BS: u8 = 1 << 1;
/// `tr`: a trailer field.
pub(super) const TR: u8 = 1 << 2;
/// `req`: of the request, when a response is signed.
pub(super) const REQ: u8 = 1 << 3;
/// `key`: one member of a dictionary field.
pub(super) const KEY: u8 = 1 << 4;
/// `name` of `@query-param`.
pub(super) const NAME: u8 = 1 << 5;
/// That the text is not its one canonical form.
const RESPELLED: u8 = 1 << 7;

impl<'r> Component<'r> {
    /// Reads the name that comes next, in its quotes, and what stands behind it.
    pub(super) fn read(cursor: &mut Cursor<'r>) -> Result<Self, String> {
        let from = cursor.rest;
        let kind = if let Some((kind, name)) = Kind::derived(from) {
            cursor.rest = from.get(name.len()..).unwrap_or_default();
            kind
        } else {
            if !from.starts_with(b"\"") {
                return Err(cursor.unexpected("a component name in quotes"));
            }
            check_field(cursor.quoted()?)?;
            Kind::Field
        };
        let text = cursor.since(from);
        let mut component = Self {
            kind,
            flags: 0,
            name: text.len() as u32,
            text,
        };
        // Nearly none has any.
        if cursor.rest.starts_with(b";") {
            component.read_parameters(cursor)?;
            component.text = cursor.since(from);
        }
        Ok(component)
    }

    fn read_parameters(&mut self, cursor: &mut Cursor<'r>) -> Result<(), String> {
        let before = std::mem::replace(&mut cursor.is_canonical, true);
        while let Some((key, value)) = cursor.parameter()? {
            let flag = match (key, value) {
                (b"sf", Bare::True) => SF,
                (b"bs", Bare::True) => BS,
                (b"tr", Bare::True) => TR,
                (b"req", Bare::True) => REQ,
                (b"key", Bare::String(_)) => KEY,
                (b"name", Bare::String(_)) => NAME,
                _ => {
                    return Err(format!(
                        "the parameter `{}` of `{}` is not known; `sf`, `bs`, `key=\"…\"` and `name=\"…\"` are",
                        ascii(key),
                        self.name()
                    ));
                }
            };
            if self.has(flag) {
                return Err(format!(
                    "the parameter `{}` of `{}` is there twice",
                    ascii(key),
                    self.name()
                ));
            }
            self.flags |= flag;
        }
        if !cursor.is_canonical {
            self.flags |= RESPELLED;
        }
        cursor.is_canonical &= before;
        Ok(())
    }

    /// Lower-case field name, or `@name`.
    pub fn name(&self) -> &'r str {
        let name = self.text.get(1..self.name as usize - 1);
        ascii(name.unwrap_or_default())
    }

    /// Whether it stands for the whole value, whatever its encoding: no
    /// parameter, or one that loses nothing.
    pub const fn is_whole(&self) -> bool {
        !self.has(TR | REQ | KEY | NAME)
    }

    /// Whether it has no parameter.
    pub const fn is_plain(&self) -> bool {
        self.taken() == 0
    }

    /// Whether its value takes reading a whole field or query.
    pub(super) fn is_taken_apart(&self) -> bool {
        self.kind == Kind::QueryParam || self.has(SF | KEY)
    }

    /// Which parameters it has.
    pub(super) const fn taken(&self) -> u8 {
        self.flags & !RESPELLED
    }

    /// Whether it has any of these parameters.
    pub(super) const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Its one canonical form, where that is how it stands.
    pub(super) fn canonical(&self) -> Option<&'r [u8]> {
        Some(self.text).filter(|_| !self.has(RESPELLED))
    }

    /// Its parameters, in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'r [u8], Bare<'r>)> + use<'r> {
        let behind = self.text.get(self.name as usize..);
        Cursor::new(behind.unwrap_or_default()).parameters()
    }

    /// What `key` or `name` says, escapes kept.
    pub(super) fn value(&self) -> &'r [u8] {
        let values = self.parameters().filter_map(|(_, value)| match value {
            Bare::String(text) => Some(text),
            _ => None,
        });
        values.last().unwrap_or_default()
    }
}

impl PartialEq for Component<'_> {
    /// The same component: same name and the same parameters in any order.
    fn eq(&self, other: &Self) -> bool {
        let is_so_called = || self.kind != Kind::Field || self.name() == other.name();
        let has_these = || {
            let mut ours = self.parameters();
            ours.all(|one| other.parameters().any(|another| one == another))
        };
        self.kind == other.kind
            && self.taken() == other.taken()
            && is_so_called()
            && (self.is_plain() || has_these())
    }
}

const DERIVED: [(Kind, &str); 8] = [
    (Kind::Method, "\"@method\""),
    (Kind::TargetUri, "\"@target-uri\""),
    (Kind::Authority, "\"@authority\""),
    (Kind::Scheme, "\"@scheme\""),
    (Kind::RequestTarget, "\"@request-target\""),
    (Kind::Path, "\"@path\""),
    (Kind::Query, "\"@query\""),
    (Kind::QueryParam, "\"@query-param\""),
];

impl Kind {
    /// The derived component that `text` begins with, and how that is written.
    fn derived(text: &[u8]) -> Option<(Self, &'static str)> {
        // All begin alike: by what stands behind that most are told apart.
        let is_it =
            |name: &str| name.as_bytes().get(2) == text.get(2) && text.starts_with(name.as_bytes());
        DERIVED.into_iter().find(|(_, name)| is_it(name))
    }
}

fn check_field(name: &[u8]) -> Result<(), String> {
    if name.starts_with(b"@") {
        let all = DERIVED.map(|(_, name)| name.trim_matches('"'));
        return Err(format!(
            "`{}` is no component of a request; {} are",
            ascii(name),
            all.join(", ")
        ));
    }
    if name.is_empty() || !split(name, FIELD).1.is_empty() {
        return Err(format!("`{}` is no field name in lower case", ascii(name)));
    }
    Ok(())
}
