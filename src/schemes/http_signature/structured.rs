//! Structured fields by their strict serialization (RFC 9651): what `;sf` covers.

use sfv::{Dictionary, FieldType, Item, List, Parser};

/// A structured field's one canonical text (RFC 9651, section 4.1).
///
/// Fields whose kind a standard fixes are read as that kind. Of any other
/// field nobody told us the kind, so it must come out the same however it can be read.
///
/// # Errors
/// Why it has no such text.
pub fn strict(name: &str, text: &str) -> Result<String, &'static str> {
    let dictionary = || serialize::<Dictionary>(text);
    let list = || serialize::<List>(text);
    let item = || serialize::<Item>(text);
    let no = "the field is no structured field of its kind";
    match kind(name) {
        Some(Kind::Dictionary) => dictionary().ok_or(no),
        Some(Kind::List) => list().ok_or(no),
        Some(Kind::Item) => item().ok_or(no),
        None => {
            let mut readings: Vec<String> = [dictionary(), list(), item()]
                .into_iter()
                .flatten()
                .collect();
            readings.dedup();
            match (readings.pop(), readings.pop()) {
                (Some(one), None) => Ok(one),
                (Some(_), Some(_)) => Err(
                    "the field can be read as more than one kind of structured field; cover it without `sf`",
                ),
                (None, _) => Err("the field is no structured field"),
            }
        }
    }
}

/// Reads `text` as one kind of structured field and writes it strictly.
/// An empty dictionary or list has no text: the field would not be sent.
fn serialize<T: FieldType>(text: &str) -> Option<String> {
    let value: T = Parser::new(text).parse().ok()?;
    value.serialize().into()
}

#[derive(Clone, Copy)]
enum Kind {
    Dictionary,
    List,
    Item,
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "accept-signature"
        | "cdn-cache-control"
        | "content-digest"
        | "priority"
        | "repr-digest"
        | "signature"
        | "signature-input"
        | "want-content-digest"
        | "want-repr-digest" => Some(Kind::Dictionary),
        "cache-status" | "client-cert-chain" | "proxy-status" | "ratelimit"
        | "ratelimit-policy" => Some(Kind::List),
        "client-cert" | "idempotency-key" => Some(Kind::Item),
        _ => None,
    }
}
