//! What a caller whose signature is rejected may see of the text.

use super::forms::Forms;
use super::payload::Payloads;
use super::text;
use crate::crypto::digest::sha256;
use crate::schemes::explained::{Explained, is_told, veiled};
use crate::schemes::received::Received;
use data_encoding::HEXLOWER;

/// The canonical request as we see it: the caller's own, where it told us its digest or that of the
/// string to sign with its hash, else the first. `to_sign` is what stands before that hash.
pub(super) fn explain(
    received: &Received<'_>,
    forms: &Forms<'_>,
    fields: &[u8],
    to_sign: &[u8],
    payloads: &Payloads<'_>,
) -> Option<Explained> {
    let mut first = None;
    let others = (forms.all().count() * payloads.all().count()).saturating_sub(1);
    for (path, query) in forms.all() {
        for payload in payloads.all() {
            let mut whole = Vec::new();
            text::write_front(&mut whole, received, path, query);
            whole.extend_from_slice(fields);
            whole.extend_from_slice(payload.as_bytes());
            let mut explained = Explained {
                others,
                ..Explained::new(&whole, received)
            };
            if explained.same_text == Some(false) {
                let hash = HEXLOWER.encode(&sha256(&[whole.as_slice()]));
                let to_sign = [to_sign, hash.as_bytes()].concat();
                explained.same_text = is_told(received, &to_sign);
            }
            if explained.same_text == Some(true) {
                return Some(told(explained));
            }
            first.get_or_insert(explained);
        }
    }
    first.map(told)
}

fn told(mut explained: Explained) -> Explained {
    explained.base = told_veiled(&explained.base);
    explained
}

/// `text` with the tokens in a query digested too.
pub fn told_veiled(text: &str) -> Box<str> {
    const TOKEN: &str = "X-Amz-Security-Token=";
    let text = veiled(text);
    let Some(at) = text.find(TOKEN) else {
        return text;
    };
    let (front, rest) = text.split_at(at + TOKEN.len());
    let end = rest.find(['&', '\n']).unwrap_or(rest.len());
    format!("{front}<a token>{}", rest.get(end..).unwrap_or_default()).into()
}
