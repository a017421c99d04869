//! Words of the key service: builds of apps, and where it answers.

use super::values::{Refused, Word};
use crate::apps;
use serde_json::{Value as Json, json};

/// The name of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build(pub(super) Box<str>);

impl Word for Build {
    const TAKES: &'static str =
        "a build of 1 to 64 visible ASCII characters without `\"` and `\\`: `\"1.4.2\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        apps::is_build(text)
            .then(|| Self(text.into()))
            .ok_or_else(|| Refused::new("is not a build"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": 64 })
    }
}

/// A path below which we answer ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPrefix(pub(super) Box<str>);

impl Word for PathPrefix {
    const TAKES: &'static str =
        "a path without a `/` at its end, of letters, digits, `-`, `_` and `.`: `\"/.portcullis\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_segment =
            |one: &str| !one.is_empty() && !matches!(one, "." | "..") && one.bytes().all(fits);
        let segments = text.strip_prefix('/').filter(|_| text.len() <= 64);
        segments
            .is_some_and(|rest| rest.split('/').all(is_segment))
            .then(|| Self(text.into()))
            .ok_or_else(|| Refused::new("is not such a path"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(/[A-Za-z0-9._-]+)+$" })
    }
}
