//! Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp`,
//! and in `webhook-signature` one signature or several, `v1` by a shared secret,
//! `v1a` by Ed25519, each over `ID.TIMESTAMP.BODY`. Svix has the same under names of its own.

use super::read::{MAX_MACS, MAX_PAIRS, Message, needed, one, push, seconds};
use crate::secret::Secret;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use http::HeaderMap;
use zeroize::Zeroizing;

/// What the fields of a message are called.
struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

const NAMES: Names = Names {
    id: ID,
    timestamp: TIMESTAMP,
    signature: SIGNATURE,
};
/// As they were called before there was a standard.
const SVIX: Names = Names {
    id: "svix-id",
    timestamp: "svix-timestamp",
    signature: "svix-signature",
};
pub(super) const ID: &str = "webhook-id";
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
pub(super) const SIGNATURE: &str = "webhook-signature";
/// Characters of an id.
const MAX_ID: usize = 256;
/// What stands before a secret, and before each half of a pair.
const SECRET: &[u8] = b"whsec_";
const PUBLIC_KEY: &[u8] = b"whpk_";
const PRIVATE_KEY: &[u8] = b"whsk_";
/// What DER has before the 32 bytes of a public key of Ed25519 (RFC 8410, section 4).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What those fields are called that are signed before the body, in the set of names that is read.
#[must_use]
pub fn covered(fields: &HeaderMap) -> [&'static str; 2] {
    let is_svixs = !fields.contains_key(SIGNATURE);
    let names = if is_svixs { &SVIX } else { &NAMES };
    [names.id, names.timestamp]
}

pub(super) fn read(fields: &HeaderMap) -> Result<Option<Message<'_>>, String> {
    for (names, others) in [(&NAMES, &SVIX), (&SVIX, &NAMES)] {
        if let Some(signatures) = one(fields, names.signature)? {
            let message = read_by(names, signatures, fields)?;
            check_twins(names, others, fields)?;
            return Ok(Some(message));
        }
    }
    Ok(None)
}

/// What is not signed under its other name is not told to a backend as if it were.
fn check_twins(names: &Names, others: &Names, fields: &HeaderMap) -> Result<(), String> {
    for (name, other) in [(names.id, others.id), (names.timestamp, others.timestamp)] {
        if fields.contains_key(other) && one(fields, other)? != one(fields, name)? {
            return Err(format!(
                "`{other}` is not what `{name}` is, which is signed"
            ));
        }
    }
    Ok(())
}

fn read_by<'r>(
    names: &Names,
    signatures: &str,
    fields: &'r HeaderMap,
) -> Result<Message<'r>, String> {
    let Names {
        id: id_name,
        timestamp,
        signature: signature_name,
    } = *names;
    let id = needed(fields, id_name)?;
    // A point would let the end of the id be taken for the time.
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
    if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(fits) {
        return Err(format!(
            "`{id_name}` has 1 to {MAX_ID} visible characters, and no point"
        ));
    }
    let written = needed(fields, timestamp)?;
    let mut message = Message {
        id: Some(id),
        time: Some(seconds(timestamp, written)?),
        front: format!("{id}.{written}."),
        ..Message::default()
    };
    for signature in signatures.split(' ').filter(|one| !one.is_empty()) {
        let Some((version, text)) = signature.split_once(',') else {
            return Err(format!("`{signature_name}` is not like `v1,BASE64`"));
        };
        let (all, most, size) = match version {
            "v1" => (&mut message.macs, MAX_MACS, 32),
            "v1a" => (&mut message.pairs, MAX_PAIRS, 64),
            // Of a version to come.
            _ => continue,
        };
        match BASE64.decode(text.as_bytes()) {
            Ok(bytes) if bytes.len() == size => push(signature_name, all, most, bytes)?,
            _ => {
                let in_hex = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
                let guess = if in_hex.is_ok_and(|bytes| bytes.len() == size) {
                    ", and this is hexadecimal"
                } else {
                    ""
                };
                return Err(format!(
                    "`{signature_name}`: behind `{version},` stands the base64 of {size} bytes{guess}"
                ));
            }
        }
    }
    Ok(message)
}

/// What DER has before the 32 bytes of a private key of Ed25519 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The secret that `written` stands for: base64, padded or not, with `whsec_` in front or without.
pub fn secret(written: &[u8]) -> Option<Vec<u8>> {
    decoded(written, SECRET)
}

/// A public key that is written `whpk_…`, in PEM.
pub fn public_key(written: &[u8]) -> Option<String> {
    let written = written.trim_ascii();
    if !written.starts_with(PUBLIC_KEY) {
        return None;
    }
    let key = decoded(written, PUBLIC_KEY).filter(|key| key.len() == 32)?;
    let der = BASE64.encode(&[&SPKI[..], &key].concat());
    Some(format!(
        "-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"
    ))
}

/// A private key that is written `whsk_…`, in PEM: with the public half behind it, or without.
pub fn private_key(written: &[u8]) -> Option<Secret> {
    let written = written.trim_ascii();
    if !written.starts_with(PRIVATE_KEY) {
        return None;
    }
    let key = Zeroizing::new(decoded(written, PRIVATE_KEY)?);
    let seed = matches!(key.len(), 32 | 64).then(|| key.get(..32))??;
    let der = Zeroizing::new([&PKCS8[..], seed].concat());
    let text = Zeroizing::new(BASE64.encode(&der));
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        *text
    );
    Some(Secret::new(pem.into_bytes()))
}

fn decoded(written: &[u8], prefix: &[u8]) -> Option<Vec<u8>> {
    let written = written.trim_ascii();
    let text = written.strip_prefix(prefix).unwrap_or(written);
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"="));
    let decoded = BASE64.decode(text).ok();
    decoded.or_else(|| BASE64_NOPAD.decode(unpadded.unwrap_or(text)).ok())
}
