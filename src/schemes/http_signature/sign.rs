//! Signing: writes what `read` reads, over the base that `verify` builds.

use super::base::{self, NoBase};
use super::read::Input;
use crate::crypto::{Algorithm, SigningKey};
use crate::schemes::received::Received;
use data_encoding::BASE64;
use std::fmt::Write as _;

/// What to say beside the signature.
#[derive(Clone, Debug, Default)]
pub struct Parameters<'a> {
    /// `created`, Unix seconds.
    pub created: i64,
    /// `expires`, Unix seconds.
    pub expires: Option<i64>,
    /// `keyid`.
    pub key_id: &'a str,
    /// `alg`.
    pub algorithm: Option<Algorithm>,
    /// `nonce`.
    pub nonce: Option<&'a str>,
    /// `tag`.
    pub tag: Option<&'a str>,
}

/// The two fields to add, and the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Value of `Signature-Input`.
    pub input: String,
    /// Value of `Signature`.
    pub signature: String,
    /// The signature base.
    pub base: String,
}

/// Why a request cannot be signed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// A component or parameter is not written right.
    #[error("{0}")]
    Unreadable(String),
    /// A component is not in the request.
    #[error("the request has no `{0}`")]
    Absent(String),
}

/// Signs `received` under `label`, covering `components`, each as it is
/// written within the list of `Signature-Input`: `"@method"` with its quotes.
///
/// # Errors
/// [`CannotSign`].
pub fn sign(
    received: &Received<'_>,
    label: &str,
    components: &[impl AsRef<str>],
    parameters: &Parameters<'_>,
    key: &SigningKey,
) -> Result<Signed, CannotSign> {
    if !is_label(label) {
        let why = format!(
            "`{}` is no label: it starts with a-z or `*`, and goes on with a-z, 0-9, `_`, `-`, `.`, `*`",
            label.escape_debug()
        );
        return Err(CannotSign::Unreadable(why));
    }
    let text = member(components, parameters);
    let input = Input::read(&text).map_err(CannotSign::Unreadable)?;
    let mut out = Vec::with_capacity(1024);
    base::write(&mut out, received, &input).map_err(|why| match why {
        NoBase::Absent(component) => CannotSign::Absent(component),
        NoBase::Unsupported(why) => CannotSign::Unreadable(why),
    })?;
    Ok(Signed {
        input: format!("{label}={text}"),
        signature: format!("{label}=:{}:", BASE64.encode(key.sign(&out).as_bytes())),
        base: String::from_utf8_lossy(&out).into_owned(),
    })
}

/// A dictionary's key (RFC 9651, section 3.1.2).
fn is_label(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_first = |byte| matches!(byte, b'a'..=b'z' | b'*');
    let is_more = |byte| is_first(byte) || matches!(byte, b'0'..=b'9' | b'_' | b'-' | b'.');
    bytes.next().is_some_and(is_first) && bytes.all(is_more)
}

fn member(components: &[impl AsRef<str>], parameters: &Parameters<'_>) -> String {
    let mut text = String::from("(");
    for (at, component) in components.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(component.as_ref());
    }
    write!(text, ");created={}", parameters.created).expect("a String takes every char");
    if let Some(expires) = parameters.expires {
        write!(text, ";expires={expires}").expect("a String takes every char");
    }
    let strings = [
        ("keyid", Some(parameters.key_id)),
        ("alg", parameters.algorithm.map(Algorithm::name)),
        ("nonce", parameters.nonce),
        ("tag", parameters.tag),
    ];
    for (name, value) in strings {
        if let Some(value) = value {
            text.push(';');
            text.push_str(name);
            text.push_str("=\"");
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push('"');
        }
    }
    text
}
