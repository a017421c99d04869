//! Slack: `X-Slack-Signature` holds the MAC of `v0:TIME:BODY`, the time of `X-Slack-Request-Timestamp`.

use super::read::{Message, hex_mac, needed, one, seconds};
use http::HeaderMap;

pub(super) const SIGNATURE: &str = "x-slack-signature";
pub(super) const TIMESTAMP: &str = "x-slack-request-timestamp";

pub(super) fn read(fields: &HeaderMap) -> Result<Option<Message<'_>>, String> {
    let Some(signature) = one(fields, SIGNATURE)? else {
        return Ok(None);
    };
    let Some(digits) = signature.strip_prefix("v0=") else {
        return Err(format!("`{SIGNATURE}` is not like `v0=HEX`"));
    };
    let written = needed(fields, TIMESTAMP)?;
    Ok(Some(Message {
        time: Some(seconds(TIMESTAMP, written)?),
        front: format!("v0:{written}:"),
        macs: vec![hex_mac(SIGNATURE, digits)?],
        ..Message::default()
    }))
}
