//! What a caller whose signature is rejected may see of the text.

use super::forms::Forms;
use super::payload::Payloads;
use super::text;
use crate::schemes::explained::{Explained, veiled};
use crate::schemes::received::Received;

/// The canonical request as we see it: the caller's own, where it told us its digest, else the first.
pub(super) fn explain(
    received: &Received<'_>,
    forms: &Forms<'_>,
    fields: &[u8],
    payloads: &Payloads<'_>,
) -> Option<Explained> {
    let mut first = None;
    for (path, query) in forms.all() {
        for payload in payloads.all() {
            let mut whole = Vec::new();
            text::write_front(&mut whole, received, path, query);
            whole.extend_from_slice(fields);
            whole.extend_from_slice(payload.as_bytes());
            let explained = Explained::new(&whole, received);
            if explained.same_text == Some(true) {
                return Some(told(&explained));
            }
            first.get_or_insert(explained);
        }
    }
    first.as_ref().map(told)
}

fn told(explained: &Explained) -> Explained {
    Explained {
        base: told_veiled(&explained.base),
        same_text: explained.same_text,
    }
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
