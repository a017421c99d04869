//! Signing: writes what `read` reads, over the text that `verify` builds.

use super::credential::{self, Credential, SignedFields};
use super::forms;
use super::text::{self, NoText};
use super::{ALGORITHM, UNSIGNED_PAYLOAD};
use crate::crypto::HmacKey;
use crate::crypto::aws4::{Scope, TERMINATION};
use crate::route::SigV4;
use crate::schemes::date;
use crate::schemes::received::Received;
use data_encoding::HEXLOWER;
use std::borrow::Cow;
use std::time::Duration;

/// The longest life of a presigned URL: AWS has the same.
pub const MAX_PRESIGNED: Duration = SigV4::MAX_PRESIGNED;
/// The service whose signers do not encode paths once more.
const S3: &str = "s3";

/// What to sign, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// The access key id.
    pub key_id: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// When, Unix seconds.
    pub time: i64,
    /// The names of the fields to sign, in order, joined by `;`.
    pub signed: &'a str,
    /// What stands for the body: its SHA-256 in hexadecimal digits, or a word.
    pub payload: &'a str,
}

/// A proof, and the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What stands in `Authorization`; of a presigned URL, the signature alone.
    pub value: String,
    /// The canonical request.
    pub text: String,
}

/// Why a request cannot be signed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// Key id, region, service or the list of fields cannot be written.
    #[error("{0}")]
    Unreadable(String),
    /// A field to sign is not in the request.
    #[error(transparent)]
    NoText(#[from] NoText),
    /// The query has a broken escape.
    #[error("an escape in the query is broken")]
    Query,
    /// The key is of another algorithm.
    #[error("AWS Signature Version 4 takes a key of `hmac-sha256`")]
    Algorithm,
    /// The proof stands in `Authorization`, which the request has already.
    #[error("`Authorization` holds the signature, and the request has one already")]
    Taken,
    /// The life of a presigned URL is none.
    #[error("a presigned URL lives from 1 second to 7 days")]
    Life,
}

/// Signs `received`, in `Authorization`.
///
/// # Errors
/// [`CannotSign`].
pub fn sign(
    received: &Received<'_>,
    parameters: &Parameters<'_>,
    key: &HmacKey,
) -> Result<Signed, CannotSign> {
    let (signature, text) = signature(received, parameters, key)?;
    let Parameters { signed, .. } = *parameters;
    let credential = credential(parameters);
    Ok(Signed {
        value: format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
        ),
        text,
    })
}

/// Signs `received`, whose query has all of [`presigned_query`] already.
///
/// # Errors
/// [`CannotSign`].
pub fn presign(
    received: &Received<'_>,
    parameters: &Parameters<'_>,
    key: &HmacKey,
) -> Result<Signed, CannotSign> {
    let (value, text) = signature(received, parameters, key)?;
    Ok(Signed { value, text })
}

/// The parameters of a presigned URL that lives so many seconds, but for its signature.
pub fn presigned_query(parameters: &Parameters<'_>, life: u32) -> String {
    let credential = credential(parameters).replace('/', "%2F");
    let date = date::write_basic(parameters.time);
    let signed = parameters.signed.replace(';', "%3B");
    // A word is told: only a hash can be computed by who reads it.
    let payload = match parameters.payload {
        UNSIGNED_PAYLOAD => format!("&X-Amz-Content-Sha256={UNSIGNED_PAYLOAD}"),
        _ => String::new(),
    };
    format!(
        "X-Amz-Algorithm={ALGORITHM}{payload}&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={life}&X-Amz-SignedHeaders={signed}"
    )
}

fn credential(parameters: &Parameters<'_>) -> String {
    let Parameters {
        key_id,
        region,
        service,
        ..
    } = *parameters;
    let time = date::write_basic(parameters.time);
    let day = time.get(..8).unwrap_or_default();
    format!("{key_id}/{day}/{region}/{service}/{TERMINATION}")
}

fn signature(
    received: &Received<'_>,
    parameters: &Parameters<'_>,
    key: &HmacKey,
) -> Result<(String, String), CannotSign> {
    let keys = key.aws().ok_or(CannotSign::Algorithm)?;
    let time = date::write_basic(parameters.time);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'=' | b'&' | b'%');
    if !parameters.key_id.bytes().all(is_plain) {
        let why = "the key id cannot stand in a `Credential`".to_owned();
        return Err(CannotSign::Unreadable(why));
    }
    for (what, word) in [
        ("region", parameters.region),
        ("service", parameters.service),
    ] {
        if !credential::is_scope_word(word) {
            return Err(CannotSign::Unreadable(format!(
                "`{word}` is no {what}: up to 64 letters, digits, `-`, `_` and `.` are"
            )));
        }
    }
    let credential =
        Credential::read(Cow::Owned(credential(parameters))).map_err(CannotSign::Unreadable)?;
    let signed =
        SignedFields::read(Cow::Borrowed(parameters.signed)).map_err(CannotSign::Unreadable)?;
    let path = received.path().raw();
    let path = if parameters.service == S3 {
        Cow::Borrowed(path)
    } else {
        forms::encoded_again(path)
    };
    let query = received.query().unwrap_or_default();
    // A plain `;` goes as it is, and is signed so.
    let query = if query.contains(';') {
        forms::sorted(query).into_owned()
    } else {
        forms::encoded(query, *b"%2B").ok_or(CannotSign::Query)?
    };
    let mut out = Vec::with_capacity(512);
    text::write_front(&mut out, received, &path, &query);
    text::write_fields(&mut out, received, &signed)?;
    out.extend_from_slice(parameters.payload.as_bytes());
    let text = text::string_to_sign(&time, credential.scope_text(), &[&out]);
    let day = keys.derive(Scope {
        date: time.get(..8).unwrap_or_default(),
        region: parameters.region,
        service: parameters.service,
    });
    let tag = day.sign(&text);
    Ok((
        HEXLOWER.encode(tag.as_bytes()),
        String::from_utf8_lossy(&out).into_owned(),
    ))
}
