//! Since when records count.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use std::str::FromStr;

/// A time, or one that is so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    At(i64),
    Ago(i64),
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const TAKES: &str =
            "takes `30m`, `24h`, `7d`, a date or a time such as `2027-01-15T08:00:00Z`";
        let units = [('m', 60), ('h', 3_600), ('d', 86_400)];
        for (unit, seconds) in units {
            if let Some(Ok(count)) = text.strip_suffix(unit).map(str::parse::<u32>) {
                return Ok(Self::Ago(i64::from(count) * seconds));
            }
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at.as_second()));
        }
        let day = text.parse::<Date>().map_err(|_| TAKES)?;
        let start = day.to_datetime(Time::midnight());
        let start = Offset::UTC.to_timestamp(start).map_err(|_| TAKES)?;
        Ok(Self::At(start.as_second()))
    }
}

impl Since {
    /// As times stand in the access log, which are in order as texts.
    pub(super) fn stamp(self, now: i64) -> String {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(seconds) => now.saturating_sub(seconds),
        };
        let stamp = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
        stamp.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_each_of_the_usual_ways() {
        let now = 1_800_000_000;
        for (text, stamp) in [
            ("30m", "2027-01-15T07:30:00.000Z"),
            ("24h", "2027-01-14T08:00:00.000Z"),
            ("7d", "2027-01-08T08:00:00.000Z"),
            ("2027-01-15", "2027-01-15T00:00:00.000Z"),
            ("2027-01-15T08:00:01+01:00", "2027-01-15T07:00:01.000Z"),
        ] {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.stamp(now), stamp, "{text}");
        }
        for text in [
            "",
            "h",
            "-1h",
            "1w",
            "yesterday",
            "4294967296d",
            "2027-13-01",
        ] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
