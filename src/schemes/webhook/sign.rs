//! Signing: writes what `read` reads.

use super::{github, slack, standard, stripe};
use crate::crypto::SigningKey;
use crate::route::Sender;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderName, HeaderValue};

/// What to say of a message.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// In whose way.
    pub sender: Sender,
    /// `webhook-id`, of `standard-webhooks` alone.
    pub id: &'a str,
    /// When it is signed, Unix seconds; GitHub does not say it.
    pub time: i64,
}

/// The fields to send, and the text that was signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The fields, in the order to send them.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The text.
    pub text: Vec<u8>,
}

/// Why a message cannot be signed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The id cannot stand in a field.
    #[error("`{0}` is no id of a message: visible characters, without a point")]
    Id(String),
    /// The sender does not sign with this algorithm.
    #[error("`{sender}` does not sign with `{algorithm}`", sender = sender.name())]
    Algorithm {
        /// Whose way it is.
        sender: Sender,
        /// What the key is for.
        algorithm: crate::crypto::Algorithm,
    },
}

/// Signs `body` in the way of a sender.
///
/// # Errors
/// [`CannotSign`].
pub fn sign(
    body: &[u8],
    parameters: &Parameters<'_>,
    key: &SigningKey,
) -> Result<Signed, CannotSign> {
    let Parameters { sender, id, time } = *parameters;
    let algorithm = key.algorithm();
    if !super::verify::is_of(sender, algorithm) {
        return Err(CannotSign::Algorithm { sender, algorithm });
    }
    let front = match sender {
        Sender::StandardWebhooks => format!("{id}.{time}."),
        Sender::Github => String::new(),
        Sender::Stripe => format!("{time}."),
        Sender::Slack => format!("v0:{time}:"),
    };
    let text = [front.as_bytes(), body].concat();
    let signature = key.sign(&text);
    let digits = HEXLOWER.encode(signature.as_bytes());
    let field = |name: &'static str, value: String| {
        let value = HeaderValue::try_from(value).map_err(|_| CannotSign::Id(id.to_owned()))?;
        Ok((HeaderName::from_static(name), value))
    };
    let fields = match sender {
        Sender::StandardWebhooks => {
            if id.is_empty() || id.contains('.') || !id.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return Err(CannotSign::Id(id.to_owned()));
            }
            let version = if algorithm.is_mac() { "v1" } else { "v1a" };
            let signature = BASE64.encode(signature.as_bytes());
            vec![
                field(standard::ID, id.to_owned())?,
                field(standard::TIMESTAMP, time.to_string())?,
                field(standard::SIGNATURE, format!("{version},{signature}"))?,
            ]
        }
        Sender::Github => vec![field(github::SIGNATURE, format!("sha256={digits}"))?],
        Sender::Stripe => vec![field(stripe::SIGNATURE, format!("t={time},v1={digits}"))?],
        Sender::Slack => vec![
            field(slack::TIMESTAMP, time.to_string())?,
            field(slack::SIGNATURE, format!("v0={digits}"))?,
        ],
    };
    Ok(Signed { fields, text })
}
