//! What callers sign by mistake, for the doctor: the text with one thing in it as they take it.

use super::coverage::X_DATE;
use super::digest::DIGEST;
use super::read::{Input, Item, Presented};
use super::{Dialect, date, text};
use crate::apps::Scheme;
use crate::schemes::digest::CONTENT_DIGEST;
use crate::schemes::doctor::change::capitalized;
use crate::schemes::doctor::{Case, Change, Mistake, Offer, Sample};
use crate::schemes::received::Received;
use http::header::{DATE, HOST};

/// Seconds between two looks at a clock.
const APART: [i64; 4] = [-1, 1, -2, 2];

/// The signature, if it has a text.
pub fn sample<'r>(presented: Presented<'r>, received: &'r Received<'r>) -> Option<Sample<'r>> {
    let input = presented.input;
    let mut text = Vec::new();
    text::write(&mut text, received, &input).ok()?;
    let ours = String::from_utf8_lossy(&text).into_owned();
    let offer = Box::new(Text {
        input,
        received,
        ours,
    });
    Some(Sample {
        scheme: Scheme::HmacAuth,
        key_id: input.key_id.into(),
        text,
        signature: presented.signature.into(),
        offer: Some(offer),
        also: Vec::new(),
        by: None,
        meant: None,
    })
}

/// A signed text, and what it was made of.
struct Text<'r> {
    input: Input<'r>,
    received: &'r Received<'r>,
    ours: String,
}

impl Offer for Text<'_> {
    fn under(&self, change: &Change<'_>) -> String {
        let received = self.received;
        self.each_line(|item, line| {
            let target = |case| {
                let method = change.method(received, case);
                format!("{method} {}", change.target(received))
            };
            match item {
                Item::RequestLine => {
                    let version = line.rsplit_once(' ').map_or("", |(_, version)| version);
                    format!("{} {version}", target(Case::Upper))
                }
                Item::Target => match self.input.dialect {
                    Dialect::Apisix => target(Case::Upper),
                    Dialect::Kong => format!("@request-target: {}", target(Case::Lower)),
                    Dialect::Cavage12 => format!("(request-target): {}", target(Case::Lower)),
                },
                Item::Field(name) => {
                    let Some((front, value)) = line.split_once(": ") else {
                        return line.to_owned();
                    };
                    let is = |field: http::HeaderName| name.eq_ignore_ascii_case(field.as_str());
                    if is(HOST) {
                        format!("{front}: {}", change.authority(value))
                    } else if is(DIGEST) || is(CONTENT_DIGEST) {
                        format!("{front}: {}", change.digest(value))
                    } else {
                        line.to_owned()
                    }
                }
                Item::Created | Item::Expires => line.to_owned(),
            }
        })
    }

    fn own(&self) -> Vec<(Mistake, String)> {
        let ours = &self.ours;
        let mut all = Vec::with_capacity(16);
        if self.input.dialect == Dialect::Apisix
            && let Some((_, rest)) = ours.split_once('\n')
        {
            all.push((Mistake::KeyIdMissing, rest.to_owned()));
            let rest = rest.trim_end_matches('\n').to_owned();
            all.push((Mistake::KeyIdMissing, rest));
        }
        let is_version = |line: &str, version| match line.rsplit_once(' ') {
            Some((front, _)) => format!("{front} {version}"),
            None => line.to_owned(),
        };
        for version in ["HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/2.0"] {
            let text = self.each_line(|item, line| match item {
                Item::RequestLine => is_version(line, version),
                _ => line.to_owned(),
            });
            all.push((Mistake::HttpVersion, text));
        }
        let named = |make: fn(&str) -> String| {
            self.each_line(|item, line| match (item, line.split_once(": ")) {
                (Item::Field(_), Some((name, value))) => format!("{}: {value}", make(name)),
                _ => line.to_owned(),
            })
        };
        let other = self.each_line(|item, line| match item {
            Item::RequestLine => line
                .rsplit_once(' ')
                .map_or(line, |(target, _)| target)
                .to_owned(),
            Item::Target => format!("{line} HTTP/1.1"),
            _ => line.to_owned(),
        });
        all.push((Mistake::HttpVersion, other));
        all.push((Mistake::NamesInLower, named(str::to_ascii_lowercase)));
        all.push((Mistake::NamesInUpper, named(capitalized)));
        let close = self.each_line(|_, line| line.replacen(": ", ":", 1));
        all.push((Mistake::NoSpace, close));
        let in_front = self.each_line(|item, line| match (item, self.input.dialect) {
            (Item::RequestLine, _) => format!("request-line: {line}"),
            (Item::Target, Dialect::Apisix) => format!("@request-target: {line}"),
            _ => line.to_owned(),
        });
        all.push((Mistake::NameInFront, in_front));
        let nameless = |is_it: fn(Item<'_>) -> bool| {
            self.each_line(|item, line| match line.split_once(": ") {
                Some((_, value)) if is_it(item) => value.to_owned(),
                _ => line.to_owned(),
            })
        };
        let kinds: [fn(Item<'_>) -> bool; 3] =
            [|item| matches!(item, Item::Target), is_time, |_| true];
        for is_it in kinds {
            all.push((Mistake::NameMissing, nameless(is_it)));
        }
        for apart in APART {
            all.push((Mistake::ClockTwice, self.at_another_time(apart)));
        }
        all
    }
}

impl Text<'_> {
    fn at_another_time(&self, apart: i64) -> String {
        self.each_line(|item, line| {
            let moved = || {
                let (front, value) = line.split_once(": ")?;
                match item {
                    Item::Created => {
                        let at: i64 = value.parse().ok()?;
                        Some(format!("{front}: {}", at.saturating_add(apart)))
                    }
                    Item::Field(_) if is_time(item) => {
                        let at = date::read_of_any_library(value.as_bytes())?;
                        Some(format!(
                            "{front}: {}",
                            date::write(at.saturating_add(apart))
                        ))
                    }
                    _ => None,
                }
            };
            moved().unwrap_or_else(|| line.to_owned())
        })
    }

    /// The text with every line of an item made anew.
    fn each_line(&self, make: impl Fn(Item<'_>, &str) -> String) -> String {
        let mut lines = self.ours.split('\n');
        let mut out = Vec::with_capacity(16);
        if self.input.dialect == Dialect::Apisix {
            out.extend(lines.next().map(str::to_owned));
        }
        let mut items = self.input.items();
        for line in lines {
            out.push(match items.next() {
                Some(item) => make(item, line),
                None => line.to_owned(),
            });
        }
        out.join("\n")
    }
}

fn is_time(item: Item<'_>) -> bool {
    let is = |name: &str, field: http::HeaderName| name.eq_ignore_ascii_case(field.as_str());
    match item {
        Item::Created | Item::Expires => true,
        Item::Field(name) => is(name, DATE) || is(name, X_DATE),
        Item::RequestLine | Item::Target => false,
    }
}
