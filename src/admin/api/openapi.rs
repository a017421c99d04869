//! The document of the API (OpenAPI 3.1), made from the table that answers.

use super::operations::{Effect, Operation};
use super::problem::Code;
use super::table::OPERATIONS;
use super::{call, schemas};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Where it is served.
pub(super) const PATH: &str = "/v1/openapi.json";

/// What any operation may refuse.
const ALWAYS: [Code; 10] = [
    Code::Malformed,
    Code::TokenMissing,
    Code::TokenRejected,
    Code::RoleTooLow,
    Code::Timeout,
    Code::TooLarge,
    Code::NotJson,
    Code::Invalid,
    Code::Limited,
    Code::Internal,
];

/// All of it.
pub(super) fn document() -> Json {
    let mut paths: BTreeMap<&str, Map<String, Json>> = BTreeMap::new();
    for one in OPERATIONS {
        let methods = paths.entry(one.path).or_default();
        methods.insert(one.method.to_lowercase(), operation(one));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Apps, keys and what belongs to them, on the admin listener. docs/admin-api.md tells how to use it.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "`[admin] token`, which may change things, or `read_token`, which may look.",
            } },
            "schemas": schemas::all(),
        },
    })
}

fn operation(one: &Operation) -> Json {
    let (status, schema) = one.answer;
    let mut answers = Map::new();
    let mut done = json!({
        "description": "Done",
        "content": { "application/json": { "schema": reference(schema) } },
    });
    if schemas::is_tagged(schema) {
        done["headers"] = json!({ "ETag": {
            "description": "What `If-Match` of a change takes. What stands in gateway.toml has none.",
            "schema": { "type": "string" },
        } });
    }
    answers.insert(status.to_string(), done);
    for (status, codes) in refusals(one) {
        let words: Vec<String> = codes
            .iter()
            .map(|code| format!("`{}`", code.word()))
            .collect();
        answers.insert(
            status.to_string(),
            json!({
                "description": words.join(", "),
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            }),
        );
    }
    let mut shown = json!({
        "operationId": one.id,
        "summary": one.summary,
        "parameters": parameters(one),
        "responses": answers,
        "x-role": one.role.name(),
    });
    if !one.about.is_empty() {
        shown["description"] = one.about.into();
    }
    if one.path == PATH {
        shown["security"] = json!([]);
    }
    if let Some(schema) = one.body {
        shown["requestBody"] = json!({
            "required": one.needs_body,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    shown
}

fn refusals(one: &Operation) -> BTreeMap<u16, Vec<Code>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let changes = [Code::MatchMissing, Code::Stale];
    let changes = changes.iter().filter(|_| one.effect == Effect::Changes);
    let writes: &[Code] = match one.effect {
        Effect::Looks => &[],
        _ if one.id == "reload" => &[],
        _ => &[
            Code::Configured,
            Code::State,
            Code::Off,
            Code::Unreadable,
            Code::Unwritable,
            Code::Busy,
        ],
    };
    // Whatever is looked at may stand in the registry.
    let reads: &[Code] = match one.effect {
        Effect::Looks => &[Code::Off, Code::Unreadable],
        _ => &[],
    };
    let all = ALWAYS.iter().chain(one.refuses).chain(changes);
    for code in all.chain(writes).chain(reads) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    by_status
}

fn parameters(one: &Operation) -> Vec<Json> {
    let mut list = Vec::new();
    for name in one.path.split(['{', '}']).skip(1).step_by(2) {
        list.push(json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string" },
        }));
    }
    for parameter in one.query {
        let schema = match (parameter.name, parameter.words) {
            ("limit", _) => json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
            (_, []) => json!({ "type": "string" }),
            (_, words) => json!({ "type": "string", "enum": words }),
        };
        list.push(json!({
            "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema,
        }));
    }
    if one.effect != Effect::Looks {
        list.push(json!({
            "name": call::DRY_RUN,
            "in": "query",
            "description": "Everything is checked and answered as it would be, and nothing is written",
            "schema": { "type": "boolean" },
        }));
    }
    if one.effect == Effect::Changes {
        list.push(json!({
            "name": "If-Match",
            "in": "header",
            "required": true,
            "description": "The `ETag` of what is to be changed, or `*` for whichever there is",
            "schema": { "type": "string" },
        }));
    }
    list
}

fn reference(schema: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_named_is_there_and_the_reverse() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "`{name}` is not there");
        }
        for name in schemas.keys() {
            let named = format!("#/components/schemas/{name}\"");
            assert!(text.contains(&named), "nothing names `{name}`");
        }
    }
}
