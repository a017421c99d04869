//! A record as a line of text, formatted by hand into a buffer that is there already.
//!
//! Whatever a stranger may have chosen is escaped: a line stays a line, JSON
//! stays JSON, and a terminal does nothing but show it.

use super::Record;
use super::escape::escape;
use crate::clock::Now;
use http::Version;
use std::io::{IsTerminal, Write, stdout};
use std::net::IpAddr;
use std::time::Duration;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// For people.
    Readable {
        /// Whether with colours.
        colour: bool,
    },
}

impl Format {
    /// Readable on a terminal, coloured unless `no_color`; JSON on a pipe or in a file.
    pub fn of_stdout(no_color: bool) -> Self {
        if stdout().is_terminal() {
            Self::Readable { colour: !no_color }
        } else {
            Self::Json
        }
    }

    /// Appends the line of `record`, which ended at `now`.
    pub(super) fn write(self, out: &mut Vec<u8>, stamp: &mut Stamp, record: &Record, now: Now) {
        match self {
            Self::Json => json(out, stamp, record, now),
            Self::Readable { colour } => readable(out, stamp, record, now, colour),
        }
    }
}

fn json(out: &mut Vec<u8>, stamp: &mut Stamp, record: &Record, now: Now) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.push(out, record.started);
    out.extend_from_slice(b"Z\",\"request_id\":\"");
    out.extend_from_slice(record.id.digits());
    out.extend_from_slice(b"\",\"peer\":\"");
    address(out, record.peer);
    out.extend_from_slice(if record.tls {
        b"\",\"tls\":true,\"version\":\""
    } else {
        b"\",\"tls\":false,\"version\":\""
    });
    out.extend_from_slice(version(record.version));
    out.push(b'"');
    word_of_ours(
        out,
        b",\"method\":\"",
        // A method holds nothing that would have to be escaped (RFC 9110, section 5.6.2).
        record.method.as_ref().map(http::Method::as_str),
    );
    text(
        out,
        b",\"host\":\"",
        Some(&*record.host).filter(|host| !host.is_empty()),
    );
    text(
        out,
        b",\"path\":\"",
        Some(&*record.path).filter(|path| !path.is_empty()),
    );
    text(
        out,
        b",\"route\":\"",
        record.route.as_ref().map(|(_, name)| &**name),
    );
    text(out, b",\"app\":\"", record.app.as_deref());
    text(out, b",\"key\":\"", record.key.as_deref());
    text(out, b",\"instance\":\"", record.instance.as_deref());
    word_of_ours(out, b",\"scheme\":\"", record.scheme);
    text(out, b",\"claimed_key\":\"", record.claimed_key.as_deref());
    if record.status != 0 {
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(&three(record.status.into()));
    }
    word_of_ours(out, b",\"code\":\"", record.code);
    text(out, b",\"reason\":\"", record.reason.as_deref());
    if let Some(observed) = &record.observed {
        word_of_ours(out, b",\"observed\":\"", Some(observed.by));
        word_of_ours(out, b",\"would_refuse\":\"", observed.would_refuse);
        text(out, b",\"would_reason\":\"", observed.reason.as_deref());
        text(out, b",\"claimed_app\":\"", observed.claimed_app.as_deref());
    }
    number(out, b",\"bytes_in\":", record.bytes_in);
    number(out, b",\"bytes_out\":", record.bytes_out);
    out.extend_from_slice(b",\"duration_ms\":");
    millis(out, record.duration(now));
    text(out, b",\"upstream\":\"", record.upstream.as_deref());
    if let Some(duration) = record.upstream_duration() {
        out.extend_from_slice(b",\"upstream_ms\":");
        millis(out, duration);
    }
    text(out, b",\"trace\":\"", record.trace.as_deref());
    if record.cut {
        out.extend_from_slice(b",\"cut\":true");
    }
    out.extend_from_slice(b"}\n");
}

/// `TIME STATUS METHOD HOST PATH DURATION WHO CODE (REASON) ID`.
fn readable(out: &mut Vec<u8>, stamp: &mut Stamp, record: &Record, now: Now, colour: bool) {
    let paint = |out: &mut Vec<u8>, code: &[u8]| {
        if colour {
            out.extend_from_slice(code);
        }
    };
    paint(out, DIM);
    stamp.push_time_of_day(out, record.started);
    paint(out, PLAIN);
    out.push(b' ');
    paint(out, colour_of(record.status));
    match record.status {
        0 => out.extend_from_slice(b"---"),
        status => digits(out, u64::from(status)),
    }
    paint(out, PLAIN);
    word(
        out,
        record.method.as_ref().map_or("-", http::Method::as_str),
    );
    word(
        out,
        if record.host.is_empty() {
            "-"
        } else {
            &record.host
        },
    );
    word(
        out,
        if record.path.is_empty() {
            "-"
        } else {
            &record.path
        },
    );
    out.push(b' ');
    millis(out, record.duration(now));
    out.extend_from_slice(b"ms");
    if let (Some(app), Some(key)) = (&record.app, &record.key) {
        word(out, app);
        out.push(b'/');
        escape(out, key);
    } else {
        out.push(b' ');
        address(out, record.peer);
    }
    if let Some(code) = record.code {
        out.push(b' ');
        paint(out, colour_of(record.status));
        escape(out, code);
        paint(out, PLAIN);
    }
    if let Some(reason) = &record.reason {
        out.extend_from_slice(b" (");
        escape(out, reason);
        out.push(b')');
    }
    let observed = record.observed.as_deref();
    if let Some((code, observed)) = observed.and_then(|one| Some((one.would_refuse?, one))) {
        out.extend_from_slice(b" would be ");
        escape(out, code);
        if let Some(reason) = &observed.reason {
            out.extend_from_slice(b" (");
            escape(out, reason);
            out.push(b')');
        }
    }
    if let Some(key) = &record.claimed_key {
        out.extend_from_slice(b" claims key ");
        escape(out, key);
    }
    if record.cut {
        out.extend_from_slice(b" cut");
    }
    paint(out, DIM);
    word(out, record.id.as_str());
    paint(out, PLAIN);
    out.push(b'\n');
}

const PLAIN: &[u8] = b"\x1b[0m";
const DIM: &[u8] = b"\x1b[2m";

fn colour_of(status: u16) -> &'static [u8] {
    match status {
        200..=299 => b"\x1b[32m",
        300..=399 => b"\x1b[36m",
        400..=499 => b"\x1b[33m",
        _ => b"\x1b[31m",
    }
}

fn word(out: &mut Vec<u8>, text: &str) {
    out.push(b' ');
    escape(out, text);
}

/// A text behind `name`, which opens its quotes.
fn text(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        escape(out, value);
        out.push(b'"');
    }
}

/// The same of a word in which nothing has to be escaped.
fn word_of_ours(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    digits(out, value);
}

fn address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        None => out.extend_from_slice(b"unix"),
        Some(IpAddr::V4(address)) => {
            let mut text = [0; 16];
            let mut length = 0;
            for part in address.octets() {
                let (digits, long) = OCTETS[usize::from(part)];
                text[length..length + 4].copy_from_slice(&digits);
                length += long;
            }
            // Without the last point.
            out.extend_from_slice(&text[..length - 1]);
        }
        Some(IpAddr::V6(address)) => write!(out, "{address}").expect("a vector takes every byte"),
    }
}

/// The digits of every byte with a point behind, and how many bytes that is.
static OCTETS: [([u8; 4], usize); 256] = {
    let mut all = [([0; 4], 0); 256];
    let mut number = 0;
    while number < all.len() {
        let [high, middle, low] = three(number as u32);
        all[number] = match number {
            0..10 => ([low, b'.', 0, 0], 2),
            10..100 => ([middle, low, b'.', 0], 3),
            _ => ([high, middle, low, b'.'], 4),
        };
        number += 1;
    }
    all
};

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"1.0",
        Version::HTTP_11 => b"1.1",
        Version::HTTP_2 => b"2",
        _ => b"?",
    }
}

/// Milliseconds with three places.
fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = duration.as_micros() as u64;
    let [high, middle, low] = three((micros % 1_000) as u32);
    digits(out, micros / 1_000);
    out.extend_from_slice(&[b'.', high, middle, low]);
}

/// The three lowest digits.
const fn three(number: u32) -> [u8; 3] {
    [
        b'0' + (number / 100 % 10) as u8,
        b'0' + (number / 10 % 10) as u8,
        b'0' + (number % 10) as u8,
    ]
}

fn digits(out: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    let mut text = [0; 20];
    let mut start = text.len();
    for (at, digit) in text.iter_mut().enumerate().rev() {
        if number == 0 {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = at;
    }
    out.extend_from_slice(&text[start..]);
}

/// The lowest `width` digits of `number`.
fn padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out.iter_mut().skip(start).rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The last second that was written, kept so that a date is worked out once a second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    text: Vec<u8>,
}

/// Where the time of day starts in `2027-01-15T08:00:00`.
const TIME_OF_DAY: usize = 11;

impl Stamp {
    /// `2027-01-15T08:00:00.000`, in UTC.
    fn push(&mut self, out: &mut Vec<u8>, at: Now) {
        self.set(at);
        out.extend_from_slice(&self.text);
        out.push(b'.');
        out.extend_from_slice(&three(at.unix().subsec_millis()));
    }

    /// `08:00:00.000`.
    fn push_time_of_day(&mut self, out: &mut Vec<u8>, at: Now) {
        let start = out.len();
        self.push(out, at);
        out.drain(start..start + TIME_OF_DAY);
    }

    fn set(&mut self, at: Now) {
        // Four digits of years end here.
        const LAST: u64 = 253_402_300_799;
        let second = at.unix().as_secs().min(LAST);
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        let (year, month, day) = date(second / 86_400);
        let of_day = second % 86_400;
        let text = &mut self.text;
        text.clear();
        for (number, width, end) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (of_day / 3_600, 2, b':'),
            (of_day / 60 % 60, 2, b':'),
            (of_day % 60, 2, b' '),
        ] {
            padded(text, number, width);
            text.push(end);
        }
        text.pop();
    }
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar.
/// Years are taken to start in March, so that a leap day is the last of one.
const fn date(days: u64) -> (u64, u64, u64) {
    const TO_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + TO_MARCH_OF_YEAR_0;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: u64) -> String {
        let mut out = Vec::new();
        let at = Now::new(Duration::from_millis(seconds * 1_000 + 7), Duration::ZERO);
        Stamp::default().push(&mut out, at);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007"),
            (951_782_400, "2000-02-29T00:00:00.007"),
            (951_868_800, "2000-03-01T00:00:00.007"),
            (1_709_251_199, "2024-02-29T23:59:59.007"),
            (1_735_689_599, "2024-12-31T23:59:59.007"),
            (1_735_689_600, "2025-01-01T00:00:00.007"),
            (4_107_542_399, "2100-02-28T23:59:59.007"),
            (4_107_542_400, "2100-03-01T00:00:00.007"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
        assert!(stamp(u64::MAX / 1_000 - 1).starts_with("9999-12-31"));
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let lengths = |year: u64| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [
                31,
                if leap { 29 } else { 28 },
                31,
                30,
                31,
                30,
                31,
                31,
                30,
                31,
                30,
                31,
            ]
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for number in 0..146_097 {
            assert_eq!(date(number), (year, month, day));
            day += 1;
            if day > lengths(year)[month as usize - 1] {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 99, 100, 12_345, u64::MAX] {
            let mut out = Vec::new();
            digits(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
        let mut out = Vec::new();
        millis(&mut out, Duration::from_nanos(12_034_999));
        assert_eq!(out, b"12.034");
    }

    #[test]
    fn every_byte_of_an_address_is_written_as_it_is_elsewhere() {
        for byte in 0..=u8::MAX {
            let peer = IpAddr::from([byte, 7, 10, byte]);
            let mut out = Vec::new();
            address(&mut out, Some(peer));
            assert_eq!(String::from_utf8(out).unwrap(), peer.to_string());
        }
    }
}
