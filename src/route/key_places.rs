//! Where static keys stand in a request.

use http::HeaderName;

/// Where they may stand: the same on every route of a configuration that has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPlaces {
    /// Fields that hold a key and nothing else. They are never forwarded.
    pub fields: Vec<HeaderName>,
    /// Words behind which a key stands in `Authorization`, on routes that accept one.
    pub authorization: Vec<KeyWord>,
    /// The parameter of the query that may hold one.
    pub query: Option<Box<str>>,
    /// Whether nothing is read there: no app of the configuration has a key, and no route accepts one.
    /// One of the registry that is shown all the same is not forwarded.
    pub unread: bool,
}

/// A word in `Authorization` behind which a static key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWord {
    /// `Bearer KEY`.
    Bearer,
    /// `ApiKey KEY`.
    ApiKey,
    /// `Basic`, and the base64 of `KEY:` or of `ID:KEY`.
    Basic,
}

impl KeyWord {
    /// Every word, in the order they are documented.
    pub const ALL: [Self; 3] = [Self::Bearer, Self::ApiKey, Self::Basic];

    /// The word itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::ApiKey => "ApiKey",
            Self::Basic => "Basic",
        }
    }

    /// What stands behind the word in `value`; `None` where another word stands there.
    pub fn behind(self, value: &[u8]) -> Option<&[u8]> {
        let word = self.name().as_bytes();
        let (front, rest) = value.split_at_checked(word.len())?;
        let is_it = front.eq_ignore_ascii_case(word) && matches!(rest, [] | [b' ', ..]);
        is_it.then(|| rest.trim_ascii())
    }
}

impl KeyPlaces {
    /// Whether `value`, of `Authorization`, begins as one that holds a key.
    pub fn may_be_in(&self, value: &[u8]) -> bool {
        let mut words = self.authorization.iter();
        words.any(|word| word.behind(value).is_some())
    }
}
