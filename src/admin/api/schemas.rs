//! The schemas of what is answered and asked (JSON Schema 2020-12, as OpenAPI 3.1 takes them).

use super::problem::Code;
use serde_json::{Map, Value as Json, json};

/// Every schema by its name.
pub(super) fn all() -> Map<String, Json> {
    let mut all = Map::new();
    let mut add = |name: &str, schema: Json| all.insert(name.to_owned(), schema);
    add(
        "Problem",
        object(
            &[
                (
                    "type",
                    json!({ "type": "string", "format": "uri-reference" }),
                ),
                ("title", text()),
                ("status", json!({ "type": "integer" })),
                ("code", words(Code::ALL.iter().map(|code| code.word()))),
                ("detail", text()),
            ],
            &[("hint", text()), ("errors", list(fault()))],
        ),
    );
    add(
        "Document",
        json!({ "type": "object", "required": ["openapi", "info", "paths"] }),
    );
    add(
        "Status",
        object(
            &[
                ("version", text()),
                ("serving", boolean()),
                ("role", words(["read", "write"])),
                (
                    "configured",
                    object(&[("apps", count()), ("keys", count())], &[]),
                ),
            ],
            &[],
        ),
    );
    add(
        "Reloaded",
        object(&[("dry_run", boolean()), ("changes", list(text()))], &[]),
    );
    add("AppPage", page("App"));
    add("KeyPage", page("Key"));
    add(
        "App",
        object(
            &[
                ("name", text()),
                ("source", words(["gateway.toml", "registry"])),
                ("plan", or_null(text())),
                ("scopes", list(text())),
                ("enabled", boolean()),
                ("explain", boolean()),
                ("mode", words(["enforce", "observe"])),
            ],
            &[],
        ),
    );
    add(
        "Key",
        object(
            &[
                ("id", text()),
                ("app", text()),
                ("source", words(["gateway.toml", "registry"])),
                (
                    "kind",
                    words(["secret", "public-key", "static", "certificate"]),
                ),
                ("algorithm", or_null(text())),
                ("state", words(["pending", "active", "draining", "retired"])),
                ("schemes", list(text())),
                ("not_before", or_null(moment())),
                ("not_after", or_null(moment())),
                ("attests", boolean()),
            ],
            &[],
        ),
    );
    all
}

fn fault() -> Json {
    object(
        &[("at", text()), ("detail", text())],
        &[("accepted", text())],
    )
}

/// An object of these members and no others.
fn object(required: &[(&str, Json)], optional: &[(&str, Json)]) -> Json {
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let members = required.iter().chain(optional);
    let members: Map<String, Json> = members
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({
        "type": "object",
        "required": names,
        "properties": members,
        "additionalProperties": false,
    })
}

fn page(of: &str) -> Json {
    let item = json!({ "$ref": format!("#/components/schemas/{of}") });
    object(&[("items", list(item)), ("next", or_null(text()))], &[])
}

fn text() -> Json {
    json!({ "type": "string" })
}

fn boolean() -> Json {
    json!({ "type": "boolean" })
}

fn count() -> Json {
    json!({ "type": "integer", "minimum": 0 })
}

fn moment() -> Json {
    json!({ "type": "string", "format": "date-time" })
}

fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> Json {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn list(of: Json) -> Json {
    let mut list = json!({ "type": "array" });
    list["items"] = of;
    list
}

/// The same, or nothing.
fn or_null(schema: Json) -> Json {
    let mut either = json!({ "anyOf": [{}, { "type": "null" }] });
    either["anyOf"][0] = schema;
    either
}
