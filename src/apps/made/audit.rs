//! Who did what, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// When, Unix time.
    pub at: i64,
    /// Who: `admin:write`, `cli:root`, `instance:…`, `peer:192.0.2.1`.
    pub who: String,
    /// What: `key.rotate`, `token.refuse`.
    pub what: String,
    /// To what: `app/mobile`, `key/mobile-2026`.
    pub target: String,
    /// What it was, without secrets.
    #[serde(default)]
    pub before: Option<Value>,
    /// What it is, without secrets.
    #[serde(default)]
    pub after: Option<Value>,
    /// What came of it.
    pub outcome: Outcome,
    /// How often, where many alike came at once: 1 for one.
    #[serde(default = "once")]
    pub times: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused: the true reason.
    Refused(String),
    /// Nothing was asked for; somebody should look.
    Alarm(String),
}

/// Which lines. They are kept apart, each with its bound, so that a flood of refusals pushes out no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// What was changed.
    Changes,
    /// What was refused, and alarms.
    Events,
}

const fn once() -> u64 {
    1
}
