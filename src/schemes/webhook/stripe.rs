//! Stripe: `Stripe-Signature` holds the time, and one MAC or several of `TIME.BODY`.

use super::read::{MAX_MACS, Message, hex_mac, one, push, seconds};
use http::HeaderMap;

pub(super) const SIGNATURE: &str = "stripe-signature";
/// Elements that are read.
const MAX_ELEMENTS: usize = 32;

pub(super) fn read(fields: &HeaderMap) -> Result<Option<Message<'_>>, String> {
    let Some(value) = one(fields, SIGNATURE)? else {
        return Ok(None);
    };
    let mut message = Message::default();
    for (at, element) in value.split(',').enumerate() {
        if at == MAX_ELEMENTS {
            return Err(format!(
                "`{SIGNATURE}` has more than {MAX_ELEMENTS} elements"
            ));
        }
        let Some((name, value)) = element.trim().split_once('=') else {
            return Err(format!("`{SIGNATURE}` is not like `t=TIME,v1=HEX`"));
        };
        match name {
            "t" if value.contains(';') => {
                return Err(format!(
                    "`{SIGNATURE}` is not like `t=TIME,v1=HEX`: a comma stands between them"
                ));
            }
            "t" => {
                let time = seconds(SIGNATURE, value)?;
                if message.time.replace(time).is_some() {
                    return Err(format!("`{SIGNATURE}` has `t` twice"));
                }
                message.front = format!("{value}.");
            }
            "v1" => {
                let mac = hex_mac(SIGNATURE, value)?;
                push(SIGNATURE, &mut message.macs, MAX_MACS, mac)?;
            }
            // `v0` is of test events, with a secret that is none.
            _ => {}
        }
    }
    if message.time.is_none() {
        return Err(format!("`{SIGNATURE}` has no `t`"));
    }
    Ok(Some(message))
}
