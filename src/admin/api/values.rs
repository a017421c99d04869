//! Values as bodies, queries and answers spell them.

/// A moment in answers: RFC 3339, in whole seconds, UTC.
pub(super) fn moment(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds)
        .map_or_else(|_| unix_seconds.to_string(), |at| at.to_string())
}
