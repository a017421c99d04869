//! `[plans]`: limits, and those in their place for callers that are proven well.

use super::{Gathered, rate};
use crate::apps::Assurance;
use crate::config::file::{Better, Plan};
use crate::config::paces::{BURST_TOO_LARGE, Pace};
use crate::config::read::At;
use crate::config::values::Count;
use crate::limit::app;
use std::sync::Arc;

pub(super) fn plan(
    name: &At<String>,
    plan: &Plan,
    gathered: &mut Gathered<'_>,
) -> Option<Arc<app::Plan>> {
    let mut is_whole = has_rate(plan.rate, plan.burst.as_ref(), gathered);
    let steps = [
        (Assurance::Signed, &plan.signed),
        (Assurance::Attested, &plan.attested),
        (Assurance::AttestedSigned, &plan.attested_signed),
    ];
    let mut better = Vec::new();
    for (assurance, told) in steps {
        let Some(told) = told else { continue };
        is_whole &= is_of_use(told, assurance, plan, gathered);
        better.push((assurance, step(&name.value, plan, assurance, &told.value)));
    }
    is_whole.then(|| {
        Arc::new(app::Plan {
            name: name.value.clone(),
            rate: pace(plan.rate, plan.burst.as_ref()),
            concurrency: plan.concurrency.map(|count| count.0),
            better,
        })
    })
}

/// What is not said of a step is the plan's own, but the burst of a rate that is said.
fn step(name: &str, plan: &Plan, assurance: Assurance, told: &Better) -> app::Plan {
    let own = pace(told.rate, told.burst.as_ref());
    app::Plan {
        name: format!("{name}.{}", assurance.name()),
        rate: own.or_else(|| pace(plan.rate, plan.burst.as_ref())),
        concurrency: told.concurrency.or(plan.concurrency).map(|count| count.0),
        better: Vec::new(),
    }
}

fn pace(pace: Option<Pace>, burst: Option<&At<Count>>) -> Option<app::Rate> {
    pace.map(|pace| rate(pace, burst.map(|burst| burst.value.0)))
}

fn has_rate(pace: Option<Pace>, burst: Option<&At<Count>>, gathered: &mut Gathered<'_>) -> bool {
    let Some(burst) = burst else {
        return true;
    };
    if let Some(pace) = pace {
        let most = pace.most_at_once();
        let fits = burst.value.0 <= most;
        if !fits {
            let draft = burst.problem(BURST_TOO_LARGE);
            gathered.problem(draft.accepted(format!("at most {most} at this rate")));
        }
        return fits;
    }
    let rate = format!("{}rate", burst.key.trim_end_matches("burst"));
    // One that cannot be read is a problem of its own.
    if !gathered.problems.any_at(&rate) {
        gathered.problem(
            burst
                .problem("a burst is nothing without a rate")
                .hint("add `rate`")
                .of_absence(),
        );
    }
    false
}

/// Whether some request can fall under it, and is then treated otherwise.
fn is_of_use(
    told: &At<Better>,
    assurance: Assurance,
    plan: &Plan,
    gathered: &mut Gathered<'_>,
) -> bool {
    let Better {
        rate,
        burst,
        concurrency,
    } = &told.value;
    if rate.is_none() && burst.is_none() && concurrency.is_none() {
        // One that cannot be read, or is misspelled, is a problem of its own.
        if gathered.problems.any_within(&told.key, &[]) {
            return false;
        }
        let draft = told.problem("this limits nothing");
        gathered.problem(
            draft
                .accepted("`rate`, with or without `burst`, or `concurrency`")
                .of_absence(),
        );
        return false;
    }
    if let Some(asked) = &plan.assurance
        && asked.value.0 >= assurance
    {
        let message = format!(
            "every request of this plan is proven `{}` or better: these limits are the plan's own then",
            asked.value.0.name()
        );
        let draft = told.problem(message);
        gathered.problem(draft.hint("say them in the plan itself, or take its `assurance` away"));
        return false;
    }
    has_rate(*rate, burst.as_ref(), gathered)
}
