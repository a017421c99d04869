//! What the API answers, for people.

use crate::cli::paint::{FAINT, TITLE, visible};
use serde_json::Value as Json;
use std::fmt::Write as _;

/// Columns of a table.
pub(super) type Columns = &'static [(&'static str, fn(&Json) -> String)];

/// A table, as wide as what it holds.
pub(super) fn table(columns: Columns, items: &[Json]) -> String {
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            columns
                .iter()
                .map(|(_, cell)| visible(&cell(item)))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, (title, _))| {
            let cells = rows.iter().map(|row| row[at].chars().count());
            cells.chain([title.len()]).max().unwrap_or_default()
        })
        .collect();
    let mut out = String::new();
    let titles = columns.iter().map(|(title, _)| *title);
    let _ = writeln!(out, "{TITLE}{}{TITLE:#}", line(titles, &widths));
    for row in &rows {
        let _ = writeln!(out, "{}", line(row.iter().map(String::as_str), &widths));
    }
    out
}

fn line<'c>(cells: impl Iterator<Item = &'c str>, widths: &[usize]) -> String {
    let mut out = String::new();
    for (cell, width) in cells.zip(widths) {
        let _ = write!(out, "{cell:width$}  ");
    }
    out.truncate(out.trim_end().len());
    out
}

/// One thing: a line for each member of it.
pub(super) fn members(thing: &Json) -> String {
    let mut out = String::new();
    let members = thing.as_object().into_iter().flatten();
    let members: Vec<_> = members.collect();
    let width = members
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    for (name, value) in members {
        let value = match value {
            Json::Null => continue,
            Json::Bool(true) => "yes".to_owned(),
            Json::Bool(false) => "no".to_owned(),
            other => words(other),
        };
        let name = name.replace('_', " ");
        let _ = writeln!(out, "{FAINT}{name:width$}{FAINT:#}  {}", visible(&value));
    }
    out
}

/// A value in a word or a few.
pub(super) fn words(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "-".to_owned(),
        Json::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Json::Object(members) => {
            let pairs = members.iter().filter(|(_, value)| !value.is_null());
            let pairs = pairs.map(|(name, value)| format!("{name}: {}", words(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
