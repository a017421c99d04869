//! What a route adds: where it is from, never what it is.

use crate::route::Inject;
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
