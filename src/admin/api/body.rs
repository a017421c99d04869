//! The one reader of bodies: JSON with bounds, and every value that is refused told at once.

use super::problem::{Code, Fault, Problem};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use std::fmt;

/// Bytes a body may have.
pub const MAX_BODY: usize = 64 * 1024;
/// How many faults are told of one body.
const MAX_FAULTS: usize = 32;
/// Characters of a stranger's value that are told.
const MAX_SHOWN: usize = 64;
/// Characters of a message that are told in which such a value stands.
const MAX_MESSAGE: usize = 256;

/// The members of a body's object, taken one after the other.
#[derive(Debug, Default)]
pub struct Fields {
    members: Map<String, Json>,
    /// Names that were asked for, whether they were there or not.
    known: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    /// Where the object stands in the body.
    within: String,
}

/// What a value must be, and how it is read.
pub type Read<T> = fn(&Json) -> Result<T, Wrong>;

/// Why a value is refused.
#[derive(Debug)]
pub struct Wrong {
    /// What is wrong with it.
    pub why: String,
    /// What is accepted.
    pub accepted: String,
}

impl Wrong {
    /// A value that is refused.
    pub fn new(why: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            accepted: accepted.into(),
        }
    }

    /// A value of the wrong kind.
    pub fn kind(found: &Json, accepted: impl Into<String>) -> Self {
        Self::new(format!("found {}", kind(found)), accepted)
    }
}

impl Fields {
    /// Reads a body. One of no bytes is an object without members.
    ///
    /// # Errors
    /// Where it is no JSON object of ours, and why.
    pub fn of(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let Once(value) = serde_json::from_slice(body).map_err(|why| {
            Problem::new(
                Code::Malformed,
                format!("the body is not JSON that is read here: {why}"),
            )
            .hint("an object, `{\"name\": …}`; no name twice, at most 64 KiB")
        })?;
        match value {
            Json::Object(members) => Ok(Self {
                members,
                ..Self::default()
            }),
            other => {
                let detail = format!("the body is {}", kind(&other));
                Err(Problem::new(Code::Malformed, detail).hint("an object is accepted, `{…}`"))
            }
        }
    }

    /// The value of that name; `None` where it is not there or `null`.
    pub fn optional<T>(&mut self, name: &'static str, read: Read<T>) -> Option<T> {
        self.change(name, read).flatten()
    }

    /// The same, telling apart what is not there, `None`, and what is `null`, `Some(None)`.
    pub fn change<T>(&mut self, name: &'static str, read: Read<T>) -> Option<Option<T>> {
        self.known.insert(name);
        match self.members.remove(name)? {
            Json::Null => Some(None),
            value => match read(&value) {
                Ok(value) => Some(Some(value)),
                Err(wrong) => {
                    self.fault(name, wrong);
                    None
                }
            },
        }
    }

    /// The value of that name, which must be there.
    pub fn required<T>(&mut self, name: &'static str, read: Read<T>) -> Option<T> {
        self.known.insert(name);
        match self.members.remove(name) {
            None | Some(Json::Null) => {
                // What would be accepted is what it says of nothing.
                let accepted = read(&Json::Null).err().map(|wrong| wrong.accepted);
                let accepted = accepted.unwrap_or_default();
                self.fault(name, Wrong::new("is missing", accepted));
                None
            }
            Some(value) => match read(&value) {
                Ok(value) => Some(value),
                Err(wrong) => {
                    self.fault(name, wrong);
                    None
                }
            },
        }
    }

    /// Adds a fault of the value of that name.
    pub fn fault(&mut self, name: &str, wrong: Wrong) {
        if self.faults.len() < MAX_FAULTS {
            let at = format!("{}/{}", self.within, escaped(name));
            self.faults
                .push(Fault::new(at, wrong.why).accepted(wrong.accepted));
        }
    }

    /// Whether anything is refused so far.
    pub fn is_refused(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The end of it: everything that is wrong, what nobody asked for too.
    ///
    /// # Errors
    /// When anything is.
    pub fn done(mut self) -> Result<(), Problem> {
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        let known = match known.as_slice() {
            [] => "no member at all".to_owned(),
            names => names.join(", "),
        };
        for name in std::mem::take(&mut self.members).keys() {
            self.fault(name, Wrong::new("is not known here", known.clone()));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Problem::invalid(self.faults))
    }
}

/// Text that a stranger wrote, as it is told: short, and without what a terminal obeys.
pub fn shown(text: &str) -> String {
    shown_to(text, MAX_SHOWN)
}

/// The same of a message of ours in which a stranger's value stands: all of it, unless that is long.
pub fn shown_message(text: &str) -> String {
    shown_to(text, MAX_MESSAGE)
}

fn shown_to(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .take(most)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// A name as it stands in a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    shown(name).replace('~', "~0").replace('/', "~1")
}

/// What a value is, in words.
pub fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "`null`",
        Json::Bool(_) => "`true` or `false`",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// JSON in which no object has a name twice: of two readers each could take another one.
struct Once(Json);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if members.contains_key(&name) {
                let name = shown(&name);
                return Err(de::Error::custom(format_args!(
                    "`{name}` stands there twice"
                )));
            }
            let Once(value) = entries.next_value()?;
            members.insert(name, value);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Json) -> Result<String, Wrong> {
        let text = value.as_str().map(ToOwned::to_owned);
        text.ok_or_else(|| Wrong::kind(value, "a text"))
    }

    #[test]
    fn every_fault_of_a_body_is_told_with_its_place() {
        let mut fields = Fields::of(br#"{"name": 3, "a/b": null, "other": "x"}"#).unwrap();
        assert_eq!(fields.required("name", text), None);
        assert_eq!(fields.required("plan", text), None);
        assert_eq!(fields.optional("other", text).as_deref(), Some("x"));
        let problem = fields.done().unwrap_err();
        let told: Vec<_> = problem
            .told
            .faults
            .iter()
            .map(|f| (&*f.at, &*f.detail))
            .collect();
        assert_eq!(
            told,
            [
                ("/name", "found a number"),
                ("/plan", "is missing"),
                ("/a~1b", "is not known here")
            ]
        );
        assert_eq!(problem.told.faults[1].accepted.as_deref(), Some("a text"));
        let known = problem.told.faults[2].accepted.as_deref();
        assert_eq!(known, Some("`name`, `other`, `plan`"));
    }

    #[test]
    fn what_is_no_object_of_ours_is_refused() {
        for (body, why) in [
            (&b"[]"[..], "a list"),
            (b"\"x\"", "a text"),
            (b"{", "EOF"),
            (b"{} {}", "trailing"),
            (b"{\"a\": 1, \"a\": 2}", "twice"),
            (b"{\"a\": {\"b\": 1, \"b\": 2}}", "twice"),
            (b"\xff", "line 1"),
        ] {
            let problem = Fields::of(body).unwrap_err();
            assert_eq!(problem.code, Code::Malformed);
            assert!(problem.told.detail.contains(why), "{}", problem.told.detail);
        }
        let deep = "[".repeat(10_000);
        assert!(Fields::of(deep.as_bytes()).is_err());
    }

    #[test]
    fn null_and_absence_differ_in_a_change() {
        let mut fields = Fields::of(br#"{"plan": null}"#).unwrap();
        assert_eq!(fields.change("plan", text), Some(None));
        assert_eq!(fields.change("name", text), None);
        assert!(fields.done().is_ok());
    }
}
