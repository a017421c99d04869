//! Words of others: where the keys of issuers are, what these sign with, and what an upstream's forms take.

use super::mask::REFERENCES;
use super::secrets::{Reference, SecretFile};
use super::values::{Refused, Text, Word, one_of};
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

/// What a member of a form is: a text, or where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FormText {
    /// As it stands in the file.
    Text(String),
    /// Where it is.
    Reference(Reference),
}

impl Word for FormText {
    const TAKES: &'static str = "a text of 1 to 1024 characters on one line, or a reference: `\"env:NAME\"` or `\"file:PATH\"`";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Refused> {
        if REFERENCES.iter().any(|prefix| text.starts_with(prefix)) {
            return Reference::parse(text).map(Self::Reference);
        }
        Text::parse(text).map(|text| Self::Text(text.0))
    }

    fn schema() -> Json {
        Text::schema()
    }
}
