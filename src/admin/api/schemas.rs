//! The schemas of what is answered and asked (JSON Schema 2020-12, as OpenAPI 3.1 takes them).

use super::problem::Code;
use serde_json::{Map, Value as Json, json};

/// Whether what is answered by that schema has a tag.
pub(super) fn is_tagged(schema: &str) -> bool {
    let whole = ["App", "Key", "Instance"].contains(&schema);
    whole || schema.ends_with("Changed") || schema.ends_with("Made") || schema == "KeyRotated"
}

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
                (
                    "registry",
                    or_null(object(
                        &[("writable", boolean()), ("revision", count())],
                        &[],
                    )),
                ),
            ],
            &[],
        ),
    );
    add(
        "Reloaded",
        object(
            &[
                ("dry_run", boolean()),
                ("changes", list(text())),
                ("warnings", list(text())),
            ],
            &[],
        ),
    );
    add("AppPage", page("App"));
    add("KeyPage", page("Key"));
    add("InstancePage", page("Instance"));
    add("EnrolmentPage", page("Enrolment"));
    add("AuditPage", page("AuditLine"));
    add("App", app());
    add("Key", key());
    add("Instance", instance());
    add("Enrolment", enrolment());
    add("AuditLine", line());
    add("Safety", safety());
    add("AppNew", object(&[("name", text())], &app_members()));
    add("AppChange", object(&[], &app_members()));
    add("KeyNew", object(&[("app", text())], &key_members()));
    add("KeyChange", object(&[], &key_changes()));
    add("Rotation", object(&[], &rotation()));
    add("Retirement", object(&[], &[("at", or_null(moment()))]));
    add(
        "EnrolmentNew",
        object(&[("app", text())], &enrolment_members()),
    );
    add("AppChanged", changed("App", &[]));
    add("KeyChanged", changed("Key", &[]));
    add("KeyMade", changed("Key", &[("secret", or_null(text()))]));
    let rotated = [("made", reference("Key")), ("secret", or_null(text()))];
    add("KeyRotated", changed("Key", &rotated));
    add("InstanceChanged", changed("Instance", &[]));
    add("EnrolmentChanged", changed("Enrolment", &[]));
    add(
        "EnrolmentMade",
        changed("Enrolment", &[("code", or_null(text()))]),
    );
    all
}

fn source() -> Json {
    words(["gateway.toml", "registry"])
}

fn app() -> Json {
    object(
        &[
            ("name", text()),
            ("source", source()),
            ("plan", or_null(text())),
            ("scopes", list(text())),
            ("enabled", boolean()),
            ("explain", boolean()),
            ("mode", words(["enforce", "observe"])),
            ("downgrade", words(["allow", "refuse"])),
            ("in_force", boolean()),
        ],
        &[("tokens", anything()), ("made_at", moment())],
    )
}

fn app_members() -> [(&'static str, Json); 7] {
    [
        ("plan", or_null(text())),
        ("scopes", or_null(list(text()))),
        ("enabled", or_null(boolean())),
        ("explain", or_null(boolean())),
        ("mode", or_null(words(["enforce", "observe"]))),
        ("downgrade", or_null(words(["allow", "refuse"]))),
        ("tokens", anything()),
    ]
}

fn key() -> Json {
    object(
        &[
            ("id", text()),
            ("app", text()),
            ("source", source()),
            (
                "kind",
                words(["secret", "public-key", "pair", "static", "certificate"]),
            ),
            ("algorithm", or_null(text())),
            ("state", words(["pending", "active", "draining", "retired"])),
            ("schemes", list(text())),
            ("not_before", or_null(moment())),
            ("not_after", or_null(moment())),
            ("attests", boolean()),
            ("in_force", boolean()),
        ],
        &[
            ("public_key", or_null(text())),
            ("draining_from", or_null(moment())),
            ("retired_from", or_null(moment())),
            ("honey", boolean()),
            ("made_at", moment()),
            ("rotated_from", or_null(text())),
        ],
    )
}

fn key_members() -> [(&'static str, Json); 10] {
    [
        ("id", or_null(text())),
        (
            "kind",
            or_null(words(["secret", "public-key", "pair", "static"])),
        ),
        ("algorithm", or_null(text())),
        ("public_key", public_key()),
        ("any_salt", or_null(boolean())),
        ("schemes", or_null(list(text()))),
        ("active_from", or_null(moment())),
        ("not_after", or_null(moment())),
        ("honey", or_null(boolean())),
        ("attests", or_null(boolean())),
    ]
}

fn key_changes() -> [(&'static str, Json); 4] {
    [
        ("not_after", or_null(moment())),
        ("schemes", or_null(list(text()))),
        ("attests", or_null(boolean())),
        ("active_from", or_null(moment())),
    ]
}

fn rotation() -> [(&'static str, Json); 6] {
    [
        ("id", or_null(text())),
        ("overlap_seconds", or_null(seconds())),
        ("panic", or_null(boolean())),
        ("algorithm", or_null(text())),
        ("public_key", public_key()),
        ("any_salt", or_null(boolean())),
    ]
}

fn instance() -> Json {
    object(
        &[
            ("id", text()),
            ("app", text()),
            ("public_key", text()),
            ("thumbprint", text()),
            ("build", or_null(text())),
            ("enabled", boolean()),
            ("enrolled_at", moment()),
            ("last_seen", or_null(moment())),
        ],
        &[],
    )
}

fn enrolment() -> Json {
    object(
        &[
            ("id", text()),
            ("app", text()),
            ("build", or_null(text())),
            ("expires", moment()),
            ("expired", boolean()),
            ("uses_left", count()),
            ("made_at", moment()),
        ],
        &[],
    )
}

fn enrolment_members() -> [(&'static str, Json); 3] {
    [
        ("build", or_null(text())),
        ("expires_in", or_null(seconds())),
        (
            "uses",
            or_null(json!({ "type": "integer", "minimum": 1, "maximum": 10_000 })),
        ),
    ]
}

fn line() -> Json {
    object(
        &[
            ("at", moment()),
            ("who", text()),
            ("what", text()),
            ("target", text()),
            ("before", anything()),
            ("after", anything()),
            ("outcome", words(["done", "refused", "alarm"])),
            ("reason", or_null(text())),
            ("times", count()),
        ],
        &[],
    )
}

fn safety() -> Json {
    object(
        &[
            ("key", text()),
            ("safe", boolean()),
            ("why", text()),
            ("quiet_seconds", count()),
            (
                "last_used",
                json!({ "type": "object", "additionalProperties": moment() }),
            ),
            ("other_active_keys", list(text())),
        ],
        &[],
    )
}

/// What a write answers: what was, and what is.
fn changed(of: &str, more: &[(&str, Json)]) -> Json {
    let both = [
        ("dry_run", boolean()),
        ("before", or_null(reference(of))),
        ("after", or_null(reference(of))),
    ];
    object(&both, more)
}

fn reference(of: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{of}") })
}

fn anything() -> Json {
    json!({})
}

fn public_key() -> Json {
    json!({ "type": ["string", "object", "null"] })
}

fn seconds() -> Json {
    json!({ "type": "integer", "minimum": 1, "maximum": 315_360_000 })
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
    object(
        &[("items", list(reference(of))), ("next", or_null(text()))],
        &[],
    )
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
