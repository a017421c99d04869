//! The document that a refused caller gets.

use crate::schemes::doctor::Finding;
use serde::Serialize;
use std::borrow::Cow;

/// What a refused caller gets: `application/problem+json`, RFC 9457.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Documentation of the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title.
    pub title: &'static str,
    /// The status, again.
    pub status: u16,
    /// The stable word.
    pub code: &'static str,
    /// What an honest caller needs to mend it.
    pub detail: String,
    /// To find the record in the log.
    pub request_id: String,
    /// `clock-skew`: our time, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_time: Option<i64>,
    /// `clock-skew`: the caller's time, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_time: Option<i64>,
    /// `coverage-missing`: the components to cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<Cow<'static, str>>>,
    /// Of attested clients of OAuth: the word that their libraries look for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// `credential-rejected`, to callers that may see it: the text we verified against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_base: Option<String>,
    /// Beside it: whether the caller's `Signature-Base-Digest` is of the same text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_base_matches: Option<bool>,
    /// Where `explain` allows: the mistake under which the signature matches, one stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<&'static str>,
    /// Beside it: what was done, and what is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// The same with what the doctor found.
    #[must_use]
    pub fn found(mut self, finding: Option<&Finding>) -> Self {
        self.mistake = finding.map(|finding| finding.mistake.word());
        self.hint = finding.map(Finding::hint);
        self
    }
}
