//! Structured fields by their strict serialization (RFC 9651): what `;sf` and `;key` cover.
//!
//! What is covered so is forwarded as it came. So it must say the same to whoever reads it: where a
//! name stands twice the standard takes the last one, and many readers take the first.

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, Dictionary, FieldType, Item, KeyRef, List, ListEntry, Parser};
use std::cell::Cell;

/// Items, lists within lists and parameters that a field may have: reading costs by them, and
/// strangers pay nothing for it.
pub const MAX_PARTS: usize = 128;

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
        Some(Kind::Dictionary) => dictionary()?.ok_or(no),
        Some(Kind::List) => list()?.ok_or(no),
        Some(Kind::Item) => item()?.ok_or(no),
        None => {
            let mut readings: Vec<String> = [dictionary()?, list()?, item()?]
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
fn serialize<T: Structured>(text: &str) -> Result<Option<String>, &'static str> {
    Ok(read::<T>(text)?.and_then(|value| value.serialize().into()))
}

/// `text` as one kind of structured field; `None` where it is none.
///
/// # Errors
/// Why nobody may cover it so: it has more than [`MAX_PARTS`], or a name stands twice.
pub fn read<T: Structured>(text: &str) -> Result<Option<T>, &'static str> {
    let seen = Cell::new(0);
    let is_of_kind = T::visit(Parser::new(text), Count(&seen));
    if seen.get() > MAX_PARTS {
        return Err(
            "the field has too many parts to be taken apart; cover it without `sf` and `key`",
        );
    }
    let value = is_of_kind.then(|| Parser::new(text).parse::<T>().ok());
    match value.flatten() {
        // Of two of a name one is kept.
        Some(value) if value.parts() < seen.get() => {
            Err("a member or parameter is there twice; cover the field without `sf` and `key`")
        }
        value => Ok(value),
    }
}

/// A kind of structured field whose parts are counted.
pub trait Structured: FieldType {
    /// Shows `count` each part of what is read. Whether it is of this kind.
    fn visit(parser: Parser<'_>, count: Count<'_>) -> bool;

    /// How many parts it has, as they are counted.
    fn parts(&self) -> usize;
}

impl Structured for Dictionary {
    fn visit(parser: Parser<'_>, count: Count<'_>) -> bool {
        parser.parse_dictionary_with_visitor(count).is_ok()
    }

    fn parts(&self) -> usize {
        self.values().map(parts_of_entry).sum()
    }
}

impl Structured for List {
    fn visit(parser: Parser<'_>, count: Count<'_>) -> bool {
        parser.parse_list_with_visitor(count).is_ok()
    }

    fn parts(&self) -> usize {
        self.iter().map(parts_of_entry).sum()
    }
}

impl Structured for Item {
    fn visit(parser: Parser<'_>, count: Count<'_>) -> bool {
        parser.parse_item_with_visitor(count).is_ok()
    }

    fn parts(&self) -> usize {
        1 + self.params.len()
    }
}

fn parts_of_entry(entry: &ListEntry) -> usize {
    match entry {
        ListEntry::Item(item) => item.parts(),
        ListEntry::InnerList(list) => {
            let items: usize = list.items.iter().map(Structured::parts).sum();
            1 + items + list.params.len()
        }
    }
}

/// Counts the parts of a field as they are read, and keeps none of them.
#[derive(Clone, Copy)]
pub struct Count<'c>(&'c Cell<usize>);

/// That there are more than [`MAX_PARTS`].
#[derive(Debug, thiserror::Error)]
#[error("more parts than are read")]
pub struct TooMany;

impl Count<'_> {
    fn one_more(self) -> Result<(), TooMany> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > MAX_PARTS {
            Err(TooMany)
        } else {
            Ok(())
        }
    }
}

impl<'de> DictionaryVisitor<'de> for Count<'_> {
    type Out = ();
    type Error = TooMany;

    fn entry(&mut self, _: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        Ok(*self)
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(())
    }
}

impl<'de> ListVisitor<'de> for Count<'_> {
    type Out = ();
    type Error = TooMany;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Self::Error> {
        Ok(*self)
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(())
    }
}

impl<'de> EntryVisitor<'de> for Count<'_> {
    type Error = TooMany;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        self.one_more()?;
        Ok(self)
    }
}

impl<'de> InnerListVisitor<'de> for Count<'_> {
    type Error = TooMany;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(*self)
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Self::Error> {
        Ok(self)
    }
}

impl<'de> ItemVisitor<'de> for Count<'_> {
    type Out = ();
    type Error = TooMany;

    fn bare_item(
        self,
        _: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = Self::Out>, Self::Error> {
        self.one_more()?;
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for Count<'_> {
    type Out = ();
    type Error = TooMany;

    fn parameter(&mut self, _: &'de KeyRef, _: BareItemFromInput<'de>) -> Result<(), Self::Error> {
        self.one_more()
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(())
    }
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
