//! What the key service gives an app's instances.

use serde::{Deserialize, Serialize};

/// How the key service serves an app; without it, it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRules {
    /// How long a token lives, in seconds.
    pub lifetime: u32,
}
