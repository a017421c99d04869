//! Values that are written as one word: counts, sizes, names.

use super::gather::shown;
use super::read::{Found, Reader, Value};
use super::shape::Shape;
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use toml::de::{DeInteger, DeValue};

/// A value that is written as a string.
pub(super) trait Word: Sized {
    /// What it takes, in words.
    const TAKES: &'static str;
    /// Whether a refused value must never be shown.
    const SECRET: bool = false;

    /// Reads it.
    fn parse(text: &str) -> Result<Self, Refused>;

    /// Its schema.
    fn schema() -> Json {
        json!({ "type": "string" })
    }

    /// What it says, spelled in one way.
    fn said(text: &str) -> Cow<'_, str> {
        text.into()
    }
}

/// Why a word is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// What is wrong with it; the word itself stands before it.
    why: String,
    hint: Option<String>,
}

impl Refused {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// All of it in one line, with `accepted` where it has no hint.
    pub(super) fn sentence(self, accepted: &str) -> String {
        let hint = self.hint.as_deref().unwrap_or(accepted);
        format!("it {}; {hint}", self.why)
    }
}

impl<W: Word> Value for W {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::String(text) = found.get_ref() else {
            reader.mistyped(found, &W::shape());
            return None;
        };
        match W::parse(text) {
            Ok(word) => Some(word),
            Err(refused) => {
                // A URL may hold a password before its `@`.
                let conceal = W::SECRET || text.contains('@');
                let message = match conceal {
                    true => format!("the value {}", refused.why),
                    false if text.is_empty() => format!("the empty string {}", refused.why),
                    false => format!("`{}` {}", shown(text), refused.why),
                };
                if conceal {
                    reader.problems.mask(found.span());
                }
                let mut draft = reader.problem(found, message).takes(&W::shape());
                // It may repeat a part of what is not shown.
                if let Some(hint) = refused.hint
                    && (W::SECRET || !conceal)
                {
                    draft = draft.hint(hint);
                }
                reader.problems.push(draft);
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Word(W::TAKES.to_owned(), W::schema())
    }

    fn said(text: &str) -> Cow<'_, str> {
        W::said(text)
    }
}

impl Value for bool {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if let DeValue::Boolean(value) = found.get_ref() {
            return Some(*value);
        }
        reader.mistyped(found, &<Self as Value>::shape());
        None
    }

    fn shape() -> Shape {
        Shape::Word("`true` or `false`".to_owned(), json!({ "type": "boolean" }))
    }
}

/// How many: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u32);

/// No count is larger: a thousand million of anything is a mistake.
pub(super) const MAX_COUNT: u32 = 1_000_000_000;

impl Value for Count {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Integer(number) = found.get_ref() else {
            reader.mistyped(found, &Self::shape());
            return None;
        };
        let count = whole(number).filter(|count| (1..=MAX_COUNT).contains(count));
        if count.is_none() {
            let message = format!("`{}` is out of range", shown(&number.to_string()));
            let draft = reader.problem(found, message).takes(&Self::shape());
            reader.problems.push(draft);
        }
        count.map(Self)
    }

    fn shape() -> Shape {
        Shape::Word(
            "a number from 1 to 1_000_000_000".to_owned(),
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_COUNT }),
        )
    }
}

fn whole(number: &DeInteger<'_>) -> Option<u32> {
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `"auto"` or a number of worker threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workers {
    /// One per core that we may use.
    Auto,
    /// So many.
    Number(usize),
}

/// More worker threads than any machine has cores.
const MAX_WORKERS: u32 = 1024;

impl Value for Workers {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.get_ref() {
            DeValue::String(text) if text == "auto" => return Some(Self::Auto),
            DeValue::Integer(number) => {
                let workers = whole(number).filter(|one| (1..=MAX_WORKERS).contains(one));
                if let Some(workers) = workers {
                    return Some(Self::Number(workers as usize));
                }
                let message = format!("`{}` is out of range", shown(&number.to_string()));
                let draft = reader.problem(found, message).takes(&Self::shape());
                reader.problems.push(draft);
            }
            DeValue::String(text) => {
                let message = format!("`{}` is not a number of threads", shown(text));
                let mut draft = reader.problem(found, message).takes(&Self::shape());
                if text.parse::<u32>().is_ok() {
                    draft = draft.hint("a number stands without quotes");
                }
                reader.problems.push(draft);
            }
            _ => reader.mistyped(found, &Self::shape()),
        }
        None
    }

    fn shape() -> Shape {
        Shape::Word(
            "`\"auto\"`, or a number from 1 to 1024".to_owned(),
            json!({ "anyOf": [
                { "const": "auto" },
                { "type": "integer", "minimum": 1, "maximum": MAX_WORKERS },
            ] }),
        )
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// No body is longer: 1 TiB.
const MAX_SIZE: u64 = 1 << 40;

impl Word for Size {
    const TAKES: &'static str =
        "a size: `\"512 B\"`, `\"64 KiB\"`, `\"10 MiB\"`, `\"1 GiB\"`, `\"5 MB\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        const UNITS: [(&str, u64); 8] = [
            ("B", 1),
            ("kB", 1_000),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
        ];
        let (number, unit) = split_number(text);
        let unit = unit.trim_start();
        let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(match (number, unit) {
                ("", _) => Refused::new("is not a size"),
                (_, "") => {
                    Refused::new("has no unit").hint(format!("`{number} B` is {number} bytes"))
                }
                _ => Refused::new(format!("has no unit that we know (`{}`)", shown(unit)))
                    .hint("the units are `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` and `GiB`"),
            });
        };
        match number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(*bytes))
        {
            Some(size) if size <= MAX_SIZE => Ok(Self(size)),
            _ => Err(Refused::new("is larger than 1024 GiB")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+ *(B|[kK]B|MB|GB|KiB|MiB|GiB)$" })
    }
}

/// A name of the user's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(pub(super) String);

/// Whether `text` can name a route, an app, a plan or an upstream: it stands
/// in response fields, metrics and logs.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

impl Word for Name {
    const TAKES: &'static str = "a name of 1 to 64 letters, digits, `-`, `_` and `.`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let good = is_name(text);
        good.then(|| Self(text.to_owned()))
            .ok_or_else(|| Refused::new("is not a name"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })
    }
}

/// What a caller puts into `keyid` or `kid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyId(pub(super) String);

impl Word for KeyId {
    const TAKES: &'static str =
        "a key id of 1 to 256 visible ASCII characters without `\"` and `\\`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let good = (1..=256).contains(&text.len()) && text.bytes().all(fits);
        good.then(|| Self(text.to_owned()))
            .ok_or_else(|| Refused::new("is not a key id"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": 256 })
    }
}

/// The name of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope(pub(super) String);

impl Word for Scope {
    const TAKES: &'static str =
        "a scope of 1 to 64 visible ASCII characters without `,`, `\"` and `\\`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
        let good = (1..=64).contains(&text.len()) && text.bytes().all(fits);
        good.then(|| Self(text.to_owned())).ok_or_else(|| {
            Refused::new("is not a scope")
                .hint("several scopes are a list: `[\"orders\", \"read\"]`")
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": 64 })
    }
}

/// Text for people, or compared as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl Word for Text {
    const TAKES: &'static str = "a text of 1 to 1024 characters on one line";

    fn parse(text: &str) -> Result<Self, Refused> {
        let length = text.chars().count();
        let good = (1..=1024).contains(&length)
            && !text.trim().is_empty()
            && !text.contains(char::is_control);
        good.then(|| Self(text.to_owned()))
            .ok_or_else(|| Refused::new("cannot stand here"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": 1024 })
    }
}

/// One word of a few: reads it, or says which there are.
pub(super) fn one_of<T>(
    text: &str,
    known: &[&'static str],
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T, Refused> {
    if let Some(value) = from_name(text) {
        return Ok(value);
    }
    let refused = Refused::new("is not known here");
    Err(if super::planned::is_planned(text) {
        refused.hint(super::planned::hint(text))
    } else if let Some(near) = super::nearest::nearest(text, known.iter().copied()) {
        refused.hint(format!("did you mean `{near}`?"))
    } else {
        refused
    })
}

/// The leading digits, and the rest.
pub(super) fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}
