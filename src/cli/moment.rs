//! Moments as the command line says them: whole Unix seconds.

/// The last moment that is taken: the end of the year 2199.
const LAST: u64 = 7_258_118_399;
/// The first that a clock's milliseconds are taken to mean: in the year 2001.
const FIRST_OF_A_CLOCK: u64 = 1_000_000_000;

/// A moment in Unix seconds, between 1970 and 2200.
pub(super) fn unix_seconds(text: &str) -> Result<u64, String> {
    let number: u64 = text
        .parse()
        .map_err(|_| "whole Unix seconds are accepted".to_owned())?;
    if number <= LAST {
        return Ok(number);
    }
    // Most clocks of programs tell thousandths.
    let seconds = number / 1_000;
    Err(if (FIRST_OF_A_CLOCK..=LAST).contains(&seconds) {
        format!("seconds are accepted, not milliseconds: `{seconds}`")
    } else {
        "Unix seconds before the year 2200 are accepted".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_told_and_not_taken_for_seconds() {
        assert_eq!(unix_seconds("0"), Ok(0));
        assert_eq!(unix_seconds("1796058366"), Ok(1_796_058_366));
        assert_eq!(unix_seconds("7258118399"), Ok(LAST));
        for (text, told) in [
            ("1796058366000", "not milliseconds: `1796058366`"),
            ("7258118400", "before the year 2200"),
            ("1796058366000000", "before the year 2200"),
            ("18446744073709551615", "before the year 2200"),
            ("18446744073709551616", "whole Unix seconds"),
            ("-1", "whole Unix seconds"),
            ("noon", "whole Unix seconds"),
        ] {
            let why = unix_seconds(text).unwrap_err();
            assert!(why.contains(told), "{text}: {why}");
        }
    }
}
