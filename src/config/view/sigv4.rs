//! What a route takes of AWS's signers.

use super::{size, time};
use crate::apps::Scheme;
use crate::route::{Accept, Route, SignedPath};
use serde_json::{Value as Json, json};

pub(super) fn shown(route: &Route) -> Option<Json> {
    let is_accepted = match route.accept {
        Accept::Proven(schemes) => schemes.contains(Scheme::AwsSigv4),
        Accept::Public => false,
    };
    let told = &route.sigv4;
    is_accepted.then(|| {
        json!({
            "regions": told.regions,
            "services": told.services,
            "path": match told.path {
                SignedPath::Any => "any",
                SignedPath::AsSent => "as-sent",
                SignedPath::EncodedAgain => "encoded-again",
            },
            "plus_is_space": told.plus_is_space,
            "presigned": time(told.presigned),
            "unsigned_content_sha256": told.unsigned_content_sha256,
            "hold": size(told.hold),
        })
    })
}
