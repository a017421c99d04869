//! Bytes in a second.

use super::values::{Refused, Size, Word};
use serde_json::{Value as Json, json};
use std::num::NonZeroU64;

/// So many bytes a second, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRate(pub(super) Option<NonZeroU64>);

impl Word for ByteRate {
    const TAKES: &'static str =
        "bytes a second: `\"512 B/s\"`, `\"1 KiB/s\"`, `\"1 MiB/s\"`, or `\"off\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if text == "off" {
            return Ok(Self(None));
        }
        let Some(size) = text.strip_suffix("/s") else {
            return Err(Refused::new("is not a number of bytes a second"));
        };
        match NonZeroU64::new(Size::parse(size.trim_end())?.0) {
            None => Err(Refused::new("is no rate at all").hint("for no minimum say `\"off\"`")),
            rate => Ok(Self(rate)),
        }
    }

    fn schema() -> Json {
        json!({
            "type": "string",
            "pattern": "^([0-9]+ *(B|[kK]B|MB|GB|KiB|MiB|GiB) */s|off)$",
        })
    }
}
