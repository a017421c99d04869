//! GitHub: `X-Hub-Signature-256` holds the MAC of the body, and of nothing else.

use super::read::{Message, hex_mac, one};
use http::HeaderMap;

pub(super) const SIGNATURE: &str = "x-hub-signature-256";
const OLD: &str = "x-hub-signature";

pub(super) fn read(fields: &HeaderMap) -> Result<Option<Message<'_>>, String> {
    let Some(signature) = one(fields, SIGNATURE)? else {
        if fields.contains_key(OLD) {
            return Err(format!(
                "`{OLD}` alone is not taken, it is SHA-1: send `X-Hub-Signature-256` too"
            ));
        }
        return Ok(None);
    };
    let Some(digits) = signature.strip_prefix("sha256=") else {
        return Err(format!("`{SIGNATURE}` is not like `sha256=HEX`"));
    };
    Ok(Some(Message {
        macs: vec![hex_mac(SIGNATURE, digits)?],
        ..Message::default()
    }))
}
