//! `Date` as it is written today: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110,
//! section 5.6.7). The two older forms, which nobody sends any more, are not read.
//! And AWS's way to write a moment: `19941106T084937Z`.

use std::fmt::Write as _;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_A_DAY: i64 = 86_400;
/// No date is later: the last second of year 9999.
const LAST: i64 = 253_402_300_799;

/// The second, Unix time, that a date names.
pub fn read(text: &[u8]) -> Option<i64> {
    read_in(text, &[" GMT"])
}

/// The same, of a date that ends as other libraries write the same zone: Go's `time.RFC1123`, and mail's (RFC 5322).
pub fn read_of_any_library(text: &[u8]) -> Option<i64> {
    read_in(text, &[" GMT", " UTC", " +0000", " -0000"])
}

/// The second that a date names whose zone is one of these.
fn read_in(text: &[u8], zones: &[&str]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (day_name, rest) = text.split_at_checked(3)?;
    let rest = rest.strip_prefix(", ")?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = rest.strip_prefix(' ')?.split_at_checked(3)?;
    let (year, rest) = number(rest.strip_prefix(' ')?, 4)?;
    let (hour, rest) = number(rest.strip_prefix(' ')?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let in_range = zones.contains(&rest) && hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day);
    // A day that the month does not have is another day when written anew.
    if !in_range || !DAYS.contains(&day_name) || civil(days) != (year, month, day) {
        return None;
    }
    Some(days * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second)
}

/// The date of a second, Unix time, up to year 9999.
pub fn write(unix_seconds: i64) -> String {
    let unix_seconds = unix_seconds.clamp(0, LAST);
    let (days, second) = (
        unix_seconds.div_euclid(SECONDS_A_DAY),
        unix_seconds.rem_euclid(SECONDS_A_DAY),
    );
    let (year, month, day) = civil(days);
    let name = |names: &'static [&str], at: i64| names.get(at as usize).copied().unwrap_or("");
    let mut text = String::with_capacity(29);
    write!(
        text,
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
    .expect("a String takes every char");
    text
}

/// The second, Unix time, that `19941106T084937Z` names.
pub fn read_basic(text: &str) -> Option<i64> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest.strip_prefix('T')?, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    let in_range = rest == "Z" && hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day);
    if !in_range || civil(days) != (year, month, day) {
        return None;
    }
    Some(days * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second)
}

/// A second, Unix time, up to year 9999, as `19941106T084937Z`.
pub fn write_basic(unix_seconds: i64) -> String {
    let unix_seconds = unix_seconds.clamp(0, LAST);
    let (year, month, day) = civil(unix_seconds.div_euclid(SECONDS_A_DAY));
    let second = unix_seconds.rem_euclid(SECONDS_A_DAY);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// Exactly `digits` digits, and what stands behind them.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (front, rest) = text.split_at_checked(digits)?;
    let is_number = front.bytes().all(|byte| byte.is_ascii_digit());
    Some((is_number.then(|| front.parse().ok())??, rest))
}

/// Days since 1970-01-01. Years are counted from March, so that a leap day is the last of one.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// Year, month and day of a day since 1970-01-01.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_and_written_again() {
        for (text, unix) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sun, 05 Jan 2014 21:31:40 GMT", 1_388_957_500),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
            ("Fri, 31 Dec 9999 23:59:59 GMT", LAST),
        ] {
            assert_eq!(read(text.as_bytes()), Some(unix), "{text}");
            assert_eq!(write(unix), text);
        }
        for day in 0..60_000 {
            let at = day * SECONDS_A_DAY + 12_345;
            assert_eq!(read(write(at).as_bytes()), Some(at));
        }
    }

    #[test]
    fn a_moment_of_aws_is_read_and_written_again() {
        for (text, unix) in [
            ("19700101T000000Z", 0),
            ("20150830T123600Z", 1_440_938_160),
            ("20000229T235959Z", 951_868_799),
            ("99991231T235959Z", LAST),
        ] {
            assert_eq!(read_basic(text), Some(unix), "{text}");
            assert_eq!(write_basic(unix), text);
        }
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600z",
            "20150830t123600Z",
            "20150830T123600Z ",
            "20151330T123600Z",
            "20150230T123600Z",
            "20150830T243600Z",
            "20150830T126000Z",
            "20150830T123660Z",
            "2015083\u{e9}T123600Z",
            "-0150830T123600Z",
            "2015-08-30T12:36:00Z",
        ] {
            assert_eq!(read_basic(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 1900 00:00:00 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "1994-11-06T08:49:37Z",
            "784111777",
            "Sun, 06 N\u{f6}v 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"\xff"), None);
    }

    #[test]
    fn of_any_library_each_name_of_the_one_zone_is_read_and_no_other_zone() {
        let read =
            |zone: &str| read_of_any_library(format!("Sun, 06 Nov 1994 08:49:37{zone}").as_bytes());
        for zone in [" GMT", " UTC", " +0000", " -0000"] {
            assert_eq!(read(zone), Some(784_111_777), "{zone}");
        }
        for zone in [
            "", " ", " +0100", " -0001", " 0000", " +00:00", " utc", " UT", " Z", " EST", "  UTC",
            " UTC ",
        ] {
            assert_eq!(read(zone), None, "{zone}");
        }
    }
}
