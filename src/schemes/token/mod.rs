//! Tokens: short-lived JWTs signed with an app's key.

pub mod binding;
pub mod jwt;

use std::time::Duration;

/// `[tokens]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What `aud` must hold, when set.
    pub audience: Option<Box<str>>,
    /// The longest life a token may have.
    pub max_lifetime: Duration,
    /// How far ahead a caller's clock may be.
    pub skew: Duration,
}
