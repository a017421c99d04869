//! Words about static keys.

use super::values::{KeyId, Refused, Word};
use crate::apps::KeyHash;
use crate::route::KeyWord;
use data_encoding::HEXLOWER_PERMISSIVE;
use http::HeaderName;
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// What stands before the digits of a hash.
pub(crate) const HASH_PREFIX: &str = "hmac-sha256:";
/// Characters of the name of a parameter.
const MAX_PARAMETER: usize = 64;

/// The hash of a static key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(pub(super) KeyHash);

impl Word for Hash {
    const TAKES: &'static str = "what `portcullis hash-key` prints: `\"hmac-sha256:…\"`";
    // Who is in a hurry writes the key itself here.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        let digits = text.strip_prefix(HASH_PREFIX);
        let bytes = digits.and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok());
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(|bytes| Self(KeyHash(bytes)))
            .ok_or_else(|| {
                Refused::new("is not the hash of a key").hint(
                    "`portcullis hash-key -c gateway.toml` reads a key and prints its hash; the key itself never stands here",
                )
            })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^hmac-sha256:[0-9A-Fa-f]{64}$" })
    }
}

/// Where a static key may stand among the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PlaceOfKey {
    /// In a field of its own.
    Field(HeaderName),
    /// In `Authorization`, behind a word.
    Authorization(KeyWord),
}

impl Word for PlaceOfKey {
    const TAKES: &'static str = "a field name, `\"X-Api-Key\"`, or `\"Authorization: Bearer\"`, `\"Authorization: ApiKey\"` or `\"Authorization: Basic\"`";

    fn said(text: &str) -> Cow<'_, str> {
        let letters = text.chars().filter(|letter| !letter.is_ascii_whitespace());
        letters.collect::<String>().to_ascii_lowercase().into()
    }

    fn parse(text: &str) -> Result<Self, Refused> {
        let Some((field, word)) = text.split_once(':') else {
            let name = <HeaderName as Word>::parse(text)?;
            if name == http::header::AUTHORIZATION {
                return Err(Refused::new("does not say behind which word").hint(
                    "`Authorization: Bearer`, `Authorization: ApiKey` or `Authorization: Basic`",
                ));
            }
            return Ok(Self::Field(name));
        };
        let word = word.trim();
        let mut known = KeyWord::ALL.into_iter();
        match known.find(|known| known.name().eq_ignore_ascii_case(word)) {
            Some(word) if field.eq_ignore_ascii_case("authorization") => {
                Ok(Self::Authorization(word))
            }
            _ => Err(Refused::new("is no place for a key")),
        }
    }
}

/// Reads a place on a command line as one of the file is read: a field, and the word in it.
pub(crate) fn place_of_key(text: &str) -> Result<(HeaderName, Option<KeyWord>), String> {
    match PlaceOfKey::parse(text) {
        Ok(PlaceOfKey::Field(name)) => Ok((name, None)),
        Ok(PlaceOfKey::Authorization(word)) => Ok((http::header::AUTHORIZATION, Some(word))),
        Err(refused) => Err(refused.sentence(PlaceOfKey::TAKES)),
    }
}

/// Whether `text` can be the id of a key.
pub(crate) fn is_key_id(text: &str) -> bool {
    KeyId::parse(text).is_ok()
}

/// The name of a parameter in the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter(pub(super) Box<str>);

impl Word for Parameter {
    const TAKES: &'static str =
        "the name of a parameter, of 1 to 64 letters, digits, `-`, `.`, `_` and `~`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let good = (1..=MAX_PARAMETER).contains(&text.len()) && text.bytes().all(fits);
        good.then(|| Self(text.into()))
            .ok_or_else(|| Refused::new("is not the name of a parameter"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._~-]{1,64}$" })
    }
}

/// A page for callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link(pub(super) Box<str>);

impl Word for Link {
    const TAKES: &'static str = "a URL: `\"https://example.com/api-keys\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        let fits = |byte: u8| matches!(byte, 0x21..=0x7e) && !b"<>\"\\^`{|}".contains(&byte);
        let good = is_web && text.len() <= 1024 && text.bytes().all(fits);
        good.then(|| Self(text.into()))
            .ok_or_else(|| Refused::new("is not a URL of the web"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^https?://" })
    }
}
