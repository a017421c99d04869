//! `[tokens]`, as it was understood.

use super::{cors, rate, time};
use crate::gateway::Blueprint;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

pub(super) fn all(gateway: &Blueprint) -> Json {
    let tokens = &gateway.tokens;
    let mut shown = json!({
        "audience": tokens.audience,
        "max_lifetime": time(tokens.max_lifetime),
        "dpop_nonce": tokens.dpop.nonce,
    });
    if let Some(minting) = &gateway.minting {
        shown["prefix"] = (*minting.prefix).into();
        shown["issuer"] = (*minting.issuer).into();
        shown["rate"] = rate(minting.rate);
        shown["app_rate"] = rate(minting.rates.usual.app);
        shown["instance_rate"] = rate(minting.rates.usual.instance);
        shown["cors"] = gateway.minting_cors.as_ref().map(cors::of_tokens).into();
        let plans: BTreeMap<_, _> = minting.rates.plans.iter().collect();
        for (name, own) in plans {
            shown["plans"][&**name] = json!({
                "app_rate": rate(own.app),
                "instance_rate": rate(own.instance),
            });
        }
    }
    shown
}
