//! What all senders have in common: a text before the body, a time in most, and some signatures.

use super::{github, slack, standard, stripe};
use crate::route::{Route, Sender};
use crate::schemes::Refused;
use crate::schemes::received::Received;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderValue};

/// Bytes a field of a sender may have.
pub const MAX_FIELD: usize = 8 * 1024;
/// Signatures by a shared secret that are looked at.
pub const MAX_MACS: usize = 8;
/// Signatures by a key pair that are looked at: each is tried with each key.
pub const MAX_PAIRS: usize = 2;
/// Digits of a time in Unix seconds.
const MAX_DIGITS: usize = 12;

/// The webhook that a request shows to be.
#[derive(Debug)]
pub struct Presented<'r> {
    /// Whose way of signing it is.
    pub sender: Sender,
    /// What it says.
    pub message: Message<'r>,
}

/// What the fields of a webhook say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'r> {
    /// The id of the message, where it is signed.
    pub id: Option<&'r str>,
    /// When it was signed, where that is signed too.
    pub time: Option<i64>,
    /// What is signed before the body.
    pub front: String,
    /// Signatures of HMAC with SHA-256.
    pub macs: Vec<Vec<u8>>,
    /// Signatures of Ed25519.
    pub pairs: Vec<Vec<u8>>,
}

impl<'r> Presented<'r> {
    /// The webhook that `received` shows in the way of the route's sender; `None` where it shows
    /// none, or where the route takes none.
    ///
    /// # Errors
    /// [`Refused::Malformed`] says what cannot be read.
    pub fn read(received: &Received<'r>, route: &Route) -> Result<Option<Self>, Refused> {
        let Some(webhooks) = &route.webhooks else {
            return Ok(None);
        };
        let sender = webhooks.sender;
        let fields = received.fields();
        let message = match sender {
            Sender::StandardWebhooks => standard::read(fields),
            Sender::Github => github::read(fields),
            Sender::Stripe => stripe::read(fields),
            Sender::Slack => slack::read(fields),
        };
        let message = message.map_err(Refused::Malformed)?;
        Ok(message.map(|message| Self { sender, message }))
    }
}

/// The one value of a field; `None` where it is not there.
pub(super) fn one<'r>(fields: &'r HeaderMap, name: &str) -> Result<Option<&'r str>, String> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(format!("`{name}` is there more than once")),
        (Some(value), None) => text(value)
            .map(Some)
            .ok_or_else(|| format!("`{name}` is not text of at most {MAX_FIELD} bytes")),
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?.trim();
    (text.len() <= MAX_FIELD).then_some(text)
}

/// The value of a field that must be beside the others.
pub(super) fn needed<'r>(fields: &'r HeaderMap, name: &str) -> Result<&'r str, String> {
    one(fields, name)?.ok_or_else(|| format!("`{name}` is needed"))
}

/// A time in Unix seconds. It is signed as it is written, which is in one way only.
pub(super) fn seconds(name: &str, text: &str) -> Result<i64, String> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_number = (1..=MAX_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && is_canonical;
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| {
        let is_longer = text.len() > MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let guess = if is_longer {
            ": it is in whole seconds, and this looks like milliseconds"
        } else {
            ""
        };
        format!("`{name}` has no time in Unix seconds{guess}")
    })
}

/// A MAC of 32 bytes in hexadecimal digits, lower case.
pub(super) fn hex_mac(name: &str, text: &str) -> Result<Vec<u8>, String> {
    match HEXLOWER.decode(text.as_bytes()) {
        Ok(mac) if mac.len() == 32 => Ok(mac),
        _ => {
            let in_base64 = BASE64.decode(text.as_bytes());
            let guess = if in_base64.is_ok_and(|mac| mac.len() == 32) {
                ": this is base64"
            } else {
                ""
            };
            Err(format!(
                "`{name}` has no SHA-256 in 64 hexadecimal digits, lower case{guess}"
            ))
        }
    }
}

/// Takes one signature more of those that are looked at.
pub(super) fn push(
    name: &str,
    all: &mut Vec<Vec<u8>>,
    most: usize,
    one: Vec<u8>,
) -> Result<(), String> {
    if all.len() == most {
        return Err(format!("`{name}` has more than {most} signatures"));
    }
    all.push(one);
    Ok(())
}
