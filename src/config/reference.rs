//! The reference page and the schema for editors, printed from what the reader knows.

use super::file::File;
use super::read::Value;
use super::shape::{FieldShape, Presence, Shape, TableShape};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write as _;
use toml::de::DeValue;

/// The JSON schema (draft 07) of gateway.toml, which editors complete and check by.
pub fn schema_json() -> String {
    let mut schema = schema_of(&File::shape());
    if let Json::Object(root) = &mut schema {
        root.insert(
            "$schema".to_owned(),
            json!("http://json-schema.org/draft-07/schema#"),
        );
        root.insert("title".to_owned(), json!("gateway.toml of Portcullis"));
    }
    format!("{schema:#}\n")
}

fn schema_of(shape: &Shape) -> Json {
    match shape {
        Shape::Word(_, schema) => schema.clone(),
        Shape::Table(table) => table_schema(table),
        Shape::Named(item) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,64}$" },
            "additionalProperties": schema_of(item),
        }),
        Shape::List(item) => json!({ "type": "array", "items": schema_of(item) }),
        Shape::OneOrMore(item) => {
            let one = schema_of(item);
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        }
        Shape::Either(shapes) => {
            let any: Vec<Json> = shapes.iter().map(schema_of).collect();
            json!({ "anyOf": any })
        }
    }
}

fn table_schema(table: &TableShape) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in &table.fields {
        let mut schema = schema_of(&field.shape);
        if let Json::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(field.about));
            match field.presence {
                Presence::Required => required.push(field.name),
                Presence::Default(text) if !is_empty(text) => {
                    schema.insert("default".to_owned(), default_of(text));
                }
                _ => {}
            }
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let mut schema = json!({
        "type": "object",
        "description": table.about,
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A default that says only: there need be nothing.
fn is_empty(default: &str) -> bool {
    matches!(default, "{}" | "[]")
}

fn default_of(text: &str) -> Json {
    let value = DeValue::parse(text).expect("defaults are TOML: a test reads them all");
    json_of(value.get_ref())
}

fn json_of(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().unwrap_or_default()),
        DeValue::Float(number) => json!(number.as_str()),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Datetime(moment) => json!(moment.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json_of(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let pairs = table.iter();
            pairs
                .map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())))
                .collect()
        }
    }
}

const PREFACE: &str = "\
# gateway.toml

Every key, what it takes, its default and its meaning. Printed from the code by
`portcullis check --print reference`; `portcullis check` reads a file and tells all that is
wrong with it in one run. For completion in an editor, start the file with
`#:schema ./docs/gateway.schema.json`.

- An unknown key is refused, with the nearest name.
- A duration, a size and a rate stand in quotes, with their unit: `\"30s\"`, `\"10 MiB\"`, `\"100/s\"`.
- A secret is never written into the file. It is a reference: `env:NAME`, `file:PATH`, or
  `generated:PATH`, which is made at the first start, for our eyes only (mode 0600).
- Paths are relative to the file's folder.
- The file, the secrets and the certificates are read again when they change, and on SIGHUP:
  whole or not at all.
";

/// The reference page, in Markdown.
pub fn reference_page() -> String {
    let mut page = PREFACE.to_owned();
    if let Shape::Table(file) = File::shape() {
        for field in &file.fields {
            section(&mut page, "", field);
        }
    }
    page
}

/// A part of the page for a key that holds tables, and for the tables in them.
fn section(page: &mut String, outer: &str, field: &FieldShape) {
    let path = match outer {
        "" => field.name.to_owned(),
        outer => format!("{outer}.{}", field.name),
    };
    let Some((table, heading, path)) = table_in(&field.shape, &path) else {
        return;
    };
    let _ = write!(page, "\n## `{heading}`\n\n{}\n\n", field.about);
    page.push_str("| key | takes | default | meaning |\n| --- | --- | --- | --- |\n");
    for field in &table.fields {
        let default = match field.presence {
            Presence::Required => "*required*".to_owned(),
            Presence::Optional => "none".to_owned(),
            Presence::Default(text) if is_empty(text) => "none".to_owned(),
            Presence::Default(text) => format!("`{text}`"),
        };
        let takes = match table_in(&field.shape, &format!("{path}.{}", field.name)) {
            Some((_, heading, _)) if !matches!(field.shape, Shape::Either(_)) => {
                format!("see `{heading}`")
            }
            _ => field.shape.words(),
        };
        let row = [&format!("`{}`", field.name), &takes, &default, &field.about];
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    for field in &table.fields {
        section(page, &path, field);
    }
}

/// The table that a key holds, how its heading is written in TOML, and its path.
fn table_in<'s>(shape: &'s Shape, path: &str) -> Option<(&'s TableShape, String, String)> {
    match shape {
        Shape::Table(table) => Some((table, format!("[{path}]"), path.to_owned())),
        Shape::Named(item) => {
            let path = format!("{path}.NAME");
            table_in(item, &path)
        }
        Shape::List(item) => match &**item {
            Shape::Table(table) => Some((table, format!("[[{path}]]"), path.to_owned())),
            _ => None,
        },
        Shape::Either(shapes) => shapes.iter().find_map(|shape| table_in(shape, path)),
        Shape::Word(..) | Shape::OneOrMore(_) => None,
    }
}
