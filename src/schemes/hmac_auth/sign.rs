//! Signing: writes what `read` reads, over the text that `verify` builds.

use super::read::{self, Input, Seconds};
use super::text::{self, NoText};
use crate::crypto::SigningKey;
use crate::route::Dialect;
use crate::schemes::received::Received;
use data_encoding::BASE64;

/// What to sign, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// Whose way of signing.
    pub dialect: Dialect,
    /// `keyId`, or `username`.
    pub key_id: &'a str,
    /// What is covered: names with one space between.
    pub covered: &'a str,
    /// `created`, Unix seconds; of `cavage-12` alone.
    pub created: Option<i64>,
}

/// The field's value, and the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What stands in `Authorization`.
    pub value: String,
    /// The text.
    pub text: String,
}

/// Why a request cannot be signed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The list is not written right, or the key id cannot stand in quotes.
    #[error("{0}")]
    Unreadable(String),
    /// A covered field is not in the request, or not once.
    #[error(transparent)]
    NoText(#[from] NoText),
    /// The proof stands in `Authorization`, which the request has already.
    #[error("`Authorization` holds the signature in this dialect, and the request has one already")]
    Taken,
}

/// Signs `received`.
///
/// # Errors
/// [`CannotSign`].
pub fn sign(
    received: &Received<'_>,
    parameters: &Parameters<'_>,
    key: &SigningKey,
) -> Result<Signed, CannotSign> {
    let Parameters {
        dialect,
        key_id,
        covered,
        created,
    } = *parameters;
    let can_stand_in_quotes =
        |byte: u8| matches!(byte, 0x20..0x7f) && !matches!(byte, b'"' | b'\\');
    if key_id.is_empty() || !key_id.bytes().all(can_stand_in_quotes) {
        let why = "the key id cannot stand between quotes".to_owned();
        return Err(CannotSign::Unreadable(why));
    }
    let algorithm = match dialect {
        Dialect::Cavage12 => "hs2019",
        Dialect::Kong | Dialect::Apisix => key.algorithm().name(),
    };
    let created = created.map(|at| at.to_string());
    let seconds = created.as_deref().zip(parameters.created);
    let seconds = seconds.map(|(text, value)| Seconds { text, value });
    let input = Input::written(dialect, key_id, seconds, covered, Some(algorithm))
        .map_err(CannotSign::Unreadable)?;
    let mut out = Vec::with_capacity(512);
    text::write(&mut out, received, &input)?;
    let signature = BASE64.encode(key.sign(&out).as_bytes());
    let created = created.map_or_else(String::new, |at| format!("created={at},"));
    let word = read::word(dialect);
    let value = match dialect {
        // Its reader wants this order, and this spelling.
        Dialect::Kong => format!(
            "{word} username=\"{key_id}\", algorithm=\"{algorithm}\", headers=\"{covered}\", signature=\"{signature}\""
        ),
        Dialect::Apisix | Dialect::Cavage12 => format!(
            "{word} keyId=\"{key_id}\",algorithm=\"{algorithm}\",{created}headers=\"{covered}\",signature=\"{signature}\""
        ),
    };
    Ok(Signed {
        value,
        text: String::from_utf8_lossy(&out).into_owned(),
    })
}
