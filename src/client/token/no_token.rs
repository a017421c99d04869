//! Why there is no token.

use std::time::Duration;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// The gateway cannot be reached.
    #[error("the gateway cannot be reached: {0}")]
    Unreachable(String),
    /// It answers that there is none.
    #[error("the gateway refuses with {status}{}", code.as_ref().map(|code| format!(" `{code}`")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// The stable code, where it tells one.
        code: Option<String>,
        /// What it says to it.
        detail: Option<String>,
        /// When to come again, where it tells.
        retry_after: Option<Duration>,
    },
    /// Its answer is none that a key service gives.
    #[error("the gateway's answer is no key service's: {0}")]
    Nonsense(&'static str),
    /// The evidence cannot be made.
    #[error("the evidence cannot be made: {0}")]
    Evidence(String),
    /// It makes tokens, but they are refused: decoys, or the instance or its build is turned off.
    #[error("one token after another is refused where it is shown")]
    RefusedAgain,
    /// It failed a moment ago, and is tried again later.
    #[error("after `{last}` the next try is in {} s", after.as_secs() + 1)]
    Pausing {
        /// In how long.
        after: Duration,
        /// What went wrong.
        last: Box<Self>,
    },
}
