//! Values in a row, and tables whose keys the user names.

use super::gather::shown;
use super::read::{At, Found, Reader, Value};
use super::shape::Shape;
use std::collections::BTreeSet;
use toml::de::DeValue;

/// Values in a row, at least one; a value that stands twice is a problem.
#[derive(Clone, Debug)]
pub(super) struct Several<T>(pub(super) Vec<T>);

/// Values in a row, perhaps none.
#[derive(Clone, Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

/// One value, or several in a row.
#[derive(Clone, Debug)]
pub(super) struct OneOrMore<T>(pub(super) Vec<T>);

impl<T: Value> Value for List<T> {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Array(items) = found.get_ref() else {
            reader.mistyped(found, &Self::shape());
            return None;
        };
        // Only words: what else stands twice may be a secret in the wrong place.
        let word = matches!(T::shape(), Shape::Word(..));
        let words = items.iter().filter(|_| word);
        let words = words.filter_map(|item| item.get_ref().as_str().map(|text| (item, text)));
        let mut seen = BTreeSet::new();
        for (item, text) in words {
            if !seen.insert(T::said(text)) {
                // Before an `@` a password may stand.
                let message = if text.contains('@') {
                    "this value stands here twice".to_owned()
                } else {
                    format!("`{}` stands here twice", shown(text))
                };
                let draft = reader.problem(item, message);
                reader.problems.push(draft);
            }
        }
        Some(Self(reader.items(items)))
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

impl<T: Value> Value for Several<T> {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if found
            .get_ref()
            .as_array()
            .is_some_and(|items| items.is_empty())
        {
            let draft = reader
                .problem(found, "this list is empty")
                .takes(&Self::shape());
            reader.problems.push(draft);
            return None;
        }
        List::read(found, reader).map(|list| Self(list.0))
    }

    fn shape() -> Shape {
        <List<T> as Value>::shape()
    }
}

impl<T: Value> Value for OneOrMore<T> {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match found.get_ref() {
            DeValue::Array(_) => Several::read(found, reader).map(|list| Self(list.0)),
            _ => T::read(found, reader).map(|one| Self(vec![one])),
        }
    }

    fn shape() -> Shape {
        Shape::OneOrMore(Box::new(T::shape()))
    }
}

/// Tables by a name of the user's choice, in order of their names.
#[derive(Debug)]
pub(super) struct Named<T> {
    /// Every name, and what stands under it unless there is a problem with it.
    pub(super) entries: Vec<(At<String>, Option<T>)>,
}

impl<T> Named<T> {
    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// The place of a name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names().position(|one| one == name)
    }
}

impl<T: Value> Value for Named<T> {
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Table(table) = found.get_ref() else {
            reader.mistyped(found, &Self::shape());
            return None;
        };
        Some(Self {
            entries: reader.named(table),
        })
    }

    fn shape() -> Shape {
        Shape::Named(Box::new(T::shape()))
    }
}
