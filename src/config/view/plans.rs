//! Plans, as `check --json` tells them.

use super::rate;
use crate::limit::app::Plan;
use serde_json::{Value as Json, json};

pub(super) fn one(plan: &Plan, asked: Option<&'static str>) -> Json {
    let better = plan.better.iter().map(|(assurance, plan)| {
        json!({
            "assurance": assurance.name(),
            "rate": rate(plan.rate),
            "concurrency": plan.concurrency,
        })
    });
    json!({
        "name": plan.name,
        "rate": rate(plan.rate),
        "concurrency": plan.concurrency,
        "assurance": asked,
        "better": better.collect::<Vec<_>>(),
    })
}
