//! Words about the registry.

use super::values::{Refused, Word};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// The longest path, in bytes.
const MAX_PATH: usize = 4096;

/// Where the registry is; `None` is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegistryPlace(pub(super) Option<PathBuf>);

impl Word for RegistryPlace {
    const TAKES: &'static str = "a file, `\"redb:PATH\"`, or `\"off\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if text == "off" {
            return Ok(Self(None));
        }
        let Some(path) = text.strip_prefix("redb:") else {
            let refused = Refused::new("is no place for a registry");
            return Err(refused.hint("write `redb:state/portcullis.redb`"));
        };
        let good = (1..=MAX_PATH).contains(&path.len()) && !path.contains(char::is_control);
        good.then(|| Self(Some(path.into())))
            .ok_or_else(|| Refused::new("names no file"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(redb:.+|off)$" })
    }
}
