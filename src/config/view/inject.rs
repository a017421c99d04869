//! What a route before an authorization server takes and adds: where that is from, never what it is.

use crate::route::{ClientAttestation, Inject};
use serde_json::{Map, Value as Json, json};

pub(super) fn shown(inject: &Inject) -> Json {
    let fields = inject.fields.iter();
    let fields = fields.map(|one| (one.name.to_string(), json!(one.from)));
    let form = inject.form.iter();
    let form = form.map(|one| (one.name.to_string(), json!(one.from)));
    json!({
        "header": fields.collect::<Map<_, _>>(),
        "form": form.collect::<Map<_, _>>(),
    })
}

pub(super) fn attestation(told: &ClientAttestation) -> Json {
    json!({
        "audience": told.audiences,
        "client_id": told.client_ids,
        "challenge": told.challenge,
    })
}
