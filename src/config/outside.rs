//! Words of issuers outside: where their keys are, and what these sign with.

use super::secrets::SecretFile;
use super::values::{Refused, Word, one_of};
use crate::crypto::Algorithm;
use crate::issuers::{BadPlace, Place};
use serde_json::{Value as Json, json};

/// Where a key set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeySetAt {
    /// In a file.
    File(SecretFile),
    /// Where it is fetched from.
    Web(Place),
}

impl Word for KeySetAt {
    const TAKES: &'static str = "`\"https://host/path\"`, or `\"file:PATH\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        if text.starts_with("file:") {
            return SecretFile::parse(text).map(Self::File);
        }
        Place::read(text).map(Self::Web).map_err(|bad| {
            let refused = Refused::new(bad.to_string());
            match bad {
                BadPlace::Clear => refused.hint("`https://…`; `http://` is for this machine only"),
                BadPlace::NoUrl => refused,
            }
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(https://|http://|file:).+$" })
    }
}

/// An algorithm, by its name in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenAlgorithm(pub(super) Algorithm);

const NAMES: [&str; 6] = ["ES256", "ES384", "EdDSA", "RS256", "PS256", "HS256"];

impl Word for TokenAlgorithm {
    const TAKES: &'static str = "an algorithm of tokens: `\"ES256\"`, `\"ES384\"`, `\"EdDSA\"`, `\"RS256\"`, `\"PS256\"` or `\"HS256\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        one_of(text, &NAMES, |text| {
            let known = NAMES
                .contains(&text)
                .then(|| Algorithm::from_jose_name(text));
            known.flatten().map(Self)
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "enum": NAMES })
    }
}
