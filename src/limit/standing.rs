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
        let mut end = [0; MOST_OF_END];
        let start = parameter(&mut end, MOST_OF_END, b't', self.reset);
        let start = parameter(&mut end, start, b'r', u64::from(self.remaining));
        field([self.label.as_bytes(), &end[start..]].concat())
    }
}

/// Bytes of two parameters with the largest numbers.
const MOST_OF_END: usize = 2 * (b";r=".len() + 20);

/// Writes a parameter before `start`, from its last digit on; where it starts.
fn parameter(end: &mut [u8; MOST_OF_END], mut start: usize, name: u8, mut number: u64) -> usize {
    loop {
        start -= 1;
        end[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    start -= 3;
    end[start..start + 3].copy_from_slice(&[b';', name, b'=']);
    start
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
