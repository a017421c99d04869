//! Durations and dates.

use super::gather::shown;
use super::read::{Found, Reader, Value};
use super::shape::Shape;
use super::values::{Refused, Word, split_number};
use crate::admin::api::moment_of;
use crate::forward::upstream::MAX_IDLE;
use serde_json::{Value as Json, json};
use std::time::Duration;
use toml::de::DeValue;

/// A duration longer than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period(pub(super) Duration);

/// A duration that may be nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leeway(pub(super) Duration);

/// A duration of whole seconds, longer than nothing: of what is compared with times that have no fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) Duration);

/// The same, which may be nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecondsOrNone(pub(super) Duration);

/// How long a connection to a server may be kept without a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Idleness(pub(super) Duration);

/// No wait and no window is longer than a year.
const MAX_DURATION: Duration = Duration::from_hours(366 * 24);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

fn duration(text: &str) -> Result<Duration, Refused> {
    let (number, unit) = split_number(text);
    let unit = unit.trim_start();
    let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match (number, unit) {
            ("", _) => Refused::new("is not a duration"),
            (_, "") => Refused::new("has no unit").hint(format!("`{number}s` is {number} seconds")),
            _ if unit.starts_with(['.', ',']) => {
                Refused::new("is not a duration").hint("write a whole number of a smaller unit")
            }
            _ => Refused::new(format!("has no unit that we know (`{}`)", shown(unit)))
                .hint("the units are `ms`, `s`, `m`, `h` and `d`"),
        });
    };
    let millis = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(*millis));
    match millis.map(Duration::from_millis) {
        Some(duration) if duration <= MAX_DURATION => Ok(duration),
        _ => Err(Refused::new("is longer than a year")),
    }
}

fn seconds(text: &str) -> Result<Duration, Refused> {
    let duration = duration(text)?;
    if duration.subsec_nanos() == 0 {
        return Ok(duration);
    }
    let next = duration.as_secs() + 1;
    Err(Refused::new("is no whole number of seconds").hint(format!("the next one is `{next}s`")))
}

/// Reads a time on a command line as one of the file is read: longer than nothing.
pub(crate) fn period(text: &str) -> Result<Duration, String> {
    Period::parse(text)
        .map(|period| period.0)
        .map_err(|refused| {
            refused.sentence("a number and its unit are accepted: `500ms`, `30s`, `5m`, `1h`")
        })
}

impl Word for Period {
    const TAKES: &'static str = "a duration: `\"500ms\"`, `\"30s\"`, `\"15m\"`, `\"1h\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        match duration(text)? {
            Duration::ZERO => Err(Refused::new("is no time at all")),
            duration => Ok(Self(duration)),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$" })
    }
}

impl Word for Idleness {
    const TAKES: &'static str = "a duration, `\"30s\"` at most: `\"500ms\"`, `\"4s\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let Period(duration) = Period::parse(text)?;
        if duration > MAX_IDLE {
            return Err(Refused::new("is longer than 30 s")
                .hint("a server that would wait for longer is connected to anew"));
        }
        Ok(Self(duration))
    }

    fn schema() -> Json {
        Period::schema()
    }
}

impl Word for Leeway {
    const TAKES: &'static str = "a duration, which may be nothing: `\"0s\"`, `\"30s\"`, `\"5m\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        duration(text).map(Self)
    }

    fn schema() -> Json {
        Period::schema()
    }
}

impl Word for Seconds {
    const TAKES: &'static str = "a duration in whole seconds: `\"30s\"`, `\"15m\"`, `\"1h\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        match seconds(text)? {
            Duration::ZERO => Err(Refused::new("is no time at all")),
            duration => Ok(Self(duration)),
        }
    }

    fn schema() -> Json {
        Period::schema()
    }
}

impl Word for SecondsOrNone {
    const TAKES: &'static str =
        "a duration in whole seconds, which may be nothing: `\"0s\"`, `\"30s\"`, `\"5m\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        seconds(text).map(Self)
    }

    fn schema() -> Json {
        Period::schema()
    }
}

/// A moment: the first second of a day, UTC, or a date-time with its offset. Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) i64);

impl Value for Moment {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let shape = Self::shape();
        let draft = match found.get_ref() {
            DeValue::Datetime(moment) => match moment.to_string().as_str() {
                text if moment.offset.is_some() || moment.time.is_none() => match moment_of(text) {
                    Some(at) => return Some(Self(at)),
                    None => reader.problem(found, format!("`{text}` is not a date")),
                },
                text if moment.date.is_none() => {
                    reader.problem(found, format!("`{text}` is a time without a date"))
                }
                text => reader
                    .problem(found, format!("`{text}` does not say in which time zone"))
                    .hint(format!("`{text}Z` is in UTC")),
            },
            DeValue::String(text) if is_date(text) => reader
                .problem(found, format!("`\"{text}\"` is a string"))
                .hint(format!("a date stands without quotes: `{text}`")),
            _ => {
                reader.mistyped(found, &shape);
                return None;
            }
        };
        reader.problems.push(draft.takes(&shape));
        None
    }

    fn shape() -> Shape {
        Shape::Word(
            "a date (from its first second on, UTC) or a date-time with its offset: `2027-01-31`, `2027-01-31T12:00:00Z`".to_owned(),
            json!({ "type": "string", "anyOf": [{ "format": "date" }, { "format": "date-time" }] }),
        )
    }
}

fn is_date(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok()
}
