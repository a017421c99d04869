//! How an app stands with its rate, and the fields that tell it.

use super::app::Rate;
use bytes::Bytes;
use http::HeaderValue;
use std::fmt::Write as _;
use std::sync::Arc;

/// How an app stands with its rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The value of `RateLimit-Policy`, made once per configuration.
    pub policy: HeaderValue,
    /// The plan's name, as a structured field has it.
    pub label: Arc<str>,
    /// How many more may come at once.
    pub remaining: u32,
    /// How long until the burst is whole again, in seconds.
    pub reset: u64,
}

impl Standing {
    /// The value of `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, section 4).
    pub fn header(&self) -> HeaderValue {
        // On every answer, so without the ways of formatting, and at one allocation.
        let digits = [
            Digits::of(u64::from(self.remaining)),
            Digits::of(self.reset),
        ];
        let [remaining, reset] = digits.each_ref().map(Digits::text);
        let parts = [self.label.as_bytes(), b";r=", remaining, b";t=", reset];
        field(parts.concat())
    }
}

/// A number's decimal digits.
struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    fn of(mut number: u64) -> Self {
        let mut digits = Self {
            bytes: [b'0'; 20],
            start: 20,
        };
        loop {
            digits.start -= 1;
            digits.bytes[digits.start] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// A structured-field string. What such a string cannot hold becomes `?`.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for letter in name.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            ' '..='~' => text.push(letter),
            _ => text.push('?'),
        }
    }
    text.push('"');
    text
}

/// The value of `RateLimit-Policy` (the same draft, section 3). Its window is
/// in whole seconds; a period that is not is stretched to the next, and the
/// count with it.
pub(super) fn policy(plan: &str, rate: &Rate) -> HeaderValue {
    let window = rate.period.as_nanos().div_ceil(1_000_000_000).max(1);
    let quota = u128::from(rate.count) * window * 1_000_000_000 / rate.period.as_nanos().max(1);
    let mut text = quoted(plan);
    let _ = write!(text, ";q={quota};w={window}");
    field(text.into_bytes())
}

fn field(text: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("`quoted` leaves only visible ASCII and spaces")
}
