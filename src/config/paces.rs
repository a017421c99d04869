//! So many in so long a time: limits, and what may be tried once more.

use super::gather::shown;
use super::values::{MAX_COUNT, Refused, Word};
use crate::limit::app::Rate;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// So many in so long a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// How many.
    pub(super) count: u32,
    /// In how long.
    pub(super) period: Duration,
}

/// What is wrong with a burst above [`Pace::most_at_once`].
pub(super) const BURST_TOO_LARGE: &str = "so large a burst comes back in more than ten years";

impl Pace {
    /// The largest burst that it may have.
    pub(super) fn most_at_once(self) -> u32 {
        let Self { count, period } = self;
        let rate = Rate {
            count,
            period,
            burst: count,
        };
        rate.most_at_once()
    }

    /// Reads it. `instead` says what to write where somebody writes that nothing may pass.
    pub(super) fn parse_or(text: &str, instead: &str) -> Result<Self, Refused> {
        let Some((number, unit)) = text.split_once('/') else {
            return Err(match text.trim().parse::<u32>() {
                Ok(number) => {
                    Refused::new("has no unit").hint(format!("`{number}/s` is {number} a second"))
                }
                Err(_) => Refused::new("is not a rate"),
            });
        };
        let seconds = match unit.trim() {
            "s" => 1,
            "min" | "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            unit => {
                return Err(
                    Refused::new(format!("has no unit that we know (`{}`)", shown(unit)))
                        .hint("the units are `s`, `min`, `h` and `d`"),
                );
            }
        };
        let number = number.trim().replace('_', "");
        match number.parse::<u32>() {
            Ok(count @ 1..=MAX_COUNT) => Ok(Self {
                count,
                period: Duration::from_secs(seconds),
            }),
            Ok(0) => Err(Refused::new("lets nothing pass").hint(instead)),
            _ => Err(Refused::new("is not a rate")),
        }
    }
}

impl Word for Pace {
    const TAKES: &'static str = "a rate: `\"100/s\"`, `\"60/min\"`, `\"1000/h\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        Self::parse_or(
            text,
            "to switch something off, say `enabled = false` on the app",
        )
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^ *[0-9_]+ */ *(s|min|m|h|d) *$" })
    }
}

/// A rate, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PaceOrOff(pub(super) Option<Pace>);

impl Word for PaceOrOff {
    const TAKES: &'static str = "a rate, `\"100/s\"`, `\"60/min\"`, `\"1000/h\"`, or `\"off\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        match text {
            "off" => Ok(Self(None)),
            text => Pace::parse_or(text, "for no limit say `\"off\"`").map(|pace| Self(Some(pace))),
        }
    }
}

/// How many requests may be sent to a second server in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spare(pub(super) Pace);

impl Word for Spare {
    const TAKES: &'static str = Pace::TAKES;

    fn parse(text: &str) -> Result<Self, Refused> {
        Pace::parse_or(text, "for no retries say `retries = \"off\"`").map(Self)
    }

    fn schema() -> Json {
        Pace::schema()
    }
}
