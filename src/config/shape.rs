//! What a value looks like: told to editors, to readers of the reference page, and in problems.

/// What a value looks like.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// One value: what it takes, in words, and its schema.
    Word(String, serde_json::Value),
    /// Keys that we name.
    Table(TableShape),
    /// Keys that the user names.
    Named(Box<Shape>),
    /// Values in a row.
    List(Box<Shape>),
    /// One value, or several in a row.
    OneOrMore(Box<Shape>),
    /// One of these.
    Either(Vec<Shape>),
}

/// A table whose keys we name.
#[derive(Clone, Debug)]
pub(super) struct TableShape {
    /// What it is for.
    pub(super) about: String,
    /// Its keys, in documented order.
    pub(super) fields: Vec<FieldShape>,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub(super) struct FieldShape {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: String,
    /// What it takes.
    pub(super) shape: Shape,
    /// Whether it can be left out.
    pub(super) presence: Presence,
}

/// Whether a key can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// No.
    Required,
    /// Yes; then there is none.
    Optional,
    /// Yes; then it is this, as TOML.
    Default(&'static str),
}

impl Shape {
    /// What it takes, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Word(words, _) => words.clone(),
            Self::Table(table) => {
                let names: Vec<String> = table
                    .fields
                    .iter()
                    .map(|field| format!("`{}`", field.name))
                    .collect();
                format!("a table with {}", names.join(", "))
            }
            Self::Named(item) => format!("a table of names, each {}", item.words()),
            Self::List(item) => format!("a list, each {}", item.words()),
            Self::OneOrMore(item) => format!("{}, or a list of such", item.words()),
            Self::Either(shapes) => {
                let words: Vec<String> = shapes.iter().map(Self::words).collect();
                words.join(", or ")
            }
        }
    }
}

/// Lines of a doc comment as one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ").trim().to_owned()
}
