//! `Date`, of which the text is made once a second.

use crate::clock::{Clock, whole_seconds};
use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::Instant;

/// The field of one second.
#[derive(Debug, Default)]
struct Field {
    /// With the line's end.
    text: String,
    value: Option<HeaderValue>,
    /// When that second is over.
    until: Option<Instant>,
}

thread_local! {
    /// Of all connections of this worker.
    static FIELD: RefCell<Field> = const { RefCell::new(Field { text: String::new(), value: None, until: None }) };
}

/// Writes the field. `now` is when; the clock on the wall is looked at once a second.
pub(super) fn write(text: &mut Vec<u8>, now: Instant) {
    FIELD.with_borrow_mut(|field| {
        field.look(now);
        text.extend_from_slice(field.text.as_bytes());
    });
}

/// The field's value, if there is one.
pub(super) fn value(now: Instant) -> Option<HeaderValue> {
    FIELD.with_borrow_mut(|field| {
        field.look(now);
        field.value.clone()
    })
}

impl Field {
    fn look(&mut self, now: Instant) {
        if self.until.is_none_or(|until| now >= until) {
            self.renew(now, Clock::system().now().unix());
        }
    }

    fn renew(&mut self, now: Instant, unix: Duration) {
        const SECOND: Duration = Duration::from_secs(1);
        self.until =
            Some(now + SECOND.saturating_sub(Duration::from_nanos(unix.subsec_nanos().into())));
        self.text.clear();
        self.value = None;
        let seconds = whole_seconds(unix);
        let date = Timestamp::from_second(seconds)
            .and_then(|at| DateTimePrinter::new().timestamp_to_rfc9110_string(&at));
        // A clock beyond the year 9999 has no date that could be told.
        if let Ok(date) = date {
            self.text = format!("date: {date}\r\n");
            self.value = HeaderValue::try_from(date).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_lives_to_the_end_of_its_second() {
        let now = Instant::now();
        let mut field = Field::default();
        field.renew(now, Duration::from_millis(784_111_777_250));
        assert_eq!(field.text, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(field.value.take().unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(field.until, Some(now + Duration::from_millis(750)));
        field.renew(now, Duration::MAX);
        assert_eq!((field.text.as_str(), field.value), ("", None));
    }
}
